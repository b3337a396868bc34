//! Names of addresses: on or off, and asked for where a row is on the screen.

use std::net::IpAddr;

use super::talkers_pane::TalkerRow;
use super::{App, Effect};
use crate::model::names::Answer;

impl App {
    /// Turns names on or off.
    pub(super) fn turn_names(&mut self) {
        self.talkers_pane.names = !self.talkers_pane.names;
        self.say(if self.talkers_pane.names {
            "names: this machine's resolver is asked"
        } else {
            "names off: nobody is asked"
        });
    }

    /// Asks what the addresses on the screen are called that are not known.
    pub(super) fn ask_names(&mut self) -> Option<Effect> {
        let room = self.screen.measured.talkers?.rows;
        if !self.talkers_pane.names {
            return None;
        }
        let pane = &self.talkers_pane;
        let first = pane.list.first(pane.rows.len(), room);
        let rows = pane.rows.iter().skip(first).take(room).filter_map(|row| match row {
            TalkerRow::Talker(slot) => Some(*slot),
            TalkerRow::Other => None,
        });
        let talkers = self.wire().talkers();
        let slots = pane.inside.into_iter().chain(rows);
        let shown: Vec<IpAddr> = slots.filter_map(|s| talkers.get(s)).map(|t| t.ip).collect();
        let asked = self.data.names.ask(shown.into_iter(), self.clock);
        (!asked.is_empty()).then_some(Effect::Names(asked))
    }

    /// Takes an answer in.
    pub(super) fn take_name(&mut self, ip: IpAddr, answer: Answer) -> Vec<Effect> {
        let news = self.data.names.answer(ip, answer, self.clock);
        if news && self.talkers_pane.names { vec![Effect::Redraw] } else { Vec::new() }
    }
}
