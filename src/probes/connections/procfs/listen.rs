//! Listeners of all network namespaces, read on request.
//!
//! Those of the own namespace come from `sock_diag`, those of others from the files that a process in them
//! has in /proc: entering a namespace would take CAP_SYS_ADMIN for as long as the program runs. These
//! files have no limit of the queue, and no drops of TCP. `/proc/PID/fd` says who holds a socket.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;

use hashbrown::{HashMap, HashSet};

use super::diag::{self, BOUND, LISTEN, Listening};
use super::fds;
use crate::clock;
use crate::model::conn::{TCP, UDP, wire_ip};
use crate::model::listener::{Listener, Listeners, MAX_LISTENERS};
use crate::model::process::ProcessKey;

/// Bytes of one file in /proc that are read: some 50,000 sockets.
const MOST_TEXT: u64 = 8 << 20;

/// The listeners now.
pub fn listeners() -> Listeners {
    let now = clock::now();
    let failed = |e: io::Error| Listeners {
        problem: Some(format!("cannot read the listeners: {e}")),
        partial: true,
        ..Listeners::default()
    };
    Listeners { at: now.mono, wall: now.wall, ..read().unwrap_or_else(failed) }
}

fn read() -> io::Result<Listeners> {
    let own = u32::try_from(std::fs::metadata("/proc/thread-self/ns/net")?.ino())
        .map_err(io::Error::other)?;
    let (mut found, mut left_out) = (Vec::new(), 0u64);
    let mut add = |netns: u32, listening: Listening| {
        if found.len() < MAX_LISTENERS {
            found.push((netns, listening));
        } else {
            left_out += 1;
        }
    };
    let refused = diag::listening(|listening| add(own, listening))?;
    let mut unread = 0;
    for (netns, guides) in fds::namespaces()?.into_iter().filter(|(netns, _)| *netns != own) {
        // Its processes may have ended meanwhile, and the namespace with them.
        if !guides.iter().any(|pid| of_process(netns, *pid, |l| add(netns, l)).is_ok()) {
            unread +=
                u64::from(guides.iter().any(|pid| File::open(format!("/proc/{pid}")).is_ok()));
        }
    }
    let inodes: HashSet<u32> = found.iter().map(|(_, l)| l.inode).filter(|i| *i != 0).collect();
    let scan = fds::scan(|inode| inodes.contains(&inode))?;
    let mut cgroups: HashMap<ProcessKey, Option<Box<[u8]>>> = HashMap::new();
    let row = |(netns, l): (u32, Listening)| {
        let mut holders = scan.holders(l.inode).filter(|_| l.inode != 0);
        let owner = holders.next();
        let cgroup = owner.and_then(|owner| {
            cgroups.entry(owner.key).or_insert_with(|| fds::cgroup_of(owner.key)).clone()
        });
        let others = u32::try_from(holders.count()).unwrap_or(u32::MAX);
        let Listening { protocol, local, interface, inode, waiting, limit, drops } = l;
        Listener {
            protocol,
            local,
            netns,
            interface,
            inode,
            since: None,
            waiting,
            limit,
            drops,
            owner,
            others,
            cgroup,
        }
    };
    let rows = found.into_iter().map(row).collect();
    let mut problems = Vec::new();
    if unread > 0 {
        problems.push(format!("{unread} namespaces cannot be read"));
    }
    if let Some((module, e)) = refused.first() {
        problems.push(format!("UDP is missing: {module}: {e}"));
    }
    if scan.unreadable > 0 {
        problems.push(format!("descriptors of {} processes cannot be read", scan.unreadable));
    }
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    let partial = unread > 0;
    Ok(Listeners { rows, left_out, partial, problem, ..Listeners::default() })
}

/// Hands over the listeners of a namespace, by a process in it.
fn of_process(netns: u32, pid: u32, mut each: impl FnMut(Listening)) -> io::Result<()> {
    let is_in = || std::fs::metadata(format!("/proc/{pid}/ns/net")).map(|m| m.ino());
    let mut found = Vec::new();
    for (protocol, name) in [(TCP, "tcp"), (TCP, "tcp6"), (UDP, "udp"), (UDP, "udp6")] {
        let mut text = Vec::new();
        match File::open(format!("/proc/{pid}/net/{name}")) {
            Ok(file) => file.take(MOST_TEXT).read_to_end(&mut text)?,
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
    Ok(())
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
        protocol,
        local: end(local)?,
        interface: 0,
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
        assert_eq!((found.local, found.inode), ("127.0.0.1:8080".parse().unwrap(), 4_711));
        assert_eq!((found.waiting, found.limit, found.drops), (2, None, None));
        let udp = b"  52: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 17 2 0000000000000000 9";
        let found = parse(UDP, udp).unwrap();
        assert_eq!((found.local, found.inode), ("[::1]:53".parse().unwrap(), 17));
        assert_eq!((found.waiting, found.drops), (0x300, Some(9)));
        // Of another state, the heading, and cut off.
        assert_eq!(parse(UDP, tcp), None);
        assert_eq!(parse(TCP, b"  sl  local_address rem_address   st tx_queue rx_queue"), None);
        assert_eq!(parse(TCP, &tcp[..60]), None);
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
