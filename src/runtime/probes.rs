//! The probes as the loop knows them: something that starts, takes commands, stops.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use crate::model::event::{ProbeEvent, TalkersCommand};
use crate::probes::Sink;
use crate::probes::opens::OpensProbe;
use crate::probes::owners::OwnersProbe;
use crate::probes::talkers::TalkersProbe;
use crate::settings::Settings;

/// A probe that runs.
pub trait Probe {
    /// Asks for something else to be watched.
    fn send(&self, _command: TalkersCommand) {}
    /// Asks it to detach and to end. Does not wait.
    fn stop(&mut self);
    /// Waits for its end.
    fn join(self: Box<Self>);
}

impl Probe for OpensProbe {
    fn stop(&mut self) {
        OpensProbe::stop(self);
    }

    fn join(self: Box<Self>) {
        OpensProbe::join(*self);
    }
}

impl Probe for OwnersProbe {
    fn stop(&mut self) {
        OwnersProbe::stop(self);
    }

    fn join(self: Box<Self>) {
        OwnersProbe::join(*self);
    }
}

impl Probe for TalkersProbe {
    fn send(&self, command: TalkersCommand) {
        TalkersProbe::send(self, command);
    }

    fn stop(&mut self) {
        TalkersProbe::stop(self);
    }

    fn join(self: Box<Self>) {
        TalkersProbe::join(*self);
    }
}

/// Starts a probe that tells what it finds out to a sink.
pub type Start = Box<dyn FnOnce(Sink) -> Box<dyn Probe>>;

/// The probes to run. Each one's first word is how its start went.
pub struct Probes {
    /// Each of them tells one [`ProbeEvent::OpensStarted`], [`ProbeEvent::Watching`] or
    /// [`ProbeEvent::OwnersStarted`] first.
    pub starts: Vec<Start>,
    /// The processes are those of this machine, now: whether they are still there can be asked.
    pub alive: bool,
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probes({})", self.starts.len())
    }
}

impl Probes {
    /// Those that look at this machine's kernel.
    pub fn real(settings: &Settings) -> Self {
        let (opens, talkers) = (settings.opens(), settings.talkers());
        let mut starts: Vec<Start> = vec![
            Box::new(move |sink| Box::new(OpensProbe::start(opens, sink))),
            Box::new(move |sink| Box::new(TalkersProbe::start(talkers, sink))),
        ];
        if settings.owners {
            let owners = settings.owners();
            starts.push(Box::new(move |sink| Box::new(OwnersProbe::start(owners, sink))));
        }
        Self { starts, alive: super::alive::is_initial_namespace() }
    }

    /// Starts all of them.
    pub(super) fn start(self, sink: Sink) -> Running {
        let probes = self.starts.into_iter().map(|start| start(sink.clone())).collect();
        Running { probes, alive: self.alive }
    }
}

/// The probes while they run.
pub(super) struct Running {
    probes: Vec<Box<dyn Probe>>,
    pub(super) alive: bool,
}

impl Running {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.probes.len()
    }

    /// Hands a command on to the probe that understands it.
    pub(super) fn send(&self, command: TalkersCommand) {
        for probe in &self.probes {
            probe.send(command.clone());
        }
    }

    /// Stops all of them and waits, not longer than `patience`. What they still tell is let go:
    /// a probe that waits for its reader could not end.
    pub(super) async fn end(mut self, events: &mut Receiver<ProbeEvent>, patience: Duration) {
        for probe in &mut self.probes {
            probe.stop();
        }
        let drained = async { while events.recv().await.is_some() {} };
        let in_time = tokio::time::timeout(patience, drained).await.is_ok();
        for probe in self.probes {
            // One that does not end must not keep the terminal: the kernel detaches its links
            // when the process ends.
            if in_time {
                probe.join();
            } else {
                std::mem::forget(probe);
            }
        }
    }
}
