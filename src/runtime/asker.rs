//! Answers requests that may block, off the loop: details of processes, names of cgroups and addresses.
//!
//! Each kind has a thread, so a process that hangs in the kernel delays its own kind alone. Few
//! requests wait; those that do not fit are dropped, and the app sends them again.

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

/// Maximum waiting requests of one kind, and answers of all.
const WAITING: usize = 4;

/// The answering threads. They end when this is dropped; nothing waits for one that hangs.
#[derive(Debug)]
pub(super) struct Asker {
    who: Option<SyncSender<ProcessQuery>>,
    cgroups: Option<SyncSender<Vec<u64>>>,
    parents: Option<SyncSender<Vec<u32>>>,
    /// Started with the first request: most sessions have none.
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
        let look_up =
            |pids: Vec<u32>| Msg::Parents(pids.into_iter().map(process_info::parent).collect());
        let parents = spawn("parents", rights(&[]), answers.clone(), look_up);
        let cgroups = spawn("cgroups", rights(&[]), answers.clone(), name);
        (Self { who, cgroups, parents, resolver: OnceCell::new(), answers }, out)
    }

    /// Requests the details of a process.
    pub(super) fn who(&self, asked: ProcessQuery) {
        ask(self.who.as_ref(), asked);
    }

    /// Requests names of cgroups.
    pub(super) fn cgroups(&self, ids: Vec<u64>) {
        ask(self.cgroups.as_ref(), ids);
    }

    /// Requests parents of processes.
    pub(super) fn parents(&self, pids: Vec<u32>) {
        ask(self.parents.as_ref(), pids);
    }

    /// Requests names of addresses.
    pub(super) fn names(&self, addresses: Vec<IpAddr>) {
        self.resolver.get_or_init(|| Resolver::start(&self.answers)).ask(addresses);
    }
}

fn ask<T>(thread: Option<&SyncSender<T>>, question: T) {
    // Full: the app sends it again.
    let _ = thread.map(|t| t.try_send(question));
}

/// A thread that answers one request after the other; `None` if it cannot be started.
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
