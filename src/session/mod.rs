//! Parts that `stream`, `record` and the dashboard have in common: the choice of opens and addresses,
//! the configuration of the probes, the end on a signal, stdout at its reader's pace, messages on stderr.

mod choose;
mod config;
mod paced;
mod stop;

use crate::console::say;

pub use choose::Choose;
pub use paced::{OutError, Paced};
pub use stop::Stop;

/// Says on stderr how many names of new cgroups were lost, where there are any.
pub fn say_lost_cgroups(lost: u64) {
    if lost > 0 {
        say(&format!("lost {lost} names of new cgroups: the reader was too slow"));
    }
}
