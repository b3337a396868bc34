//! What connections cost when somebody looks whose they are, on the real kernel: nobody looking and
//! the owners probe, interleaved; medians of the rounds. Needs root.
//!
//! Over loopback, each load in a process of its own with two threads: `bulk` one TCP stream in
//! writes of 64 KiB, `rr` one byte each way, `close` connections that are made, accepted and closed,
//! `udp` datagrams of 64 bytes each way on connected sockets; each end has a CPU of its own,
//! and how they wake each other makes one run unlike the next. In `bulk1`, `rr1` and `close1` one thread
//! has both ends: nobody waits, every cost is in it, and a ratio holds to a hundredth. `reading` is
//! what the probe's and the model's threads take of a core meanwhile. Then what
//! reading costs with 10,000 sockets alive (5,000 connections, both ends), of which some two hundred
//! carry something each second.
//!
//! `cargo bench --bench conn_cost [-- [ROUNDS] [LOAD]...]`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{median, own_cpu_ns};
use ebpftop::model::owners::Owners;
use ebpftop::probes::owners::{OwnersConfig, OwnersProbe};
use ebpftop::probes::{CHANNEL_DEPTH, ProbeEvent};

const LOADS: [&str; 7] = ["bulk", "rr", "close", "udp", "bulk1", "rr1", "close1"];
const RUN: Duration = Duration::from_millis(1_000);
/// The kernel frees the programs of a run in its own time, and patches code for those of the next.
const SETTLE: Duration = Duration::from_millis(200);
const LIVE: usize = 5_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(i) = args.iter().position(|a| a == "--load") {
        return load(&args[i + 1]);
    }
    let rounds = args.iter().find_map(|a| a.parse().ok()).unwrap_or(7);
    let chosen: Vec<_> = LOADS.into_iter().filter(|l| args.iter().any(|a| a == l)).collect();
    let loads = if chosen.is_empty() { LOADS.to_vec() } else { chosen };
    println!(
        "load     nobody, /s   ebpftop, /s   ratio      quartiles    reading     lost  (medians of {rounds} rounds)"
    );
    for load in loads {
        let (mut alone, mut looked, mut ratios) = (vec![], vec![], vec![]);
        let (mut lost, mut cpu) = (0, vec![]);
        for round in 0..rounds {
            let (mut without, mut with) = (0.0, 0.0);
            // Who goes first takes turns.
            for looks in [round % 2 == 0, round % 2 == 1] {
                if looks {
                    let looked = with_probe(|| with = run(load));
                    lost += looked.lost;
                    cpu.push(looked.cpu_ns as f64 / RUN.as_nanos() as f64 * 100.0);
                } else {
                    std::thread::sleep(SETTLE);
                    without = run(load);
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
    let mut idle = child("live");
    idle.stdout.as_mut().unwrap().read_exact(&mut [0; 1]).unwrap();
    let mut cpu = vec![];
    for _ in 0..rounds.min(5) {
        let seconds = 3.0;
        let read = with_probe(|| std::thread::sleep(Duration::from_secs_f64(seconds)));
        cpu.push(read.cpu_ns as f64 / 1e9 / seconds * 100.0);
    }
    println!("{} sockets alive: reading takes {:.2} % of a core", 2 * LIVE, median(&mut cpu));
    idle.kill().unwrap();
    idle.wait().unwrap();
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

/// Runs the load while the probe does and the model is kept.
fn with_probe(load: impl FnOnce()) -> Looked {
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let config = OwnersConfig { interval: Duration::from_secs(1), locked: false };
    let mut probe = OwnersProbe::start(config, sink);
    match events.blocking_recv() {
        Some(ProbeEvent::OwnersStarted(Ok(_))) => {}
        other => panic!("cannot start (root?): {other:?}"),
    }
    let reader = std::thread::spawn(move || {
        let mut owners = Owners::default();
        while let Some(event) = events.blocking_recv() {
            match event {
                ProbeEvent::Owners(batch) => owners.apply(&batch),
                ProbeEvent::OwnersEnded => return owners.lost,
                _ => {}
            }
        }
        panic!("ended without a word")
    });
    std::thread::sleep(SETTLE);
    let cpu = own_cpu_ns();
    load();
    let cpu_ns = own_cpu_ns() - cpu;
    probe.stop();
    let lost = reader.join().unwrap();
    probe.join();
    Looked { lost, cpu_ns }
}

fn child(load: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--load", load])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a load reaches a second.
fn run(load: &str) -> f64 {
    let out = child(load).wait_with_output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

/// Keeps this thread on one CPU, so that rounds differ by who looks and not by where they ran.
fn stay_on(cpu: usize) {
    let mut cpus = nix::sched::CpuSet::new();
    cpus.set(cpu).unwrap();
    let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpus);
}

fn load(name: &str) {
    stay_on(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let per_second = match name {
        "bulk" => {
            let sink = std::thread::spawn(move || {
                stay_on(1);
                let (mut conn, _) = listener.accept().unwrap();
                let mut buffer = vec![0; 1 << 18];
                let mut all = 0;
                loop {
                    match conn.read(&mut buffer).unwrap() {
                        0 => return all,
                        n => all += n,
                    }
                }
            });
            let mut conn = TcpStream::connect(to).unwrap();
            let begun = Instant::now();
            while begun.elapsed() < RUN {
                conn.write_all(&[0; 1 << 16]).unwrap();
            }
            drop(conn);
            sink.join().unwrap() as f64 / begun.elapsed().as_secs_f64()
        }
        "rr" => {
            std::thread::spawn(move || {
                stay_on(1);
                let (mut conn, _) = listener.accept().unwrap();
                conn.set_nodelay(true).unwrap();
                let mut byte = [0; 1];
                while conn.read_exact(&mut byte).is_ok() {
                    conn.write_all(&byte).unwrap();
                }
            });
            let mut conn = TcpStream::connect(to).unwrap();
            conn.set_nodelay(true).unwrap();
            each_second(|| {
                conn.write_all(b"?").unwrap();
                conn.read_exact(&mut [0; 1]).unwrap();
            })
        }
        "close" => {
            std::thread::spawn(move || {
                stay_on(1);
                for conn in listener.incoming() {
                    // Whoever closes first keeps a port: here it is the server, whose is one.
                    drop(conn);
                }
            });
            each_second(|| {
                let mut conn = TcpStream::connect(to).unwrap();
                let _ = conn.read(&mut [0; 1]);
            })
        }
        "bulk1" => {
            let (mut one, mut other) = pair(&listener);
            each_second(|| {
                one.write_all(&[0; 1 << 16]).unwrap();
                other.read_exact(&mut [0; 1 << 16]).unwrap();
            })
        }
        "rr1" => {
            let (mut one, mut other) = pair(&listener);
            each_second(|| {
                one.write_all(b"?").unwrap();
                other.read_exact(&mut [0; 1]).unwrap();
                other.write_all(b"!").unwrap();
                one.read_exact(&mut [0; 1]).unwrap();
            })
        }
        "close1" => each_second(|| {
            let (mut one, other) = pair(&listener);
            drop(other);
            let _ = one.read(&mut [0; 1]);
        }),
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
            each_second(|| {
                a.send(&[0; 64]).unwrap();
                a.recv(&mut [0; 64]).unwrap();
            })
        }
        _ => return live(&listener),
    };
    println!("{per_second}");
}

/// The two ends of a connection.
fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let other = listener.accept().unwrap().0;
    one.set_nodelay(true).unwrap();
    other.set_nodelay(true).unwrap();
    (one, other)
}

/// How often it can be done in a second.
fn each_second(mut what: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut times = 0u32;
    while begun.elapsed() < RUN {
        what();
        times += 1;
    }
    f64::from(times) / begun.elapsed().as_secs_f64()
}

/// Holds connections until it is killed.
fn live(listener: &TcpListener) {
    let mut pairs: Vec<(TcpStream, TcpStream)> = (0..LIVE).map(|_| pair(listener)).collect();
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
