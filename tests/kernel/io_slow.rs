//! Durations of calls that read and write, on the real kernel. Needs root.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::io::{filled, new, path_of, watch};
use crate::common::conns::{done, process};
use crate::common::opens::in_child;
use crate::common::program::{Stream, ebpftop};
use crate::common::tty::Tty;
use crate::common::user_fault::late_page;
use ebpftop::model::file_io::{FileIo, FileType, IoSample};
use ebpftop::model::slow_call::{IoCall, SlowCall, SlowCalls};
use ebpftop::probes::io::IoConfig;

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
