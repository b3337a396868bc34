//! Quality of connections in `ebpftop stream connections`: what `ss -ti` prints of the same sockets, and
//! connects that fail, by reason. Each test is in a network namespace of its own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};
use serde_json::{Value, json};

use crate::common::conns::*;
use crate::common::net::{ip, own_namespace, run, veth};
use crate::common::patience::until;
use crate::common::program::{Stream, ebpftop, ended};
use crate::common::tty::Tty;

/// The words of `ss -ti` about the connection from `port`: a name with its value.
fn ss(port: u16) -> BTreeMap<String, String> {
    let source = format!(":{port}");
    let args = ["-HOtin", "state", "established", "src", &source];
    let out = ended(Command::new("ss").args(args));
    let text = String::from_utf8(out.stdout).unwrap();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for (at, word) in words.iter().enumerate() {
        if let Some((name, value)) = word.split_once(':') {
            named.insert(name.into(), value.into());
        } else if *word == "delivery_rate" {
            named.insert("delivery_rate".into(), words[at + 1].trim_end_matches("bps").into());
        }
    }
    named
}

/// Waits until nothing of a connection is under way at either end.
fn at_rest_between(ports: [u16; 2]) -> [BTreeMap<String, String>; 2] {
    until("both ends to be quiet", || {
        let both = ports.map(ss);
        let is_quiet = |of: &BTreeMap<_, _>| {
            of.contains_key("rtt") && !of.contains_key("unacked") && !of.contains_key("notsent")
        };
        both.iter().all(is_quiet).then_some(both)
    })
}

/// Ends it by a reset, which measures nothing.
fn reset(stream: TcpStream) {
    let now = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&stream, sockopt::Linger, &now).unwrap();
}

/// Ends the connection by a reset; the socket can connect again.
fn disconnect(stream: &TcpStream) {
    let none = libc::sockaddr { sa_family: libc::AF_UNSPEC as u16, sa_data: [0; 14] };
    // SAFETY: an address of this length.
    let done = unsafe { libc::connect(stream.as_raw_fd(), &raw const none, 16) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn quality_is_that_of_ss() {
    let stream = here();
    // A queue that is too short for what comes loses frames.
    run("tc", "qdisc add dev lo root tbf rate 100mbit burst 70kb limit 80kb");
    let (mut truths, mut again) = (Vec::new(), Vec::new());
    for ip in ["127.0.0.1", "::1"] {
        let listener = TcpListener::bind(local(ip)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut sender = client.try_clone().unwrap();
        let sending = std::thread::spawn(move || sender.write_all(&[1; 1_500_000]).unwrap());
        server.read_exact(&mut vec![0; 1_500_000]).unwrap();
        sending.join().unwrap();
        server.write_all(&[1; 500]).unwrap();
        client.read_exact(&mut [0; 500]).unwrap();
        let ports = [client.local_addr().unwrap().port(), server.local_addr().unwrap().port()];
        for (port, of) in ports.into_iter().zip(at_rest_between(ports)) {
            truths.push((port, of));
        }
        disconnect(&client);
        // The reset has come.
        assert_eq!(server.read(&mut [0]).unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
        let to = SockaddrStorage::from(listener.local_addr().unwrap());
        connect(client.as_raw_fd(), &to).unwrap();
        drop(listener.accept().unwrap());
        again.push((ports[0], client.local_addr().unwrap().port()));
    }
    let run = end(stream);
    let (mut sent_again, mut lost) = (0, 0);
    for (port, of) in truths {
        let closes = run.of("close");
        let close = closes.iter().find(|line| line["local_port"] == port).unwrap();
        let context = format!("{close}\n{of:?}");
        let ms = |text: &str| json!((text.parse::<f64>().unwrap() * 1e3).round() as u64);
        let (rtt, var) = of["rtt"].split_once('/').unwrap();
        assert_eq!((&close["srtt_us"], &close["rttvar_us"]), (&ms(rtt), &ms(var)), "{context}");
        let retrans = of.get("retrans").map_or("0", |text| text.split_once('/').unwrap().1);
        assert_eq!(close["retransmits"], json!(retrans.parse::<u64>().unwrap()), "{context}");
        sent_again += close["retransmits"].as_u64().unwrap();
        lost += close["lost"].as_u64().unwrap();
        let number = |key: &str| of.get(key).map_or(0, |text| text.parse::<u64>().unwrap());
        assert_eq!(close["cwnd"], json!(number("cwnd")), "{context}");
        assert_eq!(close["reordering"], json!(number("reord_seen")), "{context}");
        let rate =
            of.get("delivery_rate").map_or(Value::Null, |rate| json!(rate.parse::<u64>().unwrap()));
        assert_eq!(close["delivery_bps"], rate, "{context}");
        assert_eq!(close["state"], "established", "{context}");
    }
    assert!(sent_again > 0 && lost > 0, "nothing was sent again: the test shows nothing");
    for (first, second) in again {
        let closes = run.of("close");
        let of = |port: u16| closes.iter().rfind(|line| line["local_port"] == port).unwrap();
        let (before, line) = (of(first), of(second));
        assert_eq!(line["lost"], 0, "{line}\n{before}");
        assert_ne!(line["delivery_bps"], before["delivery_bps"], "{line}");
    }
    for line in run.of("connect") {
        assert!(line["connect_us"].as_u64() > Some(0), "{line}");
    }
    assert!(run.of("accept").iter().all(|line| line["connect_us"].is_null()));
    // Each connection was reset at one end.
    let owners = run.ended.of_type("owners");
    assert!(owners.last().unwrap()["failed"]["reset"].as_u64() >= Some(2), "{owners:?}");
}

/// A socket that does not wait, and one SYN more at most.
fn impatient(family: AddressFamily) -> OwnedFd {
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
    setsockopt(&fd, sockopt::TcpUserTimeout, &1).unwrap();
    fd
}

#[test]
fn connects_that_fail_have_a_reason() {
    let stream = here();
    // An interface that takes every frame and answers none.
    veth("dark", "hole");
    ip("addr add 10.9.0.1/24 dev dark");
    ip("-6 addr add fd09::1/64 dev dark nodad");
    ip("link set dark arp off up");
    ip("link set hole arp off up");
    let mut waiting = Vec::new();
    for (family, to) in
        [(AddressFamily::Inet, "10.9.0.2:80"), (AddressFamily::Inet6, "[fd09::2]:80")]
    {
        let to: SocketAddr = to.parse().unwrap();
        let begin = || {
            let fd = impatient(family);
            assert_eq!(
                connect(fd.as_raw_fd(), &SockaddrStorage::from(to)),
                Err(Errno::EINPROGRESS)
            );
            fd
        };
        waiting.push(begin());
        drop(begin()); // gives up at once
    }
    for ip in ["127.0.0.1", "::1"] {
        let closed = TcpListener::bind(local(ip)).unwrap().local_addr().unwrap();
        let refused = TcpStream::connect(closed).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
    }
    // The one port is taken, so that none is free.
    let taken = TcpListener::bind(local("127.0.0.1")).unwrap();
    let port = taken.local_addr().unwrap().port();
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    let ports = std::fs::read_to_string(range).unwrap();
    std::fs::write(range, format!("{port} {port}")).unwrap();
    let none_free = TcpStream::connect(taken.local_addr().unwrap()).unwrap_err();
    assert_eq!(none_free.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    std::fs::write(range, ports).unwrap();
    for fd in &waiting {
        let timed_out = until("the timeout", || {
            let error = nix::sys::socket::getsockopt(fd, sockopt::SocketError).unwrap();
            (error != 0).then_some(error)
        });
        assert_eq!(timed_out, libc::ETIMEDOUT);
    }
    drop(waiting);
    let run = end(stream);
    let mut found: BTreeMap<(String, String), u32> = BTreeMap::new();
    for line in run.of("connect") {
        assert_eq!(
            (&line["state"], &line["pid"]),
            (&json!("syn-sent"), &json!(std::process::id()))
        );
        // One without a port fails within a microsecond.
        assert!(line["connect_us"].as_u64() > Some(0) || line["local_port"] == 0, "{line}");
        assert!(line["srtt_us"].is_null(), "{line}");
        let text = |key: &str| line[key].as_str().unwrap_or("none").to_owned();
        *found.entry((text("errno"), text("remote_ip"))).or_default() += 1;
    }
    let truth = [
        ("ECONNREFUSED", "127.0.0.1"),
        ("ECONNREFUSED", "::1"),
        ("ETIMEDOUT", "10.9.0.2"),
        ("ETIMEDOUT", "fd09::2"),
        ("none", "127.0.0.1"),
        ("none", "10.9.0.2"),
        ("none", "fd09::2"),
    ];
    let truth = truth.map(|(errno, ip)| ((errno.to_owned(), ip.to_owned()), 1));
    assert_eq!(found, BTreeMap::from(truth));
    let owners = run.ended.of_type("owners");
    let failed = &owners.last().unwrap()["failed"];
    // Other programs of the machine may fail meanwhile.
    for (why, least) in [("refused", 2), ("timed_out", 2), ("aborted", 2), ("other", 1)] {
        assert!(failed[why].as_u64() >= Some(least), "{why}: {failed}");
    }
}

#[test]
fn lines_are_chosen_by_state_and_retransmits() {
    own_namespace();
    lo_up();
    let filters = ["state:syn-sent", "!state:syn-sent retrans:<1 rtt:<10s"];
    let streams =
        filters.map(|filter| Stream::json(&["connections", "--interval", "200ms", "-f", filter]));
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let client = process(|| ask(to, 1_000));
    serve(&listener, 10);
    done(client);
    drop(listener);
    TcpStream::connect(to).unwrap_err();
    let [failed, good] = streams.map(end_filtered);
    let kinds = |run: &Run| -> Vec<(String, Value)> {
        let all = ["connect", "accept", "close"].map(|kind| run.of(kind));
        let kind = |line: &Value| line["type"].as_str().unwrap().to_owned();
        all.iter().flatten().map(|line| (kind(line), line["errno"].clone())).collect()
    };
    assert_eq!(kinds(&failed), [("connect".to_owned(), json!("ECONNREFUSED"))]);
    let good = kinds(&good);
    assert!(good.iter().all(|(_, errno)| errno.is_null()), "{good:?}");
    assert_eq!(good.iter().filter(|(kind, _)| kind == "close").count(), 2, "{good:?}");
}

#[test]
fn the_dashboard_shows_connections_with_their_quality() {
    own_namespace();
    lo_up();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let args = ["--interval", "300ms", "-i", "lo", "--xdp-mode", "off"];
    let env = [("XDG_CONFIG_HOME", "/nonexistent")];
    let mut tty = Tty::start(ebpftop(), &args, &env, (100, 30));
    tty.wait_for("2 Talkers");
    tty.send("c");
    tty.wait_for("2 Connections");
    tty.wait_until("the start of the probe", |screen| screen.contains(" open "));
    // Others of the machine have connections too.
    tty.send(&format!("/pid:{}\r", std::process::id()));
    let mut client = TcpStream::connect(to).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[1; 10_000]).unwrap();
    server.read_exact(&mut [0; 10_000]).unwrap();
    server.write_all(&[1]).unwrap();
    client.read_exact(&mut [0]).unwrap();
    let row = |screen: &str, peer: u16, word: &str| {
        let peer = format!("127.0.0.1:{peer} ");
        screen.lines().any(|l| l.contains(&peer) && l.contains(word) && l.contains(" kernel"))
    };
    let port = client.local_addr().unwrap().port();
    let is_there =
        |screen: &str| row(screen, to.port(), "established") && row(screen, port, "established");
    tty.wait_until("both ends", is_there);
    // Nothing is under way: the round-trip time stands still.
    let [of_client, _] = at_rest_between([port, to.port()]);
    let us: f64 = of_client["rtt"].split_once('/').unwrap().0.parse::<f64>().unwrap() * 1e3;
    let rtt = match us {
        us if us < 99.95 => format!("{us:.1}\u{b5}s"),
        us if us < 999.5 => format!("{us:.0}\u{b5}s"),
        us => format!("{:.1}ms", us / 1e3),
    };
    tty.wait_until(&format!("an RTT of {rtt}"), |screen| row(screen, to.port(), &rtt));
    // A connect that fails, and the end of the connection: both stay.
    let closed = TcpListener::bind(local("127.0.0.1")).unwrap().local_addr().unwrap();
    TcpStream::connect(closed).unwrap_err();
    reset(client);
    // TCP has ended at the other end, too, but its process has not closed the socket yet.
    tty.wait_until("the end of TCP", |screen| row(screen, port, "closed"));
    drop(server);
    tty.wait_until("its end", |screen| {
        row(screen, to.port(), "closed")
            && row(screen, port, "reset")
            && row(screen, closed.port(), "refused")
    });
    tty.send(&format!("/\u{15}port:{} state:closed\r", closed.port()));
    tty.wait_until("the filter", |screen| !row(screen, port, "reset"));
    tty.send("\r");
    tty.wait_for("refused (ECONNREFUSED)");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// A number as the dashboard prints it.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let reversed: Vec<char> = digits.chars().rev().collect();
    let groups: Vec<String> = reversed.chunks(3).map(|group| group.iter().collect()).collect();
    groups.join(" ").chars().rev().collect()
}

/// A server that does not read: both windows and what is not sent, as `ss -tim` prints them.
#[test]
fn what_is_not_sent_and_both_windows_are_those_of_ss() {
    own_namespace();
    lo_up();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let mut tty = Tty::start(
        ebpftop(),
        &["--interval", "300ms", "-i", "lo", "--xdp-mode", "off"],
        &[("XDG_CONFIG_HOME", "/nonexistent")],
        (200, 50),
    );
    tty.wait_for("2 Talkers");
    tty.send("c");
    tty.wait_for(" open ");
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _server = listener.accept().unwrap();
    client.set_nonblocking(true).unwrap();
    let port = client.local_addr().unwrap().port();
    // Until nothing moves any more: the kernel takes a little more after a while.
    let truth = until("the connection to stall", || {
        while client.write(&[0; 65_536]).is_ok() {}
        let queues = || {
            let of = ss(port);
            ["unacked", "notsent", "snd_wnd", "rcv_wnd"].map(|name| of.get(name).cloned())
        };
        let first = queues();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let is_full = client.write(&[0; 65_536]).is_err();
        (is_full && first[1].is_some() && first == queues()).then_some(first)
    });
    // It prints no window of 0, and that of this side in later versions alone.
    let has_ours = truth[3].is_some();
    let of = |n: Option<String>| n.map_or(0, |n| n.parse::<u64>().unwrap());
    let [unacked, unsent, theirs, ours] = truth.map(of);
    tty.send(&format!("/port:{port}\r\r"));
    let unsent = format!(" {} not sent", grouped(unsent));
    let ours = if has_ours { format!("{} bytes", grouped(ours)) } else { String::new() };
    let windows = format!("peer takes {}, this side {ours}", grouped(theirs));
    let segments = format!(" in {unacked} segments");
    tty.wait_until(&format!("{unsent}, {windows},{segments}"), |screen| {
        [&unsent, &windows, &segments].iter().all(|text| screen.contains(*text))
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// A socket that is disconnected begins a connection of its own with each connect.
#[test]
fn a_socket_that_connects_again_has_the_bytes_of_each_connection() {
    let stream = here();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let child = process(|| {
        let mut client = TcpStream::connect(to).unwrap();
        for again in [true, true, false] {
            client.write_all(&[1; 5_000]).unwrap();
            client.read_exact(&mut [0; 100]).unwrap();
            if again {
                disconnect(&client);
                connect(client.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
            }
        }
    });
    for _ in 0..3 {
        let (mut server, _) = listener.accept().unwrap();
        server.read_exact(&mut [0; 5_000]).unwrap();
        server.write_all(&[1; 100]).unwrap();
        // Ends by the client's reset or FIN.
        let _ = server.read(&mut [0]);
    }
    done(child);
    let run = end(stream);
    assert_eq!(bytes(&run.row(child)), (300, 15_000));
    let closes = run.by("close", child);
    assert_eq!(closes.iter().map(bytes).collect::<Vec<_>>(), [(100, 5_000); 3]);
}
