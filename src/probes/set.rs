//! The probes of one run: one start-up, one stream of events, one end.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;

use super::connections::{self, ConnectionsConfig};
use super::io::{self, IoConfig};
use super::listeners::{self, ListenersConfig};
use super::{CHANNEL_DEPTH, OpensConfig, ProbeThread, Sink, TalkersConfig, opens, talkers};
use crate::model::event::{ProbeEvent, ProbeId, TalkersCommand};
use crate::model::problem::Problem;
use crate::model::time::Mono;

/// The probes to run, each with its configuration; `None` for one that does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbesConfig {
    pub opens: Option<OpensConfig>,
    pub talkers: Option<TalkersConfig>,
    pub connections: Option<ConnectionsConfig>,
    pub io: Option<IoConfig>,
    pub listeners: Option<ListenersConfig>,
}

/// When each probe starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All at once: the first events come soonest.
    AtOnce,
    /// Each when the one before it has answered, the talkers probe last: its totals run from its
    /// start, so that is the start of the run.
    InTurn,
}

/// A probe's state, as its events report it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not started: it waits for its turn.
    Waiting,
    /// Started, without an answer so far.
    Starting,
    Running,
    Failed(Problem),
    Ended,
}

/// The probes of one run.
#[derive(Debug)]
pub struct ProbeSet {
    config: ProbesConfig,
    /// The probes of the run, in the order of their start.
    states: Vec<(ProbeId, State)>,
    order: Order,
    opens: Option<ProbeThread<opens::Begin>>,
    talkers: Option<ProbeThread<TalkersCommand>>,
    connections: Option<ProbeThread<connections::Command>>,
    io: Option<ProbeThread<io::Begin>>,
    listeners: Option<ProbeThread>,
    /// Dropped when the last probe was started: the events end when the probes have ended.
    sink: Option<Sink>,
    events: Receiver<ProbeEvent>,
}

impl ProbeSet {
    /// Starts the probes that have a configuration. The first event of each is
    /// [`ProbeEvent::Started`] or [`ProbeEvent::Failed`].
    pub fn start(config: ProbesConfig, order: Order) -> Self {
        let (sink, events) = channel(CHANNEL_DEPTH);
        let asked = [
            (ProbeId::Opens, config.opens.is_some()),
            (ProbeId::Connections, config.connections.is_some()),
            (ProbeId::Io, config.io.is_some()),
            (ProbeId::Listeners, config.listeners.is_some()),
            (ProbeId::Talkers, config.talkers.is_some()),
        ];
        let asked = asked.into_iter().filter(|(_, is_asked)| *is_asked);
        let mut set = Self {
            config,
            states: asked.map(|(id, _)| (id, State::Waiting)).collect(),
            order,
            opens: None,
            talkers: None,
            connections: None,
            io: None,
            listeners: None,
            sink: Some(sink),
            events,
        };
        set.start_next();
        set
    }

    /// The next event; `None` when all probes have ended and every event was received.
    pub async fn next(&mut self) -> Option<ProbeEvent> {
        let event = self.events.recv().await?;
        let (id, state) = match &event {
            ProbeEvent::Started(info) => (info.id(), State::Running),
            ProbeEvent::Failed(id, problem) => (*id, State::Failed(problem.clone())),
            ProbeEvent::Ended(end) => (end.id(), State::Ended),
            _ => return Some(event),
        };
        if let Some((_, known)) = self.states.iter_mut().find(|(probe, _)| *probe == id) {
            *known = state;
        }
        self.start_next();
        Some(event)
    }

    /// Starts the probes whose turn it is.
    fn start_next(&mut self) {
        for at in 0..self.states.len() {
            let Some((id, state)) = self.states.get_mut(at) else { break };
            match state {
                State::Waiting => *state = State::Starting,
                State::Starting if self.order == Order::InTurn => return,
                _ => continue,
            }
            let id = *id;
            self.launch(id);
            if self.order == Order::InTurn {
                return;
            }
        }
        self.sink = None;
    }

    fn launch(&mut self, id: ProbeId) {
        let Some(sink) = self.sink.clone() else { return };
        match id {
            ProbeId::Opens => {
                self.opens = self.config.opens.take().map(|config| opens::start(config, sink));
            }
            ProbeId::Talkers => {
                self.talkers =
                    self.config.talkers.take().map(|config| talkers::start(config, sink));
            }
            ProbeId::Connections => {
                self.connections =
                    self.config.connections.take().map(|config| connections::start(config, sink));
            }
            ProbeId::Io => {
                self.io = self.config.io.take().map(|config| io::start(config, sink));
            }
            ProbeId::Listeners => {
                self.listeners =
                    self.config.listeners.take().map(|config| listeners::start(config, sink));
            }
        }
    }

    /// Whether a probe of the run has not answered yet.
    pub fn is_starting(&self) -> bool {
        self.states.iter().any(|(_, state)| matches!(state, State::Waiting | State::Starting))
    }

    /// Whether a probe is attached.
    pub fn runs(&self, id: ProbeId) -> bool {
        self.states.contains(&(id, State::Running))
    }

    /// Whether any probe is attached.
    pub fn any_runs(&self) -> bool {
        self.states.iter().any(|(_, state)| *state == State::Running)
    }

    /// The probes that could not start, or failed later, and why.
    pub fn failures(&self) -> impl Iterator<Item = (ProbeId, &Problem)> {
        self.states.iter().filter_map(|(id, state)| match state {
            State::Failed(problem) => Some((*id, problem)),
            _ => None,
        })
    }

    /// Begins to count opens, where [`OpensConfig::waits`], for `duration` or until the end; the answer
    /// says since when. `None` where the probe was not started.
    pub fn begin_opens(&self, duration: Option<Duration>) -> Option<oneshot::Receiver<Mono>> {
        self.opens.as_ref().map(|probe| probe.begin(duration))
    }

    /// Begins to count bytes read and written, where [`IoConfig::waits`]; the answer says since when. `None`
    /// where the probe was not started.
    pub fn begin_io(&self) -> Option<oneshot::Receiver<Mono>> {
        self.io.as_ref().map(ProbeThread::<io::Begin>::begin)
    }

    /// Reads the counts of connections, from which a run counts, at a moment ahead or at once; the answer is the time
    /// of the batch with that reading. `None` where the probe was not started.
    pub fn begin_connections(&self, at: Option<Mono>) -> Option<oneshot::Receiver<Mono>> {
        self.connections.as_ref().map(|probe| probe.begin(at))
    }

    /// Switches the search for names that processes ask for; without effect where the connections probe does not run.
    pub fn switch_names(&self, on: bool) {
        if let Some(connections) = &self.connections {
            connections.send(connections::Command::Names(on));
        }
    }

    /// Sends a command to the talkers probe, where it runs.
    pub fn send(&self, command: TalkersCommand) {
        if let Some(talkers) = &self.talkers {
            talkers.send(command);
        }
    }

    /// Asks all probes to detach and to send the rest. Starts no other.
    pub fn stop(&mut self) {
        self.states.retain(|(_, state)| *state != State::Waiting);
        self.sink = None;
        if let Some(probe) = &mut self.opens {
            probe.stop();
        }
        if let Some(probe) = &mut self.connections {
            probe.stop();
        }
        if let Some(probe) = &mut self.io {
            probe.stop();
        }
        if let Some(probe) = &mut self.listeners {
            probe.stop();
        }
        if let Some(probe) = &mut self.talkers {
            probe.stop();
        }
    }

    /// Stops all probes and waits for their threads. Events that were not received are dropped.
    pub fn join(mut self) {
        self.stop();
        self.events.close();
        while self.events.try_recv().is_ok() {}
        self.opens.take().into_iter().for_each(ProbeThread::join);
        self.connections.take().into_iter().for_each(ProbeThread::join);
        self.io.take().into_iter().for_each(ProbeThread::join);
        self.listeners.take().into_iter().for_each(ProbeThread::join);
        self.talkers.take().into_iter().for_each(ProbeThread::join);
    }

    /// Waits as [`ProbeSet::join`], but gives up after `patience`: a thread that hangs must not keep the
    /// terminal. The kernel detaches its programs when the process ends.
    pub async fn join_within(mut self, patience: Duration) {
        self.stop();
        let drained = async { while self.events.recv().await.is_some() {} };
        match tokio::time::timeout(patience, drained).await {
            Ok(()) => self.join(),
            Err(_) => std::mem::forget(self),
        }
    }
}
