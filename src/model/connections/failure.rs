//! Connections that failed, by reason.

use serde::{Deserialize, Serialize};

use super::What;
use crate::model::conn::Conn;

/// Errnos of `include/uapi/asm-generic/errno.h`.
const EPIPE: u32 = 32;
const ENETDOWN: u32 = 100;
const ENETUNREACH: u32 = 101;
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
const EHOSTDOWN: u32 = 112;
const EHOSTUNREACH: u32 = 113;

/// Why a connect failed, or an established connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Nothing listens at the port, or a firewall says so.
    Refused,
    /// No answer came.
    TimedOut,
    /// No route, or a router says that there is none.
    Unreachable,
    /// The peer broke the established connection.
    Reset,
    /// The process gave up before the connection was established.
    Aborted,
    /// Another error; also a connect without a free local port (EADDRNOTAVAIL), after which the socket has
    /// neither an error nor a port (tcp_v4_connect, net/ipv4/tcp_ipv4.c).
    Other,
}

impl Failure {
    /// Every reason, in the order of lines.
    pub const ALL: [Self; 6] =
        [Self::Refused, Self::TimedOut, Self::Unreachable, Self::Reset, Self::Aborted, Self::Other];

    /// Whether the end of a connection is a failure, and why.
    pub fn of(what: What, conn: &Conn) -> Option<Self> {
        match (what, conn.error) {
            (What::Failed, 0) if conn.local.port() == 0 => Some(Self::Other),
            (What::Failed, 0) => Some(Self::Aborted),
            (What::Failed | What::Close, error) => Self::by_errno(error),
            _ => None,
        }
    }

    fn by_errno(error: u32) -> Option<Self> {
        Some(match error {
            0 => return None,
            ECONNREFUSED => Self::Refused,
            ETIMEDOUT => Self::TimedOut,
            ENETDOWN | ENETUNREACH | EHOSTDOWN | EHOSTUNREACH => Self::Unreachable,
            // A reset that arrives after the peer's FIN is EPIPE: tcp_reset of net/ipv4/tcp_input.c.
            ECONNRESET | EPIPE => Self::Reset,
            _ => Self::Other,
        })
    }

    /// The key in lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Aborted => "aborted",
            Self::Other => "other",
        }
    }

    /// The words on the screen.
    pub fn text(self) -> &'static str {
        match self {
            Self::TimedOut => "timed out",
            other => other.name(),
        }
    }
}

/// Connections that failed, for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures([u64; Failure::ALL.len()]);

impl Failures {
    /// Counts one.
    #[allow(clippy::indexing_slicing)] // as many parts as reasons
    pub fn add(&mut self, why: Failure) {
        self.0[why as usize] += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each count with its reason.
    pub fn parts(&self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL.into_iter().zip(self.0)
    }

    /// `self` less `before`.
    pub fn minus(self, before: Self) -> Self {
        let mut rest = self;
        for (rest, before) in rest.0.iter_mut().zip(before.0) {
            *rest = rest.saturating_sub(before);
        }
        rest
    }
}

/// Connections that began, ended and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turnover {
    /// Established from either side, found by a poll, or a datagram socket's connect.
    pub begun: u64,
    /// Ended, established ones alone.
    pub closed: u64,
    /// Connects that failed, and established connections that broke.
    pub failed: Failures,
}

impl Turnover {
    /// Counts a change.
    pub(super) fn add(&mut self, what: What, failure: Option<Failure>) {
        match what {
            What::Connect | What::Accept | What::Seen => self.begun += 1,
            What::Close => self.closed += 1,
            What::Failed => {}
        }
        if let Some(why) = failure {
            self.failed.add(why);
        }
    }

    /// `self` less `before`.
    pub(super) fn minus(self, before: Self) -> Self {
        Self {
            begun: self.begun.saturating_sub(before.begun),
            closed: self.closed.saturating_sub(before.closed),
            failed: self.failed.minus(before.failed),
        }
    }
}
