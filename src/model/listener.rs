//! Sockets that wait for others: TCP listeners and bound UDP sockets, with their processes.

use std::net::SocketAddr;

use super::conn::Owner;
use super::time::Mono;

/// Listeners that are shown, some 200 bytes each; further ones are counted in [`Listeners::left_out`].
pub const MAX_LISTENERS: usize = 8_192;

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The protocol number of IP.
    pub protocol: u16,
    pub local: SocketAddr,
    /// The network namespace's inode number.
    pub netns: u32,
    /// Index of the interface that the socket is bound to; 0: none.
    pub interface: u32,
    /// The inode of the file through which processes hold it.
    pub inode: u32,
    /// Of TCP: connections that wait to be accepted, and how many may. Of UDP: bytes that wait to be read,
    /// and no limit.
    pub waiting: u32,
    /// `None` also in other network namespaces than that of the program.
    pub limit: Option<u32>,
    /// Connections or datagrams that were dropped, as the queue was full or for other reasons; `None`
    /// where it is not known: for TCP in other network namespaces than that of the program.
    pub drops: Option<u32>,
    /// The first process that has it open, and how many others have.
    pub owner: Option<Owner>,
    pub others: u32,
    /// The path of that process's cgroup, where it is known.
    pub cgroup: Option<Box<[u8]>>,
}

/// The listeners of a machine at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    pub at: Mono,
    pub rows: Vec<Listener>,
    /// Listeners beyond [`MAX_LISTENERS`].
    pub left_out: u64,
    /// Why rows or processes are missing.
    pub problem: Option<String>,
}
