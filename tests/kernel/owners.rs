//! The owners probe among others: what it attaches and what stays, which lines are chosen and how they
//! are written.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::common::conns::*;
use crate::common::net::{ip, own_namespace, trivial_program};
use crate::common::patience::until;
use crate::common::program::{Stream, ebpftop};
use crate::common::tty::Tty;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

#[test]
fn lines_are_chosen_by_process_peer_and_port() {
    own_namespace();
    ip("link set lo up");
    ip("addr add 10.9.8.7/32 dev lo");
    let listener = TcpListener::bind(local("0.0.0.0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let at = |ip: &str| SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port);
    for (filter, connects, accepts) in [
        ("peer:10.9.8.0/24", 1, 1),
        ("!peer:10.9.8.0/24", 1, 1),
        (&*format!("port:{port}"), 2, 2),
        ("port:1", 0, 0),
        ("uid:0 no-such-name", 0, 0),
    ] {
        let stream = Stream::json(&["connections", "-f", filter]);
        let server = process(|| (0..2).for_each(|_| serve(&listener, 1)));
        let client = process(|| ["127.0.0.1", "10.9.8.7"].iter().for_each(|ip| ask(at(ip), 1)));
        done(client);
        done(server);
        let run = end_filtered(stream);
        let lines = |kind, pid| run.by(kind, pid).len();
        assert_eq!(
            (lines("connect", client), lines("accept", server)),
            (connects, accepts),
            "{filter}"
        );
    }
    let stream = Stream::text(&["connections", "--interval", "200ms"]);
    let server = process(|| serve(&listener, 7));
    let client = process(|| ask(at("127.0.0.1"), 9));
    done(client);
    done(server);
    at_rest();
    let run = stream.interrupt();
    let text = run.text();
    let has = |pid: Pid, what: &str| {
        let pid = format!(" {} ", pid.as_raw());
        text.lines().any(|l| l.contains(&pid) && l.contains(what))
    };
    let to = format!("\u{2192} 127.0.0.1:{port}");
    assert!(has(client, "connect tcp 127.0.0.1:") && has(client, &to), "{text}");
    assert!(has(server, &format!("accept  tcp 127.0.0.1:{port}")), "{text}");
    assert!(
        has(client, "received 7 B, sent 9 B") && has(server, "received 9 B, sent 7 B"),
        "{text}"
    );
    // CSV has a column for everything, and as many in each row.
    let mut stream = Stream::text(&["connections", "--format", "csv", "--interval", "200ms"]);
    let server = process(|| serve(&listener, 1));
    done(process(|| ask(at("127.0.0.1"), 1)));
    done(server);
    let mut header = String::new();
    std::io::BufRead::read_line(&mut stream.stdout, &mut header).unwrap();
    let run = stream.interrupt();
    let columns = header.split(',').count();
    let text = run.text();
    for kind in ["connect,", "accept,", "close,", "owners,"] {
        let row =
            text.lines().find(|l| l.starts_with(kind)).unwrap_or_else(|| panic!("{kind}: {text}"));
        assert_eq!(row.split(',').count(), columns, "{row}");
    }
}

/// Programs on the root: for released sockets; for destinations, sources and the peer of an accepted
/// connection, v4 and v6.
const ATTACHED: usize = 7;

/// The numbers of all programs on the root of cgroup v2.
fn on_the_root() -> Vec<u32> {
    let root = std::fs::File::open(cgroup2()).unwrap();
    let kinds = [
        libbpf_sys::BPF_CGROUP_INET_INGRESS,
        libbpf_sys::BPF_CGROUP_INET_EGRESS,
        libbpf_sys::BPF_CGROUP_INET_SOCK_RELEASE,
        libbpf_sys::BPF_CGROUP_UDP4_SENDMSG,
        libbpf_sys::BPF_CGROUP_UDP6_SENDMSG,
        libbpf_sys::BPF_CGROUP_UDP4_RECVMSG,
        libbpf_sys::BPF_CGROUP_UDP6_RECVMSG,
        libbpf_sys::BPF_CGROUP_INET4_GETPEERNAME,
        libbpf_sys::BPF_CGROUP_INET6_GETPEERNAME,
    ];
    let mut all = Vec::new();
    for kind in kinds {
        let (mut ids, mut count) = ([0u32; 64], 64u32);
        // SAFETY: room for as many numbers as `count` says; no attach flags are asked for.
        let ret = unsafe {
            libbpf_sys::bpf_prog_query(
                root.as_raw_fd(),
                kind,
                0,
                std::ptr::null_mut(),
                ids.as_mut_ptr(),
                &raw mut count,
            )
        };
        assert_eq!(ret, 0);
        all.extend_from_slice(&ids[..count as usize]);
    }
    all
}

/// The numbers of the programs that a process has a link to.
fn linked(pid: u32) -> Vec<u32> {
    let dir = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = dir.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let of_links = texts.filter(|text| text.contains("link_type:"));
    of_links
        .filter_map(|text| {
            text.lines().find_map(|l| l.strip_prefix("prog_id:")?.trim().parse().ok())
        })
        .collect()
}

/// A program of somebody else's on a cgroup below lets nothing out: that holds whether we look or not,
/// and on the root a neighbour stays where it is.
#[test]
fn programs_of_others_do_as_they_did() {
    let attach = |path: &str, ret| {
        let group = std::fs::File::open(path).unwrap();
        let program = trivial_program(libbpf_sys::BPF_PROG_TYPE_CGROUP_SKB, ret);
        // SAFETY: two descriptors that are open; no options.
        let link = unsafe {
            libbpf_sys::bpf_link_create(
                program.as_raw_fd(),
                group.as_raw_fd(),
                libbpf_sys::BPF_CGROUP_INET_EGRESS,
                std::ptr::null(),
            )
        };
        assert!(link >= 0, "{link}");
        // SAFETY: a descriptor of our own.
        (program, unsafe { OwnedFd::from_raw_fd(link) })
    };
    let group = format!("{}/ebpftop-foreign-{}", cgroup2(), std::process::id());
    std::fs::create_dir(&group).unwrap();
    let drops = attach(&group, 0);
    let neighbour = attach(&cgroup2(), 1);
    let there = on_the_root();
    let stream = here();
    let to = UdpSocket::bind(local("127.0.0.1")).unwrap();
    let to_ip = to.local_addr().unwrap();
    let confined = process(|| {
        std::fs::write(format!("{group}/cgroup.procs"), "0").unwrap();
        let socket = UdpSocket::bind(local("127.0.0.1")).unwrap();
        let sent = socket.send_to(&[0; 10], to_ip);
        assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    });
    let free = process(|| {
        let socket = UdpSocket::bind(local("127.0.0.1")).unwrap();
        assert_eq!(socket.send_to(&[0; 10], to_ip).unwrap(), 10);
    });
    done(confined);
    done(free);
    let run = end(stream);
    assert_eq!(bytes(&run.row(free)), (0, 10));
    let ours = linked(std::process::id());
    assert!(ours.iter().any(|id| there.contains(id)));
    assert!(ours.iter().filter(|id| there.contains(id)).all(|id| on_the_root().contains(id)));
    drop((drops, neighbour));
    std::fs::remove_dir(&group).unwrap();
}

#[test]
fn locked_it_reports_the_same() {
    own_namespace();
    lo_up();
    let stream = Stream::json(&["connections", "--interval", "200ms", "--lock"]);
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let server = process(|| serve(&listener, 5));
    done(process(|| ask(to, 1_000)));
    done(server);
    let run = end(stream);
    assert_eq!(bytes(&run.row(server)), (1_000, 5));
}

#[test]
fn without_owners_nothing_is_on_the_cgroup() {
    own_namespace();
    lo_up();
    let ebpftop = ebpftop();
    let start = |args: &[&str], shows| {
        let args = [args, &["-i", "lo"]].concat();
        let tty = Tty::start(ebpftop, &args, &[("XDG_CONFIG_HOME", "/nonexistent")], (120, 40));
        tty.wait_for("127.0.0.1");
        tty.wait_for(shows);
        tty
    };
    let there = |tty: &Tty| {
        let ours = linked(tty.pid() as u32);
        on_the_root().iter().filter(|id| ours.contains(id)).count()
    };
    let socket = UdpSocket::bind(local("127.0.0.1")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                socket.send_to(b"!", socket.local_addr().unwrap()).unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let runs = [(&[][..], "unattributed"), (&["--no-owners"], "no connections: off")];
        let counts = runs.map(|(args, shows)| {
            let mut tty = start(args, shows);
            let count = there(&tty);
            tty.send("q");
            (tty.wait(), count)
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(counts, [(0, ATTACHED), (0, 0)]);
    });
}

#[test]
fn nothing_stays_on_the_cgroup_even_after_a_kill() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let stream = here();
        let ours = linked(stream.child.id());
        let there = |ids: &[u32]| ids.iter().filter(|id| ours.contains(id)).count();
        assert_eq!(there(&on_the_root()), ATTACHED);
        stream.signal(signal);
        let _ = stream.wait();
        // The kernel frees what a killed process held in its own time.
        until("a free root", || (there(&on_the_root()) == 0).then_some(()));
    }
}
