//! `record --rotate` on the real kernel: each file is a recording of its own, and together they have everything,
//! once.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::net::{ip, own_namespace};
use crate::common::patience::{exited, until};
use crate::common::program::{ended, program};
use crate::common::spawn::public_copy;
use crate::common::tty::without_privileges;
use crate::common::user::{CALLS_SUDO, USER};
use ebpftop::recording::{Damage, Item, Reader};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "rec"));
    files.sort();
    files
}

/// A directory that the user who called sudo may write to.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    dir
}

fn record(dir: &Path, more: &[&str]) -> Child {
    let mut command = program();
    command.args(["record", dir.to_str().unwrap(), "-i", "lo", "--interval", "200ms"]);
    let child = command.args(more).envs(CALLS_SUDO).stderr(Stdio::piped()).spawn().unwrap();
    until("the first file", || (!files(dir).is_empty()).then_some(()));
    child
}

/// What `report` says of a recording.
fn report(file: &Path, by: &str) -> Vec<Value> {
    let file = file.to_str().unwrap();
    let mut command = program();
    command.args(["report", file, "--by", by, "--format", "json", "--top", "100000"]);
    // Connections are those of the whole machine: other tests have some, too.
    if by == "peer" {
        command.args(["--pid", &std::process::id().to_string()]);
    }
    let run = ended(&mut command);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    run.of_type("report")
}

/// The sum of a key over the rows of all files that have this value.
fn sum(files: &[PathBuf], by: &str, (name, value): (&str, &str), key: &str) -> u64 {
    let rows = files.iter().flat_map(|file| report(file, by));
    // Unknown in a file that ends before the first interval of bytes.
    rows.filter(|row| row[name] == value).filter_map(|row| row[key].as_u64()).sum()
}

/// A connection that outlives the files, and what it carried.
struct Long {
    client: TcpStream,
    server: TcpStream,
    carried: u64,
}

impl Long {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        Self { client, server, carried: 0 }
    }

    fn carry(&mut self) {
        self.client.write_all(&[7; 1_000]).unwrap();
        self.server.read_exact(&mut [0; 1_000]).unwrap();
        self.carried += 1_000;
    }
}

#[test]
fn the_files_have_everything_once() {
    own_namespace();
    ip("link set lo up");
    let dir = directory();
    let opened = dir.path().join("opened-by-the-test");
    fs::write(&opened, b"").unwrap();
    let mut child = record(dir.path(), &["--rotate", "1s"]);
    let mut long = Long::new();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut opens, mut packets) = (0, 0);
    until("five files", || {
        File::open(&opened).unwrap();
        File::open(dir.path().join("not-there")).unwrap_err();
        long.carry();
        datagrams.send_to(&[0; 500], datagrams.local_addr().unwrap()).unwrap();
        datagrams.recv_from(&mut [0; 500]).unwrap();
        (opens, packets) = (opens + 1, packets + 1);
        std::thread::sleep(std::time::Duration::from_millis(2));
        (files(dir.path()).len() >= 5).then_some(())
    });
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(exited(&mut child).code(), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let all = files(dir.path());
    assert!(said.contains(&format!("{} files, ", all.len())), "{said}");
    for file in &all {
        let meta = file.metadata().unwrap();
        assert_eq!((meta.mode() & 0o777, meta.uid()), (0o600, USER));
    }
    let path = ("resolved", opened.to_str().unwrap());
    assert_eq!(sum(&all, "file", path, "opens"), opens);
    let missed = dir.path().join("not-there");
    assert_eq!(sum(&all, "failure", ("resolved", missed.to_str().unwrap()), "failed"), opens);
    let home = ("ip", "127.0.0.1");
    for key in ["rx_bytes", "tx_bytes"] {
        assert_eq!(sum(&all, "peer", home, key), long.carried + 500 * packets, "{key}");
    }
    let sent = sum(&all, "talker", home, "tx_bytes");
    assert!(sent > long.carried + 500 * packets, "{sent}");
    assert_eq!(sum(&all, "talker", home, "rx_bytes"), sent);
    // A file from the middle alone: the connection from before it is known, the counts are its own.
    // The last one may have begun when all was done.
    let own = |file: &PathBuf| sum(std::slice::from_ref(file), "file", path, "opens");
    let middle = all[1..].iter().find(|file| own(file) > 0).expect("opens in several files");
    assert!(own(middle) < opens);
    fs::set_permissions(middle, PermissionsExt::from_mode(0o644)).unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (_program_dir, program) = public_copy();
    let mut tty = without_privileges(&program, &["replay", middle.to_str().unwrap()], (200, 50));
    tty.wait_for(" END ");
    tty.send("c");
    let port = long.client.local_addr().unwrap().port().to_string();
    tty.wait_until("the connection from before", |screen| screen.contains(&port));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

#[test]
fn the_files_have_the_bytes_of_files_once() {
    own_namespace();
    ip("link set lo up");
    let dir = directory();
    let path = dir.path().join("used-by-the-test");
    let mut written = File::create(&path).unwrap();
    let mut read = File::open(&path).unwrap();
    let mut child = record(dir.path(), &["--rotate", "1s", "--io"]);
    let mut turns = 0;
    until("five files", || {
        written.write_all(&[b'x'; 1_000]).unwrap();
        read.read_exact(&mut [0; 500]).unwrap();
        turns += 1;
        std::thread::sleep(std::time::Duration::from_millis(2));
        (files(dir.path()).len() >= 5).then_some(())
    });
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(exited(&mut child).code(), Some(0));
    let all = files(dir.path());
    let of_path = |files: &[PathBuf], key| {
        let by_file = sum(files, "file", ("resolved", path.to_str().unwrap()), key);
        let own = ("pid", std::process::id());
        let rows = files.iter().flat_map(|file| report(file, "process"));
        let by_process = rows.filter(|row| row[own.0] == own.1).filter_map(|row| row[key].as_u64());
        (by_file, by_process.sum::<u64>())
    };
    // Our process reads other files too, directories and /proc among them.
    let (read, by_process) = of_path(&all, "read_bytes");
    assert!(read == 500 * turns && by_process >= read, "{read} {by_process} {turns}");
    assert_eq!(of_path(&all, "written_bytes"), (1_000 * turns, 1_000 * turns));
    let in_files =
        all.iter().filter(|file| of_path(std::slice::from_ref(file), "read_bytes").0 > 0);
    assert!(in_files.count() > 1, "bytes in several files");
}

#[test]
fn after_a_kill_all_files_are_readable() {
    own_namespace();
    ip("link set lo up");
    let dir = directory();
    let opened = dir.path().join("opened-by-the-test");
    fs::write(&opened, b"").unwrap();
    let mut child = record(dir.path(), &["--rotate", "64K"]);
    until("four files", || {
        for _ in 0..2_000 {
            drop(File::open(&opened));
        }
        (files(dir.path()).len() >= 4).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let all = files(dir.path());
    for (at, file) in all.iter().enumerate() {
        assert!(file.metadata().unwrap().len() <= 64 << 10, "{}", file.display());
        let is_last = at == all.len() - 1;
        let mut reader = match Reader::new(File::open(file).unwrap()) {
            Ok(reader) => reader,
            // It was about to begin.
            Err(_) if is_last && file.metadata().unwrap().len() < 200 => continue,
            Err(damage) => panic!("{}: {damage}", file.display()),
        };
        let end = loop {
            match reader.read() {
                Ok(Item::End(_)) => break Ok(()),
                Ok(_) => {}
                Err(end) => break Err(end),
            }
        };
        assert!(matches!((is_last, &end), (false, Ok(())) | (true, Err(Damage::Cut))), "{end:?}");
    }
    // Another run in the same directory: it removes the oldest ones alone.
    let mut child = record(dir.path(), &["--rotate", "1h", "--keep", "2"]);
    until("two files", || (files(dir.path()).len() == 2).then_some(()));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(exited(&mut child).code(), Some(0));
    assert_eq!(files(dir.path())[0], all[all.len() - 1]);
}

#[test]
fn a_row_needs_a_directory() {
    own_namespace();
    ip("link set lo up");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.rec");
    fs::write(&file, b"").unwrap();
    let run = |name: &Path| {
        let mut command: Command = program();
        command.args(["record", name.to_str().unwrap(), "-i", "lo", "--rotate", "1h"]);
        ended(&mut command)
    };
    let there = run(&file);
    assert_eq!(there.code(), 1);
    assert!(there.stderr.contains("it is not a directory"), "{}", there.stderr);
    let none = run(&dir.path().join("none"));
    assert_eq!(none.code(), 1);
    assert!(none.stderr.contains("make the directory first"), "{}", none.stderr);
    assert_eq!(fs::read(&file).unwrap(), b"");
}
