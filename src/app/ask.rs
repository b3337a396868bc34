//! Asks outside for what the screen shows, and takes the answers.

use std::net::IpAddr;

use super::data::Data;
use super::talkers::{TalkerRow, TalkersPane, TalkersView};
use super::{App, Effect};
use crate::model::cgroup::Cgroup;
use crate::model::event::CgroupsMade;
use crate::model::names::Answer;
use crate::model::opens::Process;
use crate::model::process::ProcessKey;
use crate::model::process_info::ProcessInfo;
use crate::model::time::Mono;
use crate::model::under_way::CallsUnderWay;
use crate::model::wire::Wire;

/// Maximum cgroups in one question.
const MAX_CGROUPS: usize = 256;

/// Ids of cgroups whose names are unknown.
fn unknown_cgroups(data: &Data) -> Vec<u64> {
    let mut ids: Vec<u64> = Vec::new();
    for id in data.opens.processes().iter().filter_map(|(_, p)| p.cgroup_id) {
        if data.cgroups.is_wanted(id) && !ids.contains(&id) {
            ids.push(id);
            if ids.len() >= MAX_CGROUPS {
                break;
            }
        }
    }
    ids
}

/// The addresses that are on the screen, in a pane of `lines` rows.
fn visible_addresses(pane: &TalkersPane, wire: &Wire, lines: usize) -> Vec<IpAddr> {
    let first = pane.list.first(pane.rows.len(), lines);
    let rows = pane.rows.iter().skip(first).take(lines).filter_map(|row| match row {
        TalkerRow::Talker(slot) => Some(*slot),
        TalkerRow::Other => None,
    });
    let slots = pane.inside.into_iter().chain(rows);
    slots.filter_map(|slot| wire.talkers().get(slot)).map(|talker| talker.ip).collect()
}

impl App {
    /// The questions that are due after a message.
    pub(super) fn ask(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let now = self.time.clock();
        let shown = self.time.shown(&self.data);
        if let Some(process) = self.opens_pane.detail_process(shown.opens) {
            effects.extend(self.requests.ask_details(process, now));
        }
        if self.talkers_pane.names
            && let Some(room) = self.screen.measured.talkers
        {
            let addresses = visible_addresses(&self.talkers_pane, shown.wire, room.rows);
            let asked = self.data.names.ask(addresses.into_iter(), now);
            effects.extend((!asked.is_empty()).then_some(Effect::Names(asked)));
        }
        let listens = self.talkers_pane.view == TalkersView::Listeners && self.is_live();
        if listens && self.talkers_pane.listeners.is_due(now) {
            effects.push(Effect::Listeners);
        }
        effects.extend(self.break_down());
        effects
    }

    /// The questions of a tick.
    pub(super) fn ask_on_tick(&mut self) -> Vec<Effect> {
        let keys = self.requests.next_checked(&self.data.opens);
        let alive = (!keys.is_empty()).then_some(Effect::AskAfter(keys));
        let ids = unknown_cgroups(&self.data);
        let cgroups = (!ids.is_empty()).then_some(Effect::Cgroups(ids));
        let programs = self.data.opens.programs().iter();
        let placed = programs.filter_map(|(_, program)| program.key.cgroup_id);
        let containers = self.data.cgroups.wanted_containers(placed, self.time.clock());
        let containers = (!containers.is_empty()).then_some(Effect::Containers(containers));
        let parents = self.data.lineage.wanted(&self.data.opens);
        let parents = (!parents.is_empty()).then_some(Effect::Parents(parents));
        alive.into_iter().chain(cgroups).chain(containers).chain(parents).collect()
    }

    /// Has the probe break the traffic of the open talker down by port, also while the screen is
    /// paused; of no address when none is open.
    fn break_down(&mut self) -> Option<Effect> {
        let wire = &self.data.wire;
        let wanted = self.talkers_pane.inside.and_then(|slot| {
            let talker = wire.talkers().get(slot)?;
            Some((&wire.ports().get(talker.port)?.name, talker.ip))
        });
        let effect = self.requests.break_down(wanted)?;
        std::rc::Rc::make_mut(&mut self.data.wire).close_detail();
        Some(effect)
    }

    /// The details of a process and when they were read; `None` before the first answer.
    pub fn process_info(&self, key: ProcessKey) -> Option<&(ProcessInfo, Mono)> {
        self.requests.details(key)
    }

    /// How many more descriptors a process has than at the mark, else than when its detail view was opened first,
    /// and the moment of that.
    pub fn descriptors_more(&self, key: ProcessKey) -> Option<(i64, Mono)> {
        self.requests.descriptors_more(key)
    }

    /// The opens that have not returned, with `--latency` or `--slow`, and the reads and writes, with `--slow`; of
    /// now, so not while the screen shows another moment.
    pub fn under_way(&self) -> Option<&CallsUnderWay> {
        (!self.paused()).then_some(&*self.data.under_way)
    }

    /// The cgroup of a process, by its id.
    pub fn cgroup_of(&self, process: &Process) -> Option<&Cgroup> {
        self.data.cgroups.get(process.cgroup_id?)
    }

    pub(super) fn take_process_info(&mut self, key: ProcessKey, info: ProcessInfo) -> Vec<Effect> {
        if !self.requests.take_details(key, info, self.time.clock()) {
            return Vec::new();
        }
        self.rebuild_opens();
        vec![Effect::Redraw]
    }

    /// Takes the numbers of descriptors at the mark.
    pub(super) fn take_descriptors(&mut self, counts: Vec<(ProcessKey, usize)>) -> Vec<Effect> {
        self.requests.take_descriptors(counts, self.time.clock());
        vec![Effect::Redraw]
    }

    pub(super) fn take_name(&mut self, ip: IpAddr, answer: Answer) -> Vec<Effect> {
        let news = self.data.names.answer(ip, answer, self.time.clock());
        if news && self.talkers_pane.names { vec![Effect::Redraw] } else { Vec::new() }
    }

    /// Takes the names of new cgroups from the probe.
    pub(super) fn take_new_cgroups(&mut self, made: CgroupsMade) -> Vec<Effect> {
        if made.lost > self.data.cgroups_lost {
            let more = made.lost - std::mem::replace(&mut self.data.cgroups_lost, made.lost);
            self.say(&format!("lost {more} names of new cgroups: the reader was too slow"));
        }
        let named = |(id, path): (u64, Vec<u8>)| (id, Some(Cgroup::at(&path)));
        self.take_cgroups(made.paths.into_iter().map(named).collect())
    }

    /// Takes names of cgroups; a filter by cgroup may match more rows then.
    pub(super) fn take_cgroups(&mut self, answers: Vec<(u64, Option<Cgroup>)>) -> Vec<Effect> {
        let mut news = false;
        for (id, cgroup) in answers {
            news |= self.data.cgroups.answer(id, cgroup);
        }
        self.cgroups_changed(news)
    }

    /// Builds the rows again where a filter is about cgroups.
    pub(super) fn cgroups_changed(&mut self, news: bool) -> Vec<Effect> {
        if !news || !self.filter.chooses_cgroups() {
            return Vec::new();
        }
        self.rebuild_opens();
        let visible = self.screen.measured.opens.is_some();
        if visible { vec![Effect::Redraw] } else { Vec::new() }
    }

    /// Switches the search for names that processes ask for.
    pub(super) fn switch_hostnames(&mut self) -> Vec<Effect> {
        if self.data.connections_state.running().is_none() {
            self.say("no names: connections are not watched");
            return Vec::new();
        }
        if self.locked {
            self.say("cannot change: started with --lock. Restart with --names to show names");
            return Vec::new();
        }
        let on = !self.data.owners.hostnames.on;
        self.say(match on {
            true => "names on: answers of DNS and the ClientHello of TLS are read from now on",
            false => "names off: no packets are read; known names stay",
        });
        vec![Effect::Hostnames(on)]
    }

    pub(super) fn toggle_names(&mut self) {
        self.talkers_pane.names = !self.talkers_pane.names;
        self.say(match self.talkers_pane.names {
            true => "names on: this machine's resolver is asked",
            false => "names off: the resolver is not asked",
        });
    }
}
