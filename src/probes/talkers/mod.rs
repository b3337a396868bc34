//! The talkers probe: a thread that counts frames by address on the interfaces that are watched.
//!
//! `run` is the loop, `watch` one interface, `direction` one direction of it, `hand_over` how its hook
//! changes, `bpf_object` one loaded object, `detail` the detail of one address, `netns` the namespace,
//! `links` the table of interfaces, `interface` one of its rows, `netlink` the protocol, `routes` the default
//! routes, `choose` the rules by which a hook is taken, `features` device features to restore,
//! `kernel_counters` the drivers whose counters can be compared, `third_party` what others attached.
//! All attachments are descriptors of this thread: nothing outlives the process.

mod bpf_object;
mod choose;
mod detail;
mod direction;
mod features;
mod hand_over;
mod interface;
mod kernel_counters;
mod links;
pub(in crate::probes) mod netlink;
mod netns;
mod routes;
mod run;
mod target;
mod third_party;
mod watch;

use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{ProbeThread, Sink, TalkersConfig};
use crate::model::event::{ProbeEnd, ProbeId, TalkersCommand};
use crate::model::interface_name::InterfaceName;

/// The names of the interfaces in the caller's network namespace, and whether each is up.
pub fn interfaces() -> std::io::Result<Vec<(InterfaceName, bool)>> {
    let links = netlink::Netlink::open()?.links()?;
    Ok(links.into_iter().map(|link| (link.name, link.up)).collect())
}

/// Starts the probe, in the caller's network namespace unless `config` names one.
pub fn start(config: TalkersConfig, sink: Sink) -> ProbeThread<TalkersCommand> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let wake = match EventFd::from_flags(flags) {
        Ok(wake) => Arc::new(wake),
        Err(e) => return ProbeThread::failed(ProbeId::Talkers, &sink, &e.into()),
    };
    ProbeThread::spawn(ProbeId::Talkers, sink, Some(Arc::clone(&wake)), move |commands, sink| {
        run::run(&config, commands, &wake, sink).map(|()| ProbeEnd::Talkers)
    })
}
