//! SIGINT, SIGTERM and their like: the first asks for an orderly end, the second for a quick one.
//!
//! A thread of its own waits for them, so that they are heard while the other is held up by a
//! slow stdout.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use tokio::sync::Notify;

use crate::privileges;

/// Signals whose default action would end the process before a device's features are put back.
const ENDING: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGALRM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// How urgently the end was asked for; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicU32>,
    notify: Arc<Notify>,
}

impl Stop {
    /// Listens from now on. To be called before other threads are started: they must inherit
    /// that these signals are for this one.
    pub fn on_signals() -> std::io::Result<Self> {
        let mut signals = SigSet::empty();
        for signal in ENDING {
            signals.add(signal);
        }
        signals.thread_block()?;
        let stop = Self::default();
        thread::Builder::new().name("signals".into()).spawn({
            let stop = stop.clone();
            move || {
                privileges::keep(&[], false);
                while signals.wait().is_ok() {
                    stop.ask();
                }
            }
        })?;
        Ok(stop)
    }

    /// Asks for the end; a second time for a quick one.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.notify.notify_one();
    }

    /// How often the end was asked for.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Returns when the end was asked for since the last call.
    pub async fn heard(&self) {
        self.notify.notified().await;
    }
}
