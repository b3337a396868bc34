//! The configuration of the probes, by the user's settings.

use crate::model::event::Only;
use crate::model::filter::Pattern;
use crate::probes::connections::ConnectionsConfig;
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
        Self { processes: true, ..Self::new(settings, only) }
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

impl ConnectionsConfig {
    /// The configuration for these settings.
    pub fn new(settings: &Settings) -> Self {
        Self { interval: settings.interval, locked: settings.locked }
    }
}
