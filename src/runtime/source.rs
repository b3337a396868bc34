//! The source of the dashboard's data: this machine, a recording, or a live recording of another machine.

use std::time::Duration;

#[cfg(feature = "bpf")]
use super::machine::Live;
use super::player::Player;
use super::recorder::Recorder;
use super::remote::Remote;
use crate::app::{App, Effect, Msg};
#[cfg(feature = "bpf")]
use crate::clock;
#[cfg(feature = "bpf")]
use crate::model::event::ProbeEvent;
use crate::model::process_info::ProcessInfo;
use crate::model::time::Mono;
#[cfg(feature = "bpf")]
use crate::recording::Seen;

/// Between two updates of the time of a recording.
const REPLAY_FRAME: Duration = Duration::from_millis(200);

pub(super) enum Source {
    #[cfg(feature = "bpf")]
    Live(Box<Live>),
    Recording(Box<Player>),
    Remote(Box<Remote>),
}

/// An arrival from a source.
pub(super) enum Arrival {
    /// An event of a probe.
    #[cfg(feature = "bpf")]
    Event(ProbeEvent),
    /// Effects of records that the app has taken.
    Played(Vec<Effect>),
}

impl Source {
    /// The time that the dashboard shows.
    pub(super) fn now(&self) -> Mono {
        match self {
            #[cfg(feature = "bpf")]
            Self::Live(_) => clock::mono(),
            Self::Recording(player) => player.now(),
            Self::Remote(remote) => remote.now(),
        }
    }

    /// The machine of a recording.
    pub(super) fn host(&self) -> &str {
        match self {
            #[cfg(feature = "bpf")]
            Self::Live(_) => "",
            Self::Recording(player) => &player.head().host,
            Self::Remote(remote) => &remote.head().host,
        }
    }

    /// Between ticks. A recording has ticks of its own; its time advances between them.
    pub(super) fn tick_interval(&self, _interval: Duration) -> Duration {
        match self {
            #[cfg(feature = "bpf")]
            Self::Live(_) => _interval,
            Self::Recording(_) | Self::Remote(_) => REPLAY_FRAME,
        }
    }

    /// Waits for what comes next; for ever when nothing will.
    pub(super) async fn next(&mut self, app: &mut App) -> Arrival {
        match self {
            #[cfg(feature = "bpf")]
            Self::Live(live) => match live.probes.next().await {
                Some(event) => Arrival::Event(event),
                None => std::future::pending().await,
            },
            Self::Recording(player) => {
                player.due().await;
                Arrival::Played(player.advance(app))
            }
            Self::Remote(remote) => {
                remote.due().await;
                Arrival::Played(remote.advance(app))
            }
        }
    }

    /// Advances the app to the next tick.
    pub(super) fn tick(&self, app: &mut App, _recorder: &mut Recorder) -> Vec<Effect> {
        match self {
            #[cfg(feature = "bpf")]
            Self::Live(_) => {
                let now = clock::mono();
                if _recorder.runs() {
                    _recorder.take(now, Seen::Tick);
                    app.update(Msg::Recorded(_recorder.grown()), now);
                }
                app.update(Msg::Tick, now)
            }
            Self::Recording(player) => app.update(Msg::Replay(player.state()), player.now()),
            Self::Remote(remote) => app.update(Msg::Remote(remote.state(app)), remote.now()),
        }
    }

    /// The place of a recording's damage, in words.
    pub(super) fn damage(&self) -> Option<&str> {
        match self {
            #[cfg(feature = "bpf")]
            Self::Live(_) => None,
            Self::Recording(player) => player.damage(),
            Self::Remote(remote) => remote.damage(),
        }
    }

    /// Carries out an effect on the source, where it has that.
    pub(super) fn carry_out(&mut self, effect: Effect, app: &mut App) {
        match (self, effect) {
            #[cfg(feature = "bpf")]
            (Self::Live(live), effect) => live.carry_out(effect, app),
            (Self::Recording(player), Effect::Replay(command)) => {
                player.obey(command, app);
            }
            (source @ (Self::Recording(_) | Self::Remote(_)), Effect::Describe(query)) => {
                let elsewhere = Box::new(ProcessInfo::ELSEWHERE);
                app.update(Msg::Described(query.key, elsewhere), source.now());
            }
            (Self::Recording(_) | Self::Remote(_), _) => {}
        }
    }
}
