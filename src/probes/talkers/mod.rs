//! The talkers probe: a thread that counts frames by address on the interfaces that are watched.
//!
//! `run` is the loop, `watch` one interface, `counting` one direction of it, `hand_over` how its
//! hook changes, `counter` one loaded object, `look` what one address talks, `netns` the namespace,
//! `links` the table of interfaces, `routes` where its default routes lead, `choose` the rules by which a
//! hook is taken, `features` what has to be put back, `yardstick` where the kernel's
//! counters can be compared, `foreign` what others attached.
//! All attachments are descriptors of this thread: nothing outlives the process.

mod bpf_object;
mod choose;
mod direction;
mod features;
mod hand_over;
mod interface;
mod kernel_counters;
mod links;
mod look;
pub(in crate::probes) mod netlink;
mod netns;
mod routes;
mod run;
mod target;
mod third_party;
mod watch;

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Sink, TalkersConfig};
use crate::model::event::{ProbeEvent, TalkersCommand};
use crate::model::interface_name::InterfaceName;
use crate::model::problem::Problem;

/// The names of the interfaces in the caller's network namespace, and whether each is up.
pub fn interfaces() -> std::io::Result<Vec<(InterfaceName, bool)>> {
    let links = netlink::Netlink::open()?.links()?;
    Ok(links.into_iter().map(|link| (link.name, link.up)).collect())
}

/// A running talkers probe.
#[derive(Debug)]
pub struct TalkersProbe {
    /// Dropped to say stop.
    commands: Option<mpsc::Sender<TalkersCommand>>,
    wake: Option<Arc<EventFd>>,
    thread: Option<JoinHandle<()>>,
}

impl TalkersProbe {
    /// Starts the thread, in the caller's network namespace unless `config` names one; the first [`ProbeEvent::Watching`]
    /// tells how that went.
    pub fn start(config: TalkersConfig, sink: Sink) -> Self {
        let (commands, received) = mpsc::channel();
        let spawned = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(std::io::Error::from)
            .and_then(|wake| {
                let wake = Arc::new(wake);
                let thread = thread::Builder::new().name("talkers".into()).spawn({
                    let (sink, wake) = (sink.clone(), Arc::clone(&wake));
                    move || run::run(&config, &received, &wake, &sink)
                })?;
                Ok((wake, thread))
            });
        match spawned {
            Ok((wake, thread)) => {
                Self { commands: Some(commands), wake: Some(wake), thread: Some(thread) }
            }
            Err(e) => {
                let problem = Problem::new("start the talkers probe", e.to_string(), "");
                // A thread that did not start sends nothing, so there is room for this one.
                let _ = sink.try_send(ProbeEvent::Watching(Err(problem)));
                Self { commands: None, wake: None, thread: None }
            }
        }
    }

    /// Asks for something else to be watched, or in another mode; [`ProbeEvent::Watching`] tells
    /// what came of it. Does not wait. A probe that has ended takes no commands.
    pub fn send(&self, command: TalkersCommand) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
        self.wake();
    }

    /// Asks it to detach, to tell what was counted since the last tick, and to end;
    /// [`ProbeEvent::TalkersEnded`] is its last word. Does not wait: the events have to be
    /// received meanwhile.
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

impl Drop for TalkersProbe {
    fn drop(&mut self) {
        self.stop();
    }
}
