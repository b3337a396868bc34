//! Looks up processes and the names of cgroups and containers, off the loop: all may block.
//!
//! One thread for each, so that a process that hangs in the kernel delays no name. Few questions wait;
//! one that finds no room is dropped, and the app asks again.

use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::mpsc::Sender;

use crate::app::Msg;
use crate::clock;
use crate::model::process::ProcessKey;
use crate::model::process_info::ProcessQuery;
use crate::privileges::{self, ThreadRole};
use crate::probes::cgroups::Cgroups;
use crate::probes::containers::ContainerFiles;
use crate::probes::listeners::ListenerReader;
use crate::probes::process_info;
use crate::settings::Settings;

/// Questions of one kind that may wait.
const WAITING: usize = 4;

/// A question about processes of this machine.
enum OfProcesses {
    Details(ProcessQuery),
    Descriptors(Vec<ProcessKey>),
}

/// The threads that are asked. They end when this does; one that hangs is not waited for.
#[derive(Debug)]
pub(super) struct Asker {
    processes: Option<SyncSender<OfProcesses>>,
    cgroups: Option<SyncSender<Vec<u64>>>,
    containers: Option<SyncSender<Vec<Box<str>>>>,
    parents: Option<SyncSender<Vec<u32>>>,
    listeners: Option<SyncSender<()>>,
}

impl Asker {
    /// Starts the threads; the answers are for the app.
    pub(super) fn start(settings: &Settings, answers: &Sender<Msg>) -> Self {
        let Settings { locked, unix_listeners, .. } = *settings;
        let keep = |parts: &'static [ThreadRole]| move || privileges::keep(parts, locked);
        let mut known = Cgroups::new();
        let describe = move |asked| match asked {
            OfProcesses::Details(asked) => {
                Msg::Described(asked.key, Box::new(process_info::describe(&asked, &mut known)))
            }
            OfProcesses::Descriptors(keys) => {
                let count = |key: ProcessKey| Some((key, process_info::descriptor_count(key)?));
                Msg::Descriptors(keys.into_iter().filter_map(count).collect())
            }
        };
        let mut known = Cgroups::new();
        let name = move |ids: Vec<u64>| {
            let of = |id| (id, known.get(id, clock::mono).cloned());
            Msg::Cgroups(ids.into_iter().map(of).collect())
        };
        let processes =
            spawn("processes", keep(&[ThreadRole::ProcessInfo]), answers.clone(), describe);
        let look_up =
            |pids: Vec<u32>| Msg::Parents(pids.into_iter().map(process_info::parent).collect());
        let parents = spawn("parents", keep(&[]), answers.clone(), look_up);
        let cgroups = spawn("cgroups", keep(&[]), answers.clone(), name);
        let files = ContainerFiles::default();
        let names = move |ids: Vec<Box<str>>| Msg::Containers(files.names(&ids));
        let containers = spawn("containers", keep(&[]), answers.clone(), names);
        let keeps = keep(&[ThreadRole::Listeners]);
        // Most runs never show them: loaded for the first question, where that is allowed later.
        let load = move || ListenerReader::load(unix_listeners);
        let mut reader = locked.then(load);
        let read = move |()| {
            let reader = reader.get_or_insert_with(load);
            Msg::Listeners(Box::new(reader.read()))
        };
        let listeners = spawn("listeners", keeps, answers.clone(), read);
        Self { processes, cgroups, containers, parents, listeners }
    }

    /// Asks for the details of a process.
    pub(super) fn describe(&self, query: ProcessQuery) {
        ask(self.processes.as_ref(), OfProcesses::Details(query));
    }

    /// Asks for the numbers of open descriptors of processes.
    pub(super) fn count_descriptors(&self, keys: Vec<ProcessKey>) {
        ask(self.processes.as_ref(), OfProcesses::Descriptors(keys));
    }

    /// Asks for the names of cgroups.
    pub(super) fn cgroups(&self, ids: Vec<u64>) {
        ask(self.cgroups.as_ref(), ids);
    }

    /// Asks for the names of containers.
    pub(super) fn containers(&self, ids: Vec<Box<str>>) {
        ask(self.containers.as_ref(), ids);
    }

    /// Asks for the listeners.
    pub(super) fn listeners(&self) {
        ask(self.listeners.as_ref(), ());
    }

    /// Asks for the parents of processes.
    pub(super) fn parents(&self, pids: Vec<u32>) {
        ask(self.parents.as_ref(), pids);
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
