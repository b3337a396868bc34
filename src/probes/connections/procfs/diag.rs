//! Connected sockets of a network namespace, as `sock_diag` lists them (`ss` asks the same).
//!
//! Layouts: `include/uapi/linux/inet_diag.h`, `netlink.h`, `sock_diag.h`, `tcp.h`. The kernel fills
//! in what it knows; a message that is short or odd is skipped.

pub(in crate::probes) mod unix;

use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as KernelAddr};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::model::bound::Bound;
use crate::model::conn::{Carried, TCP, UDP, wire_ip};
use crate::model::quality::{Quality, TcpState, Windows};
use crate::probes::talkers::netlink::{attributes, split_message, u16_at, u32_at, u64_at};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_SKMEMINFO: u16 = 7;
/// The index in `INET_DIAG_SKMEMINFO`.
const SK_MEMINFO_DROPS: usize = 8;
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = 56;
const MESSAGE_BYTES: usize = 72;

/// Bytes of one read: the kernel makes its answers as large as the reader's buffer, up to this.
const READ_BYTES: usize = 32 << 10;
/// No answer of the kernel takes longer: it writes them while it is asked for them.
const PATIENCE_SECONDS: i64 = 2;

const ESTABLISHED: u8 = TcpState::Established.number();
const CLOSE_WAIT: u8 = TcpState::CloseWait.number();
const LAST_ACK: u8 = TcpState::LastAck.number();
const CLOSING: u8 = TcpState::Closing.number();

/// States of TCP in which there is a connection: neither a listener nor one that is still being made.
const CONNECTED: [u8; 6] = [
    ESTABLISHED,
    TcpState::FinWait1.number(),
    TcpState::FinWait2.number(),
    CLOSE_WAIT,
    LAST_ACK,
    CLOSING,
];

/// A connected socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) protocol: u16,
    pub(super) state: u8,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// The kernel's number of the socket.
    pub(super) cookie: u64,
    /// The index of the interface that it is bound to, or 0.
    pub(super) interface: u32,
    /// The inode of the file through which processes hold it; 0: none does any more.
    pub(super) inode: u32,
    /// Counts of TCP since the connection began; zero for datagrams.
    pub(super) carried: Carried,
    /// Quality of TCP.
    pub(super) quality: Quality,
}

pub(in crate::probes) const LISTEN: u8 = TcpState::Listen.number();
/// The state of a UDP socket that is bound and not connected.
pub(in crate::probes) const BOUND: u8 = TcpState::Closed.number();

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probes) struct Listening {
    pub(in crate::probes) bound: Bound,
    pub(in crate::probes) inode: u32,
    pub(in crate::probes) waiting: u32,
    pub(in crate::probes) limit: Option<u32>,
    pub(in crate::probes) drops: Option<u32>,
}

/// Lists the connected TCP and UDP sockets of the thread's network namespace.
///
/// Returns the kernel's modules that cannot answer (`udp_diag`); without TCP it is an error.
pub(super) fn list(mut each: impl FnMut(Entry)) -> io::Result<Vec<(&'static str, io::Error)>> {
    dump_both([&CONNECTED, &[ESTABLISHED]], INET_DIAG_INFO, |protocol, body| {
        parse(protocol, body).into_iter().for_each(&mut each);
    })
}

/// Lists the TCP listeners and the bound UDP sockets of the thread's network namespace. Returns the
/// modules that cannot answer, as [`list`].
pub(in crate::probes) fn listening(
    mut each: impl FnMut(Listening),
) -> io::Result<Vec<(&'static str, io::Error)>> {
    dump_both([&[LISTEN], &[BOUND]], INET_DIAG_SKMEMINFO, |protocol, body| {
        let state = if protocol == TCP { LISTEN } else { BOUND };
        parse_listening(protocol, state, body).into_iter().for_each(&mut each);
    })
}

/// Asks for the sockets of TCP and of UDP in these states, of both families, with an attribute
/// (`INET_DIAG_INFO` and others). Returns the modules that cannot answer; without TCP it is an error.
fn dump_both(
    [tcp, udp]: [&[u8]; 2],
    attribute: u16,
    mut each: impl FnMut(u16, &[u8]),
) -> io::Result<Vec<(&'static str, io::Error)>> {
    let mut refused = Vec::new();
    for (protocol, states) in [(TCP, tcp), (UDP, udp)] {
        for family in [libc::AF_INET, libc::AF_INET6] {
            let request = request(protocol, family, states, attribute);
            match dump(&request, |body| each(protocol, body)) {
                Ok(()) => {}
                // A kernel without IPv6 has no such sockets.
                Err(e) if family == libc::AF_INET6 && is_absent(&e) => {}
                Err(e) if protocol == UDP && is_absent(&e) => refused.push(("udp_diag", e)),
                Err(e) if is_absent(&e) => return Err(no_module("tcp_diag", &e)),
                Err(e) => return Err(e),
            }
        }
    }
    Ok(refused)
}

fn no_module(module: &str, e: &io::Error) -> io::Error {
    io::Error::other(format!("this kernel lists no sockets, try modprobe {module} ({e})"))
}

/// No handler for the protocol, and none could be loaded.
fn is_absent(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP))
}

/// One dump, on a socket of its own: nothing of another one can be left in it.
fn dump(request: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&KernelAddr::new(0, 0))?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
    socket.send(request, 0)?;
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        buffer.clear();
        match socket.recv(&mut buffer, 0) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        }
        if take(&buffer, &mut each)? {
            return Ok(());
        }
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(protocol: u16, family: i32, states: &[u8], attribute: u16) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + REQUEST_BYTES);
    message.extend_from_slice(&((HEADER_BYTES + REQUEST_BYTES) as u32).to_ne_bytes());
    message.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    message.resize(HEADER_BYTES, 0);
    let byte = |n: i64| u8::try_from(n).unwrap_or(0);
    message.extend_from_slice(&[byte(family.into()), byte(protocol.into())]);
    message.extend_from_slice(&[1 << (attribute - 1), 0]);
    let states = states.iter().fold(0u32, |mask, state| mask | 1 << state);
    message.extend_from_slice(&states.to_ne_bytes());
    // No address, no port, no cookie: all of them.
    message.resize(HEADER_BYTES + REQUEST_BYTES, 0);
    message
}

/// Hands over the messages of one read, a socket each; true when it was the last one.
fn take(mut rest: &[u8], each: &mut impl FnMut(&[u8])) -> io::Result<bool> {
    while let Some((kind, _, body, next)) = split_message(rest) {
        rest = next;
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let errno = u32_at(body, 0).unwrap_or(0).cast_signed();
                return Err(io::Error::from_raw_os_error(errno.saturating_neg()));
            }
            SOCK_DIAG_BY_FAMILY => each(body),
            _ => {}
        }
    }
    Ok(false)
}

/// `struct inet_diag_msg` and its attributes. `None`: short, odd, or not a connection: what is left
/// of TCP's in TIME_WAIT has no `tcp_info`.
fn parse(protocol: u16, body: &[u8]) -> Option<Entry> {
    let (head, rest) = body.split_at_checked(MESSAGE_BYTES)?;
    let state = *head.get(1)?;
    let (local, remote) = (end(head, 8, 4)?, end(head, 24, 6)?);
    let cookie = u64::from(u32_at(head, 44)?) | u64::from(u32_at(head, 48)?) << 32;
    let (carried, quality) = match protocol {
        TCP => {
            let (_, info) = attributes(rest).find(|(kind, _)| *kind == INET_DIAG_INFO)?;
            (tcp_counts(info, state)?, tcp_quality(info))
        }
        _ => Default::default(),
    };
    if !CONNECTED.contains(&state) || remote.port() == 0 {
        return None;
    }
    let (interface, inode) = (u32_at(head, 40)?, u32_at(head, 68)?);
    Some(Entry { protocol, state, local, remote, cookie, interface, inode, carried, quality })
}

/// An end of `struct inet_diag_sockid`: its address and its port are at these bytes.
fn end(head: &[u8], ip: usize, port: usize) -> Option<SocketAddr> {
    let port = u16::from_be(u16_at(head, port)?);
    let ip = head.get(ip..ip + 16)?;
    let ip = match i32::from(*head.first()?) {
        libc::AF_INET => IpAddr::from(<[u8; 4]>::try_from(ip.get(..4)?).ok()?),
        libc::AF_INET6 => wire_ip(ip.try_into().ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// A listener: its queues are the backlog and its limit (`inet_diag_msg_common_fill`, `tcp_diag_get_info`).
fn parse_listening(protocol: u16, wanted: u8, body: &[u8]) -> Option<Listening> {
    let (head, rest) = body.split_at_checked(MESSAGE_BYTES)?;
    if *head.get(1)? != wanted {
        return None;
    }
    let meminfo = attributes(rest).find(|(kind, _)| *kind == INET_DIAG_SKMEMINFO);
    let (local, interface) = (end(head, 8, 4)?, u32_at(head, 40)?);
    Some(Listening {
        bound: Bound::Ip { protocol, local, interface },
        inode: u32_at(head, 68)?,
        waiting: u32_at(head, 56)?,
        limit: u32_at(head, 60).filter(|_| protocol == TCP),
        drops: meminfo.and_then(|(_, info)| u32_at(info, 4 * SK_MEMINFO_DROPS)),
    })
}

/// Payload and segments of `struct tcp_info`. `bytes_received` has the peer's FIN in it, where that
/// has come; `bytes_sent` has what was sent again.
fn tcp_counts(info: &[u8], state: u8) -> Option<Carried> {
    let fin = u64::from(matches!(state, CLOSE_WAIT | LAST_ACK | CLOSING));
    Some(Carried {
        rx_bytes: u64_at(info, 128)?.saturating_sub(fin),
        tx_bytes: u64_at(info, 200)?.saturating_sub(u64_at(info, 208)?),
        rx_packets: u32_at(info, 140)?.into(),
        tx_packets: u32_at(info, 136)?.into(),
    })
}

/// Quality by `struct tcp_info`, which has no sum of lost segments.
fn tcp_quality(info: &[u8]) -> Quality {
    let measured = |at: usize| u32_at(info, at).filter(|n| *n != 0);
    Quality {
        connect_us: None,
        srtt_us: measured(68),
        rttvar_us: measured(68).and_then(|_| u32_at(info, 72)),
        retransmits: u32_at(info, 100),
        lost: None,
        reordering: u32_at(info, 220),
        cwnd: measured(80),
        delivery_bps: u64_at(info, 160).filter(|n| *n != 0).map(|rate| rate.saturating_mul(8)),
        windows: u32_at(info, 24).zip(u32_at(info, 144)).map(|(unacked, unsent)| Windows {
            in_flight: None,
            unacked,
            unsent,
            snd_wnd: u32_at(info, 228),
            rcv_wnd: u32_at(info, 232),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn listed() -> Vec<Entry> {
        let mut all = Vec::new();
        assert!(list(|entry| all.push(entry)).unwrap().is_empty());
        all
    }

    fn with_port(port: u16) -> Vec<Entry> {
        let all = listed();
        all.into_iter().filter(|e| e.local.port() == port || e.remote.port() == port).collect()
    }

    #[test]
    fn connections_are_listed_with_their_counts_and_listeners_are_not() {
        for ip in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let listener = TcpListener::bind((ip.trim_start_matches("::ffff:"), 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            assert!(with_port(port).is_empty(), "a listener is no connection");
            let mut client = TcpStream::connect((ip, port)).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(&[0; 1_000]).unwrap();
            server.read_exact(&mut [0; 1_000]).unwrap();
            server.write_all(&[0; 70]).unwrap();
            client.read_exact(&mut [0; 70]).unwrap();
            let mut both = with_port(port);
            both.sort_by_key(|e| e.local.port() == port);
            let counts: Vec<_> =
                both.iter().map(|e| (e.carried.rx_bytes, e.carried.tx_bytes)).collect();
            assert_eq!(counts, [(70, 1_000), (1_000, 70)], "{both:?}");
            assert_eq!(both[0].local, both[1].remote);
            assert!(both.iter().all(|e| e.protocol == TCP && e.inode != 0 && e.cookie != 0));
            assert!(!both[0].local.ip().to_string().starts_with("::ffff"), "{both:?}");
            // With the FIN of the peer, and the socket that no process holds any more.
            drop(client);
            server.read_to_end(&mut Vec::new()).unwrap();
            let rest = with_port(port);
            let rest: Vec<_> = rest.iter().filter(|e| e.local.port() == port).collect();
            assert_eq!((rest[0].state, rest[0].carried.rx_bytes), (CLOSE_WAIT, 1_000), "{rest:?}");
        }
    }

    #[test]
    fn connected_datagram_sockets_are_listed_without_counts() {
        for ip in ["127.0.0.1", "::1"] {
            let loose = UdpSocket::bind((ip, 0)).unwrap();
            let port = loose.local_addr().unwrap().port();
            let socket = UdpSocket::bind((ip, 0)).unwrap();
            socket.connect((ip, port)).unwrap();
            socket.send(b"x").unwrap();
            let found = with_port(port);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(
                (found[0].protocol, found[0].remote.port(), found[0].carried),
                (UDP, port, Carried::default())
            );
        }
    }

    #[test]
    fn any_answer_does_no_harm() {
        crate::testing::fuzz::check("sock_diag", |bytes| {
            for protocol in [TCP, UDP] {
                let mut found = 0;
                let _ = take(bytes, &mut |body: &[u8]| {
                    if let Some(entry) = parse(protocol, body) {
                        assert!(entry.remote.port() != 0 && CONNECTED.contains(&entry.state));
                        found += 1;
                    }
                    let _ = parse_listening(protocol, LISTEN, body);
                });
                assert!(found * (HEADER_BYTES + MESSAGE_BYTES) <= bytes.len());
            }
        });
    }
}
