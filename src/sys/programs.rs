//! The programs attached to an interface, and their names.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::model::talkers::Direction;

/// The most that one hook holds (`BPF_MPROG_MAX`, include/linux/bpf_mprog.h).
const MOST: usize = 64;

/// Ids of the programs at the TCX hook, in the current network namespace.
///
/// `EINVAL` means that the kernel has no TCX, `ENOENT` that the hook never had a program.
pub(crate) fn at_tcx(ifindex: u32, direction: Direction) -> io::Result<Vec<u32>> {
    let ifindex = i32::try_from(ifindex).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    let kind = match direction {
        Direction::Rx => libbpf_sys::BPF_TCX_INGRESS,
        Direction::Tx => libbpf_sys::BPF_TCX_EGRESS,
    };
    let mut ids = [0u32; MOST];
    let mut opts = libbpf_sys::bpf_prog_query_opts {
        sz: size_of::<libbpf_sys::bpf_prog_query_opts>() as libbpf_sys::size_t,
        prog_ids: ids.as_mut_ptr(),
        ..Default::default()
    };
    opts.__bindgen_anon_1.count = MOST as u32;
    // SAFETY: whole options of the size stated; `ids` has the room that they state, and lives
    // through the call.
    let ret = unsafe { libbpf_sys::bpf_prog_query_opts(ifindex, kind, &raw mut opts) };
    if ret < 0 {
        return Err(io::Error::from_raw_os_error(-ret));
    }
    Ok(ids.into_iter().take_while(|id| *id != 0).collect())
}

/// The name of the program of this id, as far as it has one: letters, digits, `_` and `.`.
pub(crate) fn name(id: u32) -> Option<String> {
    // SAFETY: an integer.
    let fd = unsafe { libbpf_sys::bpf_prog_get_fd_by_id(id) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the kernel has just returned this descriptor to us alone.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut length = size_of::<libbpf_sys::bpf_prog_info>() as u32;
    // SAFETY: a whole structure of the size stated, zeroed: no pointer in it asks for more.
    let ret = unsafe {
        libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut length)
    };
    let name = info.name.iter().map(|c| c.to_ne_bytes()[0]).take_while(|b| *b != 0).collect();
    (ret == 0).then_some(name).and_then(|name| String::from_utf8(name).ok())
}
