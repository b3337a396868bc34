use super::*;
use crate::cli::Kind;
use crate::stream::lines::Note;
use crate::stream::sample;
use crate::stream::summary::{Ready, Summary};

fn in_utc() -> Text {
    Text { times: Times::rfc3339(), header: true, latency: true }
}

#[test]
fn an_open_is_one_aligned_line() {
    let batch = sample::opens();
    let mut text = in_utc();
    let mut write = |latency| {
        text.latency = latency;
        let mut out = Vec::new();
        text.header(&mut out);
        for open in batch.iter() {
            text.open(&mut out, &OpenLine { open, wall: batch.wall, cgroup: None });
        }
        String::from_utf8(out).unwrap()
    };
    // The date of the test's times makes them 11 longer than the times of day.
    assert_eq!(
        write(false),
        "TIME             PID COMM                 RESULT HOW   PATH\n\
         2026-11-22T12:00:00.000     812 worker                    5 r     /etc/nginx/conf/site.conf\n\
         2026-11-22T12:00:00.000    1044 cat                  ENOENT wct   =a \"b\",\\n\\x1b[31m\\xff\\\\\n"
    );
    assert_eq!(
        write(true),
        "TIME             PID COMM                 RESULT HOW      LATENCY PATH\n\
         2026-11-22T12:00:00.000     812 worker                    5 r              - /etc/nginx/conf/site.conf\n\
         2026-11-22T12:00:00.000    1044 cat                  ENOENT wct       12.3\u{b5}s =a \"b\",\\n\\x1b[31m\\xff\\\\\n"
    );
}

#[test]
fn an_interval_is_a_table() {
    let mut out = Vec::new();
    let mut sample = sample::talkers();
    sample.partial = Some("after foreign XDP".into());
    in_utc().talkers(&mut out, &sample);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "2026-11-22T12:00:01.002 eth0 rx: 970 packets, 85500 bytes; in 1.002 s 97 packets/s, 68.3 kbit/s; partial: after foreign XDP\n\
         \u{20}     bit/s  packets/s           bytes      packets  address\n\
         \u{20}    63.9 k        90            80000          900  10.0.0.2\n\
         \u{20}    3.19 k         5             4000           50  fe80::1\n\
         \u{20}      719          1              900           10  10.0.0.3\n\
         \u{20}      479          1              600           10  other\n"
    );
}

#[test]
fn numbers_are_short() {
    for (n, text) in [
        (0.0, "0 "),
        (999.4, "999 "),
        (999.6, "1.00 k"),
        (9_600_000.0, "9.60 M"),
        (12_345.0, "12.3 k"),
        (999_499.0, "999 k"),
        (1e18, "1000 P"),
    ] {
        assert_eq!(short(n), text);
    }
}

#[test]
fn notes_are_one_line() {
    let watched = sample::watched();
    let ready = Ready {
        kinds: [Kind::Opens, Kind::Talkers].into(),
        watched: watched[1..].to_vec(),
        ..Ready::default()
    };
    assert_eq!(note(&Note::Ready(&ready)), "ready: opens, talkers on lo (rx generic, tx tcx)");
    let all = Ready { watched, netns: Some("b\x1b".into()), ..ready };
    assert_eq!(
        note(&Note::Ready(&all)),
        "ready: opens, talkers on all in netns b\\x1b (rx mixed, tx tcx)"
    );
    let summary = Summary { duration_ns: 5_000_000_000, ..Summary::default() };
    assert_eq!(note(&Note::Summary(&summary)), "summary: 5.000 s");
}
