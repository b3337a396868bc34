//! Questions that the dashboard asks outside: process details, names of cgroups and addresses, the
//! traffic of one address. Each is asked once, and again when its answer is old.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::Effect;
use crate::model::event::{DetailOf, TalkersCommand};
use crate::model::interface_name::InterfaceName;
use crate::model::opens::{Opens, Process};
use crate::model::process::ProcessKey;
use crate::model::process_info::{Descriptors, ProcessInfo, ProcessQuery};
use crate::model::time::{Mono, NS_PER_SEC};

/// Time between two questions about the same process.
const ASK_AGAIN_NS: u64 = 3 * NS_PER_SEC;

/// Processes checked on each tick for having ended.
const CHECKED_PER_TICK: usize = 256;

/// The questions under way and the answers that belong to the open detail views.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The process of the open detail view, when it was asked for, and the answer with its time.
    process: Option<ProcessKey>,
    asked_at: Mono,
    answer: Option<(ProcessInfo, Mono)>,
    /// The numbers of descriptors at the mark, else of a process when its detail view was opened first, and when
    /// that was. At most those of the table of processes, and those whose details were opened since.
    bases: HashMap<ProcessKey, (usize, Mono)>,
    /// The address that the talkers probe breaks down by port.
    detail_of: Option<DetailOf>,
    /// The next process to check for having ended.
    next_check: usize,
}

impl Requests {
    /// The details of a process and when they were read; `None` before the first answer.
    pub(super) fn details(&self, key: ProcessKey) -> Option<&(ProcessInfo, Mono)> {
        self.answer.as_ref().filter(|_| self.process == Some(key))
    }

    /// Its open descriptors, as far as /proc has them.
    pub(super) fn descriptors(&self, key: ProcessKey) -> Option<&Descriptors> {
        self.details(key)?.0.facts.as_ref().ok()?.descriptors.as_ref()
    }

    /// How many more descriptors it has than at the mark, else than when its detail view was opened first, and
    /// the moment of that.
    pub(super) fn descriptors_more(&self, key: ProcessKey) -> Option<(i64, Mono)> {
        let (count, at) = self.bases.get(&key)?;
        let now = i64::try_from(self.descriptors(key)?.count).ok()?;
        Some((now - i64::try_from(*count).ok()?, *at))
    }

    /// Descriptors are compared from now on: the question about those of all processes that live. Until the
    /// answer the open process has the number that was read last.
    pub(super) fn mark(&mut self, opens: &Opens, now: Mono) -> Option<Effect> {
        let open = self.process.and_then(|key| Some((key, self.descriptors(key)?.count)));
        self.forget_mark();
        self.take_descriptors(open.into_iter().collect(), now);
        let processes = opens.processes().iter().map(|(_, p)| p);
        let living = processes.filter(|p| p.ended.is_none() && !p.is_stand_in());
        let keys: Vec<_> = living.map(|p| p.key).collect();
        (!keys.is_empty()).then_some(Effect::CountDescriptors(keys))
    }

    /// Takes the numbers of descriptors at the mark.
    pub(super) fn take_descriptors(&mut self, counts: Vec<(ProcessKey, usize)>, now: Mono) {
        self.bases.extend(counts.into_iter().map(|(key, count)| (key, (count, now))));
    }

    /// There is no mark any more: descriptors are compared from the opening of a detail view on.
    pub(super) fn forget_mark(&mut self) {
        self.bases.clear();
    }

    /// The question about the process of the open detail view, if one is due. A process that has
    /// ended is not asked for again.
    pub(super) fn ask_details(&mut self, process: &Process, now: Mono) -> Option<Effect> {
        let query =
            ProcessQuery { key: process.key, uid: process.uid, cgroup_id: process.cgroup_id };
        if self.process != Some(query.key) {
            (self.process, self.answer) = (Some(query.key), None);
        } else if process.ended.is_some() && self.answer.is_some()
            || now.since(self.asked_at) < ASK_AGAIN_NS
        {
            return None;
        }
        self.asked_at = now;
        Some(Effect::Describe(query))
    }

    /// Takes an answer; false if it belongs to another process. Details read while the process lived
    /// stay when a later read fails.
    pub(super) fn take_details(&mut self, key: ProcessKey, info: ProcessInfo, now: Mono) -> bool {
        if self.process != Some(key) {
            return false;
        }
        let open = info.facts.as_ref().ok().and_then(|facts| facts.descriptors.as_ref());
        if let Some(open) = open {
            self.bases.entry(key).or_insert((open.count, now));
        }
        match &mut self.answer {
            Some((known, _)) if known.facts.is_ok() && info.facts.is_err() => {
                known.user = info.user.or(known.user.take());
                known.cgroup = info.cgroup.or(known.cgroup.take());
            }
            answer => *answer = Some((info, now)),
        }
        true
    }

    /// The command to the talkers probe when `wanted`, interface and address of the open talker, is
    /// another one than before.
    pub(super) fn break_down(
        &mut self,
        wanted: Option<(&InterfaceName, IpAddr)>,
    ) -> Option<Effect> {
        let before = self.detail_of.as_ref().map(|at| (&at.interface, at.ip));
        if wanted == before {
            return None;
        }
        self.detail_of = wanted.map(|(name, ip)| DetailOf { interface: name.clone(), ip });
        Some(Effect::Talkers(TalkersCommand::Detail(self.detail_of.clone())))
    }

    /// The processes to check for having ended: some on each tick, all of them in turn.
    pub(super) fn next_checked(&mut self, opens: &Opens) -> Vec<ProcessKey> {
        let processes = opens.processes();
        if self.next_check >= processes.len() {
            self.next_check = 0;
        }
        let next = processes.iter().skip(self.next_check).take(CHECKED_PER_TICK);
        self.next_check += CHECKED_PER_TICK;
        next.filter(|(_, p)| p.ended.is_none() && !p.is_stand_in()).map(|(_, p)| p.key).collect()
    }
}
