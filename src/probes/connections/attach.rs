//! Loads the object and attaches it to tracepoints and to the root of cgroup v2.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, OpenObject};

use crate::bpf::connections::{ConnectionsSkel, ConnectionsSkelBuilder};
use crate::model::coverage::{Attribution, Missing};
use crate::model::event::ConnectionsInfo;
use crate::model::problem::Problem;
use crate::probes::cgroups::{self, hierarchy_root};
use crate::probes::kernel::Kernel;
use crate::probes::programs::{self, Choice, Load, Object, Storage};
use crate::probes::refusal::LoadError;

/// The probe's task, as problems name it.
pub(super) const WATCH: &str = "watch connections and their processes";

/// Why the probe cannot run.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error(transparent)]
    Load(LoadError),
    #[error("{}", .0.error)]
    NoTcp(Missing),
}

impl AttachError {
    /// The program that was refused; the object's name where the error is about no program.
    pub(super) fn program(&self) -> &str {
        match self {
            AttachError::NoTcp(missing) => &missing.program,
            AttachError::Load(LoadError::Refused(refusal)) => &refusal.program,
            AttachError::Load(_) => "connections",
        }
    }

    pub(super) fn is_out_of_memory(&self) -> bool {
        matches!(self, AttachError::Load(e) if e.is_out_of_memory())
    }
}

impl From<AttachError> for Problem {
    fn from(e: AttachError) -> Self {
        let fix = match &e {
            AttachError::Load(e) if e.is_out_of_memory() => {
                "ring and tables count as its cgroup's memory: allow that 64 MiB; the dashboard does \
                 without"
            }
            AttachError::Load(e) => {
                e.fix().unwrap_or("see `ebpftop doctor`; the dashboard does without")
            }
            AttachError::NoTcp(_) => "see `ebpftop doctor`; the dashboard does without",
        };
        Problem::new(WATCH, e.to_string(), fix)
    }
}

/// The loaded and attached programs. Links first: they go before the object does.
pub(super) struct Attached<'obj> {
    pub(super) links: Vec<Link>,
    /// Its runs return the processes that hold sockets.
    pub(super) holders: Option<Link>,
    pub(super) skel: ConnectionsSkel<'obj>,
}

/// Sets of the table of sockets, `SOCK_WAYS` in each, by the machine's memory in bytes: a power of
/// two, one for each MiB, so that the table takes 0.3 % of it; 65,536 sockets from 8 GiB on.
fn sets(memory: u64) -> u32 {
    let sets = u32::try_from(memory >> 20).unwrap_or(u32::MAX);
    1 << sets.clamp(1 << 10, 1 << 13).ilog2()
}

/// The programs of the root cgroup.
const CGROUP_PROGRAMS: [&str; 7] = [
    "sock_released",
    "sends_to_v4",
    "sends_to_v6",
    "receives_from_v4",
    "receives_from_v6",
    "accepts_v4",
    "accepts_v6",
];

/// The object, with the root of cgroup v2 where there is one.
struct Connections {
    root: Option<&'static OwnedFd>,
}

impl Load for Connections {
    type Loaded<'obj> = Attached<'obj>;

    fn load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<Attached<'obj>, LoadError> {
        let skel = open_and_load(storage, choice).map_err(LoadError::of_load)?;
        self.attach(skel, choice)
    }
}

fn open_and_load<'obj>(
    storage: &'obj mut MaybeUninit<OpenObject>,
    choice: &Choice,
) -> libbpf_rs::Result<ConnectionsSkel<'obj>> {
    let plain = !Kernel::known(false).is_ok_and(|kernel| kernel.rdonly_cast);
    let builder = ConnectionsSkelBuilder { plain, ..Default::default() };
    let mut open = builder.open(storage)?;
    let sets = sets(nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total()));
    let ways = open.maps.socks.max_entries() / open.maps.sock_sets.max_entries();
    open.maps.sock_sets.set_max_entries(sets)?;
    open.maps.socks.set_max_entries(sets * ways)?;
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.sock_sets_shift = u32::BITS - sets.ilog2();
        rodata.counts_calls = choice.has(programs::CALLS);
        rodata.has_walk = choice.has(programs::WALK);
    }
    choice.prepare(open.open_object_mut());
    open.load()
}

impl Connections {
    fn attach<'obj>(
        &self,
        skel: ConnectionsSkel<'obj>,
        choice: &Choice,
    ) -> Result<Attached<'obj>, LoadError> {
        let progs = &skel.progs;
        let mut links = Vec::new();
        // Counting first: the counts are whole for what is reported from its beginning.
        for (program, name) in [
            (&progs.tcp_gone, "tcp_gone"),
            (&progs.tcp_state, "tcp_state"),
            (&progs.tcp_state_raw, "tcp_state_raw"),
            (&progs.sent, "sent"),
            (&progs.received, "received"),
        ] {
            if choice.uses(name) {
                links.push(program.attach().map_err(|e| LoadError::of_attach(name, &e))?);
            }
        }
        for (program, name) in [
            (&progs.sock_released, "sock_released"),
            (&progs.sends_to_v4, "sends_to_v4"),
            (&progs.sends_to_v6, "sends_to_v6"),
            (&progs.receives_from_v4, "receives_from_v4"),
            (&progs.receives_from_v6, "receives_from_v6"),
            (&progs.accepts_v4, "accepts_v4"),
            (&progs.accepts_v6, "accepts_v6"),
        ] {
            if let Some(root) = self.root.filter(|_| choice.uses(name)) {
                let link = program.attach_cgroup(root.as_raw_fd());
                links.push(link.map_err(|e| LoadError::of_attach(name, &e))?);
            }
        }
        let holders = choice
            .uses("holders")
            .then(|| progs.holders.attach())
            .transpose()
            .map_err(|e| LoadError::of_attach("holders", &e))?;
        Ok(Attached { links, holders, skel })
    }
}

/// Loads and attaches. A connection that begins after this is reported.
pub(super) fn attach(
    storage: &mut Storage,
) -> Result<(Attached<'_>, ConnectionsInfo), AttachError> {
    let choice = Choice::of(Object::Connections);
    let root = hierarchy_root();
    let choice = match root {
        Some(root) if root.partial.is_none() => choice,
        // There it is not run for every socket.
        Some(_) => choice.skip("sock_released"),
        None => choice.unavailable(&CGROUP_PROGRAMS, "cgroup v2 is not mounted, and cannot be"),
    };
    let root = root.map(|root| &root.dir);
    let (attached, choice) =
        programs::load(&Connections { root }, storage, choice).map_err(AttachError::Load)?;
    let mut missing = choice.missing();
    if let Some(tcp) = missing.iter().find(|missing| missing.feature == programs::TCP) {
        return Err(AttachError::NoTcp(tcp.clone()));
    }
    missing.extend(cgroups::missing(cgroups::OUTSIDE_CONNECTIONS));
    let attribution = match choice.has(programs::CALLS) {
        true => Attribution::Call,
        false => Attribution::Connection,
    };
    Ok((attached, ConnectionsInfo { attribution, missing }))
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
