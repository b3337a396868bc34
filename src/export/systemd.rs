//! Messages to systemd, where it started this program as a service of `Type=notify`.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Says that metrics are served.
pub fn ready() {
    send(NotifyState::Ready);
}

/// Says that the program ends.
pub fn stopping() {
    send(NotifyState::Stopping);
}

/// Says that the loop is alive.
pub fn alive() {
    send(NotifyState::Watchdog);
}

/// Paces [`alive`] as systemd asks for it.
#[derive(Debug)]
pub struct Watchdog(Option<Interval>);

impl Watchdog {
    /// Begins now.
    pub fn start() -> Self {
        Self(sd_notify::watchdog_enabled().map(|limit| {
            let mut tick = interval((limit / 3).max(Duration::from_millis(100)));
            tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
            tick
        }))
    }

    /// Returns when systemd is to hear of this program; never where it does not ask.
    pub async fn due(&mut self) {
        match &mut self.0 {
            Some(tick) => drop(tick.tick().await),
            None => std::future::pending().await,
        }
    }
}

fn send(state: NotifyState<'_>) {
    // Nothing depends on it; without systemd it does nothing.
    if let Err(e) = sd_notify::notify(&[state]) {
        tracing::warn!("notify systemd: {e}");
    }
}
