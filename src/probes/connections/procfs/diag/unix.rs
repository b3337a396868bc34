//! Unix sockets that listen, as `sock_diag` lists them.
//!
//! Layouts: `include/uapi/linux/unix_diag.h`.

use std::io;

use super::{
    HEADER_BYTES, LISTEN, Listening, NLM_F_REQUEST_DUMP, SOCK_DIAG_BY_FAMILY, dump, is_absent,
};
use crate::model::bound::{Bound, UnixKind, UnixName};
use crate::probes::talkers::netlink::{attributes, u32_at};

const UDIAG_SHOW_NAME: u32 = 1;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_RQLEN: u16 = 4;
const REQUEST_BYTES: usize = 24;
const MESSAGE_BYTES: usize = 16;

/// Lists those of the thread's network namespace. Returns the kernel's module where it cannot answer.
pub(in crate::probes) fn listening(
    mut each: impl FnMut(Listening),
) -> io::Result<Option<(&'static str, io::Error)>> {
    match dump(&request(), |body| parse(body).into_iter().for_each(&mut each)) {
        Ok(()) => Ok(None),
        Err(e) if is_absent(&e) => Ok(Some(("unix_diag", e))),
        Err(e) => Err(e),
    }
}

/// `struct nlmsghdr` and `struct unix_diag_req`.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + REQUEST_BYTES);
    message.extend_from_slice(&((HEADER_BYTES + REQUEST_BYTES) as u32).to_ne_bytes());
    message.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    message.resize(HEADER_BYTES, 0);
    message.extend_from_slice(&[u8::try_from(libc::AF_UNIX).unwrap_or(0), 0, 0, 0]);
    message.extend_from_slice(&(1u32 << LISTEN).to_ne_bytes());
    // No inode: all of them.
    message.extend_from_slice(&0u32.to_ne_bytes());
    message.extend_from_slice(&(UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN).to_ne_bytes());
    message.resize(HEADER_BYTES + REQUEST_BYTES, 0);
    message
}

/// `struct unix_diag_msg` and its attributes: the queues of a listener are the connections that wait and
/// their limit (`sk_diag_show_rqlen`).
fn parse(body: &[u8]) -> Option<Listening> {
    let (head, rest) = body.split_at_checked(MESSAGE_BYTES)?;
    if *head.get(2)? != LISTEN {
        return None;
    }
    let kind = unix_kind(i32::from(*head.get(1)?))?;
    let inode = u32_at(head, 4)?;
    let of = |wanted: u16| attributes(rest).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
    let queue = of(UNIX_DIAG_RQLEN)?;
    Some(Listening {
        bound: Bound::Unix { kind, name: UnixName::new(of(UNIX_DIAG_NAME)?) },
        inode,
        waiting: u32_at(queue, 0)?,
        limit: u32_at(queue, 4),
        drops: None,
    })
}

/// By the type of the socket; `None`: one that takes no connections.
pub(in crate::probes) fn unix_kind(of: i32) -> Option<UnixKind> {
    match of {
        libc::SOCK_STREAM => Some(UnixKind::Stream),
        libc::SOCK_SEQPACKET => Some(UnixKind::Seqpacket),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    use super::*;

    #[test]
    fn unix_listeners_are_listed_with_their_queue() {
        let name = format!("ebpftop-{}-\n", std::process::id());
        let at = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&at).unwrap();
        let client = UnixStream::connect_addr(&at).unwrap();
        let mut found = Vec::new();
        assert!(listening(|l| found.push(l)).unwrap().is_none());
        let shown = format!("@ebpftop-{}-\\n", std::process::id());
        let mine: Vec<_> = found.iter().filter(|l| l.bound.to_string() == shown).collect();
        assert_eq!(mine.len(), 1, "{found:?}");
        assert_eq!((mine[0].waiting, &*mine[0].bound.protocol()), (1, "u_str"));
        assert!(mine[0].limit > Some(0) && mine[0].inode != 0, "{mine:?}");
        drop((listener, client));
    }

    #[test]
    fn any_answer_does_no_harm() {
        crate::testing::fuzz::check("sock_diag", |bytes| {
            let _ = parse(bytes);
        });
    }
}
