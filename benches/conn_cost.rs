//! Overhead of the connections probe on the real kernel: the load alone (the baseline) and with
//! the probe, interleaved; medians of the rounds. Needs root.
//!
//! Over loopback, each load in a process of its own that runs through all rounds, with two threads:
//! `bulk` one TCP stream in writes of 64 KiB, `rr` one byte each way, `close` connections that are
//! made, accepted and closed, `udp` datagrams of 64 bytes each way on connected sockets; each end has
//! a CPU of its own, and how they wake each other makes one slice unlike the next. In `bulk1`, `rr1`
//! and `close1` one thread has both ends: neither waits, every cost is in it. `reading` is what the
//! probe's and the model's threads take of a core meanwhile. Then what reading costs with 10,000
//! sockets alive (5,000 connections, both ends), of which some two hundred carry something each second.
//!
//! `tls1` is `close1` with a ClientHello sent before the end; with `--names` the names that
//! processes ask for are looked for.
//!
//! `cargo bench --bench conn_cost [-- [--names] [ROUNDS] [LOAD]...]`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{median, own_cpu_ns};
use ebpftop::model::connections::Connections;
use ebpftop::model::event::{ProbeEnd, ProbeEvent, ProbeInfo};
use ebpftop::probes::CHANNEL_DEPTH;
use ebpftop::probes::connections::{self, ConnectionsConfig, HostnamesConfig};

const LOADS: [&str; 8] = ["bulk", "rr", "close", "udp", "bulk1", "rr1", "close1", "tls1"];
/// The ClientHello of curl.
const HELLO: &[u8] = include_bytes!("../tests/corpus/client_hello/curl");
/// The length of one measurement of a load's speed.
const SLICE: Duration = Duration::from_millis(500);
/// The kernel frees the programs of a run in its own time, and patches code for those of the next.
const SETTLE: Duration = Duration::from_millis(200);
/// Sockets from before the start are met in the first two readings, a second apart.
const FIRST_READINGS: Duration = Duration::from_millis(2_500);
const LIVE: usize = 5_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(i) = args.iter().position(|a| a == "--load") {
        return load(&args[i + 1]);
    }
    let names = args.iter().any(|a| a == "--names");
    let rounds = args.iter().find_map(|a| a.parse().ok()).unwrap_or(7);
    let chosen: Vec<_> = LOADS.into_iter().filter(|l| args.iter().any(|a| a == l)).collect();
    let loads = if chosen.is_empty() { LOADS.to_vec() } else { chosen };
    println!(
        "load   baseline, /s   ebpftop, /s   ratio      quartiles    reading     lost  (medians of {rounds} rounds)"
    );
    for load in loads {
        let (mut alone, mut looked, mut ratios) = (vec![], vec![], vec![]);
        let (mut lost, mut cpu) = (0, vec![]);
        let mut running = Load::start(load);
        for round in 0..rounds {
            let (mut without, mut with) = (0.0, 0.0);
            // Each of the two goes first in turn.
            for looks in [round % 2 == 0, round % 2 == 1] {
                if looks {
                    let looked = with_probe(names, SETTLE, || with = running.per_second());
                    lost += looked.lost;
                    cpu.push(looked.cpu_ns as f64 / SLICE.as_nanos() as f64 * 100.0);
                } else {
                    std::thread::sleep(SETTLE);
                    without = running.per_second();
                }
            }
            alone.push(without);
            looked.push(with);
            ratios.push(with / without);
        }
        println!(
            "{load:<6} {:>13.0} {:>13.0} {:>7.3} {:>14} {:>8.2} % {lost:>8}",
            median(&mut alone),
            median(&mut looked),
            median(&mut ratios),
            quartiles(&ratios),
            median(&mut cpu),
        );
    }
    let mut idle = Load::start("live");
    idle.says.read_line(&mut String::new()).unwrap();
    let mut cpu = vec![];
    for _ in 0..rounds.min(5) {
        let seconds = 5.0;
        let load = || std::thread::sleep(Duration::from_secs_f64(seconds));
        let read = with_probe(names, FIRST_READINGS, load);
        cpu.push(read.cpu_ns as f64 / 1e9 / seconds * 100.0);
    }
    println!(
        "{} sockets alive: reading takes {:.2} % of a core, once all are known",
        2 * LIVE,
        median(&mut cpu)
    );
}

/// Of what `median` has sorted.
fn quartiles(sorted: &[f64]) -> String {
    let last = sorted.len() - 1;
    format!("{:.2} to {:.2}", sorted[last / 4], sorted[last - last / 4])
}

struct Looked {
    lost: u64,
    cpu_ns: u64,
}

/// Runs the load while the probe does and the model is kept, `settle` after its start.
fn with_probe(names: bool, settle: Duration, load: impl FnOnce()) -> Looked {
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let config = ConnectionsConfig {
        interval: Duration::from_secs(1),
        locked: false,
        hostnames: HostnamesConfig { on: names, ..HostnamesConfig::default() },
        may_poll: false,
    };
    let mut probe = connections::start(config, sink);
    match events.blocking_recv() {
        Some(ProbeEvent::Started(ProbeInfo::Connections(_))) => {}
        other => panic!("cannot start (root?): {other:?}"),
    }
    let reader = std::thread::spawn(move || {
        let mut owners = Connections::default();
        while let Some(event) = events.blocking_recv() {
            match event {
                ProbeEvent::Connections(batch) => owners.apply(&batch),
                ProbeEvent::Hostnames(found) => owners.hostnames.add(&found),
                ProbeEvent::Ended(ProbeEnd::Connections) => {
                    let names = &owners.hostnames;
                    if names.on {
                        eprintln!("names missed: {}", names.counts.missed());
                    }
                    return owners.limits.lost;
                }
                _ => {}
            }
        }
        panic!("ended without a word")
    });
    std::thread::sleep(settle);
    let cpu = own_cpu_ns();
    load();
    let cpu_ns = own_cpu_ns() - cpu;
    probe.stop();
    let lost = reader.join().unwrap();
    probe.join();
    Looked { lost, cpu_ns }
}

/// A load that runs until this is dropped: one process for all rounds, since no two are alike.
struct Load {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Load {
    fn start(name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--load", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Self { child, says }
    }

    fn done(&mut self) -> (u64, Instant) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        (line.trim().parse().unwrap(), Instant::now())
    }

    /// Its speed, a second, over a slice.
    fn per_second(&mut self) -> f64 {
        let (before, begun) = self.done();
        std::thread::sleep(SLICE);
        let (after, ended) = self.done();
        (after - before) as f64 / (ended - begun).as_secs_f64()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps this thread on one CPU, so that rounds do not differ by the CPU that they ran on.
fn stay_on(cpu: usize) {
    let mut cpus = nix::sched::CpuSet::new();
    cpus.set(cpu).unwrap();
    let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpus);
}

/// The work of a load: bytes, or rounds.
static DONE: AtomicU64 = AtomicU64::new(0);

fn count(done: u64) {
    DONE.fetch_add(done, Ordering::Relaxed);
}

fn load(name: &str) {
    if name != "live" {
        std::thread::spawn(|| {
            for _ in std::io::stdin().lines() {
                println!("{}", DONE.load(Ordering::Relaxed));
            }
        });
    }
    stay_on(0);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    match name {
        "bulk" => {
            let mut conn = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            std::thread::spawn(move || {
                stay_on(1);
                let (mut conn, _) = listener.accept().unwrap();
                let mut buffer = vec![0; 1 << 18];
                loop {
                    count(conn.read(&mut buffer).unwrap() as u64);
                }
            });
            loop {
                conn.write_all(&[0; 1 << 16]).unwrap();
            }
        }
        "rr" => {
            let (mut one, mut other) = pair(&listener, 0);
            std::thread::spawn(move || {
                stay_on(1);
                let mut byte = [0; 1];
                while other.read_exact(&mut byte).is_ok() {
                    other.write_all(&byte).unwrap();
                }
            });
            loop {
                one.write_all(b"?").unwrap();
                one.read_exact(&mut [0; 1]).unwrap();
                count(1);
            }
        }
        "close" => {
            std::thread::spawn(move || {
                stay_on(1);
                for conn in listener.incoming() {
                    // Whoever closes first keeps a port: here it is the server, whose is one.
                    drop(conn);
                }
            });
            for n in 0.. {
                let mut conn = TcpStream::connect(address(n, port)).unwrap();
                let _ = conn.read(&mut [0; 1]);
                count(1);
            }
        }
        "bulk1" => {
            let (mut one, mut other) = pair(&listener, 0);
            loop {
                one.write_all(&[0; 1 << 16]).unwrap();
                other.read_exact(&mut [0; 1 << 16]).unwrap();
                count(1 << 16);
            }
        }
        "rr1" => {
            let (mut one, mut other) = pair(&listener, 0);
            loop {
                one.write_all(b"?").unwrap();
                other.read_exact(&mut [0; 1]).unwrap();
                other.write_all(b"!").unwrap();
                one.read_exact(&mut [0; 1]).unwrap();
                count(1);
            }
        }
        "close1" => {
            for n in 0.. {
                let (mut one, other) = pair(&listener, n);
                drop(other);
                let _ = one.read(&mut [0; 1]);
                count(1);
            }
        }
        "tls1" => {
            let mut hello = [0; HELLO.len()];
            for n in 0.. {
                let (mut one, mut other) = pair(&listener, n);
                one.write_all(HELLO).unwrap();
                other.read_exact(&mut hello).unwrap();
                drop(other);
                let _ = one.read(&mut [0; 1]);
                count(1);
            }
        }
        "udp" => {
            let (a, b) = (UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
            let (a, b) = (a.unwrap(), b.unwrap());
            a.connect(b.local_addr().unwrap()).unwrap();
            b.connect(a.local_addr().unwrap()).unwrap();
            std::thread::spawn(move || {
                stay_on(1);
                let mut buffer = [0; 64];
                while b.recv(&mut buffer).is_ok() {
                    b.send(&buffer).unwrap();
                }
            });
            loop {
                a.send(&[0; 64]).unwrap();
                a.recv(&mut [0; 64]).unwrap();
                count(1);
            }
        }
        _ => live(&listener),
    }
}

/// The address of the nth connection: one that is closed keeps its ports for a minute.
fn address(n: u32, port: u16) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + n / 4_000);
    (ip, port).into()
}

/// The two ends of a connection.
fn pair(listener: &TcpListener, n: u32) -> (TcpStream, TcpStream) {
    let port = listener.local_addr().unwrap().port();
    let one = TcpStream::connect(address(n, port)).unwrap();
    let other = listener.accept().unwrap().0;
    one.set_nodelay(true).unwrap();
    other.set_nodelay(true).unwrap();
    (one, other)
}

/// Holds connections until it is killed.
fn live(listener: &TcpListener) -> ! {
    let mut pairs: Vec<(TcpStream, TcpStream)> = (0..LIVE).map(|_| pair(listener, 0)).collect();
    println!();
    std::io::stdout().flush().unwrap();
    let mut at = 0;
    loop {
        let (one, other) = &mut pairs[at % LIVE];
        one.write_all(b"?").unwrap();
        other.read_exact(&mut [0; 1]).unwrap();
        at += 97;
        std::thread::sleep(Duration::from_millis(10));
    }
}
