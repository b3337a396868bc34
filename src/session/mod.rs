//! Parts that `stream`, `record` and the dashboard have in common: the choice of opens and addresses,
//! the configuration of the probes, the end on a signal, stdout at its reader's pace, messages on stderr.

mod choose;
mod config;
mod paced;
mod stop;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::console::say;
use crate::model::event::ProbeEvent;
use crate::probes::ProbeSet;

pub use choose::Choose;
pub use paced::{OutError, Paced};
pub use stop::Stop;

/// Says on stderr how many names of new cgroups were lost, where there are any.
pub fn say_lost_cgroups(lost: u64) {
    if lost > 0 {
        say(&format!("lost {lost} names of new cgroups: the reader was too slow"));
    }
}

/// The loop of a run without a screen, on the calling thread.
pub fn new_loop() -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().context("start the loop")
}

/// Hands on events until each probe has answered; false where the end was asked for before.
pub async fn answered(
    probes: &mut ProbeSet,
    stop: &Stop,
    mut take: impl FnMut(ProbeEvent),
) -> bool {
    while probes.is_starting() {
        let event = tokio::select! {
            event = probes.next() => event,
            () = stop.heard() => return false,
        };
        let Some(event) = event else { break };
        take(event);
    }
    true
}
