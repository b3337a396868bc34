//! The thread of a probe and its handle.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use nix::sys::eventfd::EventFd;

use super::Sink;
use crate::model::event::{ProbeEnd, ProbeEvent, ProbeId};
use crate::model::problem::Problem;

/// A probe's receiver: commands, and a disconnect when the probe has to stop.
pub type Commands<C = Infallible> = mpsc::Receiver<C>;

/// A running probe that takes commands `C`. Dropping it stops the probe.
#[derive(Debug)]
pub struct ProbeThread<C = Infallible> {
    /// Dropped to stop the probe.
    commands: Option<mpsc::Sender<C>>,
    /// Written to when something was sent, where the thread waits on descriptors.
    wake: Option<Arc<EventFd>>,
    thread: Option<JoinHandle<()>>,
}

impl<C: Send + 'static> ProbeThread<C> {
    /// Runs `probe` on a thread of its own. It sends [`ProbeEvent::Started`] when it is attached;
    /// its last event comes from here: [`ProbeEvent::Ended`], or [`ProbeEvent::Failed`] where it could
    /// not start, failed later, or panicked.
    pub(super) fn spawn(
        id: ProbeId,
        sink: Sink,
        wake: Option<Arc<EventFd>>,
        probe: impl FnOnce(&Commands<C>, &Sink) -> Result<ProbeEnd, Problem> + Send + 'static,
    ) -> Self {
        let (commands, received) = mpsc::channel();
        let run = {
            let sink = sink.clone();
            move || {
                super::quiet_libbpf();
                let last = match catch_unwind(AssertUnwindSafe(|| probe(&received, &sink))) {
                    Ok(Ok(end)) => ProbeEvent::Ended(end),
                    Ok(Err(problem)) => {
                        tracing::error!("the {} probe failed: {problem}", id.name());
                        ProbeEvent::Failed(id, problem)
                    }
                    Err(_) => ProbeEvent::Failed(id, panicked(id)),
                };
                // An error: the reader has gone.
                let _ = sink.blocking_send(last);
            }
        };
        match thread::Builder::new().name(id.name().into()).spawn(run) {
            Ok(thread) => Self { commands: Some(commands), wake, thread: Some(thread) },
            Err(e) => Self::failed(id, &sink, &e),
        }
    }

    /// A probe without a thread, and the event that says so.
    pub(super) fn failed(id: ProbeId, sink: &Sink, error: &std::io::Error) -> Self {
        let problem = Problem::new(format!("start the {} probe", id.name()), error.to_string(), "");
        // A probe without a thread sends nothing else, so the channel has room for this event.
        let _ = sink.try_send(ProbeEvent::Failed(id, problem));
        Self { commands: None, wake: None, thread: None }
    }

    /// Sends a command. Does not wait. A probe that has ended takes none.
    pub fn send(&self, command: C) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
        self.wake();
    }

    /// Asks the probe to detach, to send the rest, and to end; [`ProbeEvent::Ended`] is its last
    /// event. Does not wait: the events have to be received meanwhile.
    pub fn stop(&mut self) {
        self.commands = None;
        self.wake();
    }

    /// Waits for the thread's end. The channel must be drained or closed by then.
    pub fn join(mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            // Only a counter at its limit refuses, and then the thread is awake.
            let _ = wake.write(1);
        }
    }
}

impl<C> Drop for ProbeThread<C> {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(wake) = &self.wake {
            let _ = wake.write(1);
        }
    }
}

fn panicked(id: ProbeId) -> Problem {
    Problem::new(
        format!("run the {} probe", id.name()),
        "its thread panicked",
        "start it again, and report this if it comes back",
    )
}
