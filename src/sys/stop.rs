//! Stops the process as Ctrl-Z in a terminal would.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

/// Raises SIGTSTP with its default action; returns once the process is continued.
///
/// In an orphaned process group it returns at once: no shell could continue it
/// (`get_signal`, kernel/signal.c).
pub(crate) fn stop() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of this program.
    let handler = unsafe { sigaction(Signal::SIGTSTP, &default)? };
    let raised = raise(Signal::SIGTSTP);
    // SAFETY: the handler that was installed until now.
    unsafe { sigaction(Signal::SIGTSTP, &handler)? };
    raised
}
