//! The whole program in a pseudo-terminal: from an address to its process, to a file that the process
//! opened, and back.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use crate::common::net::*;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;

/// A server at 10.9.9.2 in a namespace of its own, at the other end of `va`.
fn server() -> std::thread::JoinHandle<usize> {
    let (here, there) = (channel(), channel());
    let thread = std::thread::spawn(move || {
        own_namespace();
        here.0.send(nix::unistd::gettid()).unwrap();
        there.1.recv().unwrap();
        ip("addr add 10.9.9.2/24 dev vb");
        ip("link set vb up");
        let listener = TcpListener::bind("10.9.9.2:5432").unwrap();
        here.0.send(nix::unistd::gettid()).unwrap();
        let mut got = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
        got.len()
    });
    let tid = here.1.recv().unwrap();
    ip(&format!("link set vb netns {tid}"));
    ip("addr add 10.9.9.1/24 dev va");
    there.0.send(()).unwrap();
    here.1.recv().unwrap();
    thread
}

#[test]
fn from_an_address_to_the_process_to_its_file_and_back() {
    own_namespace();
    ip("link set lo up");
    veth("va", "vb");
    let server = server();
    let args = ["--interval", "200ms", "-i", "va", "--xdp-mode", "off"];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let mut tty = Tty::start(ebpftop(), &args, &env, (170, 50));
    tty.wait_until("all probes", |s| {
        s.contains(" va ") && s.contains("payload rx") && !s.contains("starting")
    });

    let dir = tempfile::tempdir().unwrap();
    let (name, key) = (dir.path().join("pivoter"), dir.path().join("pivot.key"));
    std::fs::copy("/bin/bash", &name).unwrap();
    std::fs::write(&key, "secret").unwrap();
    let script = "exec 4<\"$0\"; exec 3<>/dev/tcp/10.9.9.2/5432; printf %3000s x >&3; read line";
    let mut child = Command::new(&name)
        .args(["--norc", "--noprofile", "-c", script])
        .arg(&key)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let who = format!("pivoter {}", child.id());
    let has = |s: &str, words: &[&str]| s.lines().any(|l| words.iter().all(|w| l.contains(w)));

    // The address and its process: the row is marked before its details open.
    tty.wait_until("the address", |s| s.contains("10.9.9.2"));
    tty.send("2/\x15ip:10.9.9.2 pivoter\r");
    tty.wait_until("the mark", |s| has(s, &["◆pivoter"]));
    tty.send("g\r");
    let behind = ["pivoter", "tcp 5432", "3000"];
    tty.wait_until("who is behind it", |s| {
        s.contains("first seen") && has(s, &behind) && s.contains("/pivot.key")
    });
    // The process: its files and its peers.
    tty.send("\r");
    tty.wait_until("the process", |s| {
        has(s, &["Files", &format!("› 10.9.9.2 › {who}")])
            && has(s, &["traffic", "rx 0 bytes", "tx 3000", "1 peer "])
            && has(s, &["PEER", "PORTS"])
            && has(s, &["holds", "socket ×1"])
            && has(s, &[&format!("fd 4    {}", key.display())])
    });
    tty.send("\x7f");
    tty.wait_until("back at the address", |s| {
        !s.contains(&format!("› {who}")) && s.contains("first seen")
    });
    // The file that it opened last, and the peers of the processes that opened it.
    tty.send("j\r");
    tty.wait_until("the file", |s| {
        has(s, &["file ", "/pivot.key"]) && has(s, &["pivoter", "10.9.9.2", "3000"])
    });
    tty.send("\x7f\x7f");
    tty.wait_until("back at all", |s| {
        !s.contains("first seen") && !has(s, &["file ", "/pivot.key"])
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(server.join().unwrap(), 3000);
}
