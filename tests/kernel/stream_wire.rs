//! `ebpftop stream talkers` as a whole program on a veth pair of its own.

use std::collections::BTreeMap;

use crate::common::net::{Sender, ethernet, ip, ipv4, ipv6, own_namespace, v4, veth};
use crate::common::program::{Ended, Stream};
use serde_json::{Value, json};

/// 130 frames: 60 and 40 by two v4 sources, 20 by a v6 one, 10 that are ARP.
fn frames() -> Vec<Vec<u8>> {
    let of = |n: usize, frame: Vec<u8>| std::iter::repeat_n(frame, n);
    let v6 = ipv6("2001:db8::d".parse().unwrap(), "2001:db8::1".parse().unwrap(), 17, 100);
    of(60, ethernet(0x0800, &ipv4(v4(1), v4(99), 500)))
        .chain(of(40, ethernet(0x0800, &ipv4(v4(2), v4(99), 200))))
        .chain(of(20, ethernet(0x86dd, &v6)))
        .chain(of(10, ethernet(0x0806, &[0; 28])))
        .collect()
}

/// Packets and bytes of an address of `frames`.
fn truth(n: u64, payload: u64) -> (u64, u64) {
    (n, n * (14 + payload))
}

/// Sends the frames while the program watches the other end.
fn watched(args: &[&str], start: fn(&[&str]) -> Stream) -> Ended {
    own_namespace();
    veth("vt0", "vt1");
    let stream = start(&[&["talkers", "-i", "vt0", "--interval", "100ms"], args].concat());
    Sender::on("vt1").send(&frames());
    let run = stream.interrupt();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    run
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key}: {value}"))
}

/// The last line of a direction; every line adds up.
fn last(run: &Ended, direction: &str) -> Value {
    let lines = run.of_type("talkers");
    for line in &lines {
        let sum = |key: &str| -> u64 {
            line["sources"].as_array().unwrap().iter().map(|s| number(s, key)).sum()
        };
        assert_eq!(sum("packets") + number(line, "other_packets"), number(line, "packets"));
        assert_eq!(sum("bytes") + number(line, "other_bytes"), number(line, "bytes"));
        assert!(line["interval_s"].as_f64().unwrap() > 0.0);
    }
    lines.into_iter().rfind(|l| l["direction"] == direction).unwrap()
}

fn sources(line: &Value) -> BTreeMap<String, (u64, u64)> {
    let of = |s: &Value| {
        (s["ip"].as_str().unwrap().to_owned(), (number(s, "packets"), number(s, "bytes")))
    };
    line["sources"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn every_frame_is_counted_once() {
    let run = watched(&[], Stream::json);
    let lines = run.lines();
    let ready = &lines[0];
    assert_eq!((&ready["opens"], &ready["talkers"]), (&json!(false), &json!(true)));
    assert_eq!((&ready["interface"], &ready["tx_mode"]), (&json!("vt0"), &json!("socket")));
    assert!(ready["xdp_mode"].is_string());
    let rx = last(&run, "rx");
    let known = sources(&rx);
    assert_eq!(known[&v4(1).to_string()], truth(60, 500));
    assert_eq!(known[&v4(2).to_string()], truth(40, 200));
    assert_eq!(known["2001:db8::d"], truth(20, 100));
    assert_eq!(known.len(), 3);
    assert_eq!((number(&rx, "other_packets"), number(&rx, "other_bytes")), truth(10, 28));
    let bytes: Vec<_> =
        rx["sources"].as_array().unwrap().iter().map(|s| number(s, "bytes")).collect();
    assert!(bytes.is_sorted_by(|a, b| a >= b), "{bytes:?}");
    let summary = lines.last().unwrap();
    assert_eq!(number(summary, "rx_packets"), 130);
    assert_eq!(number(summary, "rx_bytes"), number(&rx, "bytes"));
    assert_eq!(summary["opens"], Value::Null);
}

#[test]
fn sources_that_are_not_listed_are_other() {
    let rx = last(&watched(&["--top", "1"], Stream::json), "rx");
    assert_eq!(sources(&rx), BTreeMap::from([(v4(1).to_string(), truth(60, 500))]));
    assert_eq!(number(&rx, "other_packets"), 70);
}

#[test]
fn addresses_are_chosen_by_the_filter() {
    // Terms that choose opens leave the talkers alone.
    let filter = "ip:2001:db8::/32 no-such-name path:/nowhere";
    let rx = last(&watched(&["-f", filter], Stream::json), "rx");
    assert_eq!(sources(&rx), BTreeMap::from([("2001:db8::d".into(), truth(20, 100))]));
    assert_eq!(number(&rx, "packets"), 130);
}

#[test]
fn csv_is_a_row_a_source() {
    let run = watched(&["--format", "csv"], Stream::text);
    let text = run.text();
    let mut rows = text.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let at = |name: &str| header.iter().position(|n| *n == name).unwrap();
    let mut reported = BTreeMap::new();
    for row in rows.filter(|row| row[at("direction")] == "rx") {
        assert_eq!(row.len(), header.len());
        reported.insert(row[at("ip")].to_owned(), row[at("source_packets")].to_owned());
    }
    assert_eq!(reported[&v4(1).to_string()], "60");
    assert_eq!(reported["2001:db8::d"], "20");
}

#[test]
fn text_is_a_table_an_interval() {
    let run = watched(&[], Stream::text);
    let text = run.text();
    assert!(text.contains(" vt0 rx: 130 packets, "), "{text}");
    assert!(text.lines().any(|l| l.ends_with(&format!("  {}", v4(1)))), "{text}");
    assert!(text.lines().any(|l| l.ends_with("  other")), "{text}");
    assert!(run.stderr.contains("ready: talkers on vt0 (rx "), "{}", run.stderr);
    assert!(run.stderr.contains("rx 130 packets, "), "{}", run.stderr);
}

#[test]
fn an_interface_that_goes_is_reported_and_nothing_ends() {
    own_namespace();
    veth("vt0", "vt1");
    let stream = Stream::json(&["talkers", "-i", "vt0", "--interval", "100ms"]);
    Sender::on("vt1").send(&frames());
    ip("link del vt0");
    let run = stream.interrupt();
    let summary = run.lines().pop().unwrap();
    assert_eq!(number(&summary, "rx_packets"), 130, "{}", run.stderr);
    assert_eq!(run.code(), 1, "it was gone in the end");
}

/// Deleted or down: as long as it comes back, everything that passed was counted.
#[test]
fn an_interface_that_comes_back_is_no_failure() {
    for (away, said, back) in [
        ("link del vt0", "the interface is gone", "link add vt0 type veth peer name vt1"),
        ("link set vt0 down", "the interface is down", "link show"),
    ] {
        own_namespace();
        veth("vt0", "vt1");
        let mut stream = Stream::json(&["talkers", "-i", "vt0", "--interval", "100ms"]);
        ip(away);
        stream.until_said(said);
        ip(back);
        ip("link set vt0 up");
        ip("link set vt1 up");
        stream.until_said("vt0: watched again");
        let run = stream.interrupt();
        assert_eq!(run.code(), 0, "{away}: {}", run.stderr);
    }
}

#[test]
fn an_interface_that_is_not_there_is_an_error() {
    own_namespace();
    let run = crate::common::program::run(&["stream", "talkers", "-i", "nosuch0"]);
    assert_eq!(run.code(), 1);
    assert!(run.stdout.is_empty());
    assert!(run.stderr.contains("watch nosuch0: no such interface"), "{}", run.stderr);
}

#[test]
fn an_option_without_effect_is_reported() {
    own_namespace();
    ip("link set lo up");
    let run = Stream::json(&["talkers", "-i", "lo", "--failed", "--pid", "1"]).interrupt();
    assert_eq!(run.code(), 0);
    for option in ["--failed", "--pid"] {
        let text = format!("ebpftop: {option} has no effect: ");
        assert!(run.stderr.contains(&text), "{}", run.stderr);
    }
}

/// Packets arrive while the probes start, one after the other: lines and summary agree.
#[test]
fn the_last_line_and_the_summary_agree_whatever_is_started_besides() {
    own_namespace();
    veth("vt0", "vt1");
    let sender = Sender::on("vt1");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                sender.send(&frames());
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let kinds = ["opens", "talkers", "connections"];
        let mut run = Stream::json(
            &[&kinds[..], &["-i", "vt0", "--interval", "100ms", "--pid", "1"]].concat(),
        );
        run.until("a packet", |line| line["direction"] == "rx" && number(line, "packets") > 0);
        let run = run.interrupt();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let summary = run.lines().pop().unwrap();
        for direction in ["rx", "tx"] {
            let last = last(&run, direction);
            for key in ["packets", "bytes"] {
                let of_summary = number(&summary, &format!("{direction}_{key}"));
                assert_eq!(number(&last, key), of_summary, "{direction} {key}: {}", run.stderr);
            }
        }
        assert!(number(&summary, "rx_packets") > 0);
    });
}
