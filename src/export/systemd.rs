//! Messages to systemd, where it started this program as a service of `Type=notify`.

use std::time::Duration;

use sd_notify::NotifyState;

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

/// Time between two [`alive`]; `None`: systemd does not ask for them.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| (limit / 3).max(Duration::from_millis(100)))
}

fn send(state: NotifyState<'_>) {
    // Nothing depends on it; without systemd it does nothing.
    if let Err(e) = sd_notify::notify(&[state]) {
        tracing::warn!("notify systemd: {e}");
    }
}
