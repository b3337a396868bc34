//! Bytes of files in recordings and on the screen, on the real kernel. Needs root.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::io::{filled, new};
use crate::common::conns::{done, process};
use crate::common::patience::{exited, until};
use crate::common::program::{Ended, Stream, ebpftop, program, run};
use crate::common::spawn::public_copy;
use crate::common::tty::{Tty, without_privileges};
use crate::common::user_fault::late_page;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long the slow call takes, at least.
const WAIT: Duration = Duration::from_millis(60);
const TIMED: [&str; 3] = ["--io", "--slow", "20ms"];
const ALL: [&str; 4] = ["--top", "100000", "--format", "json"];

/// The counts of a row, without its times: those of two runs differ.
const COUNTS: [&str; 6] =
    ["opens", "failed", "processes", "read_bytes", "written_bytes", "slow_calls"];

fn record(file: &Path) -> Child {
    let mut command = program();
    command.arg("record").arg(file).args(["-i", "lo", "--xdp-mode", "off", "--interval", "200ms"]);
    let child = command.args(TIMED).stderr(Stdio::null()).spawn().unwrap();
    until("the recording", || file.exists().then_some(()));
    child
}

/// Reads and writes known numbers of bytes, once slowly.
fn use_files(root: &Path) {
    let mut written = new(&root.join("written/here"));
    (0..3).for_each(|_| written.write_all(&[b'x'; 100]).unwrap());
    let mut bytes = Vec::new();
    assert_eq!(
        File::open(root.join("read/quickly")).unwrap().read_to_end(&mut bytes).unwrap(),
        10_000
    );
    let mut slow = File::open(root.join("read/slowly")).unwrap();
    assert_eq!(slow.read(&mut late_page(WAIT)[..70]).unwrap(), 70);
}

/// The rows of this child and of its files, by name.
fn own(run: &Ended, by: &str, root: &Path, child: Pid) -> Vec<(String, Vec<Value>)> {
    let name = |row: &Value| match by {
        "process" => (row["pid"] == child.as_raw()).then(|| "the child".to_owned()),
        "file" => row["resolved"].as_str().map(str::to_owned),
        _ => row[by].as_str().map(str::to_owned),
    };
    let rows = run.of_type("report");
    let named = rows.iter().filter_map(|row| Some((name(row)?, row)));
    let ours = named.filter(|(name, _)| by == "process" || Path::new(name).starts_with(root));
    let counted = ours.map(|(name, row)| (name, COUNTS.map(|key| row[key].clone()).to_vec()));
    let mut all: Vec<_> = counted.collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn sum(rows: &[Value], key: &str) -> u64 {
    rows.iter().filter_map(|row| row[key].as_u64()).sum()
}

/// Also the sums of a recording are those of its summary, whatever the rows and the filter.
#[test]
fn a_report_of_a_recording_is_that_of_the_run_and_a_replay_shows_it() {
    const BY: [&str; 3] = ["process", "file", "directory"];
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("a.rec");
    for name in ["read", "written"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    ["quickly", "slowly"].into_iter().for_each(|name| drop(filled(&root.join("read").join(name))));
    let mut recording = record(&file);
    let live = BY.map(|by| {
        let args = [&["report", "--by", by, "--duration", "60s"][..], &TIMED, &ALL].concat();
        Stream::text_by(program().args(args))
    });
    let child = process(|| use_files(&root));
    done(child);
    let live = live.map(Stream::interrupt);
    kill(Pid::from_raw(recording.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(exited(&mut recording).code(), Some(0));
    let recorded = |by: &str, more: &[&str]| {
        let run = run(&[&["report", file.to_str().unwrap(), "--by", by], &ALL[..], more].concat());
        assert_eq!(run.code(), 0, "{}", run.stderr);
        run
    };
    let mut slow = Vec::new();
    for (by, live) in BY.into_iter().zip(&live) {
        assert_eq!(live.code(), 0, "{}", live.stderr);
        let (rows, all) = (own(live, by, &root, child), recorded(by, &[]));
        assert!(!rows.is_empty(), "{by}");
        assert_eq!(rows, own(&all, by, &root, child), "by {by}");
        let of_filter = recorded(by, &["--path", "/read/slowly"]);
        for run in [&all, &of_filter] {
            let (rows, lines) = (run.of_type("report"), run.lines());
            let summary = lines.last().unwrap();
            for key in ["read_bytes", "written_bytes"] {
                assert_eq!(Some(sum(&rows, key)), summary[key].as_u64(), "{key} by {by}");
            }
            slow.push(sum(&rows, "slow_calls"));
        }
    }
    // Of all rows or of `other`.
    assert!(slow[0] >= 1 && slow.iter().all(|calls| *calls == slow[0]), "{slow:?}");
    let by_file = own(&recorded("file", &[]), "file", &root, child);
    let bytes = by_file.iter().map(|(name, counts)| {
        let name = Path::new(name).strip_prefix(&root).unwrap().to_str().unwrap();
        (name, counts[3].as_u64(), counts[4].as_u64(), counts[5].as_u64())
    });
    let bytes: Vec<_> = bytes.filter(|(name, ..)| name.contains('/')).collect();
    assert_eq!(
        bytes,
        [
            ("read/quickly", Some(10_000), Some(0), Some(0)),
            ("read/slowly", Some(70), Some(0), Some(1)),
            ("written/here", Some(0), Some(300), Some(0)),
        ]
    );
    replay(&file);
}

/// The recording of the test above on the screen, without privileges.
fn replay(file: &Path) {
    for path in [file, file.parent().unwrap()] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let (_program_dir, program) = public_copy();
    let mut tty = without_privileges(&program, &["replay", file.to_str().unwrap()], (200, 50));
    tty.wait_for(" END ");
    tty.send("ttt");
    tty.wait_for("by file");
    for (path, words) in [
        ("read/slowly", &["read took", "70 B"][..]),
        ("read/quickly", &["read 10k B"]),
        ("written/here", &["wrote 300 B"]),
    ] {
        tty.send(&format!("/\x15path:{path}\r"));
        tty.wait_until("the file alone", |s| {
            s.contains(&format!("path:{path}")) && s.contains("1 of ")
        });
        tty.send("\rl");
        let timeline = tty.wait_until("its timeline", |s| s.contains("timeline"));
        for words in words {
            assert!(timeline.contains(words), "{words}: {timeline}");
        }
        tty.send("\x1b");
        tty.wait_until("the file", |s| !s.contains("timeline"));
        tty.send("\x1b");
        tty.wait_until("the list", |s| s.contains("by file") && !s.contains(&format!("{path} ─")));
    }
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// The cell below a header of numbers, which both end at the same column.
fn cell(screen: &str, row: &str, header: &str) -> Option<String> {
    let column = |line: &str| {
        let at = line.find(header)?;
        Some(line[..at].chars().count() + header.len())
    };
    let end = screen.lines().find_map(column)?;
    let line: Vec<char> = screen.lines().find(|line| line.contains(row))?.chars().collect();
    let text: String = line.get(..end)?.iter().collect();
    text.split_whitespace().last().map(str::to_owned)
}

#[test]
fn the_dashboard_has_rates_of_bytes_while_there_are_any() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let [from, to, stop] =
        ["steadily read", "steadily written", "stop"].map(|name| root.join(name));
    drop(filled(&from));
    let busy = process(|| {
        let mut to = new(&to);
        while !stop.exists() {
            let mut bytes = [0; 10_000];
            File::open(&from).unwrap().read_exact(&mut bytes).unwrap();
            to.write_all(&bytes).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let args = ["--io", "-i", "lo", "--xdp-mode", "off", "-f", &format!("pid:{busy}")];
    let config = [("XDG_CONFIG_HOME", "/nonexistent")];
    let mut tty = Tty::start(ebpftop(), &args, &config, (220, 50));
    tty.wait_until("the start", |s| s.contains("READ/s"));
    let rates = |screen: &str, row: &str| {
        ["READ/s", "WRITE/s"].map(|header| {
            cell(screen, row, header)
                .is_some_and(|rate| rate.starts_with(|c| ('1'..='9').contains(&c)))
        })
    };
    // By process, then by unit, then by file.
    let pid = busy.to_string();
    tty.send("t");
    tty.wait_until("rates by process", |s| rates(s, &format!(" {pid} ")) == [true; 2]);
    tty.send("tt");
    tty.wait_until("rates by file", |s| {
        rates(s, "steadily read") == [true, false] && rates(s, "steadily written") == [false, true]
    });
    drop(new(&stop));
    done(busy);
    tty.wait_until("no rates", |s| {
        s.contains("steadily read") && rates(s, "steadily read") == [false; 2]
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}
