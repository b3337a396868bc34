//! Coverage of bytes, slow calls and changes of files on this kernel, whichever it is: all that the kernel can
//! show, and a word on the rest. Needs root.

use std::fs::{self, File};
use std::io::{IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::floor::{kernel, print_coverage};
use super::io::{Expected, by_file, counts, filled, new, path_of, watch};
use crate::common::opens::{in_child, watch as watch_opens};
use crate::common::user_fault::late_page;
use ebpftop::model::coverage::Missing;
use ebpftop::model::file_change::Op;
use ebpftop::model::process_event::ProcessAction;
use ebpftop::model::slow_call::IoCall;
use ebpftop::probes::OpensConfig;
use ebpftop::probes::io::IoConfig;
use ebpftop::probes::programs::{
    CHANGE_COMPAT, CHANGE_RING, IO_COMPAT, IO_UNDER_WAY, IO_URING_IO, IO_URING_TIMES,
};

/// What a probe lacks here is what a kernel of this version lacks, and the reason is given. 32-bit calls depend
/// on the kernel's configuration.
fn check_missing(missing: &[Missing], compat: &str, expected: &[(&str, (u32, u32))]) {
    print_coverage(missing);
    let here = kernel();
    let lacks = expected.iter().filter(|(_, from)| here < *from).map(|(feature, _)| *feature);
    let names = missing.iter().map(|one| one.feature.as_str());
    let names: Vec<&str> = names.filter(|name| *name != compat).collect();
    assert_eq!(names, lacks.collect::<Vec<_>>(), "on {here:?}");
    assert!(missing.iter().all(|one| !one.error.is_empty()), "{missing:?}");
}

/// One call of each shape, with the bytes of `of_calls`.
fn calls(root: &Path) {
    let at = |name: &str| root.join(name);
    let mut buffer = [0; 4_096];
    let mut file = File::open(at("read")).unwrap();
    while file.read(&mut buffer).unwrap() > 0 {}
    assert_eq!(file.read_at(&mut buffer, 9_000).unwrap(), 1_000);
    let mut file = new(&at("written"));
    file.write_all(&[b'w'; 321]).unwrap();
    file.write_all_at(&[b'w'; 33], 1 << 20).unwrap();
    let parts = [IoSlice::new(b"seven77"), IoSlice::new(b"five5")];
    assert_eq!(file.write_vectored(&parts).unwrap(), 12);
    let (from, sent, copied) =
        (File::open(at("from")).unwrap(), new(&at("sent")), new(&at("copied")));
    let null = std::ptr::null_mut::<i64>;
    // SAFETY: no memory is handed over.
    unsafe {
        let (from, sent, copied) = (from.as_raw_fd(), sent.as_raw_fd(), copied.as_raw_fd());
        assert_eq!(libc::sendfile(sent, from, null(), 4_000), 4_000);
        assert_eq!(libc::copy_file_range(from, null(), copied, null(), 5_000, 0), 5_000);
    }
}

fn of_calls(root: &Path) -> Expected {
    let expected = [
        ("read", counts(11_000, 5, 0, 0)),
        ("written", counts(0, 0, 366, 3)),
        ("from", counts(9_000, 2, 0, 0)),
        ("sent", counts(0, 0, 4_000, 1)),
        ("copied", counts(0, 0, 5_000, 1)),
    ];
    expected.map(|(name, counts)| (root.join(name), counts)).into()
}

#[test]
fn bytes_and_slow_calls_are_counted() {
    const WAIT: Duration = Duration::from_millis(400);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for name in ["read", "from", "late"] {
        drop(filled(&root.join(name)));
    }
    let watch = watch(IoConfig { slow: Some(WAIT), ..IoConfig::default() });
    let later = [(IO_UNDER_WAY, (5, 17)), (IO_URING_IO, (6, 4)), (IO_URING_TIMES, (6, 4))];
    check_missing(&watch.info.missing, IO_COMPAT, &later);
    let child = in_child(|| {
        calls(&root);
        let mut file = File::open(root.join("late")).unwrap();
        assert_eq!(file.read(&mut late_page(WAIT)[..100]).unwrap(), 100);
    });
    let (sample, slow) = watch.finish_with_calls();
    let mut files = by_file(&sample, child);
    files.retain(|path, _| path.starts_with(&root));
    let mut expected = of_calls(&root);
    expected.insert(root.join("late"), counts(100, 1, 0, 0));
    assert_eq!(files, expected);
    let late = slow.calls.iter().filter(|call| {
        call.key.tgid == child && call.path().is_some_and(|path| path_of(path) == root.join("late"))
    });
    let late: Vec<_> = late.collect();
    let [one] = late[..] else { panic!("{:?}", slow.calls) };
    assert_eq!((one.call, one.ret), (IoCall::Read, 100));
    assert!(one.took_ns >= WAIT.as_nanos() as u64, "{one:?}");
}

#[test]
fn each_change_and_each_process_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    // With the programs of processes, whose form depends on the kernel, too.
    let config =
        OpensConfig { calls: false, files: true, processes: true, ..OpensConfig::default() };
    let watch = watch_opens(config);
    let missing: Vec<Missing> = watch
        .info
        .missing
        .iter()
        .filter(|one| one.feature.starts_with("files:"))
        .cloned()
        .collect();
    check_missing(&missing, CHANGE_COMPAT, &[(CHANGE_RING, (6, 4))]);
    let at = |name: &str| root.join(name);
    let child = in_child(|| {
        let file = new(&at("made"));
        file.set_len(10).unwrap();
        fs::set_permissions(at("made"), fs::Permissions::from_mode(0o600)).unwrap();
        chown(at("made"), Some(1), Some(2)).unwrap();
        fs::hard_link(at("made"), at("linked")).unwrap();
        symlink("made", at("soft")).unwrap();
        fs::rename(at("linked"), at("moved")).unwrap();
        fs::remove_file(at("moved")).unwrap();
        fs::create_dir(at("dir")).unwrap();
        fs::remove_dir(at("dir")).unwrap();
        assert!(Command::new("/bin/true").status().unwrap().success());
    });
    let all = watch.finish_all(|_| true);
    let actions: Vec<_> = all
        .processes
        .iter()
        .filter(|event| event.ppid == child)
        .map(|event| matches!(event.action, ProcessAction::Exit(_)))
        .collect();
    assert_eq!(actions, [false, true], "{:?}", all.processes);
    let events = all.changes.iter().flat_map(|changes| &changes.events);
    let rows: Vec<_> = events
        .filter(|event| event.key.tgid == child)
        .map(|event| {
            let text = |path: Option<&[u8]>| path.map(path_of);
            (event.op, text(event.path.resolved()), text(event.to.resolved()), event.errno)
        })
        .collect();
    let one = |op, name: &str| (op, Some(at(name)), None, None);
    assert_eq!(
        rows,
        [
            one(Op::Create, "made"),
            one(Op::Truncate, "made"),
            one(Op::Chmod, "made"),
            one(Op::Chown, "made"),
            (Op::Link, Some(at("made")), Some(at("linked")), None),
            (Op::Symlink, None, Some(at("soft")), None),
            (Op::Rename, Some(at("linked")), Some(at("moved")), None),
            one(Op::Unlink, "moved"),
            one(Op::Mkdir, "dir"),
            one(Op::Rmdir, "dir"),
        ]
    );
}
