//! `stream --output`: files that rotate, and lines that are dropped by choice, on the real kernel.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::patience::{exited, pause, until};
use crate::common::program::{Stream, ended, program};
use crate::common::user::{CALLS_SUDO, USER};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn stream(dir: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.args(["stream", "opens", "--format", "json", "--output", dir.to_str().unwrap()]);
    command.args(more).stderr(Stdio::piped());
    command
}

/// The files, in the order of their names.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    files
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.ends_with('\n'), "a half line in {}", file.display());
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// Starts it, and waits until it runs.
fn started(mut command: Command, dir: &Path) -> Child {
    let before = files(dir).pop();
    let mut child = command.spawn().unwrap();
    until("a file with its first line", || {
        if let Some(status) = child.try_wait().unwrap() {
            let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
            panic!("it must start here (the tests need root): {status} {said}");
        }
        let last = files(dir).pop().filter(|last| before.as_ref() != Some(last))?;
        (fs::metadata(last).ok()?.len() > 0).then_some(())
    });
    child
}

fn interrupt(mut child: Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(exited(&mut child).code(), Some(0));
}

fn open(dir: &Path, times: usize) {
    for _ in 0..times {
        File::open(dir.join("opened")).unwrap_err();
    }
}

#[test]
fn files_rotate_by_size_and_are_readable_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let here = format!("path:{}", dir.path().file_name().unwrap().to_str().unwrap());
    let mut command = stream(dir.path(), &["--rotate", "64K", "-f", &here]);
    let child = started(
        {
            command.envs(CALLS_SUDO);
            command
        },
        dir.path(),
    );
    open(dir.path(), 2_000);
    until("further files", || (files(dir.path()).len() > 3).then_some(()));
    interrupt(child);
    let first_run = files(dir.path());
    let (mut opens, mut summaries) = (0, Vec::new());
    for (number, file) in (1..).zip(&first_run) {
        let meta = file.metadata().unwrap();
        assert_eq!((meta.mode() & 0o777, meta.uid()), (0o600, USER));
        assert!(meta.len() <= 64 << 10, "{}", meta.len());
        let lines = lines(file);
        assert_eq!((&lines[0]["type"], &lines[0]["file"]), (&"ready".into(), &number.into()));
        opens += lines.iter().filter(|l| l["type"] == "open").count();
        summaries.extend(lines.into_iter().filter(|l| l["type"] == "summary"));
    }
    assert_eq!(summaries.len(), 1);
    assert_eq!(summaries[0]["opens"], opens);
    assert!(opens + summaries[0]["opens_lost"].as_u64().unwrap() as usize >= 2_000);
    // Another run in the same directory writes further files, and removes old ones.
    let child = started(stream(dir.path(), &["--keep", "3", "-f", &here]), dir.path());
    until("old files are removed", || (files(dir.path()).len() == 3).then_some(()));
    interrupt(child);
    let left = files(dir.path());
    assert_eq!(left[..2], first_run[first_run.len() - 2..]);
    assert_eq!(lines(&left[2])[0]["file"], 1);
}

#[test]
fn files_rotate_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let child = started(stream(dir.path(), &["--rotate", "1s"]), dir.path());
    until("a second file", || {
        open(dir.path(), 1);
        std::thread::sleep(Duration::from_millis(20));
        (files(dir.path()).len() > 1).then_some(())
    });
    interrupt(child);
    for file in files(dir.path()) {
        assert_eq!(lines(&file)[0]["type"], "ready");
    }
}

#[test]
fn a_full_disk_ends_it_without_a_half_line() {
    let dir = tempfile::tempdir().unwrap();
    let flags = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("none"), dir.path(), Some("tmpfs"), flags, Some("size=128k")).unwrap();
    let mut child = started(stream(dir.path(), &[]), dir.path());
    let status = until("the end", || {
        open(dir.path(), 100);
        child.try_wait().unwrap()
    });
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(".jsonl: No space left on device"), "{said}");
    assert!(files(dir.path()).iter().map(|file| lines(file).len()).sum::<usize>() > 1);
    nix::mount::umount(dir.path()).unwrap();
}

#[test]
fn lines_before_a_kill_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = started(stream(dir.path(), &[]), dir.path());
    open(dir.path(), 100);
    let name = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    let file = files(dir.path()).remove(0);
    until("an open in the file", || {
        fs::read_to_string(&file).unwrap().contains(&format!("{name}/opened")).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // A write that is under way ends at a page, and the line there with it.
    let text = fs::read_to_string(&file).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
    assert!(whole.contains(&format!("{name}/opened")), "{whole}");
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let done = ended(&mut stream(Path::new("/no/such/directory"), &[]));
    assert_eq!(done.code(), 1);
    assert!(done.stderr.contains("/no/such/directory: No such file"), "{}", done.stderr);
}

#[test]
fn dropped_lines_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::json(&["opens", "--on-slow", "drop"]);
    // More than the pipe and the queue take, and slow enough for the ring buffers.
    for _ in 0..60 {
        open(dir.path(), 1_000);
        pause(Duration::from_millis(10));
    }
    let run = stream.interrupt();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let summary = run.lines().pop().unwrap();
    let number = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(number("opens"), run.of_type("open").len() as u64);
    let lost = run.of_type("lost");
    let dropped: u64 = lost.iter().filter_map(|l| l["lines"].as_u64()).sum();
    assert!(dropped > 0 && dropped == number("lines_dropped"), "{dropped} {summary}");
    assert!(
        lost.iter()
            .all(|l| l["reason"] == if l["lines"].is_u64() { "output" } else { "ring buffer" })
    );
    assert!(number("opens") + dropped + number("opens_lost") >= 60_000, "{summary}");
}
