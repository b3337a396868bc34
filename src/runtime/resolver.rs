//! Resolves addresses to names by the system's resolver (`/etc/hosts`, DNS, whatever `nsswitch.conf`
//! lists), on a few threads of its own, since that may block for many seconds.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use dns_lookup::{LookupErrorKind, getnameinfo};
use tokio::sync::mpsc::Sender;

use crate::app::Msg;
use crate::model::names::{Answer, MOST_ASKED};

/// Concurrent requests; each may take as long as the resolver's timeout.
const THREADS: usize = 8;

/// The resolving threads. They end when this is dropped; nothing waits for them.
#[derive(Debug)]
pub(super) struct Resolver {
    questions: Option<SyncSender<IpAddr>>,
}

impl Resolver {
    /// Starts the threads; the answers are for the app.
    pub(super) fn start(answers: &Sender<Msg>) -> Self {
        let (questions, asked) = sync_channel(MOST_ASKED);
        let asked = Arc::new(Mutex::new(asked));
        let mut some = false;
        for _ in 0..THREADS {
            let (asked, answers) = (Arc::clone(&asked), answers.clone());
            let work = move || answer_all(&asked, &answers);
            some |= std::thread::Builder::new().name("names".into()).spawn(work).is_ok();
        }
        Self { questions: some.then_some(questions) }
    }

    /// Requests names. Those that do not fit are dropped; the app requests them again.
    pub(super) fn ask(&self, addresses: Vec<IpAddr>) {
        for address in addresses {
            let _ = self.questions.as_ref().map(|q| q.try_send(address));
        }
    }
}

fn answer_all(asked: &Mutex<Receiver<IpAddr>>, answers: &Sender<Msg>) {
    loop {
        // The lock is held while waiting: its holder gets the next request.
        let next = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(address) = next else { return };
        if answers.blocking_send(Msg::Named(address, name_of(address))).is_err() {
            return;
        }
    }
}

fn name_of(address: IpAddr) -> Answer {
    match getnameinfo(&SocketAddr::new(address, 0), libc::NI_NAMEREQD) {
        Ok((name, _)) => Answer::Name(name.into()),
        Err(e) if matches!(e.kind(), LookupErrorKind::NoName) => Answer::Nameless,
        Err(_) => Answer::Silence,
    }
}
