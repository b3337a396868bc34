//! The configuration of the probes, by the user's settings.

use std::time::Duration;

use crate::model::event::Only;
use crate::model::file_io::FileTypes;
use crate::model::filter::Pattern;
use crate::probes::connections::{ConnectionsConfig, HostnamesConfig};
use crate::probes::io::IoConfig;
use crate::probes::listeners::ListenersConfig;
use crate::probes::{OpensConfig, TalkersConfig};
use crate::settings::Settings;

impl OpensConfig {
    /// The configuration for these settings; opens that are not in `only` are counted alone.
    pub fn new(settings: &Settings, only: Only) -> Self {
        Self { latency: settings.latency, only, locked: settings.locked, ..Self::default() }
    }

    /// The configuration for the dashboard: opens by the chosen processes, without our own.
    pub fn for_dashboard(settings: &Settings) -> Self {
        let process = settings.process.as_deref().map(Pattern::parse_name);
        let name = process.and_then(Result::ok).and_then(|p| p.only_name());
        let only = Only { name, without_own: !settings.own_opens, ..Only::default() };
        Self { processes: true, files: settings.files, ..Self::new(settings, only) }
    }
}

impl TalkersConfig {
    /// The configuration for these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            choice: settings.choice.clone(),
            mode: settings.xdp_mode,
            interval: settings.interval,
            netns: settings.netns.clone(),
            locked: settings.locked,
        }
    }
}

impl IoConfig {
    /// The configuration for these settings; `None` where nothing is to be counted. `own`: count this process
    /// too.
    pub fn new(settings: &Settings, own: bool) -> Option<Self> {
        let types = settings.io?;
        Some(Self {
            interval: settings.interval,
            every_type: types == FileTypes::All,
            slow: settings.slow,
            without_own: !own,
            locked: settings.locked,
            ..Self::default()
        })
    }
}

/// Between two readings of the listeners of a run without a screen.
const SELDOM: Duration = Duration::from_secs(10);

impl ListenersConfig {
    /// The configuration for these settings, with a reading in ten seconds.
    pub fn seldom(settings: &Settings) -> Self {
        Self::every(SELDOM, settings)
    }

    /// The configuration for these settings, with a reading every `interval` at most.
    pub fn every(interval: Duration, settings: &Settings) -> Self {
        Self { interval, unix: settings.unix_listeners, locked: settings.locked }
    }
}

impl ConnectionsConfig {
    /// The configuration for these settings.
    pub fn new(settings: &Settings) -> Self {
        let hostnames = HostnamesConfig { on: settings.names, ..HostnamesConfig::default() };
        let Settings { interval, locked, .. } = *settings;
        Self { interval, locked, hostnames, may_poll: true }
    }

    /// The configuration for the dashboard, where a key switches names on and off.
    pub fn for_dashboard(settings: &Settings) -> Self {
        let mut config = Self::new(settings);
        config.hostnames.may_switch = !settings.locked;
        config
    }
}
