//! Opens by 32-bit tasks, on the real kernel. Needs root, x86_64 and CONFIG_IA32_EMULATION, and
//! fails without them.
#![cfg(target_arch = "x86_64")]

use std::path::Path;
use std::process::{Child, Command};

use crate::common::i386::program;
use crate::common::opens::{Seen, watch};
use crate::common::spawn::fresh;
use ebpftop::model::open::Syscall;
use ebpftop::probes::OpensConfig;
use ebpftop::probes::programs::COMPAT;

/// Between two opens.
const PAUSE_NS: u32 = 5_000_000;

fn start(program: &Path) -> Child {
    // Needs CONFIG_IA32_EMULATION.
    fresh(&mut Command::new(program))
}

/// One that runs already is seen from the first open on; one that comes while others are watched,
/// whole. When the last is gone nothing stays attached.
#[test]
fn opens_of_32_bit_tasks_are_seen_while_there_are_any() {
    let dir = tempfile::tempdir().unwrap();
    let mut early = start(&program(dir.path(), "early", "/etc/hostname", 100_000, PAUSE_NS));
    let mut watch = watch(OpensConfig::default());
    assert!(watch.info.missing.iter().all(|missing| missing.feature != COMPAT));
    let whole = program(dir.path(), "whole", "/no such file", 50, PAUSE_NS);
    let mut second = start(&whole);
    let second_pid = second.id();
    assert!(second.wait().unwrap().success());
    let watched = watch.wait_for(|batch| batch.compat);
    early.kill().unwrap();
    early.wait().unwrap();
    let let_go = watch.wait_for(|batch| !batch.compat);
    let (rest, _) = watch.finish(|_| true);
    let seen: Vec<Seen> = [watched, let_go, rest].concat();

    let of = |pid: u32| seen.iter().filter(move |s| s.meta.tgid == pid);
    assert!(of(early.id()).count() > 0);
    assert_eq!(of(second_pid).count(), 50);
    for open in of(second_pid) {
        assert_eq!(open.meta.syscall, Syscall::Openat);
        assert_eq!(open.path_str(), "/no such file");
        assert_eq!(open.resolved_str(), "/no such file");
        assert_eq!(open.meta.errno(), Some(libc::ENOENT));
        assert_eq!(open.meta.process.as_bytes(), b"whole");
    }
}

/// The first 32-bit program that starts while we run is found by its exec.
#[test]
fn one_that_starts_later_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut watch = watch(OpensConfig::default());
    let mut late = start(&program(dir.path(), "late", "/etc/hostname", 100_000, PAUSE_NS));
    let pid = late.id();
    let seen = watch.wait_for(|batch| batch.iter().any(|o| o.meta.tgid == pid));
    late.kill().unwrap();
    late.wait().unwrap();
    assert!(seen.iter().any(|s| s.meta.tgid == pid && s.path_str() == "/etc/hostname"));
    watch.finish(|_| true);
}
