//! Bytes and calls read and written, on the real kernel. Needs root.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::conns::{done, process};
use crate::common::opens::in_child;
use crate::common::patience::next;
use crate::common::program::Stream;
use ebpftop::model::event::{IoInfo, ProbeEvent, ProbeInfo};
use ebpftop::model::file_io::{FileIo, FileType, IoCounts, IoSample};
use ebpftop::model::open::ResolvedKind;
use ebpftop::model::slow_call::SlowCalls;
use ebpftop::probes::io::{self, Begin, IoConfig};
use ebpftop::probes::programs::IO_URING_IO;
use ebpftop::probes::{CHANNEL_DEPTH, ProbeThread};
use io_uring::squeue::Entry;
use io_uring::{IoUring, opcode, types};
use tokio::sync::mpsc::Receiver;

/// A running probe whose interval does not end by itself.
pub(crate) struct Watch {
    probe: ProbeThread<Begin>,
    events: Receiver<ProbeEvent>,
    /// Slow calls that came before the end.
    slow: SlowCalls,
    pub(crate) info: IoInfo,
}

pub(crate) fn watch(config: IoConfig) -> Watch {
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let probe = io::start(IoConfig { interval: Duration::from_secs(3_600), ..config }, sink);
    match events.blocking_recv() {
        Some(ProbeEvent::Started(ProbeInfo::Io(info))) => {
            Watch { probe, events, slow: SlowCalls::default(), info }
        }
        other => panic!("cannot start (root?): {other:?}"),
    }
}

impl Watch {
    /// Waits for an event from which `take` takes something.
    pub(crate) fn until<T>(&mut self, mut take: impl FnMut(ProbeEvent) -> Option<T>) -> T {
        loop {
            let event = next(&mut self.events).expect("the probe runs");
            if let ProbeEvent::SlowCalls(part) = &event {
                self.slow.calls.extend(part.calls.iter().cloned());
                self.slow.lost = part.lost;
            }
            if let Some(taken) = take(event) {
                return taken;
            }
        }
    }

    /// The interval from the start on, its parts together.
    pub(crate) fn finish(self) -> IoSample {
        self.finish_with_calls().0
    }

    /// The same with the slow calls.
    pub(crate) fn finish_with_calls(mut self) -> (IoSample, SlowCalls) {
        self.probe.stop();
        let (mut all, mut slow) = (IoSample::default(), std::mem::take(&mut self.slow));
        while let Some(event) = self.events.blocking_recv() {
            match event {
                ProbeEvent::Io(part) => {
                    all.uses.extend(part.uses);
                    all.other += part.other;
                    all.other_slow += part.other_slow;
                    all.untimed += part.untimed;
                    all.uncounted += part.uncounted;
                    all.unknown += part.unknown;
                }
                ProbeEvent::SlowCalls(part) => {
                    slow.calls.extend(part.calls);
                    slow.lost = part.lost;
                }
                _ => {}
            }
        }
        self.probe.join();
        (all, slow)
    }
}

pub(crate) fn counts(
    read_bytes: u64,
    read_calls: u64,
    written_bytes: u64,
    write_calls: u64,
) -> IoCounts {
    IoCounts { read_bytes, written_bytes, read_calls, write_calls }
}

/// A file that is expected to be counted like this.
pub(crate) type Expected = BTreeMap<PathBuf, IoCounts>;

const BYTES: usize = 10_000;

pub(crate) fn filled(path: &Path) -> File {
    fs::write(path, vec![b'x'; BYTES]).unwrap();
    File::open(path).unwrap()
}

pub(crate) fn new(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap()
}

/// The result of a call that does not fail.
fn good(n: isize) -> u64 {
    assert!(n >= 0, "{}", std::io::Error::last_os_error());
    n as u64
}

/// Every call that is counted, in a process that does nothing else to files of `root`.
fn calls(root: &Path) {
    let at = |name: &str| root.join(name);
    let mut buffer = vec![0; 4_096];

    let mut file = File::open(at("read")).unwrap();
    while file.read(&mut buffer).unwrap() > 0 {}
    let file = File::open(at("pread")).unwrap();
    assert_eq!(file.read_at(&mut buffer, 9_000).unwrap(), 1_000);
    let (mut a, mut b) = ([0; 7], [0; 5]);
    let mut file = File::open(at("readv")).unwrap();
    let mut parts = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
    assert_eq!(file.read_vectored(&mut parts).unwrap(), 12);
    let iov = |bytes: &mut [u8]| libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let into = [iov(&mut a), iov(&mut b)];
    let (preadv, preadv2) = (File::open(at("preadv")).unwrap(), File::open(at("preadv2")).unwrap());
    // SAFETY: the buffers live through the calls.
    unsafe {
        assert_eq!(good(libc::preadv(preadv.as_raw_fd(), into.as_ptr(), 2, 1)), 12);
        assert_eq!(good(libc::preadv2(preadv2.as_raw_fd(), into.as_ptr(), 2, 1, 0)), 12);
    }

    let mut file = new(&at("write"));
    for n in [1, 20, 300] {
        file.write_all(&vec![b'w'; n]).unwrap();
    }
    new(&at("pwrite")).write_all_at(&[b'w'; 33], 1 << 30).unwrap();
    let parts = [IoSlice::new(b"seven77"), IoSlice::new(b"five5")];
    assert_eq!(new(&at("writev")).write_vectored(&parts).unwrap(), 12);
    let (pwritev, pwritev2) = (new(&at("pwritev")), new(&at("pwritev2")));
    // SAFETY: likewise.
    unsafe {
        assert_eq!(good(libc::pwritev(pwritev.as_raw_fd(), into.as_ptr(), 2, 0)), 12);
        assert_eq!(good(libc::pwritev2(pwritev2.as_raw_fd(), into.as_ptr(), 2, 0, 0)), 12);
    }

    let (from, to) = (File::open(at("sendfile_in")).unwrap(), new(&at("sendfile_out")));
    let (copied, copy) = (File::open(at("copy_in")).unwrap(), new(&at("copy_out")));
    let (spliced, splice) = (File::open(at("splice_in")).unwrap(), new(&at("splice_out")));
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader2, writer2) = std::io::pipe().unwrap();
    let null = std::ptr::null_mut::<i64>;
    // SAFETY: no memory is handed over.
    unsafe {
        assert_eq!(good(libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), null(), 9_999)), 9_999);
        let (from, to) = (copied.as_raw_fd(), copy.as_raw_fd());
        assert_eq!(good(libc::copy_file_range(from, null(), to, null(), 5_000, 0)), 5_000);
        let (r, w) = (reader.as_raw_fd(), writer.as_raw_fd());
        assert_eq!(good(libc::splice(spliced.as_raw_fd(), null(), w, null(), 3_000, 0)), 3_000);
        assert_eq!(good(libc::tee(r, writer2.as_raw_fd(), 3_000, 0)), 3_000);
        assert_eq!(good(libc::splice(r, null(), splice.as_raw_fd(), null(), 3_000, 0)), 3_000);
    }
    drop(reader2);

    // Calls that fail, and calls on what is no regular file.
    let mut closed = File::open(at("failed")).unwrap();
    assert!(closed.write(b"x").is_err());
    // SAFETY: the kernel refuses the address.
    unsafe { assert_eq!(libc::read(closed.as_raw_fd(), std::ptr::dangling_mut(), 1), -1) };
    (&writer).write_all(b"to a pipe").unwrap();
    (&reader).read_exact(&mut [0; 9]).unwrap();
    File::open("/dev/zero").unwrap().read_exact(&mut buffer).unwrap();

    let append = OpenOptions::new().append(true).open(at("append")).unwrap();
    (0..3).for_each(|_| (&append).write_all(b"12345").unwrap());
    let twice = new(&at("dup"));
    let again = twice.try_clone().unwrap();
    (&twice).write_all(b"123").unwrap();
    (&again).write_all(b"45").unwrap();
    let mut gone = new(&at("deleted"));
    gone.write_all(&[b'd'; 10]).unwrap();
    fs::remove_file(at("deleted")).unwrap();
    gone.write_all(&[b'd'; 20]).unwrap();
    let mut moved = new(&at("renamed"));
    moved.write_all(&[b'r'; 10]).unwrap();
    fs::rename(at("renamed"), at("renamed since")).unwrap();
    moved.write_all(&[b'r'; 20]).unwrap();
    let mut unnamed =
        OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(root).unwrap();
    unnamed.write_all(b"unnamed").unwrap();
    let shared = new(&at("threads"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| (&shared).write_all(b"0123456789").unwrap()));
        }
    });
}

/// The counts of `calls`.
fn of_calls(root: &Path) -> Expected {
    let reads = |bytes, calls| counts(bytes, calls, 0, 0);
    let writes = |bytes, calls| counts(0, 0, bytes, calls);
    let all = [
        ("read", reads(10_000, 4)),
        ("pread", reads(1_000, 1)),
        ("readv", reads(12, 1)),
        ("preadv", reads(12, 1)),
        ("preadv2", reads(12, 1)),
        ("write", writes(321, 3)),
        ("pwrite", writes(33, 1)),
        ("writev", writes(12, 1)),
        ("pwritev", writes(12, 1)),
        ("pwritev2", writes(12, 1)),
        ("sendfile_in", reads(9_999, 1)),
        ("sendfile_out", writes(9_999, 1)),
        ("copy_in", reads(5_000, 1)),
        ("copy_out", writes(5_000, 1)),
        ("splice_in", reads(3_000, 1)),
        ("splice_out", writes(3_000, 1)),
        ("append", writes(15, 3)),
        ("dup", writes(5, 2)),
        ("deleted", writes(30, 2)),
        ("renamed", writes(10, 1)),
        ("renamed since", writes(20, 1)),
        ("threads", writes(4_000, 400)),
    ];
    let named = all.map(|(name, counts)| (root.join(name), counts));
    named.into_iter().chain([(root.to_path_buf(), writes(7, 1))]).collect()
}

/// Reads and writes through a ring: 100 bytes each by plain requests, 12 by vectors, 64 by fixed buffers.
fn ring_calls(root: &Path, ring: &mut IoUring, name: &str) {
    fn one(ring: &mut IoUring, entry: Entry) -> i32 {
        // SAFETY: what the entries point to lives through the wait.
        unsafe { ring.submission().push(&entry).unwrap() };
        ring.submit_and_wait(1).unwrap();
        ring.completion().next().unwrap().result()
    }
    let file = new(&root.join(name));
    let fd = types::Fd(file.as_raw_fd());
    let mut buffer = [b'u'; 100];
    let address = buffer.as_mut_ptr();
    let iov = [libc::iovec { iov_base: address.cast(), iov_len: 12 }];
    let fixed = [libc::iovec { iov_base: address.cast(), iov_len: 100 }];
    // SAFETY: the buffer lives as long as the ring is used.
    unsafe { ring.submitter().register_buffers(&fixed).unwrap() };
    assert_eq!(one(ring, opcode::Write::new(fd, address, 100).build()), 100);
    assert_eq!(one(ring, opcode::Read::new(fd, address, 100).offset(0).build()), 100);
    assert_eq!(one(ring, opcode::Writev::new(fd, iov.as_ptr(), 1).build()), 12);
    assert_eq!(one(ring, opcode::Readv::new(fd, iov.as_ptr(), 1).offset(0).build()), 12);
    assert_eq!(one(ring, opcode::WriteFixed::new(fd, address, 64, 0).build()), 64);
    assert_eq!(one(ring, opcode::ReadFixed::new(fd, address, 64, 0).offset(0).build()), 64);
    // Past the end, and refused.
    assert_eq!(one(ring, opcode::Read::new(fd, address, 100).offset(1 << 20).build()), 0);
    assert_eq!(one(ring, opcode::Read::new(types::Fd(-1), address, 100).build()), -libc::EBADF);
}

/// The uses of a process, each file once.
pub(crate) fn by_file(sample: &IoSample, pid: u32) -> Expected {
    let mut files = Expected::new();
    let of = sample.uses.iter().filter(|one| one.key.tgid == pid);
    for one in of {
        assert_eq!(one.file_type, FileType::Regular, "{one:?}");
        // In a private mount, tracefs for one, a file has no place.
        let Some(place) = &one.place else { continue };
        *files.entry(path_of(&place.path)).or_default() += one.counts;
    }
    files
}

pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes.to_vec()).unwrap())
}

fn sum(files: &Expected) -> IoCounts {
    files.values().fold(IoCounts::default(), |sum, one| sum + *one)
}

#[test]
fn every_call_is_counted_for_its_process_and_its_file() {
    for as_on_510 in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let there = ["read", "pread", "readv", "preadv", "preadv2", "failed"];
        for name in there.into_iter().chain(["sendfile_in", "copy_in", "splice_in", "append"]) {
            filled(&root.join(name));
        }
        // Inherited: the offset and the file are those of the parent.
        let inherited = new(&root.join("inherited"));
        let watch = watch(IoConfig { as_on_510, ..IoConfig::default() });
        let has_rings = watch.info.missing.iter().all(|m| m.feature != IO_URING_IO);
        assert_eq!(has_rings, !as_on_510, "{:?}", watch.info);
        (&inherited).write_all(b"parent").unwrap();
        let child = in_child(|| {
            calls(&root);
            (&inherited).write_all(b"a child").unwrap();
        });
        let rings = in_child(|| {
            ring_calls(&root, &mut IoUring::new(8).unwrap(), "ring");
            let mut polled = IoUring::builder().setup_sqpoll(50).build(8).unwrap();
            ring_calls(&root, &mut polled, "sqpoll");
        });
        let sample = watch.finish();
        let mut expected = of_calls(&root);
        expected.insert(root.join("inherited"), counts(0, 0, 7, 1));
        let mut files = by_file(&sample, child);
        files.retain(|path, _| path.starts_with(&root));
        assert_eq!(files, expected);
        // The sum by process is that by file.
        let is_here = |one: &&FileIo| {
            one.place.as_ref().is_some_and(|place| path_of(&place.path).starts_with(&root))
        };
        let here: Vec<&FileIo> = sample.uses.iter().filter(is_here).collect();
        let of_child = here.iter().filter(|one| one.key.tgid == child);
        let total = of_child.fold(IoCounts::default(), |sum, one| sum + one.counts);
        assert_eq!(total, sum(&expected));
        let kind = |name: &str| {
            let is = |one: &&&FileIo| one.place.as_ref().unwrap().path.ends_with(name.as_bytes());
            here.iter().find(is).map(|one| one.place.as_ref().unwrap().kind)
        };
        assert_eq!(kind("/read"), Some(ResolvedKind::Opened));
        let own = by_file(&sample, std::process::id());
        assert_eq!(own[&root.join("inherited")], counts(0, 0, 6, 1));
        let through_rings = by_file(&sample, rings);
        let each = has_rings.then_some(counts(176, 4, 176, 3));
        for name in ["ring", "sqpoll"] {
            assert_eq!(through_rings.get(&root.join(name)).copied(), each, "{name}");
        }
        assert_eq!((sample.other, sample.unknown.bytes()), (IoCounts::default(), 0));
    }
}

#[test]
fn pipes_are_counted_where_all_types_are() {
    let watch = watch(IoConfig { every_type: true, ..IoConfig::default() });
    let child = in_child(|| {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"12345").unwrap();
        reader.read_exact(&mut [0; 5]).unwrap();
    });
    let sample = watch.finish();
    let pipes = sample.uses.iter().filter(|one| one.key.tgid == child);
    let pipes: Vec<_> = pipes.filter(|one| one.file_type == FileType::Pipe).collect();
    let all = pipes.iter().fold(IoCounts::default(), |sum, one| sum + one.counts);
    assert_eq!(all, counts(5, 1, 5, 1), "{pipes:?}");
    let place = pipes[0].place.as_ref().unwrap();
    assert!(place.path.starts_with(b"pipe:["), "{place:?}");
    assert_eq!(place.kind, ResolvedKind::Anon);
}

/// The whole machine counts, so the sum is between that of the process and that of a probe with room for all, which
/// runs from before until after.
#[test]
fn files_beyond_the_table_are_other_and_the_sum_is_kept() {
    const ROOM: u32 = 4;
    const FILES: u64 = 20;
    const BYTES: u64 = 16 << 20;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for n in 0..FILES {
        new(&root.join(n.to_string())).set_len(BYTES).unwrap();
    }
    for as_on_510 in [false, true] {
        let with_room = watch(IoConfig { as_on_510, ..IoConfig::default() });
        let table_entries = Some(ROOM);
        let full = watch(IoConfig { table_entries, as_on_510, ..IoConfig::default() });
        // The second and third call of a file in a row are counted beside the table, where it has the file.
        let child = in_child(|| {
            let mut buffer = vec![0; BYTES as usize];
            for n in 0..FILES {
                let file = File::open(root.join(n.to_string())).unwrap();
                for _ in 0..3 {
                    assert_eq!(file.read_at(&mut buffer, 0).unwrap() as u64, BYTES);
                }
            }
        });
        let (sample, all) = (full.finish(), with_room.finish());
        let uses = &sample.uses;
        assert!(uses.len() <= ROOM as usize, "{uses:?}");
        let mut files = by_file(&all, child);
        files.retain(|path, _| path.starts_with(&root));
        assert_eq!(sum(&files), counts(3 * FILES * BYTES, 3 * FILES, 0, 0));
        assert!(sample.other.read_calls >= 3 * (FILES - u64::from(ROOM)), "{sample:?}");
        // More than any use of the process: none was counted twice, or not at all.
        let (got, most) = (sample.total(), all.total());
        assert!(got.read_bytes >= 3 * FILES * BYTES && got.read_calls >= 3 * FILES, "{got:?}");
        let (bytes, calls) = (got.read_bytes, got.read_calls);
        assert!(bytes <= most.read_bytes && calls <= most.read_calls, "{got:?} of {most:?}");
    }
}

#[test]
fn lines_and_other_add_up_to_the_summary() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().canonicalize().unwrap().join("written");
    for filter in [&[][..], &["--path", "/written"]] {
        let stream = Stream::json(&[&["io", "--interval", "100ms"], filter].concat());
        let child = process(|| {
            let mut file = new(&file);
            (0..50).for_each(|_| file.write_all(&[b'x'; 1_000]).unwrap());
        });
        done(child);
        let ended = stream.interrupt();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        let lines = ended.of_type("io");
        let summary = &ended.of_type("summary")[0];
        for key in ["read_bytes", "written_bytes", "read_calls", "write_calls"] {
            let sum: u64 = lines.iter().map(|line| line[key].as_u64().unwrap()).sum();
            assert_eq!(summary[key], sum, "{key}");
        }
        assert_eq!(
            (&summary["opens"], &ended.of_type("ready")[0]["io"]),
            (&().into(), &true.into())
        );
        let of_child = lines.iter().filter(|line| line["pid"] == child.as_raw());
        let of_child: Vec<_> = of_child.filter(|line| line["written_bytes"] != 0).collect();
        let written: u64 = of_child.iter().map(|l| l["written_bytes"].as_u64().unwrap()).sum();
        assert_eq!(written, 50_000);
        for line in of_child {
            assert_eq!(
                (&line["resolved"], &line["file_type"]),
                (&file.to_str().into(), &"regular".into())
            );
        }
        let own = |line: &&serde_json::Value| line["other"] == false;
        let chosen = |line: &serde_json::Value| line["resolved"] == file.to_str().unwrap();
        assert!(filter.is_empty() || lines.iter().filter(own).all(chosen));
    }
}
