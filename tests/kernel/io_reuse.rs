//! Bytes of files where the kernel uses the memory of closed and removed files again for others, and where a
//! process takes another name, on the real kernel. Needs root.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use io_uring::{IoUring, opcode, types};

use super::io::{Expected, by_file, counts, new, path_of, watch};
use super::io_files::{here, mounted, own_mounts};
use crate::common::opens::in_child;
use crate::common::patience::pause;
use ebpftop::model::file_io::FileIo;
use ebpftop::probes::io::IoConfig;

/// The bytes of the n-th file.
fn bytes(n: usize) -> u64 {
    1 + n as u64 % 97
}

/// Temporary files: of other names, in new directories, and links of one file. Their struct files and dentries are
/// at the same addresses.
fn temporary(root: &Path) {
    let base = root.join("base");
    new(&base).write_all(&[b'b'; 100]).unwrap();
    for n in 0..FILES {
        let bytes = vec![b'x'; bytes(n) as usize];
        let path = root.join(format!("file {n}"));
        new(&path).write_all(&bytes).unwrap();
        fs::remove_file(path).unwrap();
        let dir = root.join(format!("dir {n}"));
        fs::create_dir(&dir).unwrap();
        new(&dir.join("file")).write_all(&bytes).unwrap();
        fs::hard_link(&base, dir.join("link")).unwrap();
        let linked = OpenOptions::new().write(true).open(dir.join("link")).unwrap();
        linked.write_all_at(&bytes, 0).unwrap();
        drop(linked);
        fs::remove_dir_all(dir).unwrap();
    }
}

const FILES: usize = 1_500;

#[test]
fn a_file_at_the_address_of_another_has_its_own_bytes() {
    for as_on_510 in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let watch = watch(IoConfig { as_on_510, ..IoConfig::default() });
        let child = in_child(|| {
            own_mounts();
            mounted(Path::new("none"), &root, "tmpfs", None);
            temporary(&root);
        });
        let mut expected = Expected::from([(root.join("base"), counts(0, 0, 100, 1))]);
        for n in 0..FILES {
            let once = counts(0, 0, bytes(n), 1);
            let dir = root.join(format!("dir {n}"));
            expected.insert(root.join(format!("file {n}")), once);
            expected.insert(dir.join("file"), once);
            expected.insert(dir.join("link"), once);
        }
        let mut files = here(by_file(&watch.finish(), child), &root);
        files.retain(|path, counts| expected.get(path) != Some(counts));
        assert!(files.is_empty(), "as on 5.10: {as_on_510}: {} wrong: {files:?}", files.len());
    }
}

/// The bytes of the same open file before and after exec are those of either program.
#[test]
fn bytes_before_and_after_exec_are_those_of_each_program() {
    for as_on_510 in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let watch = watch(IoConfig { as_on_510, ..IoConfig::default() });
        let child = in_child(|| {
            let mut file = new(&root.join("file"));
            nix::sys::prctl::set_name(c"before").unwrap();
            file.write_all(b"12").unwrap();
            let error = Command::new("printf").arg("1234567").stdout(file).exec();
            panic!("{error}");
        });
        let sample = watch.finish();
        let is_file = |one: &&FileIo| {
            let place = one.place.as_ref();
            place.is_some_and(|place| path_of(&place.path) == root.join("file"))
        };
        let mut found: Vec<_> = sample
            .uses
            .iter()
            .filter(|one| one.key.tgid == child)
            .filter(is_file)
            .map(|one| (String::from_utf8_lossy(one.process.as_bytes()), one.counts))
            .collect();
        found.sort_by_key(|(name, _)| name.clone());
        let expected =
            [("before".into(), counts(0, 0, 2, 1)), ("printf".into(), counts(0, 0, 7, 1))];
        assert_eq!(found, expected, "as on 5.10: {as_on_510}");
    }
}

/// A completion without room in its ring has no event that names its request.
#[test]
fn completions_without_room_in_their_ring_are_not_counted() {
    const CALLS: u64 = 32;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let watch = watch(IoConfig::default());
    let child = in_child(|| {
        let mut ring: IoUring = IoUring::builder().setup_cqsize(8).build(8).unwrap();
        let file = new(&root.join("file"));
        let fd = types::Fd(file.as_raw_fd());
        for _ in 0..CALLS / 8 {
            for _ in 0..8 {
                let write = opcode::Write::new(fd, b"0123456789".as_ptr(), 10).build();
                // SAFETY: the bytes are a constant.
                unsafe { ring.submission().push(&write).unwrap() };
            }
            ring.submit().unwrap();
        }
        // Writes that a worker does complete meanwhile.
        pause(Duration::from_millis(50));
        let mut seen = 0;
        while seen < CALLS {
            let done = ring.completion().map(|done| assert_eq!(done.result(), 10)).count();
            seen += done as u64;
            if done == 0 {
                ring.submit_and_wait(1).unwrap();
            }
        }
    });
    let sample = watch.finish();
    let counted = by_file(&sample, child)[&root.join("file")].write_calls;
    assert!((8..CALLS).contains(&counted), "{counted}");
    // Others make requests too.
    assert!(counted + sample.uncounted >= CALLS, "{counted} {}", sample.uncounted);
}
