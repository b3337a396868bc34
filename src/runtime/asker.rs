//! Finds things out that may block, off the loop: who a process is, what cgroups and addresses
//! are called.
//!
//! A thread a kind, so that a process that hangs in the kernel does not keep the other waiting.
//! Few questions wait; what does not fit is not asked now, and the app asks again.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::resolver::Resolver;
use crate::app::Msg;
use crate::model::process_info::ProcessQuery;
use crate::privileges::{self, ThreadRole};
use crate::probes::cgroups::Cgroups;
use crate::probes::{clock, process_info};

/// Questions of one kind, and answers of both, that may wait.
const WAITING: usize = 4;

/// The threads that are asked. They end when this does; one that hangs is not waited for.
#[derive(Debug)]
pub(super) struct Asker {
    who: Option<SyncSender<ProcessQuery>>,
    cgroups: Option<SyncSender<Vec<u64>>>,
    /// Started with the first question: most never ask.
    resolver: OnceCell<Resolver>,
    answers: Sender<Msg>,
}

impl Asker {
    /// Starts the threads; the answers are for the app.
    pub(super) fn start(locked: bool) -> (Self, Receiver<Msg>) {
        let rights = |parts: &'static [ThreadRole]| move || privileges::keep(parts, locked);
        let (answers, out) = channel(WAITING);
        let mut known = Cgroups::new();
        let describe = move |asked: ProcessQuery| {
            Msg::Described(asked.key, Box::new(process_info::describe(&asked, &mut known)))
        };
        let mut known = Cgroups::new();
        let name = move |ids: Vec<u64>| {
            let of = |id| (id, known.get(id, clock::mono).cloned());
            Msg::Cgroups(ids.into_iter().map(of).collect())
        };
        let who = spawn("who", rights(&[ThreadRole::ProcessInfo]), answers.clone(), describe);
        let cgroups = spawn("cgroups", rights(&[]), answers.clone(), name);
        (Self { who, cgroups, resolver: OnceCell::new(), answers }, out)
    }

    /// Asks who a process is.
    pub(super) fn who(&self, asked: ProcessQuery) {
        ask(self.who.as_ref(), asked);
    }

    /// Asks what cgroups are called.
    pub(super) fn cgroups(&self, ids: Vec<u64>) {
        ask(self.cgroups.as_ref(), ids);
    }

    /// Asks what addresses are called.
    pub(super) fn names(&self, addresses: Vec<IpAddr>) {
        self.resolver.get_or_init(|| Resolver::start(&self.answers)).ask(addresses);
    }
}

fn ask<T>(thread: Option<&SyncSender<T>>, question: T) {
    // Full: the app asks again.
    let _ = thread.map(|t| t.try_send(question));
}

/// A thread that answers one question after the other; `None` where there cannot be one more.
fn spawn<T: Send + 'static>(
    name: &str,
    give_up: impl FnOnce() + Send + 'static,
    answers: Sender<Msg>,
    mut answer: impl FnMut(T) -> Msg + Send + 'static,
) -> Option<SyncSender<T>> {
    let (questions, asked) = sync_channel(WAITING);
    let work = move || {
        give_up();
        for question in asked {
            if answers.blocking_send(answer(question)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(work).ok()?;
    Some(questions)
}
