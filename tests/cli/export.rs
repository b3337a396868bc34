//! `export` of a recording, without privileges: its counts are those of `report`.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use crate::common::exporter::{Exporter, samples, sum};
use crate::common::patience::{Leash, until};
use crate::common::program::{Ended, program, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn demo() -> String {
    format!("{}/assets/demo.ebpftop", env!("CARGO_MANIFEST_DIR"))
}

/// Rows and summary of `report`.
fn report(by: &str) -> Ended {
    run(&["report", &demo(), "--by", by, "--top", "100000", "--format", "json"])
}

#[test]
fn a_recording_is_served_with_the_totals_of_its_report() {
    let exporter = Exporter::start(&["--from", &demo(), "--at-once", "--max-groups", "3"]);
    let few = exporter.until("the end", |s| sum(s, "ebpftop_recording_ended", &[]) == 1.0);
    let exporter_of_all =
        Exporter::start(&["--from", &demo(), "--at-once", "--max-groups", "5000"]);
    let all = exporter_of_all.until("the end", |s| sum(s, "ebpftop_recording_ended", &[]) == 1.0);
    let (programs, talkers, failures) = (report("program"), report("talker"), report("failure"));
    let end = programs.lines().pop().unwrap();
    let total = |run: &Ended, key: &str| -> f64 {
        run.of_type("report").iter().filter_map(|row| row[key].as_f64()).sum()
    };
    let payload = |key: &str| total(&programs, key);
    for scrape in [&few, &all] {
        let lost = sum(scrape, "ebpftop_opens_lost_total", &[]);
        let opens = sum(scrape, "ebpftop_opens_total", &[]);
        assert_eq!(opens - lost, end["opens"].as_f64().unwrap());
        assert_eq!(lost, end["opens_lost"].as_f64().unwrap());
        assert_eq!(sum(scrape, "ebpftop_open_failures_total", &[]), total(&failures, "failed"));
        for (direction, key) in [("rx", "rx_bytes"), ("tx", "tx_bytes")] {
            let label = format!("direction=\"{direction}\"");
            for name in ["ebpftop_interface_bytes_total", "ebpftop_talker_bytes_total"] {
                assert_eq!(sum(scrape, name, &[&label]), total(&talkers, key), "{name} {key}");
            }
            let carried = sum(scrape, "ebpftop_connection_bytes_total", &[&label])
                + sum(scrape, "ebpftop_connection_unattributed_bytes", &[&label]);
            assert_eq!(carried, payload(key), "{key}");
        }
    }
    assert_eq!(sum(&few, "ebpftop_groups", &[]), 3.0);
    assert!(sum(&few, "ebpftop_opens_total", &["program=\"other\""]) > 0.0);
    assert_eq!(sum(&all, "ebpftop_opens_total", &["program=\"other\""]), 0.0);
    assert_eq!(exporter.get("/healthz").1, "ok\n");
    for exporter in [exporter, exporter_of_all] {
        let (code, said) = exporter.end();
        assert_eq!((code, &*said), (0, ""));
    }
}

#[test]
fn a_text_file_alone_opens_no_port_and_goes_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ebpftop.prom");
    let file = path.to_str().unwrap();
    let mut command = program();
    command.args(["export", "--textfile", file, "--from", &demo(), "--at-once"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let _leash = Leash::on(child.id());
    let text = until("the file", || std::fs::read_to_string(&path).ok());
    assert!(sum(&samples(&text), "ebpftop_opens_total", &[]) > 0.0, "{text}");
    let net = std::fs::read_to_string(format!("/proc/{}/net/tcp", child.id())).unwrap();
    assert!(!net.contains(":4BEB 00000000:0000 0A"), "it listens: {net}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), &*said), (Some(0), ""));
    assert!(!Path::new(file).exists());
}

#[test]
fn errors_come_at_once_and_say_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let demo = demo();
    let with = |args: &[&str]| run(&[&["export", "--at-once", "--from"], args].concat());
    for (run, said) in [
        (with(&[&demo, "--listen", &address]), "the port is in use; choose another with --listen"),
        (with(&["/nonexistent", "--listen", "127.0.0.1:0"]), "export /nonexistent: "),
        (with(&["/etc/passwd", "--listen", "127.0.0.1:0"]), "it is no recording of ebpftop"),
        (with(&[&demo, "--textfile", "/nonexistent/a.prom"]), "write /nonexistent/a.prom: "),
    ] {
        assert_eq!(run.code(), 1);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}
