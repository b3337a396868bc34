//! Processes with their sockets, from `/proc/PID/fd`, and their network namespaces.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use hashbrown::HashMap;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, fstatat};

use crate::clock;
use crate::model::conn::{Owner, OwnerFrom};
use crate::model::open::Comm;
use crate::model::process::NS_PER_TICK;
use crate::model::process::ProcessKey;
use crate::model::process_info::Stat;

/// Pairs of a socket and a process that has it open; further ones are counted.
const MOST_HOLDERS: usize = crate::model::connections::MAX_CONNS;
/// Processes that are remembered of a namespace, to enter it by one that still lives.
const MOST_GUIDES: usize = 4;
/// Bytes of a file of /proc that are read.
const MOST_TEXT: u64 = 8 << 10;
/// The kernel's own threads are its children.
const KTHREADD: u32 = 2;

/// The findings of one scan.
#[derive(Debug, Default)]
pub(in crate::probes) struct Scan {
    /// The processes that hold a socket which was asked for.
    owners: Vec<Owner>,
    /// The holders by inode, in the order in which they were found: that of process ids.
    held: HashMap<u32, Vec<usize>>,
    /// Those of [`Self::add_held`].
    by_key: HashMap<ProcessKey, usize>,
    /// The number of pairs in `held`, and of those beyond [`MOST_HOLDERS`].
    pairs: usize,
    pub(in crate::probes) left_out: u64,
    /// Processes by the inode of their namespace.
    pub(super) namespaces: HashMap<u32, Vec<u32>>,
    /// Processes, threads of the kernel aside.
    pub(super) processes: u64,
    /// Processes whose descriptors may not be read.
    pub(in crate::probes) unreadable: u64,
}

impl Scan {
    /// The processes that hold a socket.
    pub(in crate::probes) fn holders(&self, inode: u32) -> impl Iterator<Item = Owner> {
        let held = self.held.get(&inode).map_or(&[][..], Vec::as_slice);
        held.iter().filter_map(|n| self.owners.get(*n).copied())
    }
}

/// Reads the descriptors of all processes, and keeps who holds one of the sockets that are `wanted`
/// by their inode.
pub(in crate::probes) fn scan(wanted: impl Fn(u32) -> bool) -> io::Result<Scan> {
    let mut scan = Scan::default();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // Everything is read through this: a process that gets the same id is another one.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let Ok(process) = open(&entry.path(), flags, Mode::empty()) else { continue };
        scan.add(pid, &process, &wanted);
    }
    Ok(scan)
}

impl Scan {
    fn add(&mut self, pid: u32, process: &OwnedFd, wanted: &impl Fn(u32) -> bool) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut fds = match Dir::openat(process, "fd", flags, Mode::empty()) {
            Ok(fds) => fds,
            Err(Errno::EACCES | Errno::EPERM) => {
                let stat = text(process, "stat").and_then(|text| Stat::parse(&text));
                if stat.is_some_and(|s| pid != KTHREADD && s.ppid != KTHREADD) {
                    self.processes += 1;
                    self.unreadable += 1;
                }
                return;
            }
            Err(_) => return,
        };
        self.processes += 1;
        guide(&mut self.namespaces, pid, readlinkat(process, "ns/net"));
        let Ok(links) = fds.as_fd().try_clone_to_owned() else { return };
        let mut owner = None;
        for fd in fds.iter().flatten() {
            let Ok(link) = readlinkat(&links, fd.file_name()) else { continue };
            let Some(inode) = number(link.as_encoded_bytes(), b"socket:[") else { continue };
            if !wanted(inode) {
                continue;
            }
            if owner.is_none() {
                let Some(found) = identity(pid, process) else { return };
                self.owners.push(found);
                owner = Some(self.owners.len() - 1);
            }
            if let Some(owner) = owner {
                self.hold(inode, owner);
            }
        }
    }

    /// Takes over that a process holds a socket. Its threads may come between other processes.
    pub(in crate::probes) fn add_held(&mut self, inode: u32, owner: Owner) {
        let owner = *self.by_key.entry(owner.key).or_insert_with(|| {
            self.owners.push(owner);
            self.owners.len() - 1
        });
        self.hold(inode, owner);
    }

    fn hold(&mut self, inode: u32, owner: usize) {
        let holders = self.held.entry(inode).or_default();
        let Err(at) = holders.binary_search(&owner) else { return };
        if self.pairs >= MOST_HOLDERS {
            self.left_out += 1;
            return;
        }
        holders.insert(at, owner);
        self.pairs += 1;
    }
}

/// Network namespaces with processes that are in them.
pub(in crate::probes) fn namespaces() -> io::Result<HashMap<u32, Vec<u32>>> {
    let mut found = HashMap::new();
    let proc = Dir::open("/proc", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let links = proc.as_fd().try_clone_to_owned()?;
    for entry in proc.into_iter().flatten() {
        let Some(pid) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else {
            continue;
        };
        guide(&mut found, pid, readlinkat(&links, &*format!("{pid}/ns/net")));
    }
    Ok(found)
}

/// Remembers that a process is in the namespace that `link` says.
fn guide(namespaces: &mut HashMap<u32, Vec<u32>>, pid: u32, link: nix::Result<std::ffi::OsString>) {
    let Ok(link) = link else { return };
    let Some(namespace) = number(link.as_encoded_bytes(), b"net:[") else { return };
    let guides = namespaces.entry(namespace).or_default();
    if guides.len() < MOST_GUIDES {
        guides.push(pid);
    }
}

/// The number in `socket:[4711]`.
fn number(link: &[u8], kind: &[u8]) -> Option<u32> {
    let digits = link.strip_prefix(kind)?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The path of a process's cgroup of version 2, or of systemd's hierarchy, while it lives.
pub(in crate::probes) fn cgroup_of(key: ProcessKey) -> Option<Box<[u8]>> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let process = open(&*format!("/proc/{}", key.tgid), flags, Mode::empty()).ok()?;
    let found = identity(key.tgid, &process)?.key == key;
    let path = cgroup_in(&text(&process, "cgroup")?)?.into();
    found.then_some(path)
}

/// The path in `/proc/PID/cgroup`: lines of `number:controllers:path`.
fn cgroup_in(text: &[u8]) -> Option<&[u8]> {
    let of = |controllers: &[u8]| {
        text.split(|b| *b == b'\n').find_map(|line| {
            let at = line.iter().position(|b| *b == b':')?;
            line.get(at + 1..)?.strip_prefix(controllers)?.strip_prefix(b":")
        })
    };
    let root = |path: &&[u8]| *path != b"/";
    of(b"").filter(root).or_else(|| of(b"name=systemd")).or_else(|| of(b""))
}

fn identity(pid: u32, process: &OwnedFd) -> Option<Owner> {
    let stat = Stat::parse(&text(process, "stat")?)?;
    let uid = real_uid(&text(process, "status")?)?;
    let start_boottime_ns = clock::boottime_of_kernel(stat.start_ticks.saturating_mul(NS_PER_TICK));
    let key = ProcessKey { tgid: pid, start_boottime_ns };
    Some(Owner { key, uid, comm: Comm::new(&stat.name), from: OwnerFrom::Found })
}

/// The first number of `Uid:`. The name above it is escaped: it begins no line.
fn real_uid(status: &[u8]) -> Option<u32> {
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

fn text(process: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = File::from(openat(process, name, flags, Mode::empty()).ok()?);
    let mut text = Vec::with_capacity(2 << 10);
    file.take(MOST_TEXT).read_to_end(&mut text).ok()?;
    Some(text)
}

/// TCP and UDP sockets of the network namespace of a process, listeners too: of one that may not be
/// entered, that is all that is known.
pub(super) fn sockets_around(pid: u32) -> u64 {
    ["sockstat", "sockstat6"]
        .into_iter()
        .filter_map(|name| std::fs::read(format!("/proc/{pid}/net/{name}")).ok())
        .map(|text| in_use(&text))
        .sum()
}

/// `TCP: inuse 5 orphan 0 …` and `UDP6: inuse 2`.
fn in_use(sockstat: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(sockstat);
    let count = |line: &str| -> Option<u64> {
        let (protocol, rest) = line.split_once(": inuse ")?;
        ["TCP", "TCP6", "UDP", "UDP6"].contains(&protocol).then_some(())?;
        rest.split(' ').next()?.parse().ok()
    };
    text.lines().filter_map(count).fold(0, u64::saturating_add)
}

/// /proc hides the processes of others.
pub(super) fn is_hidden() -> bool {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(proc) = open("/proc", flags, Mode::empty()) else { return false };
    fstatat(&proc, "1", AtFlags::empty()).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    #[test]
    fn holders_of_a_socket_are_found() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let again = socket.try_clone().unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", again.as_raw_fd())).unwrap();
        let inode = number(link.as_os_str().as_encoded_bytes(), b"socket:[").unwrap();
        let found = scan(|of| of == inode).unwrap();
        let holders: Vec<_> = found.holders(inode).collect();
        assert_eq!(holders.len(), 1, "{holders:?}");
        assert_eq!(holders[0].key.tgid, std::process::id());
        assert_eq!(holders[0].uid, nix::unistd::getuid().as_raw());
        assert_eq!(found.holders(inode + 1).count(), 0);
        assert!(found.processes > 0);
        let link = std::fs::read_link("/proc/self/ns/net").unwrap();
        let own = number(link.as_os_str().as_encoded_bytes(), b"net:[").unwrap();
        assert!(found.namespaces.contains_key(&own));
        assert!(namespaces().unwrap().contains_key(&own));
    }

    #[test]
    fn a_process_whose_threads_come_between_others_holds_a_socket_once() {
        let owner = |tgid| Owner {
            key: ProcessKey { tgid, start_boottime_ns: 1 },
            uid: 0,
            comm: Comm::new(b"web"),
            from: OwnerFrom::Found,
        };
        let mut scan = Scan::default();
        for (inode, tgid) in [(1, 7), (2, 8), (1, 8), (1, 7), (2, 7), (1, 9), (2, 8)] {
            scan.add_held(inode, owner(tgid));
        }
        let pids = |inode| scan.holders(inode).map(|o| o.key.tgid).collect::<Vec<_>>();
        assert_eq!((pids(1), pids(2)), (vec![7, 8, 9], vec![7, 8]));
        assert_eq!((scan.pairs, scan.left_out, scan.owners.len()), (5, 0, 3));
    }

    #[test]
    fn links_and_counts_are_read() {
        assert_eq!(number(b"socket:[4711]", b"socket:["), Some(4_711));
        for link in ["socket:[]", "socket:[x]", "socket:[1", "pipe:[1]", "socket:[99999999999]"] {
            assert_eq!(number(link.as_bytes(), b"socket:["), None, "{link}");
        }
        assert_eq!(real_uid(b"Name:\ta\\nUid:\t7\nUid:\t1000\t0\t0\t0\n"), Some(1_000));
        assert_eq!(real_uid(b"Name:\ta\n"), None);
        assert_eq!(cgroup_in(b"1:name=systemd:/a:b\n0::/\n"), Some(&b"/a:b"[..]));
        assert_eq!(cgroup_in(b"1:name=systemd:/a\n0::/c\n"), Some(&b"/c"[..]));
        assert_eq!((cgroup_in(b"0::/\n"), cgroup_in(b"x")), (Some(&b"/"[..]), None));
        let text =
            b"sockets: used 9\nTCP: inuse 5 orphan 0 tw 2\nUDP: inuse 3 mem 1\nRAW: inuse 7\n";
        assert_eq!(in_use(text), 8);
    }

    #[test]
    fn any_text_of_proc_does_no_harm() {
        crate::testing::fuzz::check("proc", |text| {
            real_uid(text);
            in_use(text);
            cgroup_in(text);
            number(text, b"socket:[");
        });
    }
}
