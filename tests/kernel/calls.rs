//! Bytes counted where a process calls, in the cases in which the packet and the caller are at
//! different places: shared sockets, full queues, refused and unread data, other peers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::io_cases::result_of;
use crate::common::conns::*;
use crate::common::net::{ip, own_namespace};
use crate::common::patience::{pause, until};
use crate::common::program::{Stream, program};
use crate::common::user::USER;
use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, types};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::{Value, json};

const LOCALHOST: &str = "127.0.0.1";

/// The two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

#[test]
fn each_of_many_processes_that_share_a_socket_has_its_own_bytes() {
    const PROCESSES: u64 = 8;
    let stream = here();
    let (receives, sends) = (udp(), udp());
    let to = receives.local_addr().unwrap();
    let (one, mut other) = pair();
    let children: Vec<Pid> = (1..=PROCESSES)
        .map(|n| {
            let child = process(|| {
                sends.send_to(&vec![0; 100 * n as usize], to).unwrap();
                (&one).write_all(&vec![0; 1_000 * n as usize]).unwrap();
            });
            done(child);
            receives.recv(&mut [0; 2_000]).unwrap();
            other.read_exact(&mut vec![0; 1_000 * n as usize]).unwrap();
            child
        })
        .collect();
    let port = one.local_addr().unwrap().port();
    drop((one, other, receives, sends));
    let run = end(stream);
    for (n, child) in (1..).zip(&children) {
        let row = run.row(*child);
        assert_eq!((bytes(&row), &row["shared"]), ((0, 1_100 * n), &json!(true)), "{row}");
    }
    let close = run.of("close").into_iter().find(|line| line["local_port"] == port).unwrap();
    assert_eq!(close["shared"], true);
    let mut owners = close["owners"].as_array().unwrap().clone();
    owners.retain(|owner| owner["tx_bytes"] != 0);
    let sent: Vec<_> = owners.iter().map(|o| o["tx_bytes"].as_u64().unwrap()).collect();
    assert_eq!(sent.iter().sum::<u64>(), 1_000 * 36, "{close}");
    assert_eq!(owners.len(), 8, "{close}");
}

/// A request of io_uring is the process's, whichever thread does it: its own, a worker, or that of the queue.
#[test]
fn requests_of_io_uring_are_those_of_the_process() {
    const ALL: i32 = libc::MSG_WAITALL;
    let stream = here();
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    let (to, receives) = (listener.local_addr().unwrap(), udp());
    let udp_to = receives.local_addr().unwrap();
    let server = process(|| {
        let mut ring = IoUring::new(8).unwrap();
        ring.submitter().register_files_sparse(2).unwrap();
        let (listener, none) = (types::Fd(listener.as_raw_fd()), std::ptr::null_mut());
        let slot = types::DestinationSlot::try_from_slot_target(1).unwrap();
        let accept = opcode::Accept::new(listener, none, none.cast()).file_index(Some(slot));
        assert_eq!(result_of(&mut ring, accept.build()), 0);
        let (conn, mut buffer) = (types::Fixed(1), [0_u8; 1_000]);
        let address = buffer.as_mut_ptr();
        let receive = |bytes| opcode::Recv::new(conn, address, bytes).flags(ALL).build();
        assert_eq!(result_of(&mut ring, receive(1_000)), 1_000);
        assert_eq!(result_of(&mut ring, receive(500).flags(Flags::ASYNC)), 500);
        assert_eq!(result_of(&mut ring, opcode::Send::new(conn, address, 70).build()), 70);
        let zero_copy = opcode::SendZc::new(conn, address, 300).build();
        assert_eq!(result_of(&mut ring, zero_copy), 300);
        // The second completion: the buffer is free.
        ring.submit_and_wait(1).unwrap();
    });
    let client = process(|| {
        let mut ring = IoUring::builder().setup_sqpoll(1_000).build(8).unwrap();
        let (conn, mut buffer) = (TcpStream::connect(to).unwrap(), [0_u8; 1_000]);
        let (fd, address) = (types::Fd(conn.as_raw_fd()), buffer.as_mut_ptr());
        assert_eq!(result_of(&mut ring, opcode::Send::new(fd, address, 1_000).build()), 1_000);
        let mut bytes = libc::iovec { iov_base: address.cast(), iov_len: 500 };
        // SAFETY: no address and no control message: all else is zero.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut bytes, 1);
        let send = opcode::SendMsg::new(fd, &raw const message).build();
        assert_eq!(result_of(&mut ring, send.flags(Flags::ASYNC)), 500);
        let receive = opcode::Recv::new(fd, address, 370).flags(ALL).build();
        assert_eq!(result_of(&mut ring, receive), 370);
        let sends = udp();
        sends.connect(udp_to).unwrap();
        let fd = types::Fd(sends.as_raw_fd());
        assert_eq!(result_of(&mut ring, opcode::Write::new(fd, address, 44).build()), 44);
    });
    done(client);
    done(server);
    let run = end(stream);
    assert_eq!(bytes(&run.row(server)), (1_500, 370));
    assert_eq!(bytes(&run.row(client)), (370, 1_544));
}

/// A socket that short-lived processes inherit takes a bounded part of the table.
#[test]
fn one_socket_leaves_room_for_the_sharers_of_others() {
    const TRACKED: u64 = 1 + 128;
    const MORE: u64 = 11;
    let stream = here();
    let (receives, sends) = (udp(), udp());
    let to = receives.local_addr().unwrap();
    for _ in 0..TRACKED + MORE {
        done(process(|| assert_eq!(sends.send_to(&[0; 10], to).unwrap(), 10)));
    }
    drop(sends);
    let run = end(stream);
    let table = run.ended.of_type("owners").pop().unwrap();
    assert!(table["left_out"]["sharers"].as_u64() >= Some(MORE), "{table}");
    let unattributed = &table["unattributed"]["sharers"]["tx_bytes"];
    assert!(unattributed.as_u64() >= Some(10 * MORE), "{table}");
    let closes = run.of("close");
    let shared = closes.iter().find(|line| bytes(line).1 == 10 * (TRACKED + MORE)).unwrap();
    assert_eq!(shared["owners"].as_array().unwrap().len() as u64, TRACKED);
}

#[test]
fn bytes_written_while_the_window_is_closed_are_their_writers() {
    let stream = here();
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    setsockopt(&listener, sockopt::RcvBuf, &4_096).unwrap();
    let to = listener.local_addr().unwrap();
    let (second, read) = (Gate::new(), Gate::new());
    let server = process(|| {
        let (mut conn, _) = listener.accept().unwrap();
        read.wait();
        assert_eq!(conn.read_to_end(&mut Vec::new()).unwrap(), 120_000);
    });
    let first = process(|| {
        let mut conn = TcpStream::connect(to).unwrap();
        setsockopt(&conn, sockopt::SndBuf, &(1 << 20)).unwrap();
        conn.write_all(&[b'p'; 100_000]).unwrap();
        let child = process(|| (&conn).write_all(&[b'c'; 20_000]).unwrap());
        nix::unistd::write(&second.1, &child.as_raw().to_ne_bytes()).unwrap();
        done(child);
        read.open();
        conn.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(conn.read(&mut [0]).unwrap(), 0);
    });
    let mut child = [0; 4];
    nix::unistd::read(&second.0, &mut child).unwrap();
    done(first);
    done(server);
    let run = end(stream);
    let child = Pid::from_raw(i32::from_ne_bytes(child));
    assert_eq!((bytes(&run.row(first)).1, bytes(&run.row(child)).1), (100_000, 20_000));
    assert_eq!(bytes(&run.row(server)), (120_000, 0));
}

#[test]
fn a_call_that_peeks_or_fails_carries_nothing() {
    let stream = here();
    let both = process(|| {
        let (mut one, mut other) = pair();
        one.write_all(&[0; 500]).unwrap();
        for _ in 0..3 {
            assert_eq!(other.peek(&mut [0; 500]).unwrap(), 500);
        }
        // Discarded unread: received all the same.
        let n = recv(other.as_raw_fd(), &mut [0; 200], MsgFlags::MSG_TRUNC).unwrap();
        other.read_exact(&mut vec![0; 500 - n]).unwrap();
        other.set_nonblocking(true).unwrap();
        assert!(other.read(&mut [0; 1]).is_err());
        drop(other);
        // The first write after the other's end meets a reset, the second fails.
        assert_eq!(one.read(&mut [0; 1]).unwrap(), 0);
        while one.write(&[0; 7]).is_ok() {
            pause(Duration::from_millis(5));
        }
    });
    done(both);
    let run = end(stream);
    let (rx, tx) = bytes(&run.row(both));
    assert_eq!(rx, 500);
    assert!(tx >= 500 && (tx - 500) % 7 == 0 && tx <= 500 + 70, "{tx}");
}

#[test]
fn a_connection_that_another_process_kills_stays_that_of_its_processes() {
    let stream = here();
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    let to = listener.local_addr().unwrap();
    let (ready, killed) = (Gate::new(), Gate::new());
    let server = process(|| {
        let (mut conn, _) = listener.accept().unwrap();
        conn.read_exact(&mut [0; 1_000]).unwrap();
        conn.write_all(&[0; 500]).unwrap();
        killed.wait();
    });
    let client = process(|| {
        let mut conn = TcpStream::connect(to).unwrap();
        conn.write_all(&[0; 1_000]).unwrap();
        conn.read_exact(&mut [0; 500]).unwrap();
        ready.open();
        killed.wait();
    });
    ready.wait();
    let port = format!("dport = :{}", to.port());
    let ss = Command::new("ss").args(["-tnK", "dst", LOCALHOST, &port]).output().unwrap();
    assert!(ss.status.success(), "{ss:?}");
    killed.open();
    killed.open();
    done(server);
    done(client);
    let run = end(stream);
    for (pid, truth) in [(server, (1_000, 500)), (client, (500, 1_000))] {
        let closes = run.by("close", pid);
        assert_eq!(closes.iter().map(bytes).collect::<Vec<_>>(), [truth], "{closes:?}");
        assert_eq!(closes[0]["owners"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_process_has_the_name_of_its_latest_program() {
    let stream = here();
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let shell = process(|| {
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port}; printf hello >&3; read x <&3; exec sleep 2"
        );
        let e = Command::new("bash").args(["-c", &script]).exec();
        panic!("{e}");
    });
    let (mut conn, _) = listener.accept().unwrap();
    conn.read_exact(&mut [0; 5]).unwrap();
    conn.write_all(b"go\n").unwrap();
    done(shell);
    drop(conn);
    let run = end(stream);
    assert_eq!(run.row(shell)["comm"], "sleep");
    assert_eq!(run.by("close", shell)[0]["comm"], "sleep");
    assert_eq!(run.by("connect", shell)[0]["comm"], "bash");
}

/// No walk over the open files comes in between.
#[test]
fn a_program_that_calls_once_after_exec_has_its_name() {
    let stream = here();
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    let to = listener.local_addr().unwrap();
    let child = process(|| {
        let inherited = TcpStream::connect(to).unwrap();
        let closed_at_exec = TcpStream::connect(to).unwrap();
        let e = Command::new("cat").stdin(OwnedFd::from(inherited)).stdout(Stdio::null()).exec();
        drop(closed_at_exec);
        panic!("{e}");
    });
    let mut inherited = listener.accept().unwrap().0;
    let mut closed_at_exec = listener.accept().unwrap().0;
    assert_eq!(closed_at_exec.read(&mut [0]).unwrap(), 0);
    inherited.write_all(&[b'\n'; 3]).unwrap();
    drop((inherited, closed_at_exec));
    done(child);
    let run = end(stream);
    let connects = run.by("connect", child);
    let before = connects[0]["comm"].as_str().unwrap();
    let closes = run.by("close", child);
    let of = |rx: u64| closes.iter().find(|c| c["rx_bytes"] == rx).unwrap()["comm"].as_str();
    assert_ne!(before, "cat");
    assert_eq!((of(3), of(0)), (Some("cat"), Some(before)));
}

#[test]
fn a_process_has_its_latest_user_while_it_has_a_socket() {
    let stream = here();
    let (mut one, mut other) = pair();
    let child = process(|| {
        one.write_all(&[0; 5]).unwrap();
        nix::unistd::setuid(USER.into()).unwrap();
        // Two walks over the open files.
        pause(Duration::from_millis(600));
        one.write_all(&[0; 5]).unwrap();
    });
    done(child);
    other.read_exact(&mut [0; 10]).unwrap();
    drop((one, other));
    let run = end(stream);
    assert_eq!(run.row(child)["uid"], USER);
}

/// A server that forks: its child has what it reads and writes, packets too.
#[test]
fn packets_are_those_of_the_process_that_calls() {
    let stream = here();
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    let to = listener.local_addr().unwrap();
    let (wait, report) = nix::unistd::pipe().unwrap();
    let server = process(|| {
        let (mut conn, _) = listener.accept().unwrap();
        let child = process(|| {
            conn.read_to_end(&mut Vec::new()).unwrap();
            conn.write_all(&[0; 77]).unwrap();
        });
        nix::unistd::write(&report, &child.as_raw().to_ne_bytes()).unwrap();
        done(child);
    });
    done(process(|| ask(to, 1_000)));
    done(server);
    let mut child = [0; 4];
    nix::unistd::read(&wait, &mut child).unwrap();
    let run = end(stream);
    let (server, child) = (run.row(server), run.row(Pid::from_raw(i32::from_ne_bytes(child))));
    assert_eq!((bytes(&server), bytes(&child)), ((0, 0), (1_000, 77)));
    assert_eq!((&server["rx_packets"], &server["tx_packets"]), (&json!(0), &json!(0)), "{server}");
    assert!(child["rx_packets"].as_u64() > Some(1), "{child}");
}

/// The socket is MPTCP's; its subflows are the kernel's.
#[test]
fn multipath_tcp_is_counted_at_its_socket() {
    const MPTCP: i32 = 262;
    let mut stream = here();
    // SAFETY: plain calls; the descriptor has no other owner.
    let made = || unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, MPTCP) };
    let fd = made();
    assert!(fd >= 0, "this needs a kernel with CONFIG_MPTCP: {}", std::io::Error::last_os_error());
    // SAFETY: as above.
    let listening = unsafe { OwnedFd::from_raw_fd(fd) };
    let at = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, 7_005);
    setsockopt(&listening, sockopt::ReuseAddr, &true).unwrap();
    nix::sys::socket::bind(listening.as_raw_fd(), &at).unwrap();
    nix::sys::socket::listen(&listening, nix::sys::socket::Backlog::new(4).unwrap()).unwrap();
    let polled = Gate::new();
    let server = process(|| {
        polled.wait();
        let listener = TcpListener::from(listening.as_fd().try_clone_to_owned().unwrap());
        let (mut conn, _) = listener.accept().unwrap();
        assert_eq!(conn.read_to_end(&mut Vec::new()).unwrap(), 300_000);
    });
    let client = process(|| {
        // SAFETY: as above.
        let socket = unsafe { OwnedFd::from_raw_fd(made()) };
        nix::sys::socket::connect(socket.as_raw_fd(), &at).unwrap();
        let mut conn = TcpStream::from(socket);
        conn.write_all(&[0; 300_000]).unwrap();
    });
    // Readings before it is accepted.
    stream.until_polled();
    polled.open();
    done(client);
    done(server);
    let run = end(stream);
    assert_eq!(bytes(&run.row(server)), (300_000, 0));
    assert_eq!(bytes(&run.row(client)), (0, 300_000));
    let accepts = run.by("accept", server);
    assert_eq!((accepts.len(), &accepts[0]["from"]), (1, &json!("accepted")));
    assert_eq!(accepts[0]["remote_port"], run.by("close", client)[0]["local_port"]);
    assert_eq!(run.by("close", server).len(), 1);
    assert_eq!(run.of("close").len(), 2, "no subflow: {:?}", run.of("close"));
}

/// `splice` takes bytes out of a TCP socket without a call that returns them.
#[test]
fn spliced_bytes_are_the_only_processs() {
    let stream = here();
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    let to = listener.local_addr().unwrap();
    let server = process(|| {
        let (conn, _) = listener.accept().unwrap();
        let (_read, write) = nix::unistd::pipe().unwrap();
        let mut rest = 40_000;
        while rest > 0 {
            let (from, to, at) = (conn.as_raw_fd(), write.as_raw_fd(), std::ptr::null_mut());
            // SAFETY: two descriptors that are open, and no offsets.
            let moved = unsafe { libc::splice(from, at, to, std::ptr::null_mut(), rest, 0) };
            rest -= usize::try_from(moved).unwrap();
        }
    });
    done(process(|| TcpStream::connect(to).unwrap().write_all(&[0; 40_000]).unwrap()));
    done(server);
    let run = end(stream);
    assert_eq!(bytes(&run.row(server)), (40_000, 0));
}

/// Programs on the cgroup of a container see the container alone; calls are seen everywhere.
#[test]
fn in_a_cgroup_namespace_processes_outside_of_it_are_seen() {
    own_namespace();
    lo_up();
    let root = cgroup2();
    let group = format!("{root}/ebpftop-inside-{}", std::process::id());
    std::fs::create_dir(&group).unwrap();
    let script = format!(
        "echo $$ >{group}/cgroup.procs; exec unshare -Cm sh -c \
         'umount {root}; mount -t cgroup2 none {root}; exec \"$@\"' x \"$@\""
    );
    let ebpftop = program();
    let mut command = Command::new("sh");
    command.args(["-c", &script, "x"]).arg(ebpftop.get_program());
    command.args(["stream", "connections", "--interval", "200ms"]);
    let mut stream = Stream::json_by(&mut command);
    let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
    let to = listener.local_addr().unwrap();
    let server = process(|| serve(&listener, 77));
    let client = process(|| {
        ask(to, 1_000);
        let (one, other) = (udp(), udp());
        one.connect(other.local_addr().unwrap()).unwrap();
        one.send(&[0; 300]).unwrap();
        other.recv(&mut [0; 300]).unwrap();
    });
    done(client);
    done(server);
    at_rest();
    // Ends of datagram sockets are found at the end of the interval.
    stream.until_polled();
    let ended = stream.interrupt();
    std::fs::remove_dir(&group).unwrap();
    let run = Run { ended, netns: netns() };
    assert_eq!(bytes(&run.row(server)), (1_000, 77));
    assert_eq!(bytes(&run.row(client)), (377, 1_300));
    assert_eq!(run.by("accept", server).len(), 1);
    // Observed where the real root can be reached: its process 1 is outside.
    let ended = |line: &&Value| line["protocol"] == "udp";
    assert_eq!(run.by("close", client).iter().filter(ended).count(), 2);
}

#[test]
fn sockets_of_namespaces_that_are_gone_are_gone() {
    let mut stream = here();
    for _ in 0..20 {
        done(process(|| {
            own_namespace();
            lo_up();
            ip("addr add 10.77.0.1/24 dev lo");
            let (one, other) = (udp(), udp());
            one.send_to(&[0; 10], other.local_addr().unwrap()).unwrap();
            other.recv(&mut [0; 10]).unwrap();
            // The kernel's own sockets answer.
            let _ = TcpStream::connect("10.77.0.1:1");
        }));
    }
    stream.until_polled();
    let run = end(stream);
    let table = run.ended.of_type("owners").pop().unwrap();
    let rows = table["processes"].as_array().unwrap();
    let lives: u64 = rows.iter().map(|row| row["live"].as_u64().unwrap()).sum();
    assert_eq!(table["live"].as_u64().unwrap(), lives, "{table}");
    let closes = run.ended.of_type("close");
    let udp = closes.iter().filter(|c| c["protocol"] == "udp" && c["netns"] != run.netns).count();
    assert!(udp >= 40, "{udp}");
}

#[test]
fn an_option_that_is_obeyed_is_not_called_idle() {
    own_namespace();
    lo_up();
    let pid = std::process::id().to_string();
    let args =
        ["connections", "--interval", "200ms", "--pid", &pid, "--uid", "0", "--process", "x"];
    let ended = Stream::json(&args).interrupt();
    assert!(!ended.stderr.contains("has no effect"), "{}", ended.stderr);
}

/// Its SYN was lost where the queue of the listener was full, and is sent again a second later.
#[test]
fn a_connection_that_began_before_the_start_connects_after_it() {
    own_namespace();
    lo_up();
    let listener = listening_for_one();
    let to = listener.local_addr().unwrap();
    let fills = TcpStream::connect(to).unwrap();
    let gate = Gate::new();
    let client = process(|| {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(&[0; 7]).unwrap();
        gate.wait();
    });
    until("the lost SYN", || in_state("02").then_some(()));
    let run = Stream::json(&["connections", "--interval", "200ms"]);
    drop(listener.accept().unwrap());
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut [0; 7]).unwrap();
    gate.open();
    done(client);
    drop((server, listener, fills));
    let run = end(run);
    assert_eq!(run.by("connect", client).len(), 1);
    let closes = run.by("close", client);
    assert_eq!((closes.len(), &closes[0]["unseen"]), (1, &false.into()), "{closes:?}");
    assert_eq!((&closes[0]["tx_bytes"], &closes[0]["duration_s"].is_null()), (&7.into(), &false));
}

/// Listens with room for one connection that is not accepted yet.
fn listening_for_one() -> TcpListener {
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, socket,
    };
    let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    listener.into()
}

/// Whether a socket of this namespace is in this state, as /proc/net/tcp writes it.
fn in_state(state: &str) -> bool {
    let text = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    text.lines().skip(1).any(|l| l.split_whitespace().nth(3) == Some(state))
}
