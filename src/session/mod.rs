//! Parts that `stream`, `record` and the dashboard have in common: the choice of opens and addresses,
//! the configuration of the probes, the end on a signal, messages on stderr.

mod choose;
mod config;
mod stop;

pub use crate::console::say as complain;
pub use choose::Choose;
pub use stop::Stop;

/// Says on stderr how many names of new cgroups were lost, where there are any.
pub fn complain_of_lost_cgroups(lost: u64) {
    if lost > 0 {
        complain(&format!("lost {lost} names of new cgroups: the reader was too slow"));
    }
}
