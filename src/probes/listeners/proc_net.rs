//! TCP listeners and bound UDP sockets of a network namespace, from the files that a process in it has in /proc.
//!
//! They have neither the limit of a queue nor drops of TCP.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;

use crate::model::bound::Bound;
use crate::model::conn::{TCP, UDP, wire_ip};
use crate::probes::connections::procfs::diag::{BOUND, LISTEN, Listening};

/// Bytes of one file in /proc that are read: some 50,000 sockets.
const MOST_TEXT: u64 = 8 << 20;

/// The least that the kernel gathers of a file before it stops for want of room (`seq_read_iter` of fs/seq_file.c: a page), less
/// than a line of 150 bytes below it.
const FULL: usize = 4_096 - 256;

/// Hands over the listeners of a namespace, by a process in it; false where it has more sockets than are read.
pub(super) fn of_process(
    netns: u32,
    pid: u32,
    mut each: impl FnMut(Listening),
) -> io::Result<bool> {
    let is_in = || std::fs::metadata(format!("/proc/{pid}/ns/net")).map(|m| m.ino());
    let (mut found, mut is_whole) = (Vec::new(), true);
    let used =
        ["sockstat", "sockstat6"].map(|name| std::fs::read(format!("/proc/{pid}/net/{name}")));
    for (protocol, name, counted) in
        [(TCP, "tcp", "TCP"), (TCP, "tcp6", "TCP6"), (UDP, "udp", "UDP"), (UDP, "udp6", "UDP6")]
    {
        // For a file the kernel walks over the tables of all namespaces.
        if used.iter().flatten().any(|text| has_none(text, counted)) {
            continue;
        }
        let text = match File::open(format!("/proc/{pid}/net/{name}")) {
            Ok(file) => {
                let (text, whole) = lines(file)?;
                is_whole &= whole;
                text
            }
            // A kernel without IPv6.
            Err(e) if e.kind() == io::ErrorKind::NotFound && name.ends_with('6') => continue,
            Err(e) => return Err(e),
        };
        found.extend(text.split(|b| *b == b'\n').filter_map(|line| parse(protocol, line)));
    }
    // It was in this namespace all the time.
    if is_in()? != u64::from(netns) {
        return Err(io::Error::other("the process is in another namespace"));
    }
    found.into_iter().for_each(&mut each);
    Ok(is_whole)
}

/// Whether a namespace has no sockets of a protocol, by its `sockstat`: `TCP: inuse 0 …`.
fn has_none(sockstat: &[u8], protocol: &str) -> bool {
    let is_none = |line: &[u8]| {
        let line = line.strip_prefix(protocol.as_bytes());
        line.and_then(|line| line.strip_prefix(b": inuse 0"))
            .is_some_and(|rest| rest.first().is_none_or(|next| !next.is_ascii_digit()))
    };
    sockstat.split(|b| *b == b'\n').any(is_none)
}

/// The whole lines in the first [`MOST_TEXT`] bytes, and whether these are all.
fn lines(file: impl Read) -> io::Result<(Vec<u8>, bool)> {
    let (mut text, mut file) = (Vec::new(), file.take(MOST_TEXT + 1));
    let mut part = vec![0; 64 << 10];
    loop {
        let n = file.read(&mut part)?;
        text.extend_from_slice(part.get(..n).unwrap_or_default());
        // The kernel had room for more: this was the end. To read it would walk over the table once more.
        if n < FULL {
            break;
        }
    }
    let is_whole = text.len() as u64 <= MOST_TEXT;
    if !is_whole {
        // Numbers in the last one may be cut.
        text.truncate(text.iter().rposition(|b| *b == b'\n').unwrap_or(0));
    }
    Ok((text, is_whole))
}

/// A line of `/proc/net/tcp` and the like (`get_tcp4_sock` of net/ipv4/tcp_ipv4.c, `udp4_format_sock` of
/// net/ipv4/udp.c); `None`: the heading, another state, or odd.
fn parse(protocol: u16, line: &[u8]) -> Option<Listening> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace();
    let (local, state) = (fields.nth(1)?, fields.nth(1)?);
    let state = u8::from_str_radix(state, 16).ok()?;
    if state != if protocol == TCP { LISTEN } else { BOUND } {
        return None;
    }
    let (_, waiting) = fields.next()?.split_once(':')?;
    let inode = fields.nth(4)?.parse().ok()?;
    let drops = match protocol {
        UDP => Some(fields.nth(2)?.parse().ok()?),
        _ => None,
    };
    Some(Listening {
        bound: Bound::Ip { protocol, local: end(local)?, interface: 0 },
        inode,
        waiting: u32::from_str_radix(waiting, 16).ok()?,
        limit: None,
        drops,
    })
}

/// `0100007F:1F90`: words of the address in the machine's order, and the port.
fn end(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word =
        |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(words.as_flattened()) {
                *to = *from;
            }
            wire_ip(bytes)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let tcp = b"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0";
        let found = parse(TCP, tcp).unwrap();
        assert_eq!((found.bound.to_string(), found.inode), ("127.0.0.1:8080".to_owned(), 4_711));
        assert_eq!((found.waiting, found.limit, found.drops), (2, None, None));
        let udp = b"  52: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 17 2 0000000000000000 9";
        let found = parse(UDP, udp).unwrap();
        assert_eq!((found.bound.to_string(), found.inode), ("[::1]:53".to_owned(), 17));
        assert_eq!((found.waiting, found.drops), (0x300, Some(9)));
        // Of another state, the heading, and cut off.
        assert_eq!(parse(UDP, tcp), None);
        assert_eq!(parse(TCP, b"  sl  local_address rem_address   st tx_queue rx_queue"), None);
        assert_eq!(parse(TCP, &tcp[..60]), None);
    }

    #[test]
    fn protocols_without_sockets_are_known() {
        let text = b"sockets: used 12\nTCP: inuse 0 orphan 0 tw 3 alloc 0 mem 0\nUDP: inuse 20 mem 0\nUDPLITE: inuse 0\n";
        assert!(has_none(text, "TCP"));
        assert!(!has_none(text, "UDP") && !has_none(text, "TCP6") && !has_none(b"", "TCP"));
        assert!(has_none(b"TCP6: inuse 0\nUDP6: inuse 01\n", "TCP6"));
        assert!(!has_none(b"TCP6: inuse 0\nUDP6: inuse 01\n", "UDP6"));
    }

    #[test]
    fn of_a_file_that_is_too_long_whole_lines_are_read() {
        let line = b"0123456789abcde\n";
        let n = usize::try_from(MOST_TEXT).unwrap() / line.len();
        let all = line.repeat(n);
        assert_eq!(lines(&*all).unwrap(), (all.clone(), true));
        let more = [&*all, b"0"].concat();
        let (text, is_whole) = lines(&*more).unwrap();
        assert_eq!((text.len(), is_whole), (all.len() - 1, false));
    }

    #[test]
    fn any_line_of_proc_does_no_harm() {
        crate::testing::fuzz::check("proc", |text| {
            for line in text.split(|b| *b == b'\n') {
                let _ = (parse(TCP, line), parse(UDP, line));
            }
        });
    }
}
