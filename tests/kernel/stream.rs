//! `ebpftop stream` as a whole program on the real kernel.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::net::{ip, own_namespace};
use crate::common::program::{Ended, Stream, ended, ended_into, program};
use crate::common::user::{USER, USER_ID};
use ebpftop::clock;
use ebpftop::model::mounts::cgroup_path;
use ebpftop::probes::cgroups::systemd_hierarchy;
use ebpftop::stream::{Described, csv_headers, documented};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The opens whose path ends with `name`.
fn opens_of(run: &Ended, name: &str) -> Vec<Value> {
    let ends = |l: &Value| l["path"].as_str().is_some_and(|p| p.ends_with(name));
    run.of_type("open").into_iter().filter(ends).collect()
}

/// Runs a program on `args` in `dir`, whatever its exit status, and returns its pid.
fn child(program: &str, args: &[&OsStr], dir: &Path) -> u32 {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.wait().unwrap();
    child.id()
}

fn dir_with(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), "x").unwrap();
    dir
}

#[test]
fn n_opens_are_n_lines() {
    let dir = dir_with("counted");
    let path = dir.path().join("counted");
    let stream = Stream::json(&["opens", "--pid", &std::process::id().to_string()]);
    for _ in 0..1_000 {
        File::open(&path).unwrap();
    }
    let run = stream.interrupt();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let opens = opens_of(&run, "/counted");
    assert_eq!(opens.len(), 1_000);
    for open in &opens {
        assert_eq!(open["path"], path.to_str().unwrap());
        assert_eq!(open["pid"], std::process::id());
        assert_eq!(open["ppid"], nix::unistd::getppid().as_raw());
        assert_eq!(open["uid"], 0);
        assert_eq!(open["syscall"], "openat");
        assert_eq!(open["flags"], json!(["O_RDONLY", "O_CLOEXEC"]));
        assert!(open["fd"].as_i64().unwrap() > 2);
        for key in ["errno", "mode", "latency_ns"] {
            assert_eq!(open[key], Value::Null, "{key}");
        }
    }
    let lines = run.lines();
    assert_eq!(lines[0]["type"], "ready");
    assert_eq!((&lines[0]["opens"], &lines[0]["talkers"]), (&json!(true), &json!(false)));
    let summary = lines.last().unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["opens"], run.of_type("open").len());
    assert_eq!(summary["opens_lost"], 0);
    assert!(summary["opens_seen"].as_u64() >= summary["opens"].as_u64());
    assert_eq!(summary["rx_packets"], Value::Null);
}

#[test]
fn the_resolved_path_is_beside_the_requested_one() {
    let dir = dir_with("there");
    let whole = |name: &str| json!(dir.path().canonicalize().unwrap().join(name).to_str().unwrap());
    let stream = Stream::json(&["opens", "-p", "cat"]);
    let pid = child("cat", &["./there", "absent"].map(OsStr::new), dir.path());
    let run = stream.interrupt();
    let find = |path: &str| {
        let opens = opens_of(&run, path);
        opens.into_iter().find(|o| o["pid"] == pid && o["path"] == path).unwrap()
    };
    let there = find("./there");
    assert_eq!((&there["resolved"], &there["resolved_kind"]), (&whole("there"), &json!("opened")));
    let absent = find("absent");
    assert_eq!(
        (&absent["resolved"], &absent["resolved_kind"]),
        (&whole("absent"), &json!("tried"))
    );
}

/// Asserts that `object` has the documented keys: each that is not optional, and no other.
fn assert_documented(object: &Value, keys: &[Described], line: &Value) {
    let object = object.as_object().unwrap();
    for key in object.keys() {
        assert!(keys.iter().any(|d| d.key.name == key), "not documented: {key} in {line}");
    }
    for described in keys {
        let Some(value) = object.get(described.key.name) else {
            assert!(described.optional, "missing: {} in {line}", described.key.name);
            continue;
        };
        assert!(described.null || !value.is_null(), "null: {} in {line}", described.key.name);
        let parts = value.as_array().map_or(vec![value], |parts| parts.iter().collect());
        let inner = described.of.inner();
        for part in parts.into_iter().filter(|_| !inner.is_empty() && !value.is_null()) {
            assert_documented(part, &inner, line);
        }
    }
}

#[test]
fn lines_have_the_documented_keys() {
    own_namespace();
    ip("link set lo up");
    let documented = documented();
    let args = ["opens", "talkers", "-i", "lo", "--interval", "100ms"];
    let stream = Stream::json(&[&args[..], &["--field", "env=a b"]].concat());
    File::open("/etc/hostname").unwrap();
    File::open("/no/such/file").unwrap_err();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", "127.0.0.1:9").unwrap();
    let run = stream.interrupt();
    for mut line in run.lines() {
        assert_eq!(line.as_object_mut().unwrap().remove("env").unwrap(), "a b");
        let of = documented.iter().find(|d| line["type"] == d.name);
        assert_documented(&line, &of.unwrap_or_else(|| panic!("{line}")).keys, &line);
    }
    for kind in ["ready", "open", "talkers", "summary"] {
        assert!(!run.of_type(kind).is_empty(), "{kind}");
    }
    let read = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_owned();
    let ready = &run.of_type("ready")[0];
    assert_eq!(ready["host"], read("/proc/sys/kernel/hostname"));
    assert_eq!(ready["boot_id"], read("/proc/sys/kernel/random/boot_id"));
    let text = run.text();
    let open = text.lines().find(|l| l.starts_with("{\"type\":\"open\"")).unwrap();
    let keys = &documented.iter().find(|d| d.name == "open").unwrap().keys;
    let places: Vec<_> =
        keys.iter().filter_map(|d| open.find(&format!("\"{}\":", d.key.name))).collect();
    assert!(places.len() >= 20 && places.is_sorted(), "{open}");
}

#[test]
fn results_flags_and_modes_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let name = |n: &str| dir.path().join(n);
    let stream = Stream::json(&["opens", "--latency", "--path", dir.path().to_str().unwrap()]);
    File::create(name("made")).unwrap();
    File::open(name("absent")).unwrap_err();
    File::options().append(true).open(name("made")).unwrap();
    File::create(dir.path()).unwrap_err();
    let run = stream.interrupt();
    let opens = run.of_type("open");
    assert_eq!(opens.len(), 4, "{opens:?}");
    assert_eq!(opens[0]["flags"], json!(["O_WRONLY", "O_CREAT", "O_TRUNC", "O_CLOEXEC"]));
    assert_eq!(opens[0]["mode"], "0666");
    assert_eq!((&opens[1]["errno"], &opens[1]["fd"]), (&json!("ENOENT"), &Value::Null));
    assert_eq!(opens[2]["flags"], json!(["O_WRONLY", "O_APPEND", "O_CLOEXEC"]));
    assert_eq!(opens[3]["errno"], "EISDIR");
    assert!(opens.iter().all(|o| o["latency_ns"].as_u64().unwrap() > 0));
    let times: Vec<_> = opens.iter().map(|o| o["time"].as_str().unwrap().to_owned()).collect();
    assert!(times.is_sorted() && times[0].ends_with('Z') && times[0].len() == 30, "{times:?}");
}

#[test]
fn a_known_cgroup_is_written() {
    let own = std::fs::read("/proc/self/cgroup").unwrap();
    let own = cgroup_path(&own, systemd_hierarchy() > 0).unwrap();
    let own = std::str::from_utf8(own).unwrap();
    let stream = Stream::json(&["opens", "--path", "/etc/host.conf"]);
    let _ = File::open("/etc/host.conf");
    let run = stream.interrupt();
    assert_eq!(run.of_type("open")[0]["cgroup"], own);
}

/// Names that act on a terminal, a line or a cell, and how they must be shown.
const HOSTILE: [(&[u8], &str); 5] = [
    (b"new\nline", "new\\nline"),
    (b"esc\x1b[31m\x07", "esc\\x1b[31m\\x07"),
    (b"not\xffutf8\xc3", "not\\xffutf8\\xc3"),
    (b"back\\slash\t", "back\\\\slash\\t"),
    (b"bidi\xe2\x80\xae,\"q\"", "bidi\\u{202e},\"q\""),
];

fn open_hostile(dir: &Path) {
    let names: Vec<_> = HOSTILE.iter().map(|(name, _)| OsStr::from_bytes(name)).collect();
    child("cat", &names, dir);
}

/// Asserts whole lines without a character that a terminal acts on.
fn assert_inert(run: &Ended) {
    assert!(run.text().chars().all(|c| c == '\n' || (c >= ' ' && c != '\x7f' && c != '\u{202e}')));
    assert!(run.text().ends_with('\n'));
}

#[test]
fn hostile_names_are_inert_in_json() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::json(&["opens", "-p", "cat"]);
    open_hostile(dir.path());
    let run = stream.interrupt();
    assert_inert(&run);
    for (_, shown) in HOSTILE {
        assert!(run.of_type("open").iter().any(|o| o["path"] == shown), "{shown}");
    }
}

#[test]
fn hostile_names_are_inert_in_text() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::text(&["opens", "-f", "cat err:ENOENT"]);
    open_hostile(dir.path());
    let run = stream.interrupt();
    assert_eq!(run.code(), 0);
    assert_inert(&run);
    for (_, shown) in HOSTILE {
        let lines: Vec<_> =
            run.text().lines().filter(|l| l.ends_with(shown)).map(str::to_owned).collect();
        assert_eq!(lines.len(), 1, "{shown}: {}", run.text());
        assert!(lines[0].contains(" cat ") && lines[0].contains(" ENOENT "), "{lines:?}");
    }
    assert!(run.stderr.contains("summary: "), "{}", run.stderr);
}

/// The fields of a row.
fn fields(row: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.push(chars.next().unwrap()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[test]
fn hostile_names_are_inert_in_csv() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::text(&["opens", "--format", "csv", "-p", "cat"]);
    open_hostile(dir.path());
    let formulas = ["=1+1", "+1", "@a"];
    child("cat", &formulas.map(OsStr::new), dir.path());
    let run = stream.interrupt();
    assert_inert(&run);
    let rows: Vec<_> = run.text().lines().map(fields).collect();
    let header = &rows[0];
    let (_, documented) = &csv_headers()[0];
    assert_eq!(header.join(","), documented.trim_end());
    let path = header.iter().position(|name| name == "path").unwrap();
    let resolved = header.iter().position(|name| name == "resolved").unwrap();
    assert!(rows.iter().all(|row| row.len() == header.len()));
    let shown = HOSTILE.iter().map(|(_, shown)| *shown);
    for shown in shown.chain(["\\x3d1+1", "\\x2b1", "\\x40a"]) {
        assert!(rows.iter().any(|row| row[path] == shown), "{shown}");
    }
    for row in &rows {
        assert!(!row[path].starts_with(['=', '+', '-', '@']), "{row:?}");
        assert!(!row[resolved].starts_with(['=', '+', '-', '@']), "{row:?}");
    }
}

#[test]
fn opens_are_filtered() {
    let dir = dir_with("there");
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let path = |n: &str| dir.path().join(n).to_str().unwrap().to_owned();
    let act = || {
        let cat = child("cat", &["there", "absent"].map(OsStr::new), dir.path());
        child("head", &["there"].map(OsStr::new), dir.path());
        File::open(path("there")).unwrap();
        Command::new("cat").arg(path("there")).uid(USER).gid(USER).output().unwrap();
        cat
    };
    // The opens of the two files: process, last component of the path, error.
    let written = |args: &[&str]| {
        let stream = Stream::json(&[&["opens"], args].concat());
        act();
        let run = stream.interrupt();
        assert_eq!(run.code(), 0, "{}", run.stderr);
        let mut opens: Vec<_> = ["there", "absent"]
            .into_iter()
            .flat_map(|n| opens_of(&run, n))
            .filter(|o| {
                let path = o["path"].as_str().unwrap();
                !path.starts_with('/') || path.starts_with(dir.path().to_str().unwrap())
            })
            .map(|o| {
                let path = o["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
                let error = o["errno"].as_str().unwrap_or("").to_owned();
                let name = o["process"].as_str().unwrap();
                (if name.starts_with("kernel") { "test" } else { name }.to_owned(), path, error)
            })
            .collect();
        opens.sort();
        opens.into_iter().map(|(a, b, c)| format!("{a} {b} {c}")).collect::<Vec<_>>()
    };
    let me = std::process::id().to_string();
    assert_eq!(
        written(&[]),
        ["cat absent ENOENT", "cat there ", "cat there EACCES", "head there ", "test there "]
    );
    assert_eq!(written(&["--failed"]), ["cat absent ENOENT", "cat there EACCES"]);
    assert_eq!(written(&["--pid", &me]), ["test there "]);
    assert_eq!(written(&["--uid", USER_ID]), ["cat there EACCES"]);
    assert_eq!(written(&["--path", "ABSENT"]), ["cat absent ENOENT"]);
    assert_eq!(written(&["--path", "!absent", "-p", "~^c"]), ["cat there ", "cat there EACCES"]);
    assert_eq!(written(&["-p", "head"]), ["head there "]);
    assert_eq!(written(&["-p", "!cat", "--uid", "0"]), ["head there ", "test there "]);
    assert_eq!(written(&["-f", &format!("err:EACCES uid:{USER}")]), ["cat there EACCES"]);
    assert_eq!(written(&["-f", "cat !err:any"]), ["cat there "]);
    assert_eq!(written(&["-f", &format!("!cat !pid:{me}")]), ["head there "]);
}

#[test]
fn everything_seen_is_written_or_lost() {
    // More than pipe, buffers and channel take while the reader does not read.
    let dir = dir_with("many");
    let path = dir.path().join("many");
    let stream = Stream::json(&["opens"]);
    for _ in 0..60_000 {
        File::open(&path).unwrap();
    }
    let run = stream.interrupt();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let summary = run.lines().pop().unwrap();
    let number = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(number("opens"), run.of_type("open").len() as u64);
    assert_eq!(number("opens_seen"), number("opens") + number("opens_lost"));
    let lost: u64 = run.of_type("lost").iter().map(|l| l["opens"].as_u64().unwrap()).sum();
    assert_eq!(lost, number("opens_lost"));
    assert!(opens_of(&run, "/many").len() as u64 + lost >= 60_000);
}

#[test]
fn the_duration_counts_from_ready() {
    let run = Stream::json(&["opens", "--duration", "200ms"]).wait();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert_eq!(run.lines().pop().unwrap()["duration_s"], 0.2);
}

#[test]
fn sigterm_ends_it_too() {
    let stream = Stream::json(&["opens"]);
    stream.signal(Signal::SIGTERM);
    let run = stream.wait();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert_eq!(run.lines().pop().unwrap()["type"], "summary");
}

#[test]
fn a_closed_stdout_is_the_quiet_end() {
    let busy = Stream::json(&["opens"]).hang_up();
    assert_eq!((busy.code(), busy.stderr.as_str()), (0, ""));
    // The end of the reader is noticed without a write, too.
    let idle = Stream::json(&["opens", "--path", "no such path"]).hang_up();
    assert_eq!((idle.code(), idle.stderr.as_str()), (0, ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let run = ended_into(program().args(["stream", "opens", "--format", "json"]), full.into());
    assert_eq!(run.code(), 1);
    assert!(run.stderr.contains("write to stdout: No space left on device"), "{}", run.stderr);
}

#[test]
fn a_reader_that_stops_reading_does_not_hold_up_the_end() {
    let mut stream = Stream::json(&["opens"]);
    for _ in 0..2_000 {
        File::open("/etc/hostname").unwrap();
    }
    // It writes, and the reader stops.
    stream.stdout.read_exact(&mut [0; 100]).unwrap();
    stream.signal(Signal::SIGINT);
    stream.signal(Signal::SIGTERM);
    let status = stream.child.wait().unwrap();
    // Whether all of it fits the pipe or not, it ends.
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
}

#[test]
fn one_probe_that_fails_leaves_the_other() {
    let args = ["opens", "talkers", "-i", "nosuch0", "--path", "/etc/hostname"];
    let stream = Stream::json(&args);
    File::open("/etc/hostname").unwrap();
    let run = stream.interrupt();
    let ready = &run.lines()[0];
    assert_eq!((&ready["opens"], &ready["talkers"]), (&json!(true), &json!(false)));
    assert_eq!((&ready["interface"], &ready["xdp_mode"]), (&Value::Null, &Value::Null));
    assert!(!run.of_type("open").is_empty());
    assert!(!run.stderr.is_empty());
    assert_eq!(run.code(), 1);
}

/// Opens by one thread, with the time before and after each.
fn opener(stop: &std::sync::atomic::AtomicBool) -> Vec<(u64, u64)> {
    let mut opens = Vec::new();
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let before = clock::mono().0;
        File::open("/etc/hostname").unwrap();
        opens.push((before, clock::mono().0));
        // Slow enough for a reader that writes each as a line.
        std::thread::sleep(Duration::from_micros(20));
    }
    opens
}

/// The offset from monotonic to wall-clock time lies between these, ns.
fn wall_offset() -> (i64, i64) {
    let (before, wall, after) = (clock::mono().0, clock::now().wall.0, clock::mono().0);
    let doubt = (after - before).cast_signed();
    (wall - doubt, wall + doubt)
}

/// Nanoseconds since 1970 of a line.
fn unix_ns(line: &Value) -> i64 {
    let at: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
    i64::try_from(at.as_nanosecond()).unwrap()
}

/// Opens seen, skipped or lost are those that returned between `ready` and the end, and no others. A
/// second run, which lasts longer, lists those of other processes.
#[test]
fn opens_are_counted_from_ready_to_the_end() {
    const LASTS_NS: i64 = 1_000_000_000;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let opens = scope.spawn(|| opener(&stop));
        let all = Stream::json(&["opens"]);
        let all_pid = Pid::from_raw(all.child.id().cast_signed());
        let all = scope.spawn(|| all.wait());
        let first = wall_offset();
        let chosen = ["stream", "opens", "--pid", "999999999", "--format", "json"];
        let runs = [&chosen[..], &["stream", "opens", "talkers", "-i", "lo", "--format", "json"]]
            .map(|args| ended(program().args(args).args(["--duration", "1s"])));
        let last = wall_offset();
        kill(all_pid, Signal::SIGINT).unwrap();
        let all = all.join().unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let opens = opens.join().unwrap();
        // The wall clock may be slewed meanwhile: its offset is one of these.
        let (least, most) = (first.0.min(last.0), first.1.max(last.1));
        let foreign: Vec<i64> = all
            .of_type("open")
            .iter()
            .filter(|open| open["pid"] != std::process::id())
            .map(unix_ns)
            .collect();
        let lost = all.of_type("summary")[0]["opens_lost"].as_u64().unwrap();
        for run in runs {
            let (ready, summary) = (&run.of_type("ready")[0], &run.of_type("summary")[0]);
            let from = unix_ns(ready);
            let until = from + LASTS_NS;
            let surely =
                |at: &u64| at.cast_signed() > from - least && at.cast_signed() < until - most;
            let perhaps =
                |at: &u64| at.cast_signed() >= from - most && at.cast_signed() <= until - least;
            let inside = opens.iter().filter(|(before, after)| surely(before) && surely(after));
            let touching = opens.iter().filter(|(before, after)| perhaps(before) || perhaps(after));
            let doubt = most - least;
            let around = |at: &&i64| **at >= from - doubt && **at <= until + doubt;
            let others = foreign.iter().filter(around).count() as u64 + lost;
            let (inside, touching) = (inside.count() as u64, touching.count() as u64);
            let seen = summary["opens_seen"].as_u64().unwrap();
            assert!(
                inside <= seen && seen <= touching + others,
                "{inside} <= {seen} <= {touching} + {others}, {doubt} ns: {summary}"
            );
            assert_eq!(summary["duration_s"], 1.0);
            let written = run.of_type("open").len() as u64;
            assert_eq!(summary["opens"], written);
            if written > 0 {
                assert_eq!(written + summary["opens_lost"].as_u64().unwrap(), seen);
            }
        }
    });
}

/// Ids are those of the initial PID namespace: who asks by another's id is warned.
#[test]
fn a_process_id_of_another_namespace_is_warned_of() {
    for (namespace, warned) in [(false, false), (true, true)] {
        let mut command = match namespace {
            true => {
                let mut unshare = Command::new("unshare");
                unshare.args(["--pid", "--fork"]).arg(crate::common::program::ebpftop());
                unshare
            }
            false => program(),
        };
        let run = ended(command.args(["stream", "opens", "--pid", "1", "--duration", "100ms"]));
        assert_eq!(run.stderr.contains("initial PID namespace"), warned, "{}", run.stderr);
    }
}

/// An open that waits is reported once, and its line comes when it returns.
#[test]
fn an_open_that_does_not_return_is_reported() {
    for timed in [&["opens", "--latency"][..], &["opens", "--slow", "20ms"], &["opens", "slow"]] {
        a_hanging_open_is_reported(timed);
    }
}

fn a_hanging_open_is_reported(timed: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let path = fifo.to_str().unwrap();
    let mut stream = Stream::json(&[timed, &["--path", path]].concat());
    let script = format!("exec 3<{path}");
    let mut child = std::process::Command::new("/bin/bash").args(["-c", &script]).spawn().unwrap();
    let pid = child.id();
    stream.until("the report", |line| line["type"] == "under_way");
    let writer = std::fs::File::options().write(true).open(&fifo).unwrap();
    assert!(child.wait().unwrap().success());
    stream.until("its line", |line| line["type"] == "open" && line["pid"] == pid);
    let ended = stream.interrupt();
    drop(writer);
    let reports = ended.of_type("under_way");
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = &reports[0];
    assert_eq!((&report["pid"], &report["tid"]), (&pid.into(), &pid.into()), "{report}");
    assert_eq!((&report["process"], &report["path"]), (&"bash".into(), &path.into()), "{report}");
    assert_eq!(report["syscall"], "openat");
    let age = report["under_way_s"].as_f64().unwrap();
    let open = ended.of_type("open").into_iter().find(|line| line["pid"] == pid).unwrap();
    let took = open["latency_ns"].as_f64().unwrap() / 1e9;
    assert!(age >= 1.0 && took >= age, "{age} {took}");
}
