//! Events about the probes themselves: their starts, failures and interfaces.

use super::Session;
use crate::cli::Kind;
use crate::console::say;
use crate::model::coverage::{Missing, add_missing};
use crate::model::escape::escape;
use crate::model::event::{ConnectionsInfo, ProbeEvent, ProbeId, ProbeInfo, Watched};

/// The feature of listeners that takes the probe of connections.
const ACCEPTED: &str = "listeners: accepted connections";

impl Session {
    /// Takes note of an event about the probes themselves.
    pub(super) fn state(&mut self, event: ProbeEvent) {
        match event {
            ProbeEvent::Started(ProbeInfo::Opens(info)) => {
                self.has_processes = info.processes;
                self.has_files = info.files;
                add_missing(&mut self.coverage.missing, &info.missing);
            }
            ProbeEvent::Started(ProbeInfo::Talkers(watched)) | ProbeEvent::Watching(watched) => {
                let missing = watched.iter().flat_map(|watched| &watched.missing);
                add_missing(&mut self.coverage.missing, missing);
                self.watching(watched);
            }
            ProbeEvent::Started(ProbeInfo::Connections(info)) => self.connections_start(info),
            // Listeners alone asked for them, which have no number of accepted connections then.
            ProbeEvent::Failed(ProbeId::Connections, problem)
                if !self.wanted.has(Kind::Connections) =>
            {
                let missing = Missing {
                    feature: ACCEPTED.into(),
                    program: "connections".to_owned(),
                    error: problem.to_string(),
                };
                add_missing(&mut self.coverage.missing, [&missing]);
            }
            ProbeEvent::Failed(_, problem) => {
                self.failed = true;
                say(&problem.to_string());
            }
            ProbeEvent::Cgroups(made) => self.cgroups_made(&made),
            // Before `ready`: connections that exist by then are known.
            ProbeEvent::Connections(batch) => {
                self.owners.apply(&batch);
                self.owners.take_changes();
            }
            ProbeEvent::Hostnames(names) => self.owners.hostnames.add(&names),
            ProbeEvent::Started(ProbeInfo::Io(info)) => {
                self.is_timed = info.slow_ns.is_some();
                self.failed |= self.wanted.has(Kind::Slow) && !self.is_timed;
                add_missing(&mut self.coverage.missing, &info.missing);
            }
            ProbeEvent::Listeners(found) => self.early_listeners = Some(*found),
            ProbeEvent::Started(ProbeInfo::Listeners(info)) => {
                add_missing(&mut self.coverage.missing, &info.missing);
            }
            // The totals of talkers run from their start; the other probes begin when they are asked to.
            early @ (ProbeEvent::Talkers(_)
            | ProbeEvent::Opens(_)
            | ProbeEvent::Processes(_)
            | ProbeEvent::Files(_)
            | ProbeEvent::Io(_)
            | ProbeEvent::SlowCalls(_)) => self.early.push(early),
            ProbeEvent::Ended(_)
            | ProbeEvent::OpensUnderWay(_)
            | ProbeEvent::FileCallsUnderWay(_)
            | ProbeEvent::Links(_) => {}
        }
    }

    /// Polling is an answer in part to who asked for connections by name.
    fn connections_start(&mut self, info: ConnectionsInfo) {
        self.coverage.attribution = Some(info.attribution);
        if let Some(limits) = info.limits().filter(|_| self.wanted.has(Kind::Connections)) {
            self.failed = true;
            say(limits);
            for missing in &info.missing {
                say(&missing.to_string());
            }
        }
        add_missing(&mut self.coverage.missing, &info.missing);
    }

    /// Says what changed of how the interfaces are watched.
    fn watching(&mut self, watched: Vec<Watched>) {
        // A lost interface is the reason for rx, for tx and for itself: reported once.
        let mut said: Vec<String> = Vec::new();
        let mut say_once = |what: String| {
            if !said.contains(&what) {
                say(&what);
                said.push(what);
            }
        };
        for now in &watched {
            let before = self.watched.iter().find(|w| w.interface == now.interface);
            for (reported, side) in [
                (before.and_then(|w| w.rx.as_ref().err()), now.rx.as_ref().err()),
                (before.and_then(|w| w.tx.as_ref().err()), now.tx.as_ref().err()),
            ] {
                if let Some(problem) = side
                    && reported != side
                {
                    // An interface that is gone may come back: the end decides.
                    self.failed |= now.gone.is_none();
                    say_once(problem.to_string());
                }
            }
            match (before.and_then(|w| w.gone.as_ref()), &now.gone) {
                (None, Some(gone)) => say_once(gone.to_string()),
                (Some(_), None) => {
                    say_once(format!("{}: watched again", escape(now.interface.as_bytes())));
                }
                _ => {}
            }
        }
        self.watched = watched;
    }
}
