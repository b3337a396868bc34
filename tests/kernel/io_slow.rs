//! Durations of calls that read and write, on the real kernel. Needs root.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::io::{filled, new, path_of, watch};
use crate::common::conns::{done, process};
use crate::common::fuse;
use crate::common::opens::in_child;
use crate::common::patience::until;
use crate::common::program::{Stream, ebpftop};
use crate::common::tty::Tty;
use crate::common::user_fault::{late_page, page_after};
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::file_io::{FileIo, FileType, IoSample};
use ebpftop::model::slow_call::{IoCall, SlowCall, SlowCalls};
use ebpftop::probes::io::IoConfig;
use io_uring::{IoUring, opcode, types};

const LIMIT: Duration = Duration::from_millis(20);
/// How long the slow calls take, at least.
const WAIT: Duration = Duration::from_millis(60);

fn of_file<'a>(sample: &'a IoSample, pid: u32, path: &Path) -> &'a FileIo {
    let is = |one: &&FileIo| {
        one.key.tgid == pid && one.place.as_ref().is_some_and(|p| path_of(&p.path) == path)
    };
    sample.uses.iter().find(is).unwrap_or_else(|| panic!("{}: {sample:?}", path.display()))
}

fn calls_on<'a>(slow: &'a SlowCalls, pid: u32, path: &Path) -> Vec<&'a SlowCall> {
    let is =
        |call: &&SlowCall| call.key.tgid == pid && call.path().is_some_and(|p| path_of(p) == path);
    slow.calls.iter().filter(is).collect()
}

/// The distribution of a file agrees with its counts and with its events.
fn check(sample: &IoSample, slow: &SlowCalls, pid: u32, path: &Path) {
    let one = of_file(sample, pid, path);
    let times = one.times.as_ref().unwrap();
    let events = calls_on(slow, pid, path);
    assert_eq!(times.calls(), one.counts.read_calls + one.counts.write_calls, "{one:?}");
    assert_eq!(times.slow, events.len() as u64, "{one:?} {events:?}");
    let longest = events.iter().map(|call| call.took_ns).max().unwrap_or(0);
    assert!(times.max_ns == longest || longest < LIMIT.as_nanos() as u64, "{one:?} {events:?}");
    let p50 = times.percentile_ns(50).unwrap();
    assert!(p50 <= times.max_ns && times.percentile_ns(100).unwrap() == times.max_ns);
}

#[test]
fn a_slow_call_is_an_event_with_its_file() {
    for as_on_510 in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let names = ["read", "fast", "written", "sent", "received"];
        let [read, fast, written, sent, received] = names.map(|name| root.join(name));
        [&read, &fast, &sent].into_iter().for_each(|path| drop(filled(path)));
        let watch = watch(IoConfig { slow: Some(LIMIT), as_on_510, ..IoConfig::default() });
        assert_eq!(watch.info.slow_ns, Some(LIMIT.as_nanos() as u64), "{:?}", watch.info);
        let child = in_child(|| {
            let mut file = File::open(&read).unwrap();
            assert_eq!(file.read(&mut late_page(WAIT)[..100]).unwrap(), 100);
            new(&written).write_all_at(&late_page(WAIT)[..50], 7).unwrap();
            let file = File::open(&fast).unwrap();
            (0..1_000).for_each(|_| assert_eq!(file.read_at(&mut [0; 64], 3).unwrap(), 64));
            std::io::copy(&mut File::open(&sent).unwrap(), &mut new(&received)).unwrap();
            // Waiting for a pipe is no slow file.
            let (mut reader, mut writer) = std::io::pipe().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| reader.read_exact(&mut [0; 1]).unwrap());
                std::thread::sleep(WAIT);
                writer.write_all(b"x").unwrap();
            });
        });
        let (sample, slow) = watch.finish_with_calls();
        for path in [&read, &fast, &written, &sent, &received] {
            check(&sample, &slow, child, path);
        }
        for (path, call, writes, bytes) in
            [(&read, IoCall::Read, false, 100), (&written, IoCall::Pwrite64, true, 50)]
        {
            let calls = calls_on(&slow, child, path);
            let [one] = calls[..] else { panic!("{calls:?}") };
            assert_eq!((one.call, one.writes, one.ret, one.tid), (call, writes, bytes, child));
            assert_eq!((one.file_type, one.errno()), (FileType::Regular, None));
            assert!(one.took_ns >= WAIT.as_nanos() as u64, "{one:?}");
        }
        let times = of_file(&sample, child, &fast).times.as_ref().unwrap();
        assert_eq!(times.calls(), 1_000);
        assert!(times.percentile_ns(50).unwrap() < 1_000_000, "{times:?}");
        let is_pipe = |call: &&SlowCall| call.file_type != FileType::Regular;
        assert_eq!((slow.calls.iter().find(is_pipe), slow.lost), (None, 0));
    }
}

#[test]
fn a_failed_call_that_waited_is_an_event_too() {
    extern "C" fn nothing(_: i32) {}
    let watch = watch(IoConfig { every_type: true, slow: Some(LIMIT), ..IoConfig::default() });
    let child = in_child(|| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        // SAFETY: a handler that does nothing, without SA_RESTART; both know their thread.
        let this = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
            libc::pthread_self()
        };
        std::thread::spawn(move || {
            std::thread::sleep(WAIT);
            // SAFETY: the thread is in the read below.
            unsafe { libc::pthread_kill(this, libc::SIGUSR1) };
        });
        let error = reader.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
        drop(writer);
    });
    let (sample, slow) = watch.finish_with_calls();
    let of_child = slow.calls.iter().filter(|call| call.key.tgid == child);
    let pipe: Vec<_> = of_child.filter(|call| call.file_type == FileType::Pipe).collect();
    let [call] = pipe[..] else { panic!("{pipe:?}") };
    assert!(call.took_ns >= LIMIT.as_nanos() as u64 && call.errno().is_some(), "{call:?}");
    assert_eq!((call.call, call.moved()), (IoCall::Read, None));
    let path = path_of(call.path().unwrap());
    let one = of_file(&sample, child, &path);
    let times = one.times.as_ref().unwrap();
    assert_eq!((one.counts.read_calls, times.calls(), times.slow), (0, 1, 1), "{one:?}");
}

/// From submission to completion, whatever thread completes it.
#[test]
fn requests_of_io_uring_are_timed() {
    const READS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("read");
    drop(filled(&path));
    let watch = watch(IoConfig { every_type: true, slow: Some(LIMIT), ..IoConfig::default() });
    let missing = |feature: &str| watch.info.missing.iter().any(|m| m.feature == feature);
    if missing("io: io_uring") {
        assert!(missing("io: durations through io_uring"), "{:?}", watch.info);
        return;
    }
    let child = in_child(|| {
        let mut ring = IoUring::new(8).unwrap();
        let mut buffer = [0u8; 100];
        let file = File::open(&path).unwrap();
        let fd = types::Fd(file.as_raw_fd());
        for _ in 0..READS {
            let entry = opcode::Read::new(fd, buffer.as_mut_ptr(), 100).build();
            // SAFETY: the buffer lives through the wait.
            unsafe { ring.submission().push(&entry).unwrap() };
            ring.submit_and_wait(1).unwrap();
            assert_eq!(ring.completion().next().unwrap().result(), 100);
        }
        let (reader, mut writer) = std::io::pipe().unwrap();
        let fd = types::Fd(reader.as_raw_fd());
        let entry = opcode::Read::new(fd, buffer.as_mut_ptr(), 100).build();
        // SAFETY: likewise.
        unsafe { ring.submission().push(&entry).unwrap() };
        ring.submit().unwrap();
        std::thread::sleep(WAIT);
        writer.write_all(b"late").unwrap();
        ring.submit_and_wait(1).unwrap();
        assert_eq!(ring.completion().next().unwrap().result(), 4);
    });
    let (sample, slow) = watch.finish_with_calls();
    let times = of_file(&sample, child, &path).times.as_ref().unwrap();
    assert_eq!((times.calls(), times.slow), (READS, 0), "{times:?}");
    let calls: Vec<_> = slow.calls.iter().filter(|call| call.key.tgid == child).collect();
    let [one] = calls[..] else { panic!("{calls:?}") };
    assert_eq!((one.call, one.writes, one.ret), (IoCall::IoUring, false, 4));
    assert_eq!(one.file_type, FileType::Pipe);
    assert!(one.took_ns >= WAIT.as_nanos() as u64, "{one:?}");
}

/// So many requests wait on a pipe at once as the table has no room for.
#[test]
fn requests_beyond_their_table_are_counted_as_untimed() {
    const REQUESTS: u32 = 20_000;
    const ROOM: u32 = 16_384;
    let watch = watch(IoConfig { every_type: true, slow: Some(LIMIT), ..IoConfig::default() });
    if watch.info.missing.iter().any(|m| m.feature.contains("io_uring")) {
        return;
    }
    let child = in_child(|| {
        let mut ring = IoUring::new(REQUESTS.next_power_of_two()).unwrap();
        let mut buffers = vec![0u8; REQUESTS as usize];
        let (reader, mut writer) = std::io::pipe().unwrap();
        let fd = types::Fd(reader.as_raw_fd());
        for buffer in &mut buffers {
            let entry = opcode::Read::new(fd, buffer, 1).build();
            // SAFETY: the buffers live through the wait.
            unsafe { ring.submission().push(&entry).unwrap() };
        }
        assert_eq!(ring.submit().unwrap(), REQUESTS as usize);
        assert_eq!(writer.write(&vec![b'x'; REQUESTS as usize]).unwrap(), REQUESTS as usize);
        ring.submit_and_wait(REQUESTS as usize).unwrap();
        assert!(ring.completion().all(|one| one.result() == 1));
    });
    let sample = watch.finish();
    let pipes = sample.uses.iter().filter(|one| one.key.tgid == child);
    let read: Vec<_> = pipes.filter(|one| one.counts.read_calls > 0).collect();
    let calls = read.iter().map(|one| one.counts.read_calls).sum::<u64>();
    let timed = read.iter().flat_map(|one| &one.times).map(|times| times.calls()).sum::<u64>();
    assert_eq!(calls, u64::from(REQUESTS));
    assert!(timed <= u64::from(ROOM) + 1, "{timed}");
    // Others make calls too.
    assert!(timed + sample.untimed >= calls, "{timed} + {}", sample.untimed);
}

#[test]
fn slow_calls_that_find_no_room_are_counted() {
    const CALLS: u64 = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("read");
    drop(filled(&path));
    let watch = watch(IoConfig { slow: Some(Duration::from_nanos(1)), ..IoConfig::default() });
    // Nothing takes the events meanwhile: the reader waits for that, and the ring fills.
    let child = in_child(|| {
        let file = File::open(&path).unwrap();
        (0..CALLS).for_each(|_| assert_eq!(file.read_at(&mut [0; 1], 0).unwrap(), 1));
    });
    let (sample, slow) = watch.finish_with_calls();
    let times = of_file(&sample, child, &path).times.as_ref().unwrap();
    assert_eq!((times.calls(), times.slow), (CALLS, CALLS));
    let written = calls_on(&slow, child, &path).len() as u64;
    assert!(slow.lost > 0 && written < CALLS, "{written} {}", slow.lost);
    // Others make calls too.
    assert!(written + slow.lost >= CALLS, "{written} + {}", slow.lost);
}

#[test]
fn slow_calls_without_room_for_their_file_are_counted() {
    const ROOM: u32 = 4;
    const FILES: u64 = 20;
    for as_on_510 in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let watch = watch(IoConfig {
            table_entries: Some(ROOM),
            slow: Some(Duration::from_nanos(1)),
            as_on_510,
            ..IoConfig::default()
        });
        in_child(|| {
            for n in 0..FILES {
                new(&root.join(n.to_string())).write_all(b"x").unwrap();
            }
        });
        let (sample, slow) = watch.finish_with_calls();
        assert!(sample.other_slow >= FILES - u64::from(ROOM), "{sample:?}");
        let counted = sample.uses.iter().map(FileIo::slow).sum::<u64>() + sample.other_slow;
        assert_eq!(counted, slow.calls.len() as u64 + slow.lost, "{sample:?}");
    }
}

#[test]
fn slow_lines_have_file_duration_and_result() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().canonicalize().unwrap().join("read");
    drop(filled(&file));
    let stream = Stream::json(&["slow", "io", "--slow", "20ms", "--interval", "100ms"]);
    let child = process(|| {
        let mut file = File::open(&file).unwrap();
        assert_eq!(file.read(&mut late_page(WAIT)[..100]).unwrap(), 100);
    });
    done(child);
    let ended = stream.interrupt();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let ready = &ended.of_type("ready")[0];
    assert_eq!((&ready["slow"], &ready["io"]), (&true.into(), &true.into()));
    let of_file = |kind: &str| {
        let lines = ended.of_type(kind);
        let ours = lines.iter().filter(|l| l["resolved"] == file.to_str().unwrap());
        ours.map(|line| (*line).clone()).collect::<Vec<_>>()
    };
    let [line] = &of_file("slow")[..] else { panic!("{:?}", ended.of_type("slow")) };
    assert_eq!(line["pid"], child.as_raw());
    assert_eq!(
        (&line["syscall"], &line["direction"], &line["bytes"], &line["errno"]),
        (&"read".into(), &"read".into(), &100.into(), &().into())
    );
    let took = line["duration_ns"].as_u64().unwrap();
    assert!(took >= WAIT.as_nanos() as u64, "{line}");
    let [io] = &of_file("io")[..] else { panic!("{:?}", ended.of_type("io")) };
    assert_eq!(
        (&io["slow_calls"], &io["max_ns"], &io["p99_ns"]),
        (&1.into(), &took.into(), &took.into())
    );
    let summary = &ended.of_type("summary")[0];
    assert_eq!(summary["slow"], ended.of_type("slow").len());
    assert_eq!(summary["slow_lost"], 0);
}

/// A page that is there when the file `stop` is.
fn page_after_file(stop: &Path) -> &'static mut [u8] {
    let stop = stop.to_owned();
    page_after(move || until("the end", || stop.exists().then_some(())))
}

/// A read of a file system whose server does not answer is reported once, and its line comes when it returns.
#[test]
fn a_read_that_does_not_return_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (mounted, stop) = (root.join("mounted"), root.join("stop"));
    std::fs::create_dir(&mounted).unwrap();
    fuse::serve(&mounted, {
        let stop = stop.clone();
        move || until("the end", || stop.exists().then_some(()))
    });
    let file = mounted.join("page");
    let path = file.to_str().unwrap();
    let mut stream = Stream::json(&["slow", "--slow", "20ms", "--path", path]);
    let child = process(|| assert_eq!(File::open(&file).unwrap().read(&mut [0; 100]).unwrap(), 0));
    stream.until("the report", |line| line["type"] == "under_way");
    drop(new(&stop));
    stream.until("its line", |line| line["type"] == "slow");
    done(child);
    nix::mount::umount(&mounted).unwrap();
    let ended = stream.interrupt();
    let reports = ended.of_type("under_way");
    let [report] = &reports[..] else { panic!("{reports:?}") };
    let pid = child.as_raw();
    assert_eq!((&report["pid"], &report["tid"]), (&pid.into(), &pid.into()), "{report}");
    assert_eq!((&report["resolved"], &report["path"]), (&path.into(), &().into()), "{report}");
    assert_eq!(
        (&report["syscall"], &report["direction"], &report["file_type"]),
        (&"read".into(), &"read".into(), &"regular".into())
    );
    let (age, slow) = (report["under_way_s"].as_f64().unwrap(), &ended.of_type("slow")[0]);
    let took = slow["duration_ns"].as_f64().unwrap() / 1e9;
    assert!(age >= 1.0 && took >= age && slow["pid"] == pid, "{age} {slow}");
}

/// With every type a thread that waits for a pipe is one, and one that writes two files is two.
#[test]
fn calls_under_way_are_found_until_they_return() {
    let dir = tempfile::tempdir().unwrap();
    let stop = dir.path().canonicalize().unwrap().join("stop");
    let config = IoConfig { every_type: true, slow: Some(LIMIT), ..IoConfig::default() };
    let mut watch = watch(config);
    let child = process(|| {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let (from, to) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| reader.read_exact(&mut [0; 1]).unwrap());
            scope.spawn(|| {
                let (from, to) = (from.0.as_raw_fd(), to.1.as_raw_fd());
                // SAFETY: no memory is handed over.
                assert_eq!(unsafe { libc::tee(from, to, 10, 0) }, 1);
            });
            until("the end", || stop.exists().then_some(()));
            writer.write_all(b"x").unwrap();
            (&from.1).write_all(b"x").unwrap();
        });
    });
    let pid = child.as_raw() as u32;
    let of_child = |event: ProbeEvent| match event {
        ProbeEvent::FileCallsUnderWay(mut found) => {
            found.calls.retain(|call| call.key.tgid == pid);
            Some(found)
        }
        _ => None,
    };
    let found = watch.until(|event| of_child(event).filter(|found| found.calls.len() == 3));
    let mut calls: Vec<_> = found.calls.iter().map(|c| (c.call.call, c.call.writes)).collect();
    calls.sort_by_key(|(call, writes)| (call.name(), *writes));
    assert_eq!(calls, [(IoCall::Read, false), (IoCall::Tee, false), (IoCall::Tee, true)]);
    for one in &found.calls {
        assert!(found.at.since(one.since) >= 1_000_000_000, "{one:?}");
        assert_eq!(one.call.file_type, FileType::Pipe);
        assert!(one.path.as_deref().is_some_and(|path| path.starts_with(b"pipe:[")), "{one:?}");
    }
    drop(new(&stop));
    done(child);
    watch.until(|event| of_child(event).filter(|found| found.calls.is_empty()));
    drop(watch.finish());
}

#[test]
fn a_read_under_way_is_on_the_screen_with_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (path, stop) = (root.join("held up"), root.join("stop"));
    drop(filled(&path));
    let filter = format!("path:{}", root.file_name().unwrap().to_str().unwrap());
    let args = ["--slow", "20ms", "-i", "lo", "--xdp-mode", "off", "-f", &filter];
    let config = [("XDG_CONFIG_HOME", "/nonexistent")];
    let mut tty = Tty::start(ebpftop(), &args, &config, (220, 50));
    tty.wait_until("the start", |s| s.contains("IO P99"));
    let reader = process(|| {
        let mut file = File::open(&path).unwrap();
        assert_eq!(file.read(&mut page_after_file(&stop)[..100]).unwrap(), 100);
    });
    tty.wait_until("the age", |s| s.lines().next().is_some_and(|l| l.contains("under way")));
    tty.send("te\r");
    let details = tty.wait_until("the call", |s| s.contains("waits"));
    let waits = details.lines().find(|l| l.contains("waits")).unwrap();
    assert!(waits.contains("in read: ") && waits.contains("held up"), "{waits}");
    drop(new(&stop));
    done(reader);
    tty.wait_until("its end", |s| !s.contains("under way"));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

#[test]
fn the_dashboard_has_durations_and_slow_calls_in_the_timeline() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (path, stop) = (root.join("slowly read"), root.join("stop"));
    drop(filled(&path));
    let reader = process(|| {
        while !stop.exists() {
            let mut file = File::open(&path).unwrap();
            (0..9).for_each(|_| assert_eq!(file.read(&mut [0; 10]).unwrap(), 10));
            assert_eq!(file.read(&mut late_page(WAIT)[..100]).unwrap(), 100);
        }
    });
    let filter = format!("pid:{reader}");
    let args = ["--slow", "20ms", "-i", "lo", "--xdp-mode", "off", "-f", &filter];
    let config = [("XDG_CONFIG_HOME", "/nonexistent")];
    let mut tty = Tty::start(ebpftop(), &args, &config, (220, 50));
    tty.wait_until("durations by program", |s| {
        s.contains("IO P99") && s.contains("SLOW") && s.contains("≤")
    });
    tty.send("te\r");
    tty.wait_until("durations of a process", |s| s.contains("p99 ≤"));
    tty.send("l");
    let timeline = tty.wait_until("slow calls", |s| s.contains("read took"));
    assert!(timeline.contains("slowly read"), "{timeline}");
    drop(new(&stop));
    done(reader);
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}
