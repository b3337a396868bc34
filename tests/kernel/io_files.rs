//! Bytes of files where the same file has several names or none of its own, against what `strace` sees,
//! and on all cores. Needs root.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::unistd::Pid;

use super::io::{Expected, by_file, counts, filled, new, watch};
use crate::common::conns::{done, process};
use crate::common::io_speed::full_speed;
use crate::common::opens::in_child;
use ebpftop::probes::io::IoConfig;

/// A mount namespace for this process alone.
pub(crate) fn own_mounts() {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}

pub(crate) fn mounted(source: &Path, at: &Path, kind: &str, options: Option<&str>) {
    let flags = if kind == "bind" { MsFlags::MS_BIND } else { MsFlags::empty() };
    mount(Some(source), at, Some(kind), flags, options).unwrap();
}

pub(crate) fn here(mut files: Expected, root: &Path) -> Expected {
    files.retain(|path, _| path.starts_with(root));
    files
}

#[test]
fn direct_and_sparse_files_are_counted_by_calls() {
    /// A block of any device.
    #[repr(align(4096))]
    struct Block([u8; 8_192]);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let watch = watch(IoConfig::default());
    let child = in_child(|| {
        let direct = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.custom_flags(libc::O_DIRECT).open(path).unwrap()
        };
        let mut block = Box::new(Block([7; 8_192]));
        direct(&root.join("direct")).write_all_at(&block.0, 0).unwrap();
        let file = direct(&root.join("direct"));
        assert_eq!(file.read_at(&mut block.0, 4_096).unwrap(), 4_096);
        let sparse = new(&root.join("sparse"));
        sparse.write_all_at(b"end", 1 << 30).unwrap();
        let mut hole = vec![1; 1 << 20];
        assert_eq!(sparse.read_at(&mut hole, 4_096).unwrap(), 1 << 20);
        assert!(hole.iter().all(|byte| *byte == 0));
    });
    let files = here(by_file(&watch.finish(), child), &root);
    let expected: Expected = [
        (root.join("direct"), counts(4_096, 1, 8_192, 1)),
        (root.join("sparse"), counts(1 << 20, 1, 3, 1)),
    ]
    .into();
    assert_eq!(files, expected);
}

/// A descriptor that another process opened and passed, and a file of /proc, whose size is 0.
#[test]
fn passed_descriptors_and_files_of_proc_are_those_of_the_process_that_calls() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("passed");
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let watch = watch(IoConfig::default());
    let giver = in_child(|| {
        let file = new(&path);
        (&file).write_all(b"from the giver").unwrap();
        let fds = [file.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        let (byte, none) = ([IoSlice::new(b"x")], MsgFlags::empty());
        sendmsg::<()>(ours.as_raw_fd(), &byte, &rights, none, None).unwrap();
    });
    let taker = in_child(|| {
        let (mut byte, mut room) = ([0; 1], nix::cmsg_space!(RawFd));
        let mut iov = [IoSliceMut::new(&mut byte)];
        let fd = theirs.as_raw_fd();
        let got = recvmsg::<()>(fd, &mut iov, Some(&mut room), MsgFlags::empty()).unwrap();
        let Some(ControlMessageOwned::ScmRights(fds)) = got.cmsgs().unwrap().next() else {
            panic!("no descriptor came")
        };
        // SAFETY: a descriptor that has just been received and has no other owner.
        let mut file = unsafe { fs::File::from_raw_fd(fds[0]) };
        file.write_all(b"taken").unwrap();
        let mut version = fs::File::open("/proc/version").unwrap();
        assert_eq!(version.read(&mut [0; 10]).unwrap(), 10);
    });
    let sample = watch.finish();
    assert_eq!(by_file(&sample, giver)[&path], counts(0, 0, 14, 1));
    let expected: Expected =
        [(path, counts(0, 0, 5, 1)), (PathBuf::from("/proc/version"), counts(10, 1, 0, 0))].into();
    assert_eq!(by_file(&sample, taker), expected);
}

#[test]
fn an_overlay_and_bind_mounts_count_once_under_the_name_that_was_used() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let at = |name: &str| root.join(name);
    for name in ["real", "bound", "over", "scratch"] {
        fs::create_dir(at(name)).unwrap();
    }
    drop(filled(&at("real/file")));
    let watch = watch(IoConfig::default());
    let child = in_child(|| {
        own_mounts();
        mounted(&at("real"), &at("bound"), "bind", None);
        mounted(Path::new("none"), &at("scratch"), "tmpfs", None);
        for name in ["scratch/up", "scratch/work"] {
            fs::create_dir(at(name)).unwrap();
        }
        let [lower, up, work] = ["real", "scratch/up", "scratch/work"].map(at);
        let [lower, up, work] = [&lower, &up, &work].map(|path| path.display());
        let options = format!("lowerdir={lower},upperdir={up},workdir={work}");
        mounted(Path::new("none"), &at("over"), "overlay", Some(&options));
        for (name, bytes) in [("real/file", 10), ("bound/file", 20), ("over/file", 30)] {
            let mut file = fs::File::open(at(name)).unwrap();
            file.read_exact(&mut vec![0; bytes]).unwrap();
        }
        // The overlay copies the file up by itself: that is no call of the process.
        let mut copied = OpenOptions::new().append(true).open(at("over/file")).unwrap();
        copied.write_all(&[b'x'; 40]).unwrap();
        new(&at("over/new")).write_all(&[b'x'; 50]).unwrap();
    });
    let files = here(by_file(&watch.finish(), child), &root);
    let expected: Expected = [
        (at("real/file"), counts(10, 1, 0, 0)),
        (at("bound/file"), counts(20, 1, 0, 0)),
        (at("over/file"), counts(30, 1, 40, 1)),
        (at("over/new"), counts(0, 0, 50, 1)),
    ]
    .into();
    assert_eq!(files, expected);
}

#[test]
fn the_same_path_in_two_mount_namespaces_is_that_of_each_process() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let path = root.join("data");
    let watch = watch(IoConfig::default());
    let container = |bytes: usize| {
        in_child(|| {
            own_mounts();
            mounted(Path::new("none"), &root, "tmpfs", None);
            new(&path).write_all(&vec![b'x'; bytes]).unwrap();
        })
    };
    let (one, other) = (container(1_000), container(30));
    let sample = watch.finish();
    for (pid, bytes) in [(one, 1_000), (other, 30)] {
        let expected: Expected = [(path.clone(), counts(0, 0, bytes, 1))].into();
        assert_eq!(here(by_file(&sample, pid), &root), expected);
    }
}

/// Bytes read and written by file, from the lines of `strace -y`: `read(3</a>, …) = 10`.
fn by_strace(dir: &Path, root: &Path) -> BTreeMap<PathBuf, (u64, u64)> {
    let mut files = BTreeMap::<PathBuf, (u64, u64)>::new();
    for trace in fs::read_dir(dir).unwrap() {
        for line in fs::read_to_string(trace.unwrap().path()).unwrap().lines() {
            let Some((call, rest)) = line.split_once('(') else { continue };
            let Some((arguments, result)) = rest.rsplit_once(" = ") else { continue };
            let Ok(bytes) = result.split_whitespace().next().unwrap_or("").parse::<u64>() else {
                continue;
            };
            // The first descriptor, and the one after it where a call has two.
            let mut paths = arguments.split('<').skip(1).filter_map(|text| text.split('>').next());
            let (first, second) = (paths.next(), paths.next());
            let (read, written) = match call {
                "read" | "pread64" | "readv" | "preadv" | "preadv2" => (first, None),
                "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => (None, first),
                "sendfile" => (second, first),
                "copy_file_range" | "splice" => (first, second),
                _ => continue,
            };
            for (path, is_read) in [(read, true), (written, false)] {
                let Some(path) = path.map(Path::new).filter(|p| p.starts_with(root)) else {
                    continue;
                };
                let sums = files.entry(path.to_owned()).or_default();
                *if is_read { &mut sums.0 } else { &mut sums.1 } += bytes;
            }
        }
    }
    files
}

#[test]
fn the_sums_are_those_of_strace_on_the_same_run() {
    let (dir, traces) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = dir.path().canonicalize().unwrap();
    drop(filled(&root.join("a")));
    let script = "cat a > b; cp a c; dd if=a of=d bs=777 2>err; head -c 50 a | cat >> b; \
        (cat a a & tr x y < a > e; wait) > f; sed s/x/yy/ a > g; sort a b > h; \
        while read line; do echo \"$line\"; done < g > i";
    let watch = watch(IoConfig::default());
    let calls = "trace=read,pread64,readv,preadv,preadv2,write,pwrite64,writev,pwritev,pwritev2,\
        sendfile,copy_file_range,splice";
    let status = Command::new("strace")
        .args(["-ff", "-y", "-s", "0", "-e", calls, "-o"])
        .arg(traces.path().join("trace"))
        .args(["sh", "-c", script])
        .current_dir(&root)
        .status()
        .expect("strace: scripts/setup.sh --test installs it");
    assert!(status.success());
    let sample = watch.finish();
    let mut counted = BTreeMap::<PathBuf, (u64, u64)>::new();
    let places = sample.uses.iter().filter_map(|one| Some((one.place.as_ref()?, one.counts)));
    for (place, counts) in places {
        let path = super::io::path_of(&place.path);
        if path.starts_with(&root) {
            let sums = counted.entry(path).or_default();
            *sums = (sums.0 + counts.read_bytes, sums.1 + counts.written_bytes);
        }
    }
    let seen = by_strace(traces.path(), &root);
    assert!(seen.len() >= 9 && seen[&root.join("a")].0 > 60_000, "{seen:?}");
    // Files without a byte have lines in neither or in both.
    let some = |files: BTreeMap<PathBuf, (u64, u64)>| {
        files.into_iter().filter(|(_, sums)| *sums != (0, 0)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(some(counted), some(seen));
}

/// `make soak` does it for two minutes.
#[test]
fn on_all_cores_every_call_is_counted_and_timed() {
    let run = full_speed(Duration::from_secs(3), Some(Duration::from_secs(1)));
    assert_eq!(run.counted, run.done);
    assert_eq!(run.timed, run.done.read_calls + run.done.write_calls, "{run:?}");
}

/// Without durations each CPU counts calls in a row on one file in a record of its own.
#[test]
fn on_all_cores_calls_in_a_row_are_counted() {
    let run = full_speed(Duration::from_secs(3), None);
    assert_eq!(run.counted, run.done);
}

/// Processes that share an open file and a CPU, so that one finds the record of another, and files whose
/// struct file has the address of one that was closed.
#[test]
fn calls_in_a_row_are_those_of_each_process_and_file() {
    const ROUNDS: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let shared = filled(&root.join("shared"));
    for as_on_510 in [false, true] {
        let watch = watch(IoConfig { as_on_510, ..IoConfig::default() });
        let children = [1, 2, 3].map(|calls| {
            process(|| {
                let mut cpu = nix::sched::CpuSet::new();
                cpu.set(0).unwrap();
                nix::sched::sched_setaffinity(Pid::from_raw(0), &cpu).unwrap();
                for _ in 0..ROUNDS {
                    for _ in 0..calls {
                        assert_eq!(shared.read_at(&mut [0; 10], 0).unwrap(), 10);
                    }
                    std::thread::yield_now();
                    for name in ["a", "b"] {
                        let own = new(&root.join(format!("{calls}{name}")));
                        for n in 0..calls {
                            assert_eq!(own.write_at(b"xyz", n).unwrap(), 3);
                        }
                    }
                }
            })
        });
        children.into_iter().for_each(done);
        let sample = watch.finish();
        for (child, calls) in children.into_iter().zip([1, 2, 3].map(|n| n * ROUNDS)) {
            let (read, written) = (counts(calls * 10, calls, 0, 0), counts(0, 0, calls * 3, calls));
            let (a, b) = (format!("{}a", calls / ROUNDS), format!("{}b", calls / ROUNDS));
            let expected = Expected::from([
                (root.join("shared"), read),
                (root.join(a), written),
                (root.join(b), written),
            ]);
            let files = by_file(&sample, child.as_raw().try_into().unwrap());
            assert_eq!(here(files, &root), expected, "as on 5.10: {as_on_510}");
        }
    }
}
