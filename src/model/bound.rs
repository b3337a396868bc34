//! Where a listener is bound.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::conn::{TCP, protocol_name};
use super::escape::escape;

/// Protocol and address of a listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Bound {
    Ip {
        /// The protocol number of IP.
        protocol: u16,
        local: SocketAddr,
        /// Index of the interface that the socket is bound to; 0: none.
        interface: u32,
    },
    Unix {
        kind: UnixKind,
        name: UnixName,
    },
}

/// The type of a Unix socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UnixKind {
    Stream,
    Seqpacket,
}

/// The name of a Unix socket, at most 110 bytes that any user may choose: its path as it was bound, or `@` and
/// its abstract name. A path that begins with `@` begins with `./` here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixName(Box<[u8]>);

impl Bound {
    /// The address; `None` of Unix sockets.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip { local, .. } => Some(*local),
            Self::Unix { .. } => None,
        }
    }

    /// The name; `None` of others than Unix sockets.
    pub fn unix(&self) -> Option<&UnixName> {
        match self {
            Self::Ip { .. } => None,
            Self::Unix { name, .. } => Some(name),
        }
    }

    /// Whether it is a TCP listener.
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::Ip { protocol: TCP, .. })
    }

    /// Whether it takes connections.
    pub fn takes_connections(&self) -> bool {
        self.is_tcp() || self.unix().is_some()
    }

    /// `tcp`, `udp`, and for Unix sockets `u_str` and `u_seq`, as `ss` has it.
    pub fn protocol(&self) -> Cow<'static, str> {
        match self {
            Self::Ip { protocol, .. } => protocol_name(*protocol),
            Self::Unix { kind: UnixKind::Stream, .. } => "u_str".into(),
            Self::Unix { kind: UnixKind::Seqpacket, .. } => "u_seq".into(),
        }
    }

    /// The bytes that hang on it.
    pub fn bytes(&self) -> usize {
        self.unix().map_or(0, |name| name.0.len())
    }
}

/// The address or the escaped name.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip { local, .. } => local.fmt(f),
            Self::Unix { name, .. } => name.fmt(f),
        }
    }
}

impl UnixName {
    /// By the bytes of `sun_path`, of a path without the NUL at its end or with it.
    pub fn new(name: &[u8]) -> Self {
        match name {
            [0, name @ ..] => Self([b"@", name].concat().into()),
            path => {
                let path = path.split(|b| *b == 0).next().unwrap_or_default();
                let here: &[u8] = if path.first() == Some(&b'@') { b"./" } else { b"" };
                Self([here, path].concat().into())
            }
        }
    }

    /// The name: to be escaped where it is shown.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Escaped.
impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unix_sockets_are_escaped_and_stay_different() {
        for (name, shown) in [
            (&b"/run/x.sock\0"[..], "/run/x.sock"),
            (b"/run/x.sock", "/run/x.sock"),
            (b"\0x", "@x"),
            (b"@x\0", "./@x"),
            (b"\0a\0b\x1b[31m\n", "@a\\x00b\\x1b[31m\\n"),
            (b"x\n0000: 00000002 /evil\0", "x\\n0000: 00000002 /evil"),
            (b"/\xff\0", "/\\xff"),
            (b"\0", "@"),
        ] {
            assert_eq!(UnixName::new(name).to_string(), shown);
        }
    }
}
