//! Loads the object and attaches it: to the root of cgroup v2 and to TCP's changes of state.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, OpenObject};

use crate::bpf::owners::{OwnersSkel, OwnersSkelBuilder};
use crate::model::problem::Problem;
use crate::probes::cgroups::hierarchy_root;

/// Why the probe cannot run.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error("this needs root")]
    Rights,
    #[error("cgroup v2 is not mounted, and cannot be")]
    NoCgroup2,
    #[error("no memory for programs and tables: {0}")]
    Memory(#[source] libbpf_rs::Error),
    #[error("the kernel refused the programs: {0}")]
    Load(#[source] libbpf_rs::Error),
    #[error("the kernel refused to attach {0}: {1}")]
    Attach(&'static str, #[source] libbpf_rs::Error),
}

impl From<AttachError> for Problem {
    fn from(e: AttachError) -> Self {
        let fix = match &e {
            AttachError::Rights => "run it with sudo",
            AttachError::NoCgroup2 => {
                "mount -t cgroup2 none /sys/fs/cgroup; the dashboard does without"
            }
            AttachError::Attach(_, e) if e.kind() == libbpf_rs::ErrorKind::PermissionDenied => {
                "another program may have the root cgroup to itself, see `bpftool cgroup tree`; \
                 the dashboard does without"
            }
            AttachError::Memory(_) => {
                "ring and tables count as its cgroup's memory: allow that 48 MiB; the dashboard does \
                 without"
            }
            AttachError::Load(_) | AttachError::Attach(..) => {
                "it takes kernel 5.12 with BTF; the dashboard does without"
            }
        };
        Problem::new("watch who is behind connections", e.to_string(), fix)
    }
}

/// What runs when the reader asks for it.
pub(super) struct Walks {
    /// Tells, through the ring, of the connections that have begun and are not told yet.
    pub(super) begun: Link,
    /// Returns the sockets that have carried something since the last walk.
    pub(super) sample: Link,
    /// Returns who else holds a socket.
    pub(super) holders: Link,
}

/// The loaded and attached programs. Links first: they go before the object does.
pub(super) struct Attached<'obj> {
    pub(super) links: Vec<Link>,
    pub(super) walks: Walks,
    pub(super) skel: OwnersSkel<'obj>,
}

/// Sets of the table of sockets, `SOCK_WAYS` in each, by the machine's memory in bytes: a power of
/// two, one for each MiB, so that the table takes 0.3 % of it; 65,536 sockets from 8 GiB on.
fn sets(memory: u64) -> u32 {
    let sets = u32::try_from(memory >> 20).unwrap_or(u32::MAX);
    1 << sets.clamp(1 << 10, 1 << 13).ilog2()
}

fn load(storage: &mut MaybeUninit<OpenObject>) -> libbpf_rs::Result<OwnersSkel<'_>> {
    let mut open = OwnersSkelBuilder::default().open(storage)?;
    let sets = sets(nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total()));
    let ways = open.maps.socks.max_entries() / open.maps.sock_sets.max_entries();
    open.maps.sock_sets.set_max_entries(sets)?;
    open.maps.socks.set_max_entries(sets * ways)?;
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.sock_sets_shift = u32::BITS - sets.ilog2();
    }
    open.load()
}

/// Loads and attaches. A connection that begins after this is told.
pub(super) fn attach(storage: &mut MaybeUninit<OpenObject>) -> Result<Attached<'_>, AttachError> {
    let root = &hierarchy_root().ok_or(AttachError::NoCgroup2)?.dir;
    let skel = load(storage).map_err(|e| match e.kind() {
        libbpf_rs::ErrorKind::PermissionDenied if !nix::unistd::geteuid().is_root() => {
            AttachError::Rights
        }
        libbpf_rs::ErrorKind::OutOfMemory => AttachError::Memory(e),
        _ => AttachError::Load(e),
    })?;
    let progs = &skel.progs;
    let refused = |what| move |e| AttachError::Attach(what, e);
    let mut links = Vec::new();
    // Counting first: what is told from its beginning has all its bytes counted.
    for (program, what) in [
        (&progs.count_tx, "cgroup_skb/egress"),
        (&progs.count_rx, "cgroup_skb/ingress"),
        (&progs.sock_made, "cgroup/sock_create"),
        (&progs.sock_released, "cgroup/sock_release"),
        (&progs.accepts_v4, "cgroup/getpeername4"),
        (&progs.accepts_v6, "cgroup/getpeername6"),
    ] {
        links.push(program.attach_cgroup(root.as_raw_fd()).map_err(refused(what))?);
    }
    links.push(progs.tcp_state.attach().map_err(refused("inet_sock_set_state"))?);
    let over = |program: &libbpf_rs::ProgramMut<'_>, map: &libbpf_rs::MapMut<'_>| {
        program.attach_iter(map.as_fd()).map_err(refused("iter/bpf_map_elem"))
    };
    let walks = Walks {
        begun: over(&progs.tell_all_begun, &skel.maps.begun)?,
        sample: over(&progs.sample, &skel.maps.sock_sets)?,
        holders: progs.holders.attach().map_err(refused("iter/task_file"))?,
    };
    Ok(Attached { links, walks, skel })
}

#[cfg(test)]
mod tests {
    use super::sets;

    #[test]
    fn the_table_of_sockets_goes_by_memory() {
        assert_eq!(sets(0), 1_024);
        assert_eq!(sets(512 << 20), 1_024);
        assert_eq!(sets(3 << 30), 2_048);
        assert_eq!(sets(24 << 30), 8_192);
        assert_eq!(sets(u64::MAX), 8_192);
    }
}
