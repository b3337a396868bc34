//! The probes that were asked for: started one after the other, stopped together.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;

use crate::model::event::{Only, ProbeEvent};
use crate::model::time::Mono;
use crate::probes::opens::OpensProbe;
use crate::probes::owners::OwnersProbe;
use crate::probes::talkers::TalkersProbe;
use crate::probes::{CHANNEL_DEPTH, OpensConfig, Sink};
use crate::settings::Settings;

/// The running probes and what they tell.
#[derive(Debug)]
pub(crate) struct Probes {
    opens: Option<OpensProbe>,
    talkers: Option<TalkersProbe>,
    owners: Option<OwnersProbe>,
    sink: Option<Sink>,
    events: Receiver<ProbeEvent>,
}

impl Probes {
    pub(crate) fn new() -> Self {
        let (sink, events) = channel(CHANNEL_DEPTH);
        Self { opens: None, talkers: None, owners: None, sink: Some(sink), events }
    }

    /// Starts it; [`ProbeEvent::OpensStarted`] tells how that went.
    pub(crate) fn start_opens(&mut self, settings: &Settings, only: Only) {
        if let Some(sink) = &self.sink {
            let config = OpensConfig { only, ..settings.opens() };
            self.opens = Some(OpensProbe::start(config, sink.clone()));
        }
    }

    /// Starts it; the first [`ProbeEvent::Watching`] tells how that went.
    pub(crate) fn start_talkers(&mut self, settings: &Settings) {
        if let Some(sink) = &self.sink {
            self.talkers = Some(TalkersProbe::start(settings.talkers(), sink.clone()));
        }
    }

    /// Starts it; [`ProbeEvent::OwnersStarted`] tells how that went.
    pub(crate) fn start_owners(&mut self, settings: &Settings) {
        if let Some(sink) = &self.sink {
            self.owners = Some(OwnersProbe::start(settings.owners(), sink.clone()));
        }
    }

    /// As [`Self::start_opens`], but nothing is counted or reported before [`Self::begin_opens`].
    pub(crate) fn prepare_opens(&mut self, settings: &Settings, only: Only) {
        if let Some(sink) = &self.sink {
            let config = OpensConfig { only, waits: true, ..settings.opens() };
            self.opens = Some(OpensProbe::start(config, sink.clone()));
        }
    }

    /// Begins to count opens; `None` where the probe was not started.
    pub(crate) fn begin_opens(
        &self,
        duration: Option<Duration>,
    ) -> Option<oneshot::Receiver<Mono>> {
        self.opens.as_ref().map(|probe| probe.begin(duration))
    }

    /// Nothing more is started: when the last probe has ended, so have the events.
    pub(crate) fn all_started(&mut self) {
        self.sink = None;
    }

    /// The next event; `None` when no probe is left.
    pub(crate) async fn next(&mut self) -> Option<ProbeEvent> {
        self.events.recv().await
    }

    /// Asks all to detach and to tell what is left.
    pub(crate) fn stop(&mut self) {
        if let Some(probe) = &mut self.opens {
            probe.stop();
        }
        if let Some(probe) = &mut self.talkers {
            probe.stop();
        }
        if let Some(probe) = &mut self.owners {
            probe.stop();
        }
    }

    /// Ends all of them, whatever they still have to tell.
    pub(crate) fn join(mut self) {
        self.sink = None;
        self.events.close();
        while self.events.try_recv().is_ok() {}
        if let Some(probe) = self.opens.take() {
            probe.join();
        }
        if let Some(probe) = self.talkers.take() {
            probe.join();
        }
        if let Some(probe) = self.owners.take() {
            probe.join();
        }
    }
}
