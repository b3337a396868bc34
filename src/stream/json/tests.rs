//! JSON lines, key by key.

use super::*;
use crate::cli::Kind;
use crate::model::coverage::{Attribution, Missing};
use crate::stream::lines::{Loss, Lost};
use crate::stream::{ConnectionsSummary, Coverage, Ready, Summary, sample};
use proptest::prelude::*;

fn written(write: impl FnOnce(&mut Json, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut Json::default(), &mut out);
    String::from_utf8(out).unwrap()
}

fn opens() -> Vec<String> {
    let batch = sample::opens();
    let line = |open| {
        let line = OpenLine { open, wall: batch.wall, cgroup: None };
        written(|json, out| json.open(out, &line))
    };
    batch.iter().map(line).collect()
}

#[test]
fn opens_key_by_key() {
    let opens = opens();
    assert_eq!(
        opens[0],
        concat!(
            r#"{"type":"open","time":"2026-11-22T12:00:00.000000000Z","pid":812,"tid":813,"#,
            r#""ppid":1,"uid":0,"comm":"worker","process":"nginx","syscall":"openat","#,
            r#""path":"conf/site.conf","resolved":"/etc/nginx/conf/site.conf","#,
            r#""resolved_kind":"opened","flags":["O_RDONLY","O_CLOEXEC"],"mode":null,"fd":5,"#,
            r#""errno":null,"latency_ns":null,"cgroup":null,"container":null,"pod":null,"unit":null,"container_name":null,"pod_name":null,"namespace":null}"#,
            "\n"
        )
    );
    assert_eq!(
        opens[1],
        concat!(
            r#"{"type":"open","time":"2026-11-22T12:00:00.000500000Z","pid":1044,"tid":1044,"#,
            r#""ppid":900,"uid":1000,"comm":"cat","process":"cat","syscall":"creat","#,
            r#""path":"=a \"b\",\\n\\x1b[31m\\xff\\\\","resolved":null,"resolved_kind":null,"#,
            r#""flags":["O_WRONLY","O_CREAT","O_TRUNC"],"mode":"0644","fd":null,"#,
            r#""errno":"ENOENT","latency_ns":12345,"cgroup":null,"container":null,"pod":null,"unit":null,"container_name":null,"pod_name":null,"namespace":null}"#,
            "\n"
        )
    );
}

#[test]
fn a_direct_open_has_a_slot_and_no_descriptor() {
    let batch = sample::opens();
    let open = batch.iter().next().unwrap();
    let meta = crate::model::open::OpenMeta { ret: 0, slot: Some(3), ..*open.meta };
    let open = crate::model::open::Open { meta: &meta, ..open };
    let line = OpenLine { open, wall: batch.wall, cgroup: None };
    let text = written(|json, out| json.open(out, &line));
    assert!(text.contains(r#","fd":null,"errno":null,"slot":3,"latency_ns""#), "{text}");
}

#[test]
fn talkers_key_by_key() {
    assert_eq!(
        written(|json, out| json.talkers(out, &sample::talkers())),
        concat!(
            r#"{"type":"talkers","time":"2026-11-22T12:00:01.002000000Z","interface":"eth0","#,
            r#""direction":"rx","interval_s":1.002,"packets":970,"bytes":85500,"#,
            r#""other_packets":10,"other_bytes":600,"partial":null,"sources":["#,
            r#"{"ip":"10.0.0.2","since":"2026-11-22T12:00:00.000000000Z","packets":900,"#,
            r#""bytes":80000,"pps":89.8,"bps":63872.3},"#,
            r#"{"ip":"fe80::1","since":"2026-11-22T12:00:00.000000000Z","packets":50,"#,
            r#""bytes":4000,"pps":5.0,"bps":3193.6},"#,
            r#"{"ip":"10.0.0.3","since":"2026-11-22T12:00:00.000000000Z","packets":10,"#,
            r#""bytes":900,"pps":1.0,"bps":718.6}]}"#,
            "\n"
        )
    );
}

#[test]
fn notes_key_by_key() {
    let at = Stamp { mono: Mono(1_000_000_000), wall: sample::WALL };
    let ready = Ready { at, kinds: [Kind::Opens].into(), ..Ready::default() };
    assert_eq!(
        written(|json, out| assert!(json.note(out, &Note::Ready(&ready)))),
        concat!(
            r#"{"type":"ready","time":"2026-11-22T12:00:00.000000000Z","opens":true,"#,
            r#""talkers":false,"interface":null,"xdp_mode":null,"tx_mode":null,"version":""#,
            env!("CARGO_PKG_VERSION"),
            r#"","schema":1,"host":"","boot_id":null,"attribution":null,"missing":[]}"#,
            "\n"
        )
    );
    let watched = sample::watched();
    let ready = Ready { watched: watched.clone(), ..ready };
    let text = written(|json, out| assert!(json.note(out, &Note::Ready(&ready))));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["interface"], "all");
    assert_eq!(value["xdp_mode"], serde_json::Value::Null);
    assert_eq!(value["tx_mode"], "tcx");
    assert_eq!(value["interfaces"][1]["xdp_mode"], "generic");
    let one = Ready { watched: watched[1..].to_vec(), ..ready };
    let text = written(|json, out| assert!(json.note(out, &Note::Ready(&one))));
    assert!(text.contains(r#""interface":"lo","xdp_mode":"generic","tx_mode":"tcx","version""#));

    let elsewhere = Ready { netns: Some("b\x1b".into()), ..one };
    let text = written(|json, out| assert!(json.note(out, &Note::Ready(&elsewhere))));
    assert!(text.contains(",\"netns\":\"b\\\\x1b\","), "{text}");

    let lost = written(|json, out| {
        assert!(json.note(out, &Note::Lost(Lost { at, loss: Loss::Opens, count: 512 })))
    });
    assert_eq!(
        lost,
        "{\"type\":\"lost\",\"time\":\"2026-11-22T12:00:00.000000000Z\",\"opens\":512,\"reason\":\"ring buffer\"}\n"
    );
    let summary = Summary { at, duration_ns: 5_000_000_000, ..Summary::default() };
    assert_eq!(
        written(|json, out| assert!(json.note(out, &Note::Summary(&summary)))),
        concat!(
            r#"{"type":"summary","time":"2026-11-22T12:00:00.000000000Z","duration_s":5.0,"#,
            r#""opens":null,"opens_seen":null,"opens_lost":null,"opens_unfinished":null,"#,
            r#""opens_unnamed":null,"#,
            r#""rx_packets":null,"rx_bytes":null,"tx_packets":null,"tx_bytes":null,"attribution":null,"missing":[]}"#,
            "\n"
        )
    );
}

#[test]
fn constant_fields_are_in_each_line() {
    let given = [("env", "a\"\\\x1b"), ("team", "web")];
    let fields = Fields::new(&given.map(|(n, v)| (n.into(), v.into())), &[]).unwrap();
    let mut json = Json::with(&fields);
    let mut out = Vec::new();
    let (batch, summary) = (sample::opens(), sample::summary());
    for open in batch.iter() {
        json.open(&mut out, &OpenLine { open, wall: batch.wall, cgroup: None });
    }
    json.note(&mut out, &Note::Summary(&summary));
    json.talkers(&mut out, &sample::talkers());
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 4);
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&value["env"], &value["team"]),
            (&"a\"\\\\\\x1b".into(), &"web".into()),
            "{line}"
        );
    }
}

#[test]
fn ready_and_summary_name_missing_features() {
    let missing = Missing {
        feature: "bytes".into(),
        program: "holders".into(),
        error: "EPERM \"\\x1b\"".into(),
    };
    let coverage = Coverage {
        attribution: Some(Attribution::Procfs),
        missing: vec![missing.clone(), missing],
    };
    let ready =
        Ready { kinds: [Kind::Connections].into(), coverage: coverage.clone(), ..Ready::default() };
    let seen = ConnectionsSummary { seen: Some(2), ..ConnectionsSummary::default() };
    let summary = Summary { connections: Some(seen), coverage, ..Summary::default() };
    for note in [Note::Ready(&ready), Note::Summary(&summary)] {
        let text = written(|json, out| assert!(json.note(out, &note)));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["attribution"], "procfs");
        assert_eq!(value["missing"][1]["feature"], "bytes");
        assert_eq!(value["missing"][1]["program"], "holders");
        assert_eq!(value["missing"][1]["error"], "EPERM \"\\x1b\"");
    }
    let text = written(|json, out| assert!(json.note(out, &Note::Summary(&summary))));
    assert!(text.contains(",\"seen\":2,"), "{text}");
}

proptest! {
    #[test]
    fn a_string_decodes_to_the_escaped_text(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut out = Vec::new();
        string(&mut out, &bytes);
        let decoded: String = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(decoded, escape(&bytes));
    }
}
