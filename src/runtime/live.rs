//! The dashboard of this machine: its start and its end.

use std::io::IsTerminal;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::FutureExt;

use super::asker::Asker;
use super::machine::Live;
use super::signals::{Signal, Signals};
use super::source::Source;
use super::{Answers, End, Helpers, Wants, dashboard, origins, terminal};
use crate::app::{App, Msg};
use crate::console::say;
use crate::model::event::ProbeId;
use crate::probes::connections::ConnectionsConfig;
use crate::probes::io::IoConfig;
use crate::probes::{OpensConfig, Order, ProbeSet, ProbesConfig, TalkersConfig};
use crate::settings::{ScreenSettings, Settings};
use crate::{clock, machine, privileges};

/// How long probes may take to detach when the program ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs the dashboard until it is ended.
pub fn run(settings: &Settings, screen: &ScreenSettings) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() {
        say("stdout is not a terminal: use `ebpftop stream` to write lines");
        return Ok(ExitCode::from(2));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(session(settings, screen))
}

async fn session(settings: &Settings, screen: &ScreenSettings) -> anyhow::Result<ExitCode> {
    let origins = origins(&screen.mmdb)?;
    // First of all: a signal that comes during the start is not lost.
    let mut signals = Signals::new()?;
    // Before the helpers start: this thread then drops its own privileges.
    let missing = privileges::missing();
    let config = ProbesConfig {
        opens: Some(OpensConfig::for_dashboard(settings)),
        talkers: Some(TalkersConfig::new(settings)),
        connections: settings.owners.then(|| ConnectionsConfig::for_dashboard(settings)),
        listeners: None,
        io: IoConfig::new(settings, settings.own_opens),
    };
    let mut probes = ProbeSet::start(config, Order::AtOnce);
    let answers = Answers::new();
    let asker = Asker::start(settings, &answers.sender);
    let helpers = Helpers::start(settings, screen, answers);
    let mut app = App::new(settings, &machine::name(), clock::mono());
    app.arrange(screen);
    app.origins = origins;
    app.remember(settings.interval);

    let first = first_events(&mut app, &mut probes, &mut signals).await;
    let mut source = Source::Live(Box::new(Live::new(probes, asker)));
    let result = match first {
        First::Running => {
            let wants = Wants { settings, screen };
            let work = dashboard(wants, &mut app, &mut source, &mut signals, helpers);
            // A panic ends the dashboard, not the program: the probes still have to detach.
            AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Ok(End::Panicked))
        }
        First::None | First::Requested => Ok(End::Requested),
    };
    let Source::Live(live) = source else { return Ok(ExitCode::FAILURE) };
    if let First::None = first {
        // Connections alone are no dashboard, and why they are not known is no help here.
        for (_, problem) in live.probes.failures().filter(|(id, _)| *id != ProbeId::Connections) {
            say(&format!("{problem}"));
        }
        explain(&missing);
        live.probes.join_within(FAREWELL).await;
        return Ok(ExitCode::FAILURE);
    }
    live.probes.join_within(FAREWELL).await;
    match result? {
        // Done only in part: the screen, which said so, has gone.
        End::Requested if !terminal::panicked() && !app.data.problems().is_empty() => {
            for problem in app.data.problems() {
                say(&format!("{problem}"));
            }
            Ok(ExitCode::FAILURE)
        }
        End::Requested if !terminal::panicked() => Ok(ExitCode::SUCCESS),
        End::Requested | End::Panicked => Ok(ExitCode::from(101)),
    }
}

/// Says which privileges are missing, and what works without them.
fn explain(missing: &[&privileges::Need]) {
    if !missing.is_empty() {
        let named = missing.iter().map(|need| format!("{} ({})", need.capability, need.why));
        let named = named.collect::<Vec<_>>().join(", ");
        say(&format!("missing privileges: {named}"));
        if nix::unistd::geteuid().is_root() {
            say("root lacks them here, as in a container: run it on the host, or start the \
                 container with --privileged");
        }
    }
    say("to see the dashboard without privileges: ebpftop replay");
}

/// How the start went.
enum First {
    /// The opens or the talkers probe runs.
    Running,
    /// Neither does.
    None,
    /// A signal came first.
    Requested,
}

/// Waits until the opens or the talkers probe runs, or each probe has answered.
async fn first_events(app: &mut App, probes: &mut ProbeSet, signals: &mut Signals) -> First {
    while probes.is_starting() {
        let event = tokio::select! {
            event = probes.next() => event,
            signal = signals.next() => match signal {
                Signal::End => return First::Requested,
                Signal::Stop | Signal::Continue | Signal::Resize | Signal::Panic => continue,
            },
        };
        let Some(event) = event else { break };
        app.update(Msg::Probe(event), clock::mono());
        if probes.runs(ProbeId::Opens) || probes.runs(ProbeId::Talkers) {
            return First::Running;
        }
    }
    First::None
}
