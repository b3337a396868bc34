//! Parts that `stream`, `record` and the dashboard have in common: the choice of opens and addresses,
//! the configuration of the probes, the end on a signal, messages on stderr.

mod choose;
mod config;
mod stop;

pub use crate::console::say as complain;
pub use choose::Choose;
pub use stop::Stop;
