//! State and quality of TCP connections, as the kernel measures them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The state of a TCP socket (`include/net/tcp_states.h`), with the names of `ss`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::VariantArray, strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
pub enum TcpState {
    Established = 1,
    SynSent,
    SynRecv,
    #[strum(serialize = "fin-wait-1")]
    FinWait1,
    #[strum(serialize = "fin-wait-2")]
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    #[strum(serialize = "listening")]
    Listen,
    Closing,
}

impl TcpState {
    /// The state with the kernel's number.
    pub fn of(number: u8) -> Option<Self> {
        use strum::VariantArray;
        let at = match number {
            // TCP_NEW_SYN_RECV: a request that is not a socket yet.
            12 => 3,
            number => number,
        };
        Self::VARIANTS.iter().copied().find(|state| state.number() == at)
    }

    /// The kernel's number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The word on the screen and in lines.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The state with this name in any case: `established`, or as `ss` prints it, `ESTAB`.
    pub fn named(name: &str) -> Option<Self> {
        use strum::VariantArray;
        let name = name.to_ascii_lowercase();
        let also = match name.as_str() {
            "estab" => Some(Self::Established),
            "listen" => Some(Self::Listen),
            "close" | "unconn" => Some(Self::Closed),
            _ => None,
        };
        also.or_else(|| Self::VARIANTS.iter().copied().find(|state| state.name() == name))
    }
}

/// Quality of a TCP connection since it began. `None`: unknown, or not measured yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// From the SYN to ESTABLISHED, where it was made from here; of a failed connect to its failure.
    pub connect_us: Option<u32>,
    /// Smoothed round-trip time.
    pub srtt_us: Option<u32>,
    /// Mean deviation of the round-trip time.
    pub rttvar_us: Option<u32>,
    /// Segments that were sent again, SYNs included.
    pub retransmits: Option<u32>,
    /// Segments that were marked as lost.
    pub lost: Option<u32>,
    /// Events of segments that arrived out of order.
    pub reordering: Option<u32>,
    /// Congestion window, segments.
    pub cwnd: Option<u32>,
    /// Bits per second by which the latest data was delivered.
    pub delivery_bps: Option<u64>,
    /// Queues and windows at that moment, of a living connection. Recordings do not have them.
    #[serde(skip)]
    pub windows: Option<Windows>,
}

/// Queues and windows of a TCP connection at a moment, in bytes unless stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Sent and not acknowledged; `None`: unknown, where connections are polled.
    pub in_flight: Option<u32>,
    /// Segments that are not acknowledged.
    pub unacked: u32,
    /// Written by the process and not sent.
    pub unsent: u32,
    /// The window that the peer offers; `None`: an older kernel does not report it.
    pub snd_wnd: Option<u32>,
    /// The window that the peer was offered; see `snd_wnd`.
    pub rcv_wnd: Option<u32>,
}

impl Quality {
    /// The smoothed round-trip time.
    pub fn rtt(&self) -> Option<Duration> {
        self.srtt_us.map(|us| Duration::from_micros(us.into()))
    }
}

/// The worst of several connections; `None`: none of them has been measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worst {
    /// The longest smoothed round-trip time.
    pub srtt_us: Option<u32>,
    /// The most segments that one connection sent again.
    pub retransmits: Option<u32>,
}

impl Worst {
    /// The quality of one connection.
    pub fn of(quality: &Quality) -> Self {
        Self { srtt_us: quality.srtt_us, retransmits: quality.retransmits }
    }

    /// The worse of two.
    pub fn max(self, other: Self) -> Self {
        Self {
            srtt_us: self.srtt_us.max(other.srtt_us),
            retransmits: self.retransmits.max(other.retransmits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_kernels_numbers_and_the_names_of_ss() {
        for (number, name) in [
            (1, "established"),
            (2, "syn-sent"),
            (3, "syn-recv"),
            (4, "fin-wait-1"),
            (5, "fin-wait-2"),
            (6, "time-wait"),
            (7, "closed"),
            (8, "close-wait"),
            (9, "last-ack"),
            (10, "listening"),
            (11, "closing"),
            (12, "syn-recv"),
        ] {
            let state = TcpState::of(number).unwrap();
            assert_eq!(state.name(), name);
            assert_eq!(TcpState::named(&name.to_uppercase()), Some(state));
        }
        assert_eq!((TcpState::of(0), TcpState::of(13)), (None, None));
        assert_eq!(TcpState::named("ESTAB"), Some(TcpState::Established));
        assert_eq!(TcpState::named("open"), None);
    }
}
