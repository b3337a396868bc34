//! `report` of a recording, without privileges: every table adds up to the recording's totals.

use std::path::Path;

use crate::common::program::{Ended, run, run_without_privileges};
use serde_json::Value;

const TABLES: [&str; 9] =
    ["program", "unit", "process", "file", "directory", "failure", "talker", "peer", "connection"];

/// The demo, where every user can read it.
fn demo() -> (tempfile::TempDir, String) {
    let dir = tempfile::Builder::new().permissions(mode(0o755)).tempdir().unwrap();
    let to = dir.path().join("demo.ebpftop");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo.ebpftop"), &to).unwrap();
    std::fs::set_permissions(&to, mode(0o644)).unwrap();
    let name = to.to_str().unwrap().to_owned();
    (dir, name)
}

fn mode(mode: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

fn sum(run: &Ended, key: &str) -> u64 {
    run.of_type("report").iter().filter_map(|row| row[key].as_u64()).sum()
}

fn summary(run: &Ended) -> Value {
    run.lines().pop().unwrap()
}

#[test]
fn the_rows_of_every_table_add_up() {
    let (_dir, demo) = demo();
    for by in TABLES {
        for top in ["1", "3", "1000"] {
            let run = run(&["report", &demo, "--by", by, "--top", top, "--format", "json"]);
            assert_eq!(run.code(), 0, "{by}: {}", run.stderr);
            let rows = run.of_type("report");
            let own = rows.iter().filter(|row| row["other"] == false).count();
            assert!(own >= 1 && own <= top.parse().unwrap(), "{by} {top}: {rows:?}");
            assert!(rows.iter().all(|row| row["by"] == by), "{rows:?}");
            let end = summary(&run);
            assert_eq!(end["type"], "summary");
            match by {
                "talker" => {
                    for key in ["rx_bytes", "tx_bytes", "rx_packets", "tx_packets"] {
                        assert_eq!(Some(sum(&run, key)), end[key].as_u64(), "{by} {top} {key}");
                    }
                }
                "peer" => assert!(sum(&run, "rx_bytes") > 0),
                "connection" => {
                    assert!(sum(&run, "connections") > 0 && sum(&run, "rx_bytes") > 0);
                }
                "failure" => assert!(sum(&run, "failed") > 0),
                _ => assert_eq!(Some(sum(&run, "opens")), end["opens"].as_u64(), "{by} {top}"),
            }
        }
    }
}

/// Payload and failures are the same however the rows are cut.
#[test]
fn tables_agree_with_each_other() {
    let (_dir, demo) = demo();
    let table =
        |by: &str, top: &str| run(&["report", &demo, "--by", by, "--top", top, "--format", "json"]);
    for (key, tables) in [
        ("failed", &["program", "unit", "process", "file", "directory", "failure"][..]),
        ("rx_bytes", &["program", "unit", "process", "peer"]),
        ("tx_bytes", &["program", "unit", "process", "peer"]),
    ] {
        let sums: Vec<u64> = tables
            .iter()
            .flat_map(|by| [sum(&table(by, "1"), key), sum(&table(by, "50"), key)])
            .collect();
        assert!(sums[0] > 0 && sums.iter().all(|n| *n == sums[0]), "{key}: {tables:?} {sums:?}");
    }
}

#[test]
fn filters_choose_as_those_of_stream_do() {
    let (_dir, demo) = demo();
    let json =
        |args: &[&str]| run(&[&["report", demo.as_str(), "--format", "json"], args].concat());
    let web = json(&["--process", "web"]);
    let names: Vec<_> = web.of_type("report").iter().map(|r| r["program"].clone()).collect();
    let opens: Vec<_> = web.of_type("report").iter().map(|r| r["opens"].as_u64()).collect();
    assert_eq!(names[0], "web", "{names:?}");
    assert!(opens[1..].iter().all(|n| *n == Some(0)), "{opens:?}");
    let failed = json(&["--failed", "--by", "file"]);
    assert!(failed.of_type("report").iter().all(|r| r["opens"] == r["failed"]));
    let one = json(&["--by", "talker", "-f", "ip:10.77.0.2"]);
    let rows = one.of_type("report");
    assert_eq!((rows.len(), &rows[0]["ip"]), (2, &Value::from("10.77.0.2")), "{rows:?}");
    let short = json(&["--duration", "2s"]);
    assert_eq!(summary(&short)["duration_s"], 2.0);
    assert!(summary(&short)["opens"].as_u64() < summary(&json(&[]))["opens"].as_u64());
}

#[test]
fn text_and_csv_have_the_same_rows() {
    let (_dir, demo) = demo();
    let json = run(&["report", &demo, "--format", "json"]).of_type("report");
    let csv = run(&["report", &demo, "--format", "csv"]).text();
    let text = run(&["report", &demo]).text();
    let header = csv.lines().next().unwrap();
    let columns = "type,time,by,other,program,unit,container,pod,container_name,pod_name,namespace,processes,opens";
    assert!(header.starts_with(columns), "{header}");
    assert_eq!(csv.lines().count(), json.len() + 1);
    // A heading and the names of the columns.
    assert_eq!(text.lines().count(), json.len() + 2);
    for ((row, csv), text) in json.iter().zip(csv.lines().skip(1)).zip(text.lines().skip(2)) {
        let name = row["program"].as_str().unwrap_or("other");
        assert!(text.starts_with(name), "{name}: {text}");
        let opens = row["opens"].to_string();
        assert!(csv.contains(&format!(",{opens},")) && text.contains(&opens), "{csv}\n{text}");
    }
}

#[test]
fn it_needs_no_privileges_and_says_what_is_wrong() {
    let (dir, demo) = demo();
    assert_eq!(run_without_privileges(&["report", &demo]).code(), 0);
    let missing = run(&["report", "/no/such"]);
    assert_eq!(missing.code(), 1);
    assert!(missing.stderr.contains("/no/such: No such file"), "{}", missing.stderr);
    assert!(missing.stdout.is_empty());
    let cut = dir.path().join("cut");
    let bytes = std::fs::read(&demo).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let run_cut = run(&["report", cut.to_str().unwrap(), "--format", "json"]);
    assert_eq!(run_cut.code(), 1);
    assert!(run_cut.stderr.contains("readable part"), "{}", run_cut.stderr);
    assert_eq!(Some(sum(&run_cut, "opens")), summary(&run_cut)["opens"].as_u64());
    let idle = run(&["report", &demo, "--by", "talker", "--failed", "-f", "op:mkdir"]);
    assert!(idle.stderr.contains("`op:` has no effect on a report by talker"), "{}", idle.stderr);
    assert!(
        idle.stderr.contains("--failed has no effect on a report by talker"),
        "{}",
        idle.stderr
    );
    assert_eq!(run(&["report", &demo, "-f", "path:"]).code(), 2);
}
