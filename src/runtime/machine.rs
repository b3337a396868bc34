//! This machine as the source of the dashboard's data.

use super::alive;
use super::asker::Asker;
use crate::app::{App, Effect, Msg};
use crate::clock;
use crate::model::process_info::ProcessInfo;
use crate::probes::ProbeSet;

/// The probes, and the threads that answer questions about this machine's processes.
pub(super) struct Live {
    pub(super) probes: ProbeSet,
    asker: Asker,
    /// Process ids mean the same here as in the kernel's events.
    can_ask: bool,
}

impl Live {
    pub(super) fn new(probes: ProbeSet, asker: Asker) -> Self {
        Self { probes, asker, can_ask: alive::is_initial_namespace() }
    }

    /// Carries out an effect on the probes or the processes, where it is one.
    pub(super) fn carry_out(&mut self, effect: Effect, app: &mut App) {
        match effect {
            Effect::Talkers(command) => self.probes.send(command),
            Effect::Hostnames(on) => self.probes.switch_names(on),
            Effect::AskAfter(keys) if self.can_ask => {
                app.update(Msg::Ended(alive::gone(&keys)), clock::mono());
            }
            Effect::Describe(query) if self.can_ask => self.asker.describe(query),
            Effect::Describe(query) => {
                let elsewhere = Box::new(ProcessInfo::ELSEWHERE);
                app.update(Msg::Described(query.key, elsewhere), clock::mono());
            }
            Effect::CountDescriptors(keys) if self.can_ask => self.asker.count_descriptors(keys),
            Effect::Cgroups(ids) if self.can_ask => self.asker.cgroups(ids),
            Effect::Containers(ids) => self.asker.containers(ids),
            Effect::Listeners => self.asker.listeners(),
            Effect::Parents(pids) if self.can_ask => self.asker.parents(pids),
            _ => {}
        }
    }
}
