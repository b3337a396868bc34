//! The opens probe on the real kernel.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read as _, Write as _};

use crate::common::opens::{Seen, in_child, own_comm, watch};
use crate::common::patience::reaped;
use ebpftop::model::event::Only;
use ebpftop::model::filter::Pattern;
use ebpftop::model::open::{Comm, OpenMeta, Syscall};
use ebpftop::probes::OpensConfig;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// Chooses this test process's own opens, by this thread alone.
fn own_thread() -> impl Fn(&OpenMeta) -> bool {
    let tid = nix::unistd::gettid().as_raw() as u32;
    move |m| m.tid == tid
}

#[test]
fn every_open_is_one_event_with_path_flags_and_result() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a file");
    File::create(&path).unwrap();
    let watch = watch(OpensConfig::default());
    for _ in 0..1000 {
        File::open(&path).unwrap();
    }
    let (seen, counts) = watch.finish(own_thread());
    let ours: Vec<_> = seen
        .iter()
        .filter(|s| s.path.as_deref() == Some(path.as_os_str().as_encoded_bytes()))
        .collect();
    assert_eq!(ours.len(), 1000);
    assert_eq!(counts.malformed, 0);
    assert!(counts.seen >= 1000);
    for open in ours {
        assert_eq!(open.meta.syscall, Syscall::Openat);
        assert_eq!(open.meta.flags, Some(libc::O_CLOEXEC as u64));
        assert!(open.meta.ret > 2);
        assert_eq!(open.meta.tgid, std::process::id());
        assert_eq!(open.meta.ppid, nix::unistd::getppid().as_raw() as u32);
        assert_eq!(open.meta.uid, nix::unistd::getuid().as_raw());
        assert_eq!(open.meta.latency_ns, None);
    }
    assert!(seen.is_sorted_by_key(|s| s.meta.at));
}

#[test]
fn a_failing_open_carries_its_errno() {
    let watch = watch(OpensConfig::default());
    assert!(File::open("/no such file \n\x1b[31m").is_err());
    assert!(File::create("/proc").is_err());
    let (seen, _) = watch.finish(own_thread());
    let errno = |path: &str| {
        seen.iter().find(|s| s.path.as_deref() == Some(path.as_bytes())).unwrap().meta.errno()
    };
    assert_eq!(errno("/no such file \n\x1b[31m"), Some(libc::ENOENT));
    assert_eq!(errno("/proc"), Some(libc::EISDIR));
}

/// Opens by the calls that aarch64 has not; whether it could.
#[cfg(target_arch = "x86_64")]
fn by_old_calls(open: &CStr, creat: &CStr) -> bool {
    // SAFETY: strings that live through the calls.
    unsafe {
        libc::syscall(libc::SYS_open, open.as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600);
        libc::syscall(libc::SYS_creat, creat.as_ptr(), 0o644);
    }
    true
}
#[cfg(not(target_arch = "x86_64"))]
fn by_old_calls(_: &CStr, _: &CStr) -> bool {
    false
}

/// `openat2`, `open`, `creat` and a call with a bad pointer, by raw system calls.
#[test]
fn every_call_is_distinguished() {
    let dir = tempfile::tempdir().unwrap();
    let name = |n: &str| CString::new(dir.path().join(n).as_os_str().as_encoded_bytes()).unwrap();
    let (a, b, c) = (name("by open"), name("by creat"), name("by openat2"));
    // SAFETY: three integers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_RDWR | libc::O_CREAT) as u64;
    how.mode = 0o640;
    let watch = watch(OpensConfig::default());
    let has_old_calls = by_old_calls(&a, &b);
    // SAFETY: pointers to a string and a struct that live through the calls, but for the last,
    // which the kernel has to refuse.
    unsafe {
        libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, c.as_ptr(), &raw const how, 24);
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, 8, libc::O_RDONLY);
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, 0, libc::O_RDONLY | libc::O_EXCL);
    }
    let (seen, _) = watch.finish(own_thread());
    let find = |call| seen.iter().find(|s| s.meta.syscall == call).unwrap();
    if has_old_calls {
        let open = find(Syscall::Open);
        assert_eq!((open.path.as_deref(), open.meta.mode), (Some(a.as_bytes()), 0o600));
        let creat = find(Syscall::Creat);
        assert_eq!((creat.path.as_deref(), creat.meta.mode), (Some(b.as_bytes()), 0o644));
        assert_eq!(creat.meta.flags, Some((libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC) as u64));
    }
    let openat2 = find(Syscall::Openat2);
    assert_eq!((openat2.path.as_deref(), openat2.meta.mode), (Some(c.as_bytes()), 0o640));
    assert_eq!(openat2.meta.flags, Some(how.flags));
    let bad: Vec<_> = seen.iter().filter(|s| s.meta.errno() == Some(libc::EFAULT)).collect();
    let flags = |s: &&Seen| s.meta.flags;
    assert_eq!(bad.iter().map(flags).collect::<Vec<_>>(), [Some(0), Some(libc::O_EXCL as u64)]);
    assert!(bad.iter().all(|s| s.path.is_none() && s.resolved.is_none()));
}

/// A call without any path: where the file is comes from the descriptor alone.
#[test]
fn an_open_by_handle_has_the_file() {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        data: [u8; 128],
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("by handle");
    std::fs::write(&path, "x").unwrap();
    let name = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    let mount = File::open(dir.path()).unwrap();
    let mut handle = Handle { bytes: 128, kind: 0, data: [0; 128] };
    let mut mount_id = 0i32;
    let watch = watch(OpensConfig::default());
    // SAFETY: a string, a handle as large as it says and an int, which live through the calls.
    unsafe {
        let at = libc::AT_FDCWD;
        let (handle, id) = (&raw mut handle, &raw mut mount_id);
        let named = libc::syscall(libc::SYS_name_to_handle_at, at, name.as_ptr(), handle, id, 0);
        assert_eq!(named, 0, "{}", std::io::Error::last_os_error());
        let mount = std::os::fd::AsRawFd::as_raw_fd(&mount);
        let fd = libc::syscall(libc::SYS_open_by_handle_at, mount, handle, libc::O_RDONLY);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        // another inode, another generation: file systems in memory look at nothing else
        (&mut (*handle).data)[..8].iter_mut().for_each(|byte| *byte ^= 0x55);
        assert!(libc::syscall(libc::SYS_open_by_handle_at, mount, handle, libc::O_RDONLY) < 0);
    }
    let (seen, _) = watch.finish(own_thread());
    let ours: Vec<_> = seen.iter().filter(|s| s.meta.syscall == Syscall::OpenByHandleAt).collect();
    assert_eq!(ours.len(), 2);
    assert!(ours.iter().all(|s| s.path.is_none() && s.meta.flags == Some(0)));
    assert_eq!(ours[0].resolved_str(), path.to_str().unwrap());
    assert!(ours[0].meta.fd().is_some());
    assert_eq!((ours[1].meta.errno(), &ours[1].resolved), (Some(libc::ESTALE), &None));
}

#[test]
fn a_long_path_is_whole_and_one_too_long_is_none() {
    let component = "d".repeat(249);
    let deep = format!("/{}", vec![component; 14].join("/"));
    let too_long = format!("/{}", "x/".repeat(2100));
    let longest = format!("/{}", "x/".repeat(2047));
    assert!(deep.len() > 3490 && longest.len() == 4095);
    let watch = watch(OpensConfig::default());
    assert!(File::open(&deep).is_err());
    assert_eq!(File::open(&longest).unwrap_err().raw_os_error(), Some(libc::ENOENT));
    assert_eq!(File::open(&too_long).unwrap_err().raw_os_error(), Some(libc::ENAMETOOLONG));
    let (seen, _) = watch.finish(own_thread());
    assert!(seen.iter().any(|s| s.path.as_deref() == Some(deep.as_bytes())));
    let reported = seen.iter().find(|s| s.path.as_deref() == Some(longest.as_bytes())).unwrap();
    assert_eq!(reported.resolved_str(), longest);
    let refused = seen.iter().find(|s| s.meta.errno() == Some(libc::ENAMETOOLONG)).unwrap();
    assert_eq!(refused.path, None);
}

#[test]
fn latency_is_measured_when_asked_for() {
    let watch = watch(OpensConfig { latency: true, ..OpensConfig::default() });
    for _ in 0..10 {
        File::open("/etc/hostname").unwrap();
    }
    let old = [(Syscall::Open, c"/etc/hostname/open"), (Syscall::Creat, c"/etc/hostname/creat")];
    let has_old_calls = by_old_calls(old[0].1, old[1].1);
    assert_eq!(
        watch.info.seen.contains(&Syscall::Creat),
        has_old_calls,
        "{:?}",
        watch.info.missing
    );
    let (seen, _) = watch.finish(own_thread());
    for (call, path) in old.into_iter().filter(|_| has_old_calls) {
        let path = path.to_str().unwrap();
        let open = seen.iter().find(|s| s.meta.syscall == call).unwrap();
        assert_eq!((open.path_str(), open.meta.latency_ns.is_some()), (path.into(), true));
    }
    let ours: Vec<_> =
        seen.iter().filter(|s| s.path.as_deref() == Some(b"/etc/hostname")).collect();
    assert_eq!(ours.len(), 10);
    assert!(ours.iter().all(|s| s.meta.latency_ns.is_some_and(|ns| ns > 0)));
}

/// A ring of one page: details are lost, but what each process opened is exact, and so is the loss.
#[test]
fn a_full_ring_loses_details_and_no_counts() {
    const OPENS: u64 = 20_000;
    let watch = watch(OpensConfig { ring_bytes: Some(4096), ..OpensConfig::default() });
    let child = in_child(|| {
        for i in 0..OPENS {
            let path = if i % 4 == 0 { c"/no such file" } else { c"/etc/hostname" };
            let _ = open(path, OFlag::O_RDONLY, Mode::empty());
        }
    });
    let all = watch.finish_all(|_| true);
    assert!(all.counts.lost > 0, "{:?}", all.counts);
    assert_eq!(all.counts.seen, all.seen.len() as u64 + all.counts.lost);
    assert_eq!(all.counts.lost_unowned, 0);
    assert_eq!(all.lost_by.iter().map(|l| l.opens).sum::<u64>(), all.counts.lost);

    let lost = all.lost_by.iter().find(|l| l.tgid == child).unwrap();
    let ours: Vec<_> = all.seen.iter().filter(|s| s.meta.tgid == child).collect();
    let failed = ours.iter().filter(|s| s.meta.errno().is_some()).count() as u64;
    assert_eq!(ours.len() as u64 + lost.opens, OPENS);
    assert_eq!(failed + lost.failed, OPENS / 4);
    assert_eq!(lost.uid, nix::unistd::getuid().as_raw());
    assert_eq!(lost.process.as_bytes(), own_comm());
}

#[test]
fn unselected_opens_are_counted_and_not_reported() {
    let only = Only { tgid: Some(1), failed: true, ..Only::default() };
    let watch = watch(OpensConfig { only, ..OpensConfig::default() });
    for _ in 0..100 {
        File::open("/etc/hostname").unwrap();
    }
    let (seen, counts) = watch.finish(|_| true);
    assert!(seen.iter().all(|s| s.meta.tgid == 1 && s.meta.errno().is_some()));
    assert!(counts.skipped >= 100);
    assert_eq!(counts.seen, seen.len() as u64 + counts.skipped + counts.lost);
}

/// The kernel's choice by name is the filter's: part of a thread's or of a process's name, in
/// either case, whoever else opens meanwhile.
#[test]
fn opens_are_chosen_by_name_in_the_kernel() {
    let opens_as = |process: &str, thread: &str, path: &'static str| {
        let open_it = move || drop(File::open(path));
        if thread == process {
            return open_it();
        }
        std::thread::Builder::new().name(thread.into()).spawn(open_it).unwrap().join().unwrap();
    };
    for (part, wanted) in [
        ("web", vec!["/no/a", "/no/b", "/no/c", "/no/d"]),
        ("fifteen_bytes_x", vec!["/no/e"]),
        ("k", vec!["/no/b", "/no/d"]),
        ("!", vec![]),
    ] {
        let only = Only { name: Some(Comm::new(part.as_bytes())), ..Only::default() };
        let watch = watch(OpensConfig { only, ..OpensConfig::default() });
        let mut children = Vec::new();
        for (process, thread, path) in [
            ("MyWeb", "MyWeb", "/no/a"),
            ("aWEBworker", "aWEBworker", "/no/b"),
            ("web", "another", "/no/c"),
            ("other", "weB-k", "/no/d"),
            ("fifteen_bytes_x", "wwe", "/no/e"),
            ("we", "b", "/no/f"),
        ] {
            children.push(in_child(|| {
                nix::sys::prctl::set_name(&CString::new(process).unwrap()).unwrap();
                opens_as(process, thread, path);
            }));
        }
        let all = watch.finish_all(|_| true);
        let pattern = Pattern::parse_name(&format!("~(?i-u){}", regex::escape(part))).unwrap();
        let name =
            |s: &Seen| pattern.matches_any(&[s.meta.comm.as_bytes(), s.meta.process.as_bytes()]);
        assert!(all.seen.iter().all(name), "{part}");
        let ours = all.seen.iter().filter(|s| children.contains(&s.meta.tgid));
        let reported: Vec<_> = ours.map(Seen::path_str).filter(|p| p.starts_with("/no/")).collect();
        assert_eq!(reported, wanted, "{part}");
        assert!(all.counts.skipped >= 6 - wanted.len() as u64, "{:?}", all.counts);
        assert_eq!(
            all.counts.seen,
            all.seen.len() as u64 + all.counts.skipped + all.counts.lost,
            "{part}"
        );
    }
}

/// A page that is not resident when the call begins still gives the path at its end.
#[test]
fn a_cold_page_gives_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let holder = dir.path().join("text");
    let mut text = vec![0u8; 4096];
    text[..13].copy_from_slice(b"/etc/hostname");
    std::fs::write(&holder, &text).unwrap();
    let file = File::open(&holder).unwrap();
    let watch = watch(OpensConfig::default());
    let one_page = std::num::NonZeroUsize::new(4096).unwrap();
    // SAFETY: a fresh mapping of a whole file, read by the kernel alone, unmapped with the process.
    let tid = unsafe {
        let map = nix::sys::mman::mmap(
            None,
            one_page,
            nix::sys::mman::ProtFlags::PROT_READ,
            nix::sys::mman::MapFlags::MAP_PRIVATE,
            &file,
            0,
        )
        .unwrap();
        assert!(libc::syscall(libc::SYS_openat, libc::AT_FDCWD, map.as_ptr(), 0) >= 0);
        nix::unistd::gettid()
    };
    let (seen, _) = watch.finish(|m| m.tid == tid.as_raw() as u32);
    assert!(seen.iter().any(|s| s.path_str() == "/etc/hostname"));
}

/// A ring for each CPU: names and opens of both stand together, in the order of time.
#[test]
fn rings_of_several_cpus_are_one_stream() {
    const OPENS: usize = 5_000;
    let watch = watch(OpensConfig { cpus_per_ring: 1, ..OpensConfig::default() });
    assert!(watch.info.rings as usize >= std::thread::available_parallelism().unwrap().get());
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    let child = in_child(|| {
        std::env::set_current_dir(&root).unwrap();
        let threads: Vec<_> = (0..2)
            .map(|cpu| {
                std::thread::spawn(move || {
                    let mut cpus = nix::sched::CpuSet::new();
                    cpus.set(cpu).unwrap();
                    let this = nix::unistd::Pid::from_raw(0);
                    nix::sched::sched_setaffinity(this, &cpus).unwrap();
                    for _ in 0..OPENS {
                        File::open("file").unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
    let (seen, counts) = watch.finish(|m| m.tgid == child);
    assert_eq!(counts.malformed, 0);
    let ours: Vec<_> = seen.iter().filter(|s| s.path_str() == "file").collect();
    assert_eq!(ours.len(), 2 * OPENS);
    let whole = format!("{}/file", root.display());
    assert!(ours.iter().all(|s| s.resolved_str() == whole));
}

/// The losses of a process are reported, and when it has ended it makes room in the kernel's table: unless
/// the record of its end was lost too, which other tests' opens may do to so small a ring.
#[test]
fn the_losses_of_ended_processes_make_room() {
    let mut watch = watch(OpensConfig { ring_bytes: Some(4096), ..OpensConfig::default() });
    let mut children = Vec::new();
    let mut made_room = false;
    while !made_room && children.len() < 30 {
        let child = in_child(|| {
            for _ in 0..5_000 {
                let _ = open(c"/no such file", OFlag::O_RDONLY, Mode::empty());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        });
        watch.wait_for(|batch| {
            let has = |tgid: u32| batch.lost_by.iter().any(|l| l.tgid == tgid);
            made_room = children.iter().any(|earlier| !has(*earlier));
            has(child)
        });
        children.push(child);
    }
    assert!(made_room, "none of {children:?} was removed");
    assert_eq!(watch.finish(|_| true).1.lost_unowned, 0);
}

/// Losses of a process that finds no room in the table of losses are in the total alone.
#[test]
fn losses_beyond_their_table_are_in_the_total() {
    let small =
        OpensConfig { ring_bytes: Some(4096), table_entries: Some(2), ..OpensConfig::default() };
    let watch = watch(small);
    in_child(|| {
        // They live until each has lost opens: an ended process makes room.
        let (mut done, end) = std::io::pipe().unwrap();
        let mut children = Vec::new();
        for _ in 0..4 {
            // SAFETY: the child makes system calls alone.
            match unsafe { nix::unistd::fork() }.unwrap() {
                nix::unistd::ForkResult::Child => {
                    for _ in 0..5_000 {
                        let _ = open(c"/no such file", OFlag::O_RDONLY, Mode::empty());
                    }
                    let _ = (&end).write_all(b"x");
                    loop {
                        nix::unistd::pause();
                    }
                }
                nix::unistd::ForkResult::Parent { child } => children.push(child),
            }
        }
        done.read_exact(&mut [0; 4]).unwrap();
        for child in children {
            nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
            reaped(child);
        }
    });
    let all = watch.finish_all(|_| true);
    assert!(all.counts.lost_unowned > 0, "{:?}", all.counts);
    let owned: u64 = all.lost_by.iter().map(|l| l.opens).sum();
    assert_eq!(all.counts.lost, owned + all.counts.lost_unowned);
    assert_eq!(all.counts.seen, all.seen.len() as u64 + all.counts.lost);
}

/// A thread keeps its place until it ends; those without one have all but the latency.
#[test]
fn threads_beyond_their_table_have_no_latency() {
    const THREADS: usize = 4;
    let small = OpensConfig { latency: true, table_entries: Some(2), ..OpensConfig::default() };
    let watch = watch(small);
    let child = in_child(|| {
        let all = std::sync::Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    File::open("/etc/hostname").unwrap();
                    all.wait();
                });
            }
        });
    });
    let (seen, counts) = watch.finish(|m| m.tgid == child);
    let ours: Vec<_> = seen.iter().filter(|s| s.path_str() == "/etc/hostname").collect();
    assert_eq!(ours.len(), THREADS, "{counts:?}");
    let unknown = ours.iter().filter(|s| s.meta.latency_ns.is_none()).count();
    assert!(unknown >= THREADS - 2, "{unknown}");
    assert!(ours.iter().all(|s| s.resolved_str() == "/etc/hostname"));
}
