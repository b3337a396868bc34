//! Cost of one frame: our XDP program against a bare `XDP_PASS`, by `BPF_PROG_TEST_RUN`.
//!
//! Interleaved, medians. The program is the one that the probe has attached to a veth of this
//! bench's own network namespace. For mixed sources a program in front changes the source
//! address of each frame and calls on; what it costs is in both columns. Needs root.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)]
#[path = "../tests/common/net.rs"]
mod net;
#[allow(dead_code)]
#[path = "../tests/common/patience.rs"]
mod patience;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ebpftop::model::link::XdpMode;
use libbpf_sys::bpf_insn;
use net::{ethernet, ifindex, ipv4, ipv6, own_namespace, probe, v4, veth};

const REPEAT: i32 = 500_000;
const ROUNDS: usize = 9;
const XDP_PASS: i32 = 2;

/// Runs `program` on `frame`; ns a frame.
fn run(program: &OwnedFd, frame: &[u8]) -> u32 {
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as u64,
        data_in: frame.as_ptr().cast(),
        data_size_in: frame.len() as u32,
        repeat: REPEAT,
        ..Default::default()
    };
    // SAFETY: whole options of the size stated; the frame lives through the call.
    let ret = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut opts) };
    assert_eq!((ret, opts.retval), (0, XDP_PASS as u32), "BPF_PROG_TEST_RUN");
    opts.duration
}

fn load(instructions: &[bpf_insn]) -> OwnedFd {
    let mut log = vec![0u8; 1 << 16];
    let opts = libbpf_sys::bpf_prog_load_opts {
        log_buf: log.as_mut_ptr().cast(),
        log_size: log.len() as u32,
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as u64,
        // A tail call wants both programs to be of one kind.
        expected_attach_type: libbpf_sys::BPF_XDP,
        prog_flags: libbpf_sys::BPF_F_XDP_HAS_FRAGS,
        ..Default::default()
    };
    // SAFETY: instructions and options as stated; names are NUL-terminated.
    unsafe {
        let fd = libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            c"bench".as_ptr(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            instructions.len() as u64,
            (&raw const opts).cast_mut(),
        );
        assert!(fd >= 0, "load: {fd}: {}", String::from_utf8_lossy(&log));
        OwnedFd::from_raw_fd(fd)
    }
}

fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> bpf_insn {
    let mut insn = bpf_insn { code, off, imm, ..Default::default() };
    insn.set_dst_reg(dst);
    insn.set_src_reg(src);
    insn
}

/// Counts the last byte of the source address up to `mask`, and calls `next`.
fn with_changing_source(next: &OwnedFd, mask: i32) -> OwnedFd {
    // SAFETY: creates an array of one program and puts `next` into it.
    let map = unsafe {
        let fd = libbpf_sys::bpf_map_create(
            libbpf_sys::BPF_MAP_TYPE_PROG_ARRAY,
            c"next".as_ptr(),
            4,
            4,
            1,
            std::ptr::null(),
        );
        assert!(fd >= 0, "map: {fd}");
        let (key, value) = (0u32, next.as_raw_fd());
        let ret = libbpf_sys::bpf_map_update_elem(
            fd,
            (&raw const key).cast(),
            (&raw const value).cast(),
            0,
        );
        assert_eq!(ret, 0, "put the program into the array");
        // Kept open: the kernel empties an array of programs when its last descriptor goes.
        fd
    };
    load(&[
        insn(0xbf, 6, 1, 0, 0),    // r6 = ctx
        insn(0x61, 2, 1, 0, 0),    // r2 = data
        insn(0x61, 3, 1, 4, 0),    // r3 = data_end
        insn(0xbf, 4, 2, 0, 0),    // r4 = r2
        insn(0x07, 4, 0, 0, 30),   // r4 += 30
        insn(0x2d, 4, 3, 9, 0),    // if r4 > r3 goto out
        insn(0x71, 5, 2, 29, 0),   // r5 = last byte of the source
        insn(0x07, 5, 0, 0, 1),    // r5 += 1
        insn(0x57, 5, 0, 0, mask), // r5 &= mask
        insn(0x73, 2, 5, 29, 0),   // put it back
        insn(0xbf, 1, 6, 0, 0),    // r1 = ctx
        insn(0x18, 2, 1, 0, map),  // r2 = map
        insn(0, 0, 0, 0, 0),
        insn(0xb7, 3, 0, 0, 0),        // r3 = 0
        insn(0x85, 0, 0, 0, 12),       // tail call
        insn(0xb7, 0, 0, 0, XDP_PASS), // out:
        insn(0x95, 0, 0, 0, 0),
    ])
}

/// The program attached to an interface.
fn attached(name: &str) -> OwnedFd {
    let mut id = 0u32;
    // SAFETY: fills one u32; the descriptor is ours alone.
    unsafe {
        let ret = libbpf_sys::bpf_xdp_query_id(
            ifindex(name) as i32,
            libbpf_sys::XDP_FLAGS_SKB_MODE as i32,
            &raw mut id,
        );
        assert!(ret == 0 && id != 0, "no XDP program on {name}");
        let fd = libbpf_sys::bpf_prog_get_fd_by_id(id);
        assert!(fd >= 0, "program {id}");
        OwnedFd::from_raw_fd(fd)
    }
}

fn median(mut values: Vec<u32>) -> u32 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn main() {
    own_namespace();
    veth("va", "vb");
    let probe = probe("va", XdpMode::Generic);
    let ours = attached("va");
    let pass = load(&[insn(0xb7, 0, 0, 0, XDP_PASS), insn(0x95, 0, 0, 0, 0)]);
    let four = ethernet(0x0800, &ipv4(v4(1), v4(99), 50));
    let six = ethernet(
        0x86dd,
        &ipv6("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), 17, 50),
    );
    let arp = ethernet(0x0806, &[0; 50]);
    let cases: Vec<(&str, OwnedFd, OwnedFd, &[u8])> = vec![
        ("one IPv4 source", pass.try_clone().unwrap(), ours.try_clone().unwrap(), &four),
        ("one IPv6 source", pass.try_clone().unwrap(), ours.try_clone().unwrap(), &six),
        ("not IP", pass.try_clone().unwrap(), ours.try_clone().unwrap(), &arp),
        (
            "2 sources in turn",
            with_changing_source(&pass, 1),
            with_changing_source(&ours, 1),
            &four,
        ),
        (
            "64 sources in turn",
            with_changing_source(&pass, 63),
            with_changing_source(&ours, 63),
            &four,
        ),
        (
            "256 sources in turn",
            with_changing_source(&pass, 255),
            with_changing_source(&ours, 255),
            &four,
        ),
    ];
    let mut times = vec![(vec![], vec![]); cases.len()];
    for _ in 0..ROUNDS {
        for (case, times) in cases.iter().zip(&mut times) {
            times.0.push(run(&case.1, case.3));
            times.1.push(run(&case.2, case.3));
        }
    }
    println!("ns a frame of 64 bytes, medians of {ROUNDS} x {REPEAT}");
    println!("{:<22}{:>12}{:>10}{:>12}", "", "XDP_PASS", "ours", "difference");
    for (case, (bare, ours)) in cases.iter().zip(times) {
        let (bare, ours) = (median(bare), median(ours));
        println!("{:<22}{bare:>12}{ours:>10}{:>12}", case.0, i64::from(ours) - i64::from(bare));
    }
    probe.finish();
    user_side();
}

/// CPU time of the thread `talkers`, in clock ticks (10 ms).
fn thread_ticks() -> u64 {
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        if std::fs::read_to_string(path.join("comm")).is_ok_and(|c| c == "talkers\n") {
            let stat = std::fs::read_to_string(path.join("stat")).unwrap();
            let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            return fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    panic!("no thread named talkers");
}

/// Cost of a tick for the reader with so many sources held, rx alone.
fn user_side() {
    const TICKS: usize = 40;
    println!("CPU time of the reader a tick (rx and tx, sources in rx alone)");
    for sources in [50u32, 10_000, 65_536] {
        let mut probe = probe("va", XdpMode::Generic);
        let sender = net::Sender::on("vb");
        let frames: Vec<_> =
            (0..sources).map(|n| ethernet(0x0800, &ipv4(v4(n), v4(99), 46))).collect();
        let rx = ebpftop::model::talkers::Direction::Rx;
        let mut sent = 0;
        while probe.last("va", rx).is_none_or(|s| s.sources.len() < sources as usize) {
            assert!(sent < 100 * u64::from(sources), "they are not held");
            sender.send(&frames);
            sent += u64::from(sources);
            probe.until_packets("va", rx, sent);
        }
        // The maps grow once; that is not what a tick costs.
        let seen = probe.samples.len();
        probe.until("the maps to grow", |p| p.samples.len() >= seen + TICKS);
        let (seen, before) = (probe.samples.len(), thread_ticks());
        probe.until("the ticks", |p| p.samples.len() >= seen + 2 * TICKS);
        let ms = (thread_ticks() - before) * 10;
        println!("{sources:>8} sources: {:.1} ms", ms as f64 / TICKS as f64);
        probe.samples.clear();
        probe.finish();
    }
}
