//! The source of a live run: the probes.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::groups::{PlaceLabels, Places};
use super::output::Output;
use super::systemd;
use crate::clock;
use crate::console::say;
use crate::model::event::{Only, ProbeEvent, ProbeInfo};
use crate::model::process::ProcessKey;
use crate::privileges;
use crate::probes::cgroups::{Cgroup, Cgroups};
use crate::probes::connections::ConnectionsConfig;
use crate::probes::io::IoConfig;
use crate::probes::listeners::ListenersConfig;
use crate::probes::process_info;
use crate::probes::{OpensConfig, Order, ProbeSet, ProbesConfig, TalkersConfig};
use crate::session::{Stop, answered, say_lost_cgroups};
use crate::settings::Settings;

/// Runs the probes until asked to end.
pub(super) async fn run(
    output: Output,
    settings: &Settings,
    stop: &Stop,
) -> anyhow::Result<ExitCode> {
    let config = ProbesConfig {
        opens: Some(OpensConfig {
            files: settings.files,
            ..OpensConfig::new(settings, Only::default())
        }),
        talkers: Some(TalkersConfig::new(settings)),
        connections: settings.owners.then(|| ConnectionsConfig::new(settings)),
        listeners: settings.owners.then(|| ListenersConfig::seldom(settings)),
        io: IoConfig::new(settings, false),
    };
    let mut probes = ProbeSet::start(config, Order::AtOnce);
    let mut session =
        Session { output, cgroups: Cgroups::with_containers(), failed: false, stop: stop.clone() };
    let started = session.start(&mut probes).await;
    if started {
        privileges::keep(&[], settings.locked);
        session.pump(&mut probes, settings.interval).await;
    }
    probes.join();
    let written = session.output.end();
    Ok(match session.failed || !written || !started {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

struct Session {
    output: Output,
    cgroups: Cgroups,
    /// Something was not done as asked.
    failed: bool,
    stop: Stop,
}

impl Session {
    /// Waits until each probe has answered; true when one runs and the end was not asked for.
    async fn start(&mut self, probes: &mut ProbeSet) -> bool {
        let stop = self.stop.clone();
        answered(probes, &stop, |event| self.take(event)).await && probes.any_runs()
    }

    /// Takes the events of the probes, and publishes each interval, until the end.
    async fn pump(&mut self, probes: &mut ProbeSet, every: Duration) {
        let mut tick = interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut watchdog = systemd::Watchdog::start();
        let stop = self.stop.clone();
        let mut ending = false;
        // The first snapshot has what was counted until now at 0, as each series begins.
        self.output.publish();
        systemd::ready();
        while probes.any_runs() {
            tokio::select! {
                biased;
                () = stop.heard(), if !ending => {
                    ending = true;
                    systemd::stopping();
                    probes.stop();
                }
                () = watchdog.due() => systemd::alive(),
                _ = tick.tick() => self.output.publish(),
                event = probes.next() => match event {
                    Some(event) => self.take(event),
                    None => break,
                },
            }
        }
        // Unasked: all probes have failed, and have said why.
        self.failed |= !ending;
    }

    fn take(&mut self, event: ProbeEvent) {
        match &event {
            ProbeEvent::Cgroups(made) => say_lost_cgroups(self.cgroups.take(made)),
            ProbeEvent::Started(ProbeInfo::Connections(info)) => {
                info.limits().into_iter().for_each(say);
            }
            ProbeEvent::Failed(_, problem) => {
                self.failed = true;
                say(&problem.to_string());
            }
            _ => {}
        }
        self.output.take(&event, &mut Here(&mut self.cgroups));
    }
}

/// The places of this machine.
struct Here<'c>(&'c mut Cgroups);

impl Places for Here<'_> {
    fn named(&mut self, id: u64) -> Option<&Cgroup> {
        self.0.get(id, clock::mono)
    }

    fn process(&mut self, key: ProcessKey) -> Option<PlaceLabels> {
        process_info::cgroup_of(key).as_ref().map(PlaceLabels::of)
    }
}
