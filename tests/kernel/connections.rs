//! `ebpftop stream connections` as a whole program: known transfers between real processes, each test
//! in a network namespace of its own.
//!
//! Bytes are those of TCP's and UDP's payload, so lines have the bytes that were written into the sockets.

use std::collections::HashSet;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, RawFd};

use crate::common::conns::*;
use crate::common::net::{ip, own_namespace};
use crate::common::program::Stream;
use nix::cmsg_space;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    setsockopt, socketpair, sockopt,
};
use nix::unistd::Pid;
use serde_json::{Value, json};

#[test]
fn tcp_is_counted_at_both_ends_to_the_byte() {
    let stream = here();
    let mut truths = Vec::new();
    // v4-mapped is v4 on the wire, and is reported as that.
    for (listen, to, reported) in [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "::1"),
        ("::", "127.0.0.1", "127.0.0.1"),
        ("::", "::ffff:127.0.0.1", "127.0.0.1"),
    ] {
        let listener = TcpListener::bind(local(listen)).unwrap();
        let to = SocketAddr::new(to.parse().unwrap(), listener.local_addr().unwrap().port());
        let server = process(|| serve(&listener, 70_001));
        let client = process(|| ask(to, 1_000_003));
        done(client);
        done(server);
        truths.push((client, server, to.port(), reported));
    }
    let run = end(stream);
    for (client, server, port, reported) in truths {
        for (kind, pid, key) in
            [("connect", client, "remote_port"), ("accept", server, "local_port")]
        {
            let lines = run.by(kind, pid);
            assert_eq!(lines.len(), 1, "{lines:?}");
            let line = &lines[0];
            assert_eq!(line[key], port, "{line}");
            assert_eq!(
                (&line["local_ip"], &line["remote_ip"]),
                (&json!(reported), &json!(reported))
            );
            assert_eq!((&line["protocol"], &line["errno"]), (&json!("tcp"), &Value::Null));
        }
        for (pid, truth) in [(client, (70_001, 1_000_003)), (server, (1_000_003, 70_001))] {
            let closes = run.by("close", pid);
            assert_eq!(closes.len(), 1, "{closes:?}");
            assert_eq!(bytes(&closes[0]), truth);
            assert!(closes[0]["rx_packets"].as_u64() > Some(0));
            assert_ne!(closes[0]["local_port"], 0);
            assert_eq!(closes[0]["unseen"], false);
            assert_eq!(bytes(&run.row(pid)), truth);
            assert_eq!(run.row(pid)["live"], 0);
            assert_eq!(run.row(pid)["begun"], 1);
            assert_eq!(run.row(pid)["peers"], 1);
        }
    }
}

#[test]
fn retransmissions_count_once() {
    let stream = here();
    // The queue cuts what TCP hands it into frames, and loses those that it has no room for.
    ip("link set lo mtu 1500");
    crate::common::net::run("tc", "qdisc add dev lo root tbf rate 100mbit burst 10kb limit 20kb");
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let server = process(|| serve(&listener, 10));
    let client = process(|| ask(to, 2_000_003));
    done(client);
    done(server);
    let again: u64 = {
        let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
        let tcp: Vec<Vec<&str>> = text
            .lines()
            .filter(|l| l.starts_with("Tcp:"))
            .map(|l| l.split(' ').collect())
            .collect();
        let at = tcp[0].iter().position(|k| *k == "RetransSegs").unwrap();
        tcp[1][at].parse().unwrap()
    };
    assert!(again > 0, "nothing was sent again: the test shows nothing");
    let run = end(stream);
    assert_eq!(bytes(&run.by("close", client)[0]), (10, 2_000_003));
    assert_eq!(bytes(&run.by("close", server)[0]), (2_000_003, 10));
}

#[test]
fn udp_with_and_without_a_peer() {
    let stream = here();
    let mut truths = Vec::new();
    for ip in ["127.0.0.1", "::1"] {
        let to = SocketAddr::new(ip.parse().unwrap(), 5_000);
        let (ready, say_ready) = nix::unistd::pipe().unwrap();
        // The server talks to two, one of which has connected its socket.
        let serving = process(|| {
            let server = UdpSocket::bind(to).unwrap();
            nix::unistd::write(&say_ready, b"!").unwrap();
            let mut buffer = [0; 2_000];
            for _ in 0..30 {
                let (n, from) = server.recv_from(&mut buffer).unwrap();
                server.send_to(&buffer[..n / 10], from).unwrap();
            }
        });
        nix::unistd::read(&ready, &mut [0; 1]).unwrap();
        let connected = process(|| {
            let socket = UdpSocket::bind(local(ip)).unwrap();
            socket.connect(to).unwrap();
            for _ in 0..20 {
                socket.send(&[b'c'; 1_000]).unwrap();
                socket.recv(&mut [0; 2_000]).unwrap();
            }
        });
        done(connected);
        let loose = process(|| {
            let socket = UdpSocket::bind(local(ip)).unwrap();
            for _ in 0..10 {
                socket.send_to(&[b'l'; 500], to).unwrap();
                socket.recv_from(&mut [0; 2_000]).unwrap();
            }
        });
        done(loose);
        done(serving);
        truths.push((serving, connected, loose, to.port()));
    }
    let run = end(stream);
    for (serving, connected, loose, port) in truths {
        let connects = run.by("connect", connected);
        assert_eq!(connects.len(), 1);
        assert_eq!(
            (&connects[0]["protocol"], &connects[0]["remote_port"]),
            (&json!("udp"), &json!(port))
        );
        assert!(run.by("connect", loose).is_empty());
        for (pid, truth, packets) in [
            (connected, (2_000, 20_000), 20),
            (loose, (500, 5_000), 10),
            (serving, (25_000, 2_500), 30),
        ] {
            let row = run.row(pid);
            assert_eq!(bytes(&row), truth, "{row}");
            assert_eq!(
                (&row["rx_packets"], &row["tx_packets"]),
                (&json!(packets), &json!(packets))
            );
            assert_eq!(row["peers"], 1, "both are on one address: {row}");
        }
        let close = &run.by("close", loose)[0];
        assert_eq!((&close["remote_ip"], &close["remote_port"]), (&Value::Null, &Value::Null));
        assert_eq!(bytes(close), (500, 5_000));
    }
}

/// A raw socket may have TCP's number, and is none of TCP's.
#[test]
fn raw_sockets_are_counted_behind_the_ip_header() {
    use nix::sys::socket::{AddressFamily, SockProtocol, SockaddrIn, connect, socket};
    let stream = here();
    let raw = process(|| {
        let protocol = SockProtocol::Tcp;
        let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), protocol);
        let socket = socket.unwrap();
        connect(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        for _ in 0..3 {
            assert_eq!(nix::unistd::write(&socket, &[0; 24]).unwrap(), 24);
        }
    });
    done(raw);
    let run = end(stream);
    let row = run.row(raw);
    assert_eq!(
        (row["tx_bytes"].as_u64(), row["tx_packets"].as_u64()),
        (Some(72), Some(3)),
        "{row}"
    );
}

#[test]
fn an_accepted_socket_belongs_to_the_process_that_accepted_it() {
    let stream = here();
    // Made by the parent, accepted by two children, of which each has as many as it took.
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let workers = [(); 2].map(|()| process(|| (0..3).for_each(|_| serve(&listener, 11))));
    // One each with a socket of its own on the same port.
    let shared = |port| {
        use nix::sys::socket::{
            AddressFamily, SockaddrIn, bind, listen, setsockopt, socket, sockopt,
        };
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        setsockopt(&fd, sockopt::ReusePort, &true).unwrap();
        bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).unwrap();
        listen(&fd, nix::sys::socket::Backlog::new(16).unwrap()).unwrap();
        TcpListener::from(fd)
    };
    let first = shared(0);
    let port = first.local_addr().unwrap().port();
    let second = shared(port);
    let served = Gate::new();
    let reusing = [first, second].map(|listener| {
        process(|| {
            listener.set_nonblocking(true).unwrap();
            loop {
                let mut fds = [listener.as_fd(), served.0.as_fd()]
                    .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
                poll(&mut fds, PollTimeout::NONE).unwrap();
                let Ok((mut conn, _)) = listener.accept() else { break };
                conn.set_nonblocking(false).unwrap();
                conn.read_to_end(&mut Vec::new()).unwrap();
                conn.write_all(&[0; 11]).unwrap();
            }
        })
    });
    let client = process(|| {
        (0..6).for_each(|_| ask(to, 100));
        let reused = SocketAddr::new(to.ip(), port);
        (0..20).for_each(|_| ask(reused, 100));
    });
    done(client);
    // Readable for both, since neither reads it.
    served.open();
    workers.into_iter().chain(reusing).for_each(done);
    let run = end(stream);
    for worker in workers {
        assert_eq!(run.by("accept", worker).len(), 3);
        assert_eq!(run.by("close", worker).len(), 3);
        assert_eq!(bytes(&run.row(worker)), (300, 33));
    }
    let accepts = reusing.map(|pid| run.by("accept", pid).len());
    assert_eq!(accepts.iter().sum::<usize>(), 20);
    for (pid, accepts) in reusing.into_iter().zip(accepts) {
        assert_eq!(run.by("close", pid).len(), accepts);
        if accepts > 0 {
            assert_eq!(bytes(&run.row(pid)), (100 * accepts as u64, 11 * accepts as u64));
        }
    }
    assert_eq!(bytes(&run.row(client)), (26 * 11, 26 * 100));
}

/// Accepts without asking for the peer's address, which no program observes.
fn accept_blindly(listener: &TcpListener) -> TcpStream {
    // SAFETY: no address is asked for, and the descriptor that is returned has no other owner.
    unsafe {
        let fd = libc::accept(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut());
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        TcpStream::from_raw_fd(fd)
    }
}

#[test]
fn accepts_without_the_peers_address_are_attributed_too() {
    let mut stream = here();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let answers = process(|| {
        let mut conn = accept_blindly(&listener);
        conn.read_to_end(&mut Vec::new()).unwrap();
        conn.write_all(&[0; 7]).unwrap();
    });
    done(process(|| ask(to, 1_000)));
    done(answers);
    // One that says nothing, and has it for some intervals.
    let (sent, polled) = (Gate::new(), Gate::new());
    let listens = process(|| {
        let mut conn = accept_blindly(&listener);
        conn.read_to_end(&mut Vec::new()).unwrap();
    });
    let client = process(|| {
        let mut conn = TcpStream::connect(to).unwrap();
        conn.write_all(&[0; 50]).unwrap();
        sent.open();
        polled.wait();
    });
    sent.wait();
    stream.until_polled();
    polled.open();
    done(client);
    done(listens);
    let run = end(stream);
    for (pid, truth, from) in [(answers, (1_000, 7), "received"), (listens, (50, 0), "received")] {
        let accepts = run.by("accept", pid);
        assert_eq!(accepts.len(), 1, "{accepts:?}");
        assert_eq!(
            (&accepts[0]["from"], &accepts[0]["local_port"]),
            (&json!(from), &json!(to.port()))
        );
        assert_eq!(bytes(&run.by("close", pid)[0]), truth);
    }
    assert_eq!(bytes(&run.row(answers)), (1_000, 7));
}

#[test]
fn a_connection_that_is_not_accepted_is_unattributed() {
    let stream = here();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let client = process(|| {
        let mut conn = TcpStream::connect(to).unwrap();
        conn.write_all(&[0; 50]).unwrap();
    });
    done(client);
    drop(listener);
    let later = moment(&TcpListener::bind(local("127.0.0.1")).unwrap());
    let run = end(stream);
    assert!(run.of("accept").is_empty());
    let mut closes = run.of("close");
    closes.retain(|line| line["local_port"] == to.port());
    assert_eq!(closes.len(), 1, "{closes:?}");
    assert_eq!(
        (&closes[0]["pid"], &closes[0]["unattributed"]),
        (&Value::Null, &json!("not accepted"))
    );
    assert_eq!(bytes(&closes[0]), (50, 0));
    assert!(closes[0]["time"].as_str() < Some(&later(&run)), "{closes:?}");
    let table = run.ended.of_type("owners").pop().unwrap();
    assert!(table["unattributed"]["waiting"]["rx_bytes"].as_u64() >= Some(50), "{table}");
    assert_eq!(bytes(&run.row(client)), (0, 50));
}

/// Makes a connection: when it began by its line, once the run has ended.
fn moment(listener: &TcpListener) -> impl Fn(&Run) -> String + use<> {
    let conn = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = conn.local_addr().unwrap().port();
    move |run| {
        let mut connects = run.of("connect");
        connects.retain(|line| line["local_port"] == port);
        assert_eq!(connects.len(), 1, "{connects:?}");
        connects[0]["time"].as_str().unwrap().into()
    }
}

#[test]
fn tcp_that_has_ended_is_followed_until_its_process_closes_it() {
    let stream = here();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let now = libc::linger { l_onoff: 1, l_linger: 0 };
    let pair = || {
        let mut client = TcpStream::connect(to).unwrap();
        setsockopt(&client, sockopt::Linger, &now).unwrap();
        client.write_all(&[0; 10]).unwrap();
        let server = listener.accept().unwrap().0;
        (client, server)
    };
    let closes_of = |run: &Run, port: u16| {
        let mut closes = run.of("close");
        closes.retain(|line| line["local_port"] == to.port() && line["remote_port"] == port);
        assert_eq!(closes.len(), 1, "{closes:?}");
        closes.remove(0)
    };

    // The peer resets it. What had arrived is read after that.
    let (client, mut server) = pair();
    let reset = client.local_addr().unwrap().port();
    drop(client);
    let mut events = [PollFd::new(server.as_fd(), PollFlags::empty())];
    assert_eq!(poll(&mut events, PollTimeout::from(5_000u16)), Ok(1));
    let over = moment(&TcpListener::bind(local("127.0.0.1")).unwrap());
    read_exactly(&mut server, 10);
    drop(server);
    // The process ends it and leaves what has arrived unread.
    let (client, server) = pair();
    let unread = client.local_addr().unwrap().port();
    assert_eq!(server.peek(&mut [0; 10]).unwrap(), 10);
    drop(server);
    let later = moment(&TcpListener::bind(local("127.0.0.1")).unwrap());
    drop(client);
    // It is reset before it is accepted.
    let mut client = TcpStream::connect(to).unwrap();
    setsockopt(&client, sockopt::Linger, &now).unwrap();
    client.write_all(&[0; 10]).unwrap();
    let early = client.local_addr().unwrap().port();
    drop(client);
    let waited = moment(&TcpListener::bind(local("127.0.0.1")).unwrap());
    read_exactly(&mut listener.accept().unwrap().0, 10);

    let run = end(stream);
    let close = closes_of(&run, early);
    assert_eq!((&close["pid"], bytes(&close)), (&json!(std::process::id()), (10, 0)));
    assert!(close["time"].as_str() > Some(&waited(&run)), "{close}");
    let close = closes_of(&run, reset);
    assert_eq!((&close["pid"], bytes(&close)), (&json!(std::process::id()), (10, 0)));
    assert_eq!(close["errno"], "ECONNRESET");
    assert!(close["time"].as_str() > Some(&over(&run)), "{close}");
    let close = closes_of(&run, unread);
    assert_eq!((&close["pid"], bytes(&close)), (&json!(std::process::id()), (10, 0)));
    assert!(close["time"].as_str() < Some(&later(&run)), "{close}");
}

/// Waits until the peer has read `bytes` more.
fn read_exactly(conn: &mut TcpStream, bytes: usize) {
    conn.read_exact(&mut vec![0; bytes]).unwrap();
}

#[test]
fn a_socket_that_changes_hands_has_the_owners_shares() {
    let stream = here();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    // Inherited: the parent sends, then its child, then the parent again.
    let parent = process(|| {
        let mut conn = TcpStream::connect(to).unwrap();
        conn.write_all(&[0; 1_000]).unwrap();
        conn.read_exact(&mut [0; 1]).unwrap();
        done(process(|| {
            (&conn).write_all(&[0; 20_000]).unwrap();
            (&conn).read_exact(&mut [0; 1]).unwrap();
        }));
        conn.write_all(&[0; 300]).unwrap();
        conn.read_exact(&mut [0; 1]).unwrap();
    });
    let (mut conn, _) = listener.accept().unwrap();
    for bytes in [1_000, 20_000, 300] {
        read_exactly(&mut conn, bytes);
        conn.write_all(b"!").unwrap();
    }
    done(parent);
    drop(conn);
    // Handed over: made and connected by one, used by another.
    let (ours, theirs) = socketpair(
        nix::sys::socket::AddressFamily::Unix,
        SockType::Datagram,
        None,
        SockFlag::empty(),
    )
    .unwrap();
    let giver = process(|| {
        let conn = TcpStream::connect(to).unwrap();
        let fds = [conn.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(ours.as_raw_fd(), &[IoSlice::new(b"x")], &rights, MsgFlags::empty(), None)
            .unwrap();
    });
    let taker = process(|| {
        let mut byte = [0; 1];
        let mut room = cmsg_space!(RawFd);
        let mut iov = [IoSliceMut::new(&mut byte)];
        let got = recvmsg::<()>(theirs.as_raw_fd(), &mut iov, Some(&mut room), MsgFlags::empty());
        let got = got.unwrap();
        let Some(ControlMessageOwned::ScmRights(fds)) = got.cmsgs().unwrap().next() else {
            panic!("no descriptor came")
        };
        // SAFETY: a descriptor that has just been received and has no other owner.
        let mut conn = unsafe { TcpStream::from_raw_fd(fds[0]) };
        conn.write_all(&[0; 4_321]).unwrap();
        conn.read_exact(&mut [0; 1]).unwrap();
    });
    let (mut conn, _) = listener.accept().unwrap();
    done(giver);
    read_exactly(&mut conn, 4_321);
    conn.write_all(b"!").unwrap();
    done(taker);
    drop(conn);
    let run = end(stream);
    let close = run
        .of("close")
        .into_iter()
        .find(|line| line["owners"][0]["pid"] == parent.as_raw())
        .unwrap();
    let owners = close["owners"].as_array().unwrap();
    assert_eq!(owners.len(), 2, "{close}");
    assert_eq!(owners[0]["tx_bytes"], 1_300);
    assert_eq!((&owners[1]["tx_bytes"], &owners[1]["from"]), (&json!(20_000), &json!("sent")));
    assert_eq!(bytes(&close), (3, 21_300));
    assert_eq!(bytes(&run.row(parent)).1, 1_300);
    let given = run
        .of("close")
        .into_iter()
        .find(|line| line["owners"][0]["pid"] == giver.as_raw())
        .unwrap();
    assert_eq!(given["pid"], taker.as_raw());
    // However soon it was handed over: who connected is who connected.
    for pid in [parent, giver] {
        assert_eq!(run.by("connect", pid).len(), 1);
    }
    assert!(run.by("connect", taker).is_empty());
    assert_eq!(bytes(&given), (1, 4_321));
    assert_eq!(bytes(&run.row(taker)), (1, 4_321));
}

#[test]
fn none_is_too_short_to_be_seen() {
    let stream = here();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let server = process(|| (0..500).for_each(|_| serve(&listener, 5)));
    let client = process(|| (0..490).for_each(|_| ask(to, 9)));
    done(client);
    let brief: Vec<Pid> = (0..10).map(|_| process(|| ask(to, 9))).collect();
    brief.iter().copied().for_each(done);
    done(server);
    let run = end(stream);
    for (kind, pid, count) in [
        ("connect", client, 490),
        ("close", client, 490),
        ("accept", server, 500),
        ("close", server, 500),
    ] {
        assert_eq!(run.by(kind, pid).len(), count, "{kind}");
    }
    assert_eq!(bytes(&run.row(client)), (490 * 5, 490 * 9));
    assert_eq!(bytes(&run.row(server)), (500 * 9, 500 * 5));
    for pid in brief {
        assert_eq!(run.by("connect", pid).len(), 1);
        assert_eq!(bytes(&run.by("close", pid)[0]), (5, 9));
    }
    // Each is reported from its beginning to its end, even where both came at once.
    let mut begun = HashSet::new();
    for line in run.ended.lines().into_iter().filter(|line| line["netns"] == run.netns) {
        match line["type"].as_str() {
            Some("connect" | "accept") => assert!(begun.insert(line["cookie"].clone()), "{line}"),
            Some("close") => assert!(begun.contains(&line["cookie"]), "{line}"),
            _ => {}
        }
    }
}

/// More sockets than one read of the kernel's table returns.
#[test]
fn bytes_of_many_are_reported_while_they_live() {
    const CONNECTIONS: usize = 450;
    let mut stream = here();
    let (sent, polled) = (Gate::new(), Gate::new());
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let both = process(|| {
        let (_held, _accepted): (Vec<_>, Vec<_>) = (0..CONNECTIONS)
            .map(|n| {
                let mut conn = TcpStream::connect(to).unwrap();
                let mut other = listener.accept().unwrap().0;
                conn.write_all(&vec![0; 100 + n]).unwrap();
                other.read_exact(&mut vec![0; 100 + n]).unwrap();
                (conn, other)
            })
            .unzip();
        sent.open();
        polled.wait();
    });
    sent.wait();
    // Some polls of living sockets, after that in which all of them were new.
    stream.until_polled();
    polled.open();
    let mut closed = 0;
    stream.until("the last end", |line| {
        closed += usize::from(line["type"] == "close" && line["pid"] == both.as_raw());
        closed == 2 * CONNECTIONS
    });
    done(both);
    let run = end(stream);
    let sent: usize = (0..CONNECTIONS).map(|n| 100 + n).sum();
    let sent = sent as u64;
    let mut rows = run.ended.of_type("owners").into_iter().filter_map(|table| {
        let rows = table["processes"].as_array().unwrap();
        rows.iter().find(|row| row["pid"] == both.as_raw()).cloned()
    });
    let all_live = rows.rfind(|row| row["live"] == 2 * CONNECTIONS).unwrap();
    assert_eq!(bytes(&all_live), (sent, sent));
    // Their beginnings are reported by then, too.
    let lines = run.ended.lines();
    let of_both = |line: &Value, kind| line["type"] == kind && line["pid"] == both.as_raw();
    let before_the_end = lines.split(|line| of_both(line, "close")).next().unwrap();
    for kind in ["connect", "accept"] {
        let reported = before_the_end.iter().filter(|line| of_both(line, kind)).count();
        assert_eq!(reported, CONNECTIONS, "{kind}");
    }
    assert_eq!(bytes(&run.row(both)), (sent, sent));
}

#[test]
fn connections_from_before_are_found_with_their_process() {
    own_namespace();
    ip("link set lo up");
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let (start, wait) = nix::unistd::pipe().map(|(r, w)| (w, r)).unwrap();
    let client = process(|| {
        let mut conn = TcpStream::connect(to).unwrap();
        conn.write_all(&[0; 5_000]).unwrap();
        nix::unistd::read(&wait, &mut [0; 1]).unwrap();
        conn.write_all(&[0; 777]).unwrap();
        conn.read_exact(&mut [0; 2]).unwrap();
    });
    let (mut conn, _) = listener.accept().unwrap();
    read_exactly(&mut conn, 5_000);
    let stream = Stream::json(&["connections", "--interval", "200ms"]);
    // Of a socket that listened before, a connection comes as of any; itself it is none.
    let later = process(|| ask(to, 3));
    serve(&listener, 4);
    done(later);
    drop(listener);
    nix::unistd::write(&start, b"!").unwrap();
    read_exactly(&mut conn, 777);
    conn.write_all(b"!!").unwrap();
    done(client);
    drop(conn);
    let run = end(stream);
    let close = &run.by("close", client)[0];
    assert_eq!(bytes(close), (2, 777), "what was before is not counted: {close}");
    assert_eq!((&close["from"], &close["since"]), (&json!("found"), &Value::Null));
    assert_eq!(bytes(&run.row(client)), (2, 777));
    assert_eq!(run.of("accept").len(), 1);
    let closes = run.of("close");
    assert_eq!(closes.len(), 4, "both ends of two connections: {closes:?}");
    assert!(closes.iter().all(|line| line["remote_port"] != Value::Null));
}

#[test]
fn a_connection_that_does_not_come_about_says_why() {
    let stream = here();
    let to = TcpListener::bind(local("127.0.0.1")).unwrap().local_addr().unwrap();
    let client = process(|| assert!(TcpStream::connect(to).is_err()));
    done(client);
    let run = end(stream);
    let lines = run.by("connect", client);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["errno"], &lines[0]["remote_port"]),
        (&json!("ECONNREFUSED"), &json!(to.port()))
    );
    assert!(run.by("close", client).is_empty());
}

#[test]
fn another_namespace_and_a_cgroup_of_its_own_are_seen_alike() {
    let stream = here();
    let group = format!("{}/ebpftop-test-{}", cgroup2(), std::process::id());
    std::fs::create_dir(&group).unwrap();
    let both = process(|| {
        std::fs::write(format!("{group}/cgroup.procs"), "0").unwrap();
        own_namespace();
        lo_up();
        let listener = TcpListener::bind(local("::1")).unwrap();
        let to = listener.local_addr().unwrap();
        let client = process(|| ask(to, 1_234));
        serve(&listener, 4_321);
        done(client);
    });
    done(both);
    std::fs::remove_dir(&group).unwrap();
    let run = end(stream);
    let lines = run.ended.of_type("accept");
    let accept = lines.iter().find(|l| l["pid"] == both.as_raw()).unwrap();
    assert_ne!(accept["netns"], run.netns);
    assert_eq!(bytes(&run.row(both)), (1_234, 4_321));
}

/// Bytes through a tunnel are those that its programs wrote, and count once.
#[test]
fn bytes_through_a_tunnel_count_once() {
    let stream = here();
    let (there, go) = (nix::unistd::pipe().unwrap(), nix::unistd::pipe().unwrap());
    let server = process(|| {
        own_namespace();
        lo_up();
        nix::unistd::write(&there.1, b"!").unwrap();
        nix::unistd::read(&go.0, &mut [0]).unwrap();
        ip("addr add 10.71.0.2/24 dev under");
        ip("link set under up");
        ip("link add over type vxlan id 7 dev under remote 10.71.0.1 dstport 4789");
        ip("addr add 10.72.0.2/24 dev over");
        ip("link set over up");
        let listener = TcpListener::bind("10.72.0.2:7000").unwrap();
        nix::unistd::write(&there.1, b"!").unwrap();
        serve(&listener, 4_321);
    });
    nix::unistd::read(&there.0, &mut [0]).unwrap();
    ip(&format!("link add wire type veth peer name under netns {server}"));
    ip("addr add 10.71.0.1/24 dev wire");
    ip("link set wire up");
    ip("link add over type vxlan id 7 dev wire remote 10.71.0.2 dstport 4789");
    ip("addr add 10.72.0.1/24 dev over");
    ip("link set over up");
    nix::unistd::write(&go.1, b"!").unwrap();
    nix::unistd::read(&there.0, &mut [0]).unwrap();
    let client = process(|| ask("10.72.0.2:7000".parse().unwrap(), 100_003));
    done(client);
    done(server);
    let run = end(stream);
    for (pid, truth) in [(client, (4_321, 100_003)), (server, (100_003, 4_321))] {
        assert_eq!(bytes(&run.row(pid)), truth);
        assert_eq!(run.row(pid)["peers"], 1);
    }
}

#[test]
fn a_socket_whose_maker_has_ended_belongs_to_its_holder() {
    let mut stream = here();
    let to = SocketAddr::new("127.0.0.1".parse().unwrap(), 5_001);
    let (ready, say_ready) = nix::unistd::pipe().unwrap();
    // As a daemon does it: the process that made the socket is gone, its child only receives.
    let maker = process(|| {
        let server = UdpSocket::bind(to).unwrap();
        let daemon = process(|| {
            while server.recv(&mut [0; 2_000]).unwrap() != 1 {}
            nix::unistd::write(&say_ready, b"!").unwrap();
        });
        nix::unistd::write(&say_ready, &daemon.as_raw().to_ne_bytes()).unwrap();
    });
    done(maker);
    let mut pid = [0; 4];
    nix::unistd::read(&ready, &mut pid).unwrap();
    let daemon = Pid::from_raw(i32::from_ne_bytes(pid));
    let client = UdpSocket::bind(local("127.0.0.1")).unwrap();
    // Until a few polls of the holders have passed, the bytes are the maker's.
    for _ in 0..3 {
        stream.until_polled();
    }
    for _ in 0..5 {
        client.send_to(&[0; 1_000], to).unwrap();
    }
    client.send_to(&[0; 1], to).unwrap();
    nix::unistd::read(&ready, &mut [0; 1]).unwrap();
    let run = end(stream);
    assert_eq!(bytes(&run.row(daemon)), (5_001, 0));
}
