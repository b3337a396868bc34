//! Datagrams, counted where a process calls: their peers, and what does not count.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use crate::common::conns::*;
use crate::common::net::own_namespace;
use crate::common::program::Stream;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, sendto, setsockopt, socket, sockopt,
};
use serde_json::json;

const LOCALHOST: &str = "127.0.0.1";

#[test]
fn pings_take_no_room_from_peers_and_further_peers_are_counted() {
    const TABLE: u32 = 32_768;
    let mut stream = here();
    let (sent, polled) = (Gate::new(), Gate::new());
    // As from outside: with ever new numbers where UDP has its ports.
    done(process(|| {
        let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Icmp)
            .unwrap();
        let to = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, 0);
        for n in 0..20_000u16 {
            let [high, low] = n.to_be_bytes();
            // An echo request; the checksum is the complement of the sum of its words.
            let sum = (!(0x0800 + n)).to_be_bytes();
            let echo = [8, 0, sum[0], sum[1], 0, 0, high, low];
            let _ = sendto(raw.as_raw_fd(), &echo, &to, MsgFlags::empty());
        }
    }));
    let few = process(|| {
        let socket = udp();
        for n in 2..52 {
            socket.send_to(&[0; 100], SocketAddr::from(([127, 0, 0, n], 9))).unwrap();
        }
        sent.open();
        polled.wait();
    });
    sent.wait();
    stream.until_polled();
    polled.open();
    done(few);
    let many = process(|| {
        let socket = udp();
        for n in 0..TABLE + 1_000 {
            let [_, _, high, low] = n.to_be_bytes();
            socket.send_to(&[0; 10], SocketAddr::from(([127, 1, high, low], 9))).unwrap();
        }
        sent.open();
        polled.wait();
    });
    sent.wait();
    stream.until_polled();
    polled.open();
    done(many);
    let run = end(stream);
    let row = run.row(few);
    assert_eq!((&row["peers"], bytes(&row)), (&json!(50), (0, 5_000)), "{row}");
    let row = run.row(many);
    assert_eq!(bytes(&row).1, 10 * u64::from(TABLE + 1_000));
    let table = run.ended.of_type("owners").pop().unwrap();
    let left_out = table["left_out"]["peers"].as_u64().unwrap();
    let peers = row["peers"].as_u64().unwrap();
    assert!(left_out >= 1_000, "{left_out}");
    // Another process's peer may find no room, too.
    assert!(peers + left_out >= u64::from(TABLE + 1_000), "{peers} + {left_out}");
    assert!(peers <= u64::from(TABLE), "{peers}");
}

/// A connected one has a remote address without a port.
#[test]
fn a_raw_socket_has_its_peer() {
    let stream = here();
    let pings = process(|| {
        let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Icmp)
            .unwrap();
        let to = nix::sys::socket::SockaddrIn::new(127, 0, 0, 9, 0);
        nix::sys::socket::connect(raw.as_raw_fd(), &to).unwrap();
        let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
        nix::sys::socket::send(raw.as_raw_fd(), &echo, MsgFlags::empty()).unwrap();
    });
    done(pings);
    let run = end(stream);
    let row = run.row(pings);
    assert_eq!((bytes(&row).1, &row["peers"]), (8, &json!(1)), "{row}");
}

#[test]
fn datagrams_that_no_process_received_do_not_count() {
    let stream = here();
    let receiver = process(|| {
        let socket = UdpSocket::bind((LOCALHOST, 7_002)).unwrap();
        setsockopt(&socket, sockopt::RcvBuf, &2_304).unwrap();
        let sender = process(|| {
            let sender = udp();
            for _ in 0..1_000 {
                sender.send_to(&[0; 1_000], (LOCALHOST, 7_002)).unwrap();
            }
        });
        done(sender);
        socket.set_nonblocking(true).unwrap();
        let mut received = 0;
        while let Ok(n) = socket.recv(&mut [0; 2_000]) {
            received += n;
        }
        assert!(received > 0 && received < 500_000);
        // A socket of its own reports the number to the test.
        let report = UdpSocket::bind((LOCALHOST, 0)).unwrap();
        report.send_to(&vec![0; received / 1_000], (LOCALHOST, 9)).unwrap();
    });
    done(receiver);
    let run = end(stream);
    let (rx, tx) = bytes(&run.row(receiver));
    assert_eq!(rx, tx * 1_000);
}

#[test]
fn a_connected_datagram_socket_may_have_other_peers() {
    let stream = here();
    let sender = process(|| {
        let at = |ip: [u8; 4]| UdpSocket::bind(SocketAddr::from((ip, 9))).unwrap();
        let _receivers = [at([127, 0, 0, 2]), at([127, 0, 0, 3]), at([127, 0, 0, 4])];
        let socket = udp();
        socket.connect("127.0.0.2:9").unwrap();
        socket.send(&[0; 1]).unwrap();
        for _ in 0..100 {
            socket.send_to(&[0; 1_000], "127.0.0.3:9").unwrap();
        }
        socket.connect("127.0.0.4:9").unwrap();
        socket.send(&[0; 20]).unwrap();
    });
    done(sender);
    let run = end(stream);
    let row = run.row(sender);
    assert_eq!((&row["peers"], bytes(&row).1), (&json!(3), 100_021));
    let peers: Vec<_> =
        run.by("connect", sender).iter().map(|line| line["remote_ip"].clone()).collect();
    assert_eq!(peers, ["127.0.0.2", "127.0.0.4"]);
}

/// Sockets without traffic are no connections, however old.
#[test]
fn the_number_of_living_connections_does_not_jump() {
    own_namespace();
    lo_up();
    let idle = || {
        let listener = TcpListener::bind(local(LOCALHOST)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap();
        ([(); 10].map(|()| udp()), listener, client, server)
    };
    let older = idle();
    let mut stream = Stream::json(&["connections", "--interval", "200ms"]);
    let newer = idle();
    for _ in 0..2 {
        stream.until_polled();
    }
    let ended = stream.interrupt();
    drop((older, newer));
    let me = std::process::id();
    let rows = ended.of_type("owners").into_iter().filter_map(|table| {
        let rows = table["processes"].as_array().unwrap();
        rows.iter()
            .find(|row| row["pid"] == me)
            .map(|row| (row["live"].clone(), row["begun"].clone()))
    });
    // The two that are older, from the first interval on; then the two that are new.
    let rows: Vec<_> = rows.collect();
    let steady = (json!(4), json!(4));
    assert!(rows.iter().all(|row| *row == steady || *row == (json!(2), json!(2))), "{rows:?}");
    assert!(rows.len() > 3 && rows.ends_with(&[steady.clone(), steady]), "{rows:?}");
}

/// The ports are behind an extension header, which has other bytes at their place.
#[test]
fn extension_headers_hide_no_port() {
    let stream = here();
    let receives = UdpSocket::bind(local("::1")).unwrap();
    let to = receives.local_addr().unwrap();
    let sender = process(|| {
        let socket = UdpSocket::bind(local("::1")).unwrap();
        // A header of eight bytes, all of it padding.
        let options = [0u8, 0, 1, 4, 0, 0, 0, 0];
        let (at, len) = (options.as_ptr().cast(), options.len() as u32);
        for name in [libc::IPV6_HOPOPTS, libc::IPV6_DSTOPTS] {
            // SAFETY: a descriptor that is open, and as many bytes as it says.
            let set =
                unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, name, at, len) };
            assert_eq!(set, 0);
        }
        socket.connect(to).unwrap();
        socket.send(&[0; 300]).unwrap();
    });
    done(sender);
    let receiver = process(|| assert_eq!(receives.recv(&mut [0; 400]).unwrap(), 300));
    done(receiver);
    let run = end(stream);
    let connects = run.by("connect", sender);
    assert_eq!(connects.len(), 1);
    assert_eq!(
        (&connects[0]["remote_ip"], &connects[0]["remote_port"]),
        (&json!("::1"), &json!(to.port()))
    );
    assert_eq!((bytes(&run.row(sender)), bytes(&run.row(receiver))), ((0, 300), (300, 0)));
}

/// Too large for a datagram, and refused by the peer's kernel at the call after.
#[test]
fn calls_that_fail_count_nothing() {
    let stream = here();
    let closed = udp().local_addr().unwrap();
    let child = process(|| {
        let socket = udp();
        assert!(socket.send_to(&[0; 66_000], closed).is_err());
        socket.connect(closed).unwrap();
        socket.send(&[0; 30]).unwrap();
        assert!(socket.send(&[0; 500]).is_err());
    });
    done(child);
    let run = end(stream);
    assert_eq!(bytes(&run.row(child)), (0, 30));
}

/// Both ends are one socket, and one connection.
#[test]
fn a_connection_to_itself_has_both_directions_once() {
    let stream = here();
    let child = process(|| {
        let one = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        let at = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, 4_321);
        nix::sys::socket::bind(one.as_raw_fd(), &at).unwrap();
        nix::sys::socket::connect(one.as_raw_fd(), &at).unwrap();
        let mut one = TcpStream::from(one);
        std::io::Write::write_all(&mut one, &[0; 300]).unwrap();
        std::io::Read::read_exact(&mut one, &mut [0; 300]).unwrap();
    });
    done(child);
    let run = end(stream);
    assert_eq!(bytes(&run.row(child)), (300, 300));
    assert_eq!(run.by("close", child).len(), 1);
}

/// One call sends ten datagrams; they are received one by one, or by one call.
#[test]
fn segmented_datagrams_have_the_bytes_of_their_calls() {
    for merged in [false, true] {
        let stream = here();
        let to = udp();
        let address = to.local_addr().unwrap();
        setsockopt(&to, sockopt::UdpGroSegment, &merged).unwrap();
        let sender = process(|| {
            let from = udp();
            setsockopt(&from, sockopt::UdpGsoSegment, &100).unwrap();
            assert_eq!(from.send_to(&[0; 1_000], address).unwrap(), 1_000);
        });
        let receiver = process(|| {
            let mut received = 0;
            while received < 1_000 {
                received += to.recv(&mut [0; 2_000]).unwrap();
            }
        });
        drop(to);
        done(sender);
        done(receiver);
        let run = end(stream);
        assert_eq!(bytes(&run.row(sender)), (0, 1_000), "{merged}");
        assert_eq!(bytes(&run.row(receiver)), (1_000, 0), "{merged}");
    }
}

/// A datagram to a group counts once at the sender, and where a process reads it.
#[test]
fn multicast_has_the_bytes_of_its_calls() {
    const GROUP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(239, 1, 2, 3);
    let stream = here();
    let lo = std::net::Ipv4Addr::LOCALHOST;
    let to = UdpSocket::bind(SocketAddr::from((GROUP, 0))).unwrap();
    to.join_multicast_v4(&GROUP, &lo).unwrap();
    let address = to.local_addr().unwrap();
    let sender = process(|| {
        let from = udp();
        for _ in 0..5 {
            assert_eq!(from.send_to(&[0; 200], address).unwrap(), 200);
        }
    });
    let receiver = process(|| {
        for _ in 0..5 {
            assert_eq!(to.recv(&mut [0; 300]).unwrap(), 200);
        }
    });
    drop(to);
    done(sender);
    done(receiver);
    let run = end(stream);
    assert_eq!(bytes(&run.row(sender)), (0, 1_000));
    assert_eq!(bytes(&run.row(receiver)), (1_000, 0));
}
