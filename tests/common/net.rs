//! Network namespaces of a test's own: veth pairs, frames made byte by byte, and the probe.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use ebpftop::model::event::{ProbeEnd, ProbeEvent, ProbeId, ProbeInfo, TalkersCommand, Watched};
use ebpftop::model::link::{Choice, Hook, XdpMode};
use ebpftop::model::problem::Problem;
use ebpftop::model::talkers::{Direction, Source, TalkersSample, Traffic};
use ebpftop::probes::{CHANNEL_DEPTH, ProbeThread, TalkersConfig, talkers};
use tokio::sync::mpsc::{Receiver, channel};

use super::patience::{next, patience, until};

/// Puts this thread into a network namespace of its own; it ends with the thread and with what
/// the thread has started.
pub fn own_namespace() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
        .expect("a network namespace of its own (the tests need root)");
    // No neighbour discovery: every frame is one that the test sent.
    for conf in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{conf}/disable_ipv6");
        std::fs::File::options().write(true).open(path).unwrap().write_all(b"1").unwrap();
    }
}

/// Runs `ip` and fails the test where that fails.
pub fn ip(args: &str) -> String {
    run("ip", args)
}

/// Runs a program with arguments separated by spaces.
pub fn run(program: &str, args: &str) -> String {
    let output = Command::new(program).args(args.split_whitespace()).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A veth pair, both ends up: what is sent on `b` arrives on `a`.
pub fn veth(a: &str, b: &str) {
    ip(&format!("link add {a} type veth peer name {b}"));
    ip(&format!("link set {a} up"));
    ip(&format!("link set {b} up"));
}

/// A tun device without packet information; `arphrd` changes its link type while it is down.
pub fn open_tun(name: &std::ffi::CStr, arphrd: Option<u16>) -> OwnedFd {
    // SAFETY: a NUL-terminated path; a zeroed ifreq with a short name and flags; an integer; the
    // descriptor is ours alone.
    unsafe {
        let fd = libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        assert!(fd >= 0, "/dev/net/tun");
        let fd = OwnedFd::from_raw_fd(fd);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
        let set = libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request);
        assert_eq!(set, 0, "TUNSETIFF");
        if let Some(arphrd) = arphrd {
            let set = libc::ioctl(fd.as_raw_fd(), libc::TUNSETLINK, libc::c_ulong::from(arphrd));
            assert_eq!(set, 0, "TUNSETLINK");
        }
        fd
    }
}

pub fn ifindex(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

// ---- frames ----------------------------------------------------------------------------------

pub const VLAN: u16 = 0x8100;
pub const QINQ: u16 = 0x88a8;

/// An Ethernet header to everybody and `payload` after it.
pub fn ethernet(proto: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9]);
    frame.extend(proto.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A VLAN tag and what it carries.
pub fn tag(proto: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x00, 0x07];
    bytes.extend(proto.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An IPv4 packet of `bytes` bytes in all, UDP by its number.
pub fn ipv4(source: Ipv4Addr, dest: Ipv4Addr, bytes: usize) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((bytes as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.octets());
    packet.extend(dest.octets());
    packet.resize(bytes, 0);
    let sum: u32 =
        packet[..20].chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// An IPv6 packet of `bytes` bytes in all whose next header is `next`.
pub fn ipv6(source: Ipv6Addr, dest: Ipv6Addr, next: u8, bytes: usize) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(((bytes - 40) as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(source.octets());
    packet.extend(dest.octets());
    packet.resize(bytes, 0);
    packet
}

/// MPLS labels, the last one at the bottom of the stack.
pub fn mpls(labels: usize, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in 1..=labels {
        bytes.extend([0, label as u8, u8::from(label == labels), 64]);
    }
    bytes.extend(payload);
    bytes
}

/// A PPPoE session's header with a PPP protocol.
pub fn pppoe(proto: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x11, 0, 0, 1];
    bytes.extend(((payload.len() + 2) as u16).to_be_bytes());
    bytes.extend(proto.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub fn v4(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + n)
}

/// A packet socket that sends whole frames through the queueing layer.
pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    pub fn on(name: &str) -> Self {
        // SAFETY: three integers; the descriptor is ours alone.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "a packet socket");
            OwnedFd::from_raw_fd(fd)
        };
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0,
            sll_ifindex: ifindex(name) as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: a whole sockaddr_ll of the length stated.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        assert_eq!(bound, 0, "bind to {name}");
        Self { socket }
    }

    /// Sends every frame once, in order; a full queue is waited for.
    pub fn send(&self, frames: &[Vec<u8>]) {
        for part in frames.chunks(256) {
            let mut vectors: Vec<libc::iovec> = part
                .iter()
                .map(|f| libc::iovec { iov_base: f.as_ptr() as *mut _, iov_len: f.len() })
                .collect();
            let mut messages: Vec<libc::mmsghdr> = vectors
                .iter_mut()
                .map(|v| {
                    // SAFETY: integers and pointers, for which zero is a value.
                    let mut m: libc::mmsghdr = unsafe { std::mem::zeroed() };
                    m.msg_hdr.msg_iov = v;
                    m.msg_hdr.msg_iovlen = 1;
                    m
                })
                .collect();
            let mut done = 0;
            while done < messages.len() {
                let rest = &mut messages[done..];
                // SAFETY: `rest` holds as many messages as stated, each with one live iovec.
                let sent = unsafe {
                    libc::sendmmsg(self.socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0)
                };
                if sent < 0 {
                    let e = std::io::Error::last_os_error();
                    assert_eq!(e.raw_os_error(), Some(libc::ENOBUFS), "sendmmsg: {e}");
                    std::thread::sleep(Duration::from_millis(1));
                } else {
                    done += sent as usize;
                }
            }
        }
    }
}

// ---- somebody else's programs ------------------------------------------------------------------

/// Loads a program that returns `ret` and does nothing else.
pub fn trivial_program(kind: libbpf_sys::bpf_prog_type, ret: i32) -> OwnedFd {
    let instructions = [
        libbpf_sys::bpf_insn { code: 0xb7, imm: ret, ..Default::default() },
        libbpf_sys::bpf_insn { code: 0x95, ..Default::default() },
    ];
    // SAFETY: two instructions, as stated; the license is a NUL-terminated string.
    unsafe {
        let fd = libbpf_sys::bpf_prog_load(
            kind,
            c"foreign".as_ptr(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            2,
            std::ptr::null_mut(),
        );
        assert!(fd >= 0, "load a trivial program: {fd}");
        OwnedFd::from_raw_fd(fd)
    }
}

/// Attaches a program to an interface by a link.
pub fn link(
    program: &OwnedFd,
    name: &str,
    kind: libbpf_sys::bpf_attach_type,
    flags: u32,
) -> OwnedFd {
    let opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as u64,
        flags,
        ..Default::default()
    };
    // SAFETY: whole options of the size stated.
    unsafe {
        let fd = libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            ifindex(name) as i32,
            kind,
            &raw const opts,
        );
        assert!(fd >= 0, "attach a trivial program: {fd}");
        OwnedFd::from_raw_fd(fd)
    }
}

/// The hook that takes the place of XDP: TCX where the kernel has it (6.6).
pub fn skb_hook() -> Hook {
    let release = nix::sys::utsname::uname().unwrap();
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap());
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    if version >= (6, 6) { Hook::Tcx } else { Hook::Socket }
}

/// Whether probes that are started from now on find packet sockets refused, so that tx is counted by
/// TCX.
pub fn refuse_sockets(refuse: bool) {
    const REFUSE: &str = "EBPFTOP_REFUSE";
    // SAFETY: each test has a process of its own, and its other threads read no environment now.
    unsafe {
        if refuse {
            std::env::set_var(REFUSE, "socket_filter");
        } else {
            std::env::remove_var(REFUSE);
        }
    }
}

/// Fills the TCX hook, so that no other program can attach there (BPF_MPROG_MAX is 64).
pub fn fill_tcx(name: &str) -> Vec<(OwnedFd, OwnedFd)> {
    let mut all = Vec::new();
    for kind in [libbpf_sys::BPF_TCX_INGRESS, libbpf_sys::BPF_TCX_EGRESS] {
        for _ in 0..64 {
            let program = trivial_program(libbpf_sys::BPF_PROG_TYPE_SCHED_CLS, -1);
            let opts = libbpf_sys::bpf_link_create_opts {
                sz: size_of::<libbpf_sys::bpf_link_create_opts>() as u64,
                ..Default::default()
            };
            // SAFETY: whole options of the size stated.
            let fd = unsafe {
                libbpf_sys::bpf_link_create(
                    program.as_raw_fd(),
                    ifindex(name) as i32,
                    kind,
                    &raw const opts,
                )
            };
            if fd < 0 {
                break;
            }
            // SAFETY: the kernel has just returned this descriptor to us alone.
            all.push((program, unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    all
}

// ---- the probe ---------------------------------------------------------------------------------

/// A running probe and all its events.
pub struct Probe {
    probe: ProbeThread<TalkersCommand>,
    events: Receiver<ProbeEvent>,
    pub samples: Vec<TalkersSample>,
    pub watched: Vec<Watched>,
    pub links: Vec<ebpftop::model::link::Link>,
    ended: bool,
}

/// Starts the probe with ticks of 100 ms; the problem where it does not start.
pub fn try_probe(choice: Choice, mode: XdpMode) -> Result<Probe, Problem> {
    let (sink, mut events) = channel(CHANNEL_DEPTH);
    let interval = Duration::from_millis(100);
    let config = TalkersConfig { choice, mode, interval, ..TalkersConfig::default() };
    let probe = talkers::start(config, sink);
    match next(&mut events) {
        Some(ProbeEvent::Started(ProbeInfo::Talkers(watched))) => {
            Ok(Probe { probe, events, samples: vec![], watched, links: vec![], ended: false })
        }
        Some(ProbeEvent::Failed(ProbeId::Talkers, problem)) => {
            probe.join();
            Err(problem)
        }
        other => panic!("the first word must be what is watched: {other:?}"),
    }
}

pub fn probe(name: &str, mode: XdpMode) -> Probe {
    try_probe(Choice::Named(name.into()), mode).expect("the probe starts (the tests need root)")
}

fn sum(sources: &[Source], f: impl Fn(&Source) -> Traffic) -> Traffic {
    sources.iter().map(f).fold(Traffic::default(), |a, b| a + b)
}

impl Probe {
    pub fn send(&self, command: TalkersCommand) {
        self.probe.send(command);
    }

    /// Takes one event in, and checks what must hold for every sample.
    fn take(&mut self) {
        match next(&mut self.events).expect("the probe runs") {
            ProbeEvent::Watching(watched) => self.watched = watched,
            ProbeEvent::Talkers(samples) => {
                for sample in samples {
                    let held = sum(&sample.sources, |s| s.total);
                    assert_eq!(held + sample.other, sample.total, "{sample:?}");
                    let held = sum(&sample.sources, |s| s.delta);
                    assert_eq!(held + sample.other_delta, sample.delta, "{sample:?}");
                    let same = |s: &&TalkersSample| {
                        (&s.interface, s.direction) == (&sample.interface, sample.direction)
                    };
                    if let Some(before) = self.samples.iter().rfind(same) {
                        assert_eq!(before.total + sample.delta, sample.total, "{sample:?}");
                    }
                    self.samples.push(sample);
                }
            }
            ProbeEvent::Links(links) => self.links = links,
            ProbeEvent::Ended(ProbeEnd::Talkers) => self.ended = true,
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Takes events in until `done` holds.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + patience();
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "{what} never came; watched {:?}, last {:?}",
                self.watched,
                self.samples.last()
            );
            self.take();
        }
    }

    /// Waits until the probe waits for room in the channel: nothing is taken from it meanwhile.
    pub fn until_blocked(&self) {
        until("a full channel", || (self.events.len() == CHANNEL_DEPTH).then_some(()));
    }

    /// Takes events in until so many packets have been counted since the probe began.
    pub fn until_packets(&mut self, name: &str, direction: Direction, packets: u64) {
        self.until(&format!("{packets} packets of {name}"), |p| {
            p.last(name, direction).is_some_and(|s| s.total.packets >= packets)
        });
    }

    /// The latest sample.
    pub fn last(&self, name: &str, direction: Direction) -> Option<&TalkersSample> {
        self.samples.iter().rev().find(|s| s.interface == name && s.direction == direction)
    }

    /// The hooks of the only watched interface.
    pub fn hooks(&self) -> (Hook, Hook) {
        let [watched] = self.watched.as_slice() else { panic!("{:?}", self.watched) };
        (watched.rx.clone().unwrap(), watched.tx.clone().unwrap())
    }

    /// Stops the probe and takes in all that is left.
    pub fn finish(mut self) -> Vec<TalkersSample> {
        self.probe.stop();
        self.until("the end", |p| p.ended);
        self.probe.join();
        self.samples
    }
}

/// The last sample of an interface and direction.
pub fn last<'a>(
    samples: &'a [TalkersSample],
    name: &str,
    direction: Direction,
) -> &'a TalkersSample {
    samples
        .iter()
        .rev()
        .find(|s| s.interface == name && s.direction == direction)
        .unwrap_or_else(|| panic!("no sample of {name}"))
}

/// (address, packets, bytes) of every source, by address.
pub fn table(sample: &TalkersSample) -> Vec<(IpAddr, u64, u64)> {
    let mut table: Vec<_> =
        sample.sources.iter().map(|s| (s.ip, s.total.packets, s.total.bytes)).collect();
    table.sort_unstable();
    table
}
