//! Undo records of the tables, for stepping back in time.

use super::{Interface, InterfaceSide, Talker, Wire};
use crate::model::history::History;
use crate::model::undo::{Reading, Undoable, Window, Writing};

/// The state outside of the tables, as it was when the turn began.
#[derive(Clone, Debug)]
pub(super) struct TurnStart {
    ports: Vec<Interface>,
    talk: super::Talk,
}

impl Wire {
    /// Writes the undo records since the last call, and begins to note changes again: see
    /// [`crate::model::slab::Slab::changes`].
    pub fn changes(&mut self, window: Window, to: &mut Writing) {
        let now = TurnStart { ports: self.ports.clone(), talk: self.talk.clone() };
        let then = self.turn_start.take().unwrap_or_else(|| Box::new(now.clone()));
        to.put(&then.ports.len());
        for (i, port) in then.ports.iter().enumerate() {
            let times = |p: &Interface| (p.ifindex, p.rx.at, p.tx.at);
            if now.ports.get(i).map(times) != Some(times(port)) {
                to.put(&Some(i));
                port.write(to);
            }
        }
        to.put(&None::<usize>);
        let talks = then.talk.is_some() || now.talk.is_some();
        to.put(&talks);
        if talks {
            then.talk.write(to);
        }
        self.turn_start = Some(Box::new(now));
        self.talkers.changes(window, to);
    }

    /// Goes back by what [`Wire::changes`] wrote next. Nothing can be counted any more.
    pub fn go_back(&mut self, from: &mut Reading<'_>) -> Option<()> {
        let len = from.get()?;
        self.ports.truncate(len);
        while let Some(i) = from.get::<Option<usize>>()? {
            let port = Interface::read(from)?;
            match self.ports.get_mut(i) {
                Some(held) => *held = port,
                None => self.ports.push(port),
            }
        }
        if from.get()? {
            self.talk = super::Talk::read(from)?;
        }
        self.talkers.go_back(from)
    }
}

impl Interface {
    fn write(&self, to: &mut Writing) {
        to.put(&(&self.name, self.ifindex));
        self.rx.write(to);
        self.tx.write(to);
    }

    fn read(from: &mut Reading<'_>) -> Option<Self> {
        let (name, ifindex) = from.get()?;
        Some(Self { name, ifindex, rx: InterfaceSide::read(from)?, tx: InterfaceSide::read(from)? })
    }
}

impl InterfaceSide {
    fn write(&self, to: &mut Writing) {
        to.put(&(self.side, self.hook, self.interval_ns, self.at, &self.partial));
        to.put(&(self.compared, self.evicted, self.evicted_reported, self.evicted_before));
        to.put(&(self.sources, self.sources_delta, self.held));
        self.history.write(to);
    }

    fn read(from: &mut Reading<'_>) -> Option<Self> {
        let (side, hook, interval_ns, at, partial) = from.get()?;
        let (compared, evicted, evicted_reported, evicted_before) = from.get()?;
        let (sources, sources_delta, held) = from.get()?;
        let mut history = History::default();
        history.read(from)?;
        Some(Self {
            side,
            hook,
            interval_ns,
            at,
            partial,
            compared,
            evicted,
            evicted_reported,
            evicted_before,
            history,
            sources,
            sources_delta,
            held,
        })
    }
}

impl Undoable for Talker {
    fn write_fixed(&self, to: &mut Writing) {
        to.put(&(self.port, self.ip, self.first));
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        let (port, ip, first) = from.get()?;
        Some(Self::new(port, ip, first))
    }

    fn write(&self, to: &mut Writing) {
        to.put(&(self.rx, self.tx, self.last));
        self.rx_history.write(to);
        self.tx_history.write(to);
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        (self.rx, self.tx, self.last) = from.get()?;
        self.rx_history.read(from)?;
        self.tx_history.read(from)
    }
}
