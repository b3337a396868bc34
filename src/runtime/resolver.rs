//! Resolves addresses to names as the system does (`/etc/hosts`, DNS, by `nsswitch.conf`), on a few
//! threads of its own: an answer may take many seconds.

use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use dns_lookup::{LookupErrorKind, getnameinfo};
use tokio::sync::mpsc::Sender;

use crate::app::Msg;
use crate::model::names::{Answer, MOST_ASKED};

/// Questions under way; one of them may take as long as the system's resolver is patient.
const THREADS: usize = 8;

/// Names of addresses. The threads start with the first question: most users never ask.
pub(super) struct Names {
    resolver: OnceCell<Resolver>,
    answers: Sender<Msg>,
}

impl Names {
    /// The answers go to the app.
    pub(super) fn new(answers: Sender<Msg>) -> Self {
        Self { resolver: OnceCell::new(), answers }
    }

    /// Asks for the names of addresses.
    pub(super) fn ask(&self, addresses: Vec<IpAddr>) {
        self.resolver.get_or_init(|| Resolver::start(&self.answers)).ask(addresses);
    }
}

/// The threads that ask. They end when this does, and are not waited for.
#[derive(Debug)]
struct Resolver {
    questions: Option<SyncSender<IpAddr>>,
}

impl Resolver {
    /// Starts the threads; the answers are for the app.
    fn start(answers: &Sender<Msg>) -> Self {
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

    /// Asks for some. Those that do not fit are dropped, and the app asks again later.
    pub(super) fn ask(&self, addresses: Vec<IpAddr>) {
        for address in addresses {
            let _ = self.questions.as_ref().map(|q| q.try_send(address));
        }
    }
}

fn answer_all(asked: &Mutex<Receiver<IpAddr>>, answers: &Sender<Msg>) {
    loop {
        // The lock is held while waiting: who holds it is the one who gets the next question.
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
