//! Who the process is that is looked into: asked for when it is gone into and now and then while
//! it is shown, kept when it ends meanwhile. And what the talker talks: told while it is looked
//! into.

use std::rc::Rc;

use super::opens_pane::Detail;
use super::{App, Effect};
use crate::model::cgroup::Cgroup;
use crate::model::event::{CgroupsMade, LookAt, TalkersCommand};
use crate::model::opens::Process;
use crate::model::process::ProcessKey;
use crate::model::process_info::{ProcessInfo, ProcessQuery};
use crate::model::time::{Mono, NS_PER_SEC};

/// Between two questions about the same process.
const AGAIN_NS: u64 = 3 * NS_PER_SEC;

/// Cgroups asked for at once.
const MOST_CGROUPS: usize = 256;

/// What was found out about one process.
#[derive(Debug, Default)]
pub struct Described {
    key: Option<ProcessKey>,
    asked: Mono,
    /// What was answered, and when.
    answer: Option<(ProcessInfo, Mono)>,
}

impl App {
    /// The process that is looked into.
    pub fn inside_process(&self) -> Option<&Process> {
        match self.opens_pane.inside() {
            Some(Detail::Process(slot)) => self.opens().processes().get(*slot),
            _ => None,
        }
    }

    /// What was found out about a process, and when; `None` while nothing was answered.
    pub fn who(&self, key: ProcessKey) -> Option<&(ProcessInfo, Mono)> {
        self.described.answer.as_ref().filter(|_| self.described.key == Some(key))
    }

    /// The cgroup of a process, by its id.
    pub fn cgroup_of(&self, process: &Process) -> Option<&Cgroup> {
        self.data.cgroups.get(process.cgroup_id?)
    }

    /// Asks who the process is that is looked into, if that is due.
    pub(super) fn ask_who(&mut self) -> Option<Effect> {
        let process = self.inside_process()?;
        let asked =
            ProcessQuery { key: process.key, uid: process.uid, cgroup_id: process.cgroup_id };
        let ended = process.ended.is_some();
        if self.described.key != Some(asked.key) {
            self.described = Described { key: Some(asked.key), ..Described::default() };
        } else if ended && self.described.answer.is_some()
            || self.clock.since(self.described.asked) < AGAIN_NS
        {
            return None;
        }
        self.described.asked = self.clock;
        Some(Effect::Describe(asked))
    }

    /// Takes an answer in. What was read from a process while it lived stays.
    pub(super) fn take_who(&mut self, key: ProcessKey, who: ProcessInfo) -> Vec<Effect> {
        if self.described.key != Some(key) {
            return Vec::new();
        }
        match &mut self.described.answer {
            Some((held, _)) if held.facts.is_ok() && who.facts.is_err() => {
                held.user = who.user.or(held.user.take());
                held.cgroup = who.cgroup.or(held.cgroup.take());
            }
            answer => *answer = Some((who, self.clock)),
        }
        vec![Effect::Redraw]
    }

    /// Asks what the talker talks that is looked into, and no longer what another one does.
    pub(super) fn ask_look(&mut self) -> Option<Effect> {
        // What is looked at goes on while the screen stands still.
        let wire = &self.data.wire;
        let inside = self.talkers_pane.inside.and_then(|slot| wire.talkers().get(slot));
        let looked = inside.and_then(|talker| {
            let interface = wire.ports().get(talker.port)?.name.clone();
            Some(LookAt { interface, ip: talker.ip })
        });
        if looked == self.looked {
            return None;
        }
        self.looked.clone_from(&looked);
        Rc::make_mut(&mut self.data.wire).look_away();
        Some(Effect::Talkers(TalkersCommand::Look(looked)))
    }

    /// Asks what the cgroups are called that are not known yet.
    pub(super) fn ask_cgroups(&self) -> Option<Effect> {
        let known = &self.data.cgroups;
        let processes = self.data.opens.processes().iter();
        let mut ids: Vec<u64> = Vec::new();
        for id in processes.filter_map(|(_, p)| p.cgroup_id) {
            if known.is_wanted(id) && !ids.contains(&id) {
                ids.push(id);
                if ids.len() >= MOST_CGROUPS {
                    break;
                }
            }
        }
        (!ids.is_empty()).then_some(Effect::Cgroups(ids))
    }

    /// Takes in cgroups that were made.
    pub(super) fn take_made(&mut self, made: CgroupsMade) -> Vec<Effect> {
        if made.lost > self.data.cgroups_lost {
            let more = made.lost - std::mem::replace(&mut self.data.cgroups_lost, made.lost);
            self.say(&format!("lost {more} names of new cgroups: the reader was too slow"));
        }
        let named = |(id, path): (u64, Vec<u8>)| (id, Some(Cgroup::at(&path)));
        self.take_cgroups(made.paths.into_iter().map(named).collect())
    }

    /// Takes names of cgroups in.
    pub(super) fn take_cgroups(&mut self, answers: Vec<(u64, Option<Cgroup>)>) -> Vec<Effect> {
        let mut news = false;
        for (id, cgroup) in answers {
            news |= self.data.cgroups.answer(id, cgroup);
        }
        if !news || !self.filter.chooses_cgroups() {
            return Vec::new();
        }
        self.rebuild_opens();
        let shown = self.screen.measured.opens.is_some();
        if shown { vec![Effect::Redraw] } else { Vec::new() }
    }
}
