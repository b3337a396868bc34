//! Names in packets that a test makes byte by byte: ClientHellos in pieces, hostile answers, more packets than
//! are copied. Nothing but the kernel is needed, so that every guest can run these.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use ebpftop::model::event::ProbeEvent;
use ebpftop::model::hostnames::HostnameCounts;
use ebpftop::probes::connections::{self, ConnectionsConfig, HostnamesConfig};
use nix::unistd::Pid;
use serde_json::json;

use crate::common::conns::*;
use crate::common::patience::{next, until};
use crate::names::{at_least, closing_server, counts, names, none, prepare, said, to_port};

/// A ClientHello of TLS 1.2 with a name, and an extension of so many bytes in front of it.
fn client_hello(name: &str, padding: usize) -> Vec<u8> {
    let with_length = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &with_length(body)].concat();
    let server = with_length(&[&[0], &with_length(name.as_bytes())[..]].concat());
    let extensions = [
        extension(21, &vec![0; padding]),
        extension(0, &server),
        extension(13, &with_length(&[4, 3])),
    ];
    let suites = with_length(&[0xc0, 0x2b]);
    let head = [&[3, 3][..], &[7; 32], &[0], &suites, &[1, 0]].concat();
    let body = [&head[..], &with_length(&extensions.concat())].concat();
    let message = [&[1, 0][..], &with_length(&body)].concat();
    [&[22, 3, 1][..], &with_length(&message)].concat()
}

#[test]
fn a_hello_in_pieces_is_read_and_one_that_is_too_long_is_counted() {
    prepare();
    let port = closing_server();
    let stream = names();
    let send = |pieces: Vec<Vec<u8>>| {
        let pid = process(|| {
            let mut conn = TcpStream::connect(("127.0.0.1", port)).unwrap();
            conn.set_nodelay(true).unwrap();
            for piece in pieces {
                conn.write_all(&piece).unwrap();
            }
        });
        done(pid);
        pid
    };
    let hello = client_hello("one.example", 1_500);
    let whole = send(vec![hello.clone()]);
    let halves = send(hello.chunks(1_000).map(<[u8]>::to_vec).collect());
    let from_two_bytes = send(vec![hello[..2].to_vec(), hello[2..].to_vec()]);
    let after_words = send(vec![b"STARTTLS\r\n".to_vec(), hello.clone()]);
    let long = send(vec![client_hello("long.example", 5_000)]);
    let long_in_pieces =
        send(client_hello("long.example", 5_000).chunks(1_000).map(<[u8]>::to_vec).collect());
    let none_at_all = send(vec![b"\x16\x03\x01\x00\x09\x01 no hello".to_vec()]);
    let run = end(stream);
    let of = |pid| said(&to_port(&run, "close", pid, port)[0]);
    for pid in [whole, halves, from_two_bytes, after_words] {
        assert_eq!(of(pid), json!(["one.example", "sni", 0]));
    }
    for pid in [long, long_in_pieces, none_at_all] {
        assert_eq!(of(pid), none());
    }
    let counts = counts(&run);
    at_least(&counts, &[("cut", 2), ("malformed", 1)]);
}

/// The answers to a query.
type Answers = dyn Fn(&[u8]) -> Vec<Vec<u8>>;

/// A query for the addresses of a name, in the form of a packet.
fn query(id: u8, name: &[&[u8]]) -> Vec<u8> {
    let labels = name.iter().flat_map(|label| [&[label.len() as u8][..], label].concat());
    let head = [0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    head.into_iter().chain(labels).chain([0, 0, 1, 0, 1]).collect()
}

/// The answer to a query: 127.0.0.13.
fn answer(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    (answer[2], answer[3], answer[7]) = (0x81, 0x80, 1);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 13]);
    answer
}

#[test]
fn hostile_answers_change_nothing() {
    prepare();
    let server = UdpSocket::bind("127.0.0.1:53").unwrap();
    let port = closing_server();
    let stream = names();
    // The answers to a query, of which the client waits for all; then it connects to 127.0.0.13.
    let ask = |name: &[&[u8]], answers: &Answers| {
        let question = query(7, name);
        let count = answers(&question).len();
        let asks = question.clone();
        let pid = process(move || {
            let socket = udp();
            socket.send_to(&asks, "127.0.0.1:53").unwrap();
            for _ in 0..count {
                socket.recv(&mut [0; 2_048]).unwrap();
            }
            drop(TcpStream::connect(("127.0.0.13", port)).unwrap());
        });
        let (n, from) = server.recv_from(&mut [0; 512]).unwrap();
        assert_eq!(n, question.len());
        for answer in answers(&question) {
            server.send_to(&answer, from).unwrap();
        }
        done(pid);
        pid
    };
    let good = ask(&[b"good", b"example"], &|q| vec![answer(q)]);
    let odd = ask(&[b"ev\x1b[31mil", b"a.b", b"\xff\xe2\x80\xae"], &|q| vec![answer(q)]);
    let long = ask(&[&[b'x'; 63], &[b'y'; 63], &[b'z'; 63], &[b'w'; 60]], &|q| vec![answer(q)]);
    let wrong: [&Answers; 5] = [
        // Another number, another question, a loop, a label of 255 bytes, half a message.
        &|q| vec![[&[0, 8][..], &answer(q)[2..]].concat()],
        &|_| vec![answer(&query(7, &[b"other", b"example"]))],
        &|q| {
            vec![
                [
                    &answer(q)[..q.len()],
                    &[0xc0, q.len() as u8, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 13],
                ]
                .concat(),
            ]
        },
        &|q| vec![[&answer(q)[..12], &[255][..], &[b'x'; 255], &answer(q)[q.len() - 5..]].concat()],
        &|q| vec![answer(q)[..q.len() + 9].to_vec()],
    ];
    let deceived: Vec<_> = wrong.map(|answers| ask(&[b"bad", b"example"], answers)).into();
    // Answers to who has not asked.
    let listens = udp();
    for _ in 0..3 {
        let unasked = answer(&query(7, &[b"unasked", b"example"]));
        server.send_to(&unasked, listens.local_addr().unwrap()).unwrap();
        listens.recv(&mut [0; 512]).unwrap();
    }
    drop(TcpStream::connect(("127.0.0.13", port)).unwrap());
    let run = end(stream);
    let of = |pid| said(&to_port(&run, "close", pid, port)[0]);
    assert_eq!(of(good), json!(["good.example", "dns", 0]));
    assert_eq!(of(odd), json!(["ev\\x1b[31mil.a\\\\.b.\\xff\\u{202e}", "dns", 0]));
    let xyzw = ["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(60)].join(".");
    assert_eq!(of(long), json!([xyzw, "dns", 0]));
    for pid in deceived {
        assert_eq!(of(pid), none());
    }
    let own = Pid::this();
    assert_eq!(said(&to_port(&run, "close", own, port)[0]), none());
    let counts = counts(&run);
    at_least(&counts, &[("unasked", 5), ("malformed", 3)]);
}

/// The probe alone, with bounds that a test can exceed.
fn counted(hostnames: HostnamesConfig, done: impl Fn(&HostnameCounts) -> bool) {
    let (sink, mut events) = tokio::sync::mpsc::channel(64);
    let hostnames = HostnamesConfig { on: true, ..hostnames };
    let interval = Duration::from_millis(200);
    let config = ConnectionsConfig { interval, locked: false, hostnames, may_poll: false };
    let probe = connections::start(config, sink);
    let port = closing_server();
    let mut started = false;
    until("the count", || {
        match next(&mut events).expect("the probe runs") {
            ProbeEvent::Started(_) => started = true,
            ProbeEvent::Hostnames(names) if done(&names.counts) => return Some(()),
            ProbeEvent::Failed(_, problem) => panic!("{problem}"),
            _ => {}
        }
        if started {
            let mut conn = TcpStream::connect(("127.0.0.1", port)).unwrap();
            conn.write_all(&client_hello("one.example", 1_500)).unwrap();
        }
        None
    });
    drop(events);
    probe.join();
}

#[test]
fn packets_beyond_the_bounds_are_counted() {
    prepare();
    let none = HostnamesConfig::default();
    counted(HostnamesConfig { window_bytes: Some(1_024), ..none }, |counts| counts.skipped > 3);
    // A record is larger than this.
    counted(HostnamesConfig { ring_bytes: Some(4_096), ..none }, |counts| counts.lost > 3);
}
