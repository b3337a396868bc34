//! Writes the configuration off the loop, since a home may be on a disk that hangs.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::config::{self, Changes};

/// How long what is being written is waited for in the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes one after the other.
#[derive(Debug)]
pub(super) struct Saver {
    file: Option<PathBuf>,
    results: Receiver<Result<String, String>>,
    /// For the next thread; while one runs it is there.
    sender: Option<Sender<Result<String, String>>>,
}

impl Saver {
    /// Writes to `file`.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        let (sender, results) = channel(1);
        Self { file, results, sender: Some(sender) }
    }

    /// Begins to write, unless it still does.
    pub(super) fn save(&mut self, changes: Changes) {
        let Some(sender) = self.sender.take() else { return };
        let Some(file) = self.file.clone() else {
            let why = "there is no home to keep it in; name a file with --config";
            let _ = sender.try_send(Err(why.into()));
            return;
        };
        let write = move || {
            let _ = sender.try_send(config::save(&file, &changes));
        };
        // A thread of its own: rights to files are a matter of the thread, and a disk may hang.
        // Where it cannot be had the sender is dropped, and `done` says so.
        let _ = std::thread::Builder::new().name("save".into()).spawn(write);
    }

    /// What came of it; for ever pending while nothing is written.
    pub(super) async fn done(&mut self) -> Result<String, String> {
        if self.sender.is_some() {
            std::future::pending::<()>().await;
        }
        let result = self.results.recv().await;
        let (sender, results) = channel(1);
        (self.sender, self.results) = (Some(sender), results);
        result.unwrap_or_else(|| Err("it could not be begun".into()))
    }
}

impl Drop for Saver {
    /// `W` and then `q` at once: it is written all the same.
    fn drop(&mut self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.sender.is_none()
            && self.results.is_empty()
            && !self.results.is_closed()
            && std::time::Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
