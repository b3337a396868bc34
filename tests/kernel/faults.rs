//! Faults around the program and its reactions, on the real kernel; ARCHITECTURE.md lists the faults
//! and where each is tested.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::conns::{Gate, done, local, process};
use crate::common::net::*;
use crate::common::opens::{in_child, watch};
use crate::common::patience::{alone, next, patience};
use crate::common::program::{Ended, Stream, ebpftop, ended};
use ebpftop::model::event::{ProbeEnd, ProbeEvent};
use ebpftop::model::link::XdpMode;
use ebpftop::model::talkers::Direction;
use ebpftop::probes::connections::{self, ConnectionsConfig, HostnamesConfig};
use ebpftop::probes::{CHANNEL_DEPTH, OpensConfig, opens};

/// `SCRIPT`, in a mount namespace of its own, then `ebpftop ARGS` in its place.
fn after(script: &str, args: &[&str]) -> Ended {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", &format!("{script}; exec \"$@\""), "sh", ebpftop()]);
    command.args(args).env("XDG_CONFIG_HOME", "/nonexistent").env_remove("SUDO_USER");
    ended(&mut command)
}

/// Does something as fast as it can on every core, until dropped.
struct Load {
    stop: &'static AtomicBool,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(once: impl Fn() + Copy + Send + 'static) -> Self {
        let stop: &AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let cores = std::thread::available_parallelism().unwrap().get();
        let work = move || {
            while !stop.load(Ordering::Relaxed) {
                once();
            }
        };
        Self { stop, threads: (0..cores).map(|_| std::thread::spawn(work)).collect() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|t| t.join().unwrap());
    }
}

/// The reader is slower than the load, so the ring is never empty.
#[test]
fn stopping_does_not_wait_for_the_end_of_the_load() {
    let _ring = alone();
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let config = OpensConfig { ring_bytes: Some(1 << 20), ..OpensConfig::default() };
    let mut probe = opens::start(config, sink);
    let load = Load::start(|| drop(File::open("/no such file")));
    let mut stopped = None;
    let mut lost = 0;
    loop {
        match next(&mut events) {
            Some(ProbeEvent::Opens(batch)) => lost = batch.counts.lost,
            Some(ProbeEvent::Cgroups(_)) => {}
            Some(ProbeEvent::Started(_)) => {}
            Some(ProbeEvent::Ended(ProbeEnd::Opens(counts))) => break assert!(counts.lost >= lost),
            other => panic!("unexpected {other:?}"),
        }
        // More than a batch comes meanwhile.
        std::thread::sleep(Duration::from_millis(60));
        if lost > 0 && stopped.is_none() {
            probe.stop();
            stopped = Some(Instant::now());
        }
        assert!(stopped.is_none_or(|at| at.elapsed() < patience()), "it does not end");
    }
    probe.join();
    drop(load);
}

/// As above, with connects that are refused: each is an event.
#[test]
fn stopping_does_not_wait_for_the_end_of_a_load_of_connections() {
    let _ring = alone();
    own_namespace();
    ip("link set lo up");
    let closed: SocketAddr = TcpListener::bind(local("127.0.0.1")).unwrap().local_addr().unwrap();
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let config = ConnectionsConfig {
        interval: Duration::from_secs(1),
        locked: false,
        hostnames: HostnamesConfig::default(),
        may_poll: false,
    };
    let mut probe = connections::start(config, sink);
    let load = Load::start(move || drop(TcpStream::connect(closed)));
    let mut stopped = None;
    let mut lost = 0;
    let mut ticks = 0;
    loop {
        match next(&mut events) {
            Some(ProbeEvent::Connections(batch)) => {
                lost = batch.limits.lost;
                ticks += u32::from(batch.tick.is_some());
            }
            Some(ProbeEvent::Started(_) | ProbeEvent::Hostnames(_)) => {}
            Some(ProbeEvent::Ended(ProbeEnd::Connections)) => break,
            other => panic!("unexpected {other:?}"),
        }
        std::thread::sleep(Duration::from_millis(60));
        // The counts are read under load, too.
        if lost > 0 && ticks > 1 && stopped.is_none() {
            probe.stop();
            stopped = Some(Instant::now());
        }
        assert!(stopped.is_none_or(|at| at.elapsed() < patience()), "it does not end");
    }
    probe.join();
    drop(load);
    assert!(stopped.is_some(), "it ended by itself");
}

#[test]
fn ten_thousand_threads_are_distinguished() {
    const THREADS: usize = 10_000;
    let _ring = alone();
    let watch = watch(OpensConfig::default());
    let child = in_child(|| {
        let open = || {
            let _ = File::open("/no such file of a thread");
            // All of them live at once.
            std::thread::park();
        };
        let spawn = |_| std::thread::Builder::new().stack_size(64 << 10).spawn(open).unwrap();
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        threads.iter().for_each(|t| t.thread().unpark());
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
    let all = watch.finish_all(|m| m.tgid == child);
    let theirs = all.seen.iter().filter(|s| s.path_str() == "/no such file of a thread");
    let tids: HashSet<u32> = theirs.map(|s| s.meta.tid).collect();
    assert_eq!(tids.len() as u64 + all.lost_of(child), THREADS as u64);
    assert_eq!((all.lost_of(child), all.counts.malformed), (0, 0));
}

/// The table of sockets has room for 65,536, that of peers for 32,768. A socket is in them from its
/// first call on.
#[test]
fn sockets_and_peers_that_find_no_room_are_counted() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const ROOM: u64 = 65_536;
    const MORE: u64 = 1_000;
    own_namespace();
    ip("link set lo up");
    let mut stream = Stream::json(&["connections", "--interval", "200ms"]);
    let (all_made, polled) = (Gate::new(), Gate::new());
    let maker = process(|| {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        let each = (most - 100).min(ROOM + MORE);
        // An address has ports for 28,232.
        let one = |n: u64| {
            let own = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + (n >> 14) as u32);
            let socket = UdpSocket::bind((own, 0)).unwrap();
            socket.send_to(&[7], (own, 9)).unwrap();
            socket
        };
        // A descriptor of a pipe that all have: it ends when this process does.
        let (waits, until_the_end) = nix::unistd::pipe().unwrap();
        let mut made = 0;
        while made < ROOM + MORE {
            let (all_there, there) = nix::unistd::pipe().unwrap();
            // SAFETY: this process has one thread.
            if let nix::unistd::ForkResult::Child = unsafe { nix::unistd::fork() }.unwrap() {
                drop(until_the_end);
                let _all: Vec<_> = (made..made + each).map(one).collect();
                drop(there);
                let _ = nix::unistd::read(&waits, &mut [0]);
                // SAFETY: ends the process without running the test harness's own exit.
                unsafe { libc::_exit(0) }
            }
            drop(there);
            let _ = nix::unistd::read(&all_there, &mut [0]);
            made += each;
        }
        all_made.open();
        polled.wait();
        drop(until_the_end);
    });
    all_made.wait();
    stream.until_polled();
    polled.open();
    done(maker);
    let run = stream.interrupt();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let owners = run.of_type("owners").pop().unwrap();
    let left_out = |of: &str| owners["left_out"][of].as_u64().unwrap();
    assert!(left_out("sockets") >= MORE && left_out("peers") >= ROOM / 3, "{owners}");
}

#[test]
fn one_of_two_thousand_interfaces_is_counted() {
    own_namespace();
    let mut batch = tempfile::NamedTempFile::new().unwrap();
    for n in 0..1_000 {
        writeln!(batch, "link add va{n} type veth peer name vb{n}").unwrap();
    }
    for side in ["va777", "vb777"] {
        writeln!(batch, "link set {side} up").unwrap();
    }
    ip(&format!("-batch {}", batch.path().display()));
    let mut probe = probe("va777", XdpMode::Auto);
    probe.until("all links", |p| p.links.len() == 2_001);
    let frames: Vec<_> = (0..100).map(|_| ethernet(0x0800, &ipv4(v4(1), v4(99), 46))).collect();
    Sender::on("vb777").send(&frames);
    probe.until_packets("va777", Direction::Rx, 100);
    // A change among so many is taken up.
    ip("link set va777 name renamed");
    probe.until("the new name", |p| p.links.iter().any(|l| l.name == "renamed"));
    probe.finish();
}

#[test]
fn two_streams_at_once_report_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seen twice");
    File::create(&path).unwrap();
    let args = ["opens", "--path", path.to_str().unwrap()];
    let _ring = alone();
    let streams = [Stream::json(&args), Stream::json(&args)];
    for _ in 0..1_000 {
        File::open(&path).unwrap();
    }
    for run in streams.map(Stream::interrupt) {
        assert_eq!(run.code(), 0, "{}", run.stderr);
        assert_eq!(run.of_type("open").len(), 1_000);
    }
}

/// As a service at boot: no interface is up, not even `lo`.
#[test]
fn before_the_network_it_starts_and_then_counts() {
    own_namespace();
    let _ring = alone();
    let mut stream =
        Stream::json(&["opens", "talkers", "--path", "/at boot", "--interval", "100ms"]);
    let _ = File::open("/at boot");
    ip("link set lo up");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    stream.until("a packet", |line| {
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        line["type"] == "talkers" && line["packets"].as_u64().unwrap() > 0
    });
    let run = stream.interrupt();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert!(run.stderr.contains("watch lo: the interface is down"), "{}", run.stderr);
    assert_eq!(run.lines().last().unwrap()["opens"], 1);
}

/// A cgroup with a bound on its memory, of either version; gone with this.
struct Tight(PathBuf);

impl Tight {
    fn new(bytes: u64) -> Self {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (root, file) = if v1.exists() {
            (v1.to_owned(), "memory.limit_in_bytes")
        } else {
            let root = PathBuf::from("/sys/fs/cgroup");
            // Where that is refused the file is not there, and the test says so.
            let _ = std::fs::write(root.join("cgroup.subtree_control"), "+memory");
            (root, "memory.max")
        };
        let dir = root.join(format!("ebpftop-test-{}-{bytes}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(file), bytes.to_string())
            .unwrap_or_else(|e| panic!("{file}: {e}; this needs cgroups that bound memory"));
        // While the rings are tried the cgroup is full, and a page that another thread touches in this moment would
        // end the program. Here that thread waits until the kernel has refused the rings. Of v2 there is no such file.
        if file == "memory.limit_in_bytes" {
            std::fs::write(dir.join("memory.oom_control"), "1").unwrap();
        }
        Self(dir)
    }

    fn stream(&self, kind: &str) -> Ended {
        let script = format!("echo $$ > {}", self.0.join("cgroup.procs").display());
        after(&script, &["stream", kind, "--duration", "200ms", "--format", "json"])
    }
}

impl Drop for Tight {
    fn drop(&mut self) {
        // The kernel frees the memory of a dead process a little later.
        let deadline = Instant::now() + patience();
        while std::fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn too_little_memory_is_reported() {
    // Below some 8 MiB the kernel kills it: see `whole`.
    for (kind, enough) in [("opens", 40 << 20), ("connections", 72 << 20)] {
        let enough = Tight::new(enough).stream(kind);
        assert_eq!(enough.code(), 0, "{}", enough.stderr);
        let short = Tight::new(16 << 20).stream(kind);
        assert_eq!(short.code(), 1, "{}", short.stderr);
        assert!(short.stderr.contains("Cannot allocate memory"), "{}", short.stderr);
        assert!(short.stderr.contains("cgroup's memory"), "{}", short.stderr);
        assert_eq!(short.text(), "");
    }
}

#[test]
fn without_tracefs_it_mounts_its_own_or_says_how() {
    let hide = "for at in tracing debug; do \
                test ! -d /sys/kernel/$at || mount -t tmpfs none /sys/kernel/$at; done";
    let args = ["stream", "opens", "--duration", "500ms", "--format", "json"];
    let run = after(hide, &args);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert!(run.lines().last().unwrap()["opens_seen"].as_u64() > Some(0));
    // Without the right to mount.
    let bound = "setpriv --bounding-set -sys_admin --inh-caps -sys_admin --no-new-privs";
    let run = after(&format!("{hide}; set -- {bound} \"$@\""), &args);
    assert_eq!(run.code(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("mount -t tracefs"), "{}", run.stderr);
}

/// Lines come from the kernel's own records, not from /proc.
#[test]
fn behind_hidepid_every_process_is_reported() {
    let hide = "mount -t proc -o hidepid=2 proc /proc; \
                set -- setpriv --reuid 65534 --clear-groups --inh-caps +bpf,+perfmon,+dac_read_search \
                --ambient-caps +bpf,+perfmon,+dac_read_search \"$@\"; \
                mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("of root");
    let stop = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = File::open(&path);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let args = ["stream", "opens", "--path", path.to_str().unwrap(), "--duration", "1s"];
        let run = after(hide, &[&args[..], &["--format", "json"]].concat());
        stop.store(true, Ordering::Relaxed);
        run
    });
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let opens = run.of_type("open");
    assert!(!opens.is_empty());
    for open in opens {
        assert_eq!((&open["pid"], &open["uid"]), (&std::process::id().into(), &0.into()));
        assert!(open["process"].as_str().unwrap().starts_with("kernel"), "{open}");
    }
}

/// The process's clocks are not those that the kernel stamps with.
#[test]
fn in_a_time_namespace_times_are_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("timed");
    let script =
        format!("(while sleep 0.05; do true < '{}'; done) 2>/dev/null & loop=$!", path.display());
    for ahead in ["1000000", "-100"] {
        let mut command = Command::new("unshare");
        command.args(["--time", "--fork", "--monotonic", ahead, "--boottime", ahead, "sh", "-c"]);
        command.arg(format!("{script}; \"$@\"; kill $loop")).arg("sh").arg(ebpftop());
        command.args(["stream", "opens", "--path", path.to_str().unwrap()]);
        command
            .args(["--duration", "1s", "--format", "json"])
            .env("XDG_CONFIG_HOME", "/nonexistent");
        let before = jiff::Timestamp::now();
        let run = ended(&mut command);
        let between = before..=jiff::Timestamp::now();
        let opens = run.of_type("open");
        assert!(!opens.is_empty(), "{}", run.stderr);
        for open in opens {
            let time: jiff::Timestamp = open["time"].as_str().unwrap().parse().unwrap();
            assert!(between.contains(&time), "{ahead}: {time} is not within {between:?}");
        }
    }
}
