//! `record` on the real kernel, and `replay` of what it wrote in a pseudo-terminal, without
//! privileges.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::net::*;
use crate::common::opener::opener;
use crate::common::patience::until;
use crate::common::program::{ended, program};
use crate::common::spawn::public_copy;
use crate::common::tty::without_privileges;
use crate::common::user::{CALLS_SUDO, USER};
use ebpftop::model::event::ProbeEvent;
use ebpftop::recording::{Damage, Item, Reader, Seen};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A namespace with nothing but `lo`.
fn wire() {
    own_namespace();
    ip("link set lo up");
}

fn record(file: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.args(["record", file.to_str().unwrap(), "-i", "lo", "--interval", "200ms"]);
    command.args(more);
    command
}

fn packets(n: usize) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap();
    let mut buffer = [0; 972];
    for _ in 0..n {
        socket.send_to(&[0; 972], to).unwrap();
        assert_eq!(socket.recv_from(&mut buffer).unwrap().0, 972);
    }
}

/// Records this process's opens of a file with this name, a hundred good ones and ten that fail.
fn recorded(dir: &Path) -> std::path::PathBuf {
    let file = dir.join("a.rec");
    let files = tempfile::tempdir().unwrap();
    let mine = files.path().join("opened-by-the-test");
    std::fs::write(&mine, b"").unwrap();
    let path = format!("path:{}", files.path().file_name().unwrap().to_str().unwrap());
    let child = spawn(record(&file, &["-f", &path]), &file);
    for _ in 0..100 {
        drop(std::fs::File::open(&mine).unwrap());
    }
    for _ in 0..10 {
        std::fs::File::open(files.path().join("not-there")).unwrap_err();
    }
    packets(50);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("110 opens"), "{said}");
    // The beginning and the end: nothing was missing.
    assert_eq!(said.lines().count(), 2, "{said}");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    file
}

/// Whether an open of a file with this name is in what is written so far.
fn holds(file: &Path, name: &str) -> bool {
    let bytes = std::fs::read(file).unwrap();
    let Ok(mut reader) = Reader::new(std::io::Cursor::new(bytes)) else { return false };
    while let Ok(item) = reader.read() {
        if let Item::Seen(_, Seen::Probe(ProbeEvent::Opens(batch))) = item
            && batch.iter().any(|o| o.best_path().is_some_and(|p| p.ends_with(name.as_bytes())))
        {
            return true;
        }
    }
    false
}

/// Starts a recording and waits until it runs.
fn spawn(mut command: Command, file: &Path) -> Child {
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    until("the file", || file.exists().then_some(()));
    child
}

#[test]
fn a_recording_is_shown_without_privileges() {
    wire();
    let dir = tempfile::tempdir().unwrap();
    let file = recorded(dir.path());
    let (_program_dir, program) = public_copy();
    let mut tty = without_privileges(&program, &["replay", file.to_str().unwrap()], (160, 40));
    tty.wait_for(" END ");
    // By process, by unit, by file.
    tty.send("ttt");
    let screen = tty.wait_for("by file");
    let row = |screen: &str, name: &str| {
        screen.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("{screen}")).to_owned()
    };
    assert!(row(&screen, "opened-by-the-test").contains(" 100 "), "{screen}");
    assert!(row(&screen, "not-there").contains(" 10 "), "{screen}");
    // 50 frames of 972 and the headers: 14 + 20 + 8.
    assert!(row(&screen, "127.0.0.1").contains("51k") || screen.contains("50.7k"), "{screen}");
    // The process behind the address, with the traffic of its socket to itself.
    tty.send("2\r");
    let pid = std::process::id().to_string();
    tty.wait_until("the process behind 127.0.0.1", |s| {
        s.lines().any(|l| l.contains(&pid) && l.matches("48 600").count() == 2)
    });
    tty.send("\x1b");
    tty.wait_for("by file");
    tty.send("1");
    // Back to the start: nothing was opened yet.
    tty.send("{");
    tty.wait_until("the start", |s| !s.contains("opened-by-the-test"));
    tty.wait_for(" END ");
    tty.wait_until("the same rows", |s| {
        s.lines().any(|l| l.contains("opened-by-the-test") && l.contains(" 100 "))
    });
    tty.send("i");
    tty.wait_for("it shows the recorded interfaces");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn a_recording_that_was_killed_or_damaged_is_shown_up_to_there() {
    wire();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("killed.rec");
    let opener = opener("opn-killed");
    let mut child = spawn(record(&file, &["-p", "opn-killed"]), &file);
    until("an open in the file", || holds(&file, "file-of-opn-killed").then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(opener);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (_program_dir, program) = public_copy();
    let mut tty = without_privileges(&program, &["replay", file.to_str().unwrap()], (220, 40));
    tty.wait_for("it was cut off; what could be saved is shown");
    tty.send("t");
    tty.wait_for("file-of-opn-killed");
    tty.send("q");
    assert_eq!(tty.wait(), 1);
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let mut tty = without_privileges(&program, &["replay", file.to_str().unwrap()], (160, 40));
    tty.wait_for("it is damaged at byte");
    tty.send("q");
    assert_eq!(tty.wait(), 1);
    tty.assert_given_back();
}

#[test]
fn nothing_is_written_over_and_the_file_is_for_its_owner() {
    wire();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.rec");
    // The file is made with the privileges of the user it is for.
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = record(&file, &["--duration", "300ms"]);
    let done = ended(command.envs(CALLS_SUDO));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let meta = file.metadata().unwrap();
    assert_eq!((meta.mode() & 0o777, meta.uid()), (0o600, USER));
    let before = std::fs::read(&file).unwrap();
    let link = dir.path().join("link.rec");
    symlink(dir.path().join("elsewhere"), &link).unwrap();
    for path in [&file, &link] {
        let done = ended(&mut record(path, &["--duration", "300ms"]));
        assert_eq!(done.code(), 1);
        assert!(done.stderr.contains("there already"), "{}", done.stderr);
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn a_disk_that_fills_up_is_reported_with_the_bytes_saved() {
    wire();
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let options = Some("size=64k");
    nix::mount::mount(Some("none"), &disk, Some("tmpfs"), nix::mount::MsFlags::empty(), options)
        .unwrap();
    let opener = opener("opn-full");
    let file = disk.join("a.rec");
    std::fs::write(disk.join("fills"), vec![0; 44 << 10]).unwrap();
    let done = ended(&mut record(&file, &["--duration", "60s"]));
    drop(opener);
    let bytes = std::fs::read(&file).unwrap();
    nix::mount::umount(&disk).unwrap();
    assert_eq!(done.code(), 1, "{}", done.stderr);
    assert!(done.stderr.contains("No space left"), "{}", done.stderr);
    assert!(done.stderr.contains("saved: "), "{}", done.stderr);
    let mut reader = Reader::new(std::io::Cursor::new(bytes)).unwrap();
    let end = loop {
        match reader.read() {
            Ok(Item::End(_)) => break Ok(()),
            Ok(_) => {}
            Err(end) => break Err(end),
        }
    };
    let whole = matches!(end, Ok(()) | Err(Damage::Cut));
    assert!(whole, "whole blocks: {end:?}");
}
