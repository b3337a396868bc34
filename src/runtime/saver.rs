//! Writes the configuration off the loop, since a home may be on a disk that hangs.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};

use crate::config::{self, Changes};
use crate::privileges;

/// Maximum time that the end waits for a write.
const PATIENCE: Duration = Duration::from_secs(2);

/// The writing thread, with the privileges of the user who called sudo.
#[derive(Debug)]
pub(super) struct Saver {
    changes: Option<SyncSender<Changes>>,
    results: Receiver<Result<String, String>>,
    writes: bool,
}

impl Saver {
    /// Starts it, to write to `file`. Only this needs the privilege to become another user.
    pub(super) fn start(file: Option<PathBuf>) -> Self {
        let (changes, asked) = sync_channel::<Changes>(1);
        let (sender, results) = channel(1);
        let work = move || {
            let begun = privileges::become_invoker().map_err(|e| e.to_string());
            privileges::keep(&[], false);
            for changes in asked {
                let result = match (&begun, &file) {
                    (Err(why), _) => Err(why.clone()),
                    (Ok(()), Some(file)) => config::save(file, &changes),
                    (Ok(()), None) => {
                        Err("there is no home to keep it in; name a file with --config".into())
                    }
                };
                if sender.blocking_send(result).is_err() {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("save".into()).spawn(work);
        Self { changes: spawned.is_ok().then_some(changes), results, writes: false }
    }

    /// Begins to write, unless it still does.
    pub(super) fn save(&mut self, changes: Changes) {
        if !std::mem::replace(&mut self.writes, true) {
            // Without a thread `done` reports the error.
            let _ = self.changes.as_ref().map(|thread| thread.try_send(changes));
        }
    }

    /// The result of the write; pending while there is none.
    pub(super) async fn done(&mut self) -> Result<String, String> {
        if !self.writes {
            std::future::pending::<()>().await;
        }
        let result = self.results.recv().await;
        self.writes = false;
        result.unwrap_or_else(|| Err("it could not be begun".into()))
    }
}

impl Drop for Saver {
    /// `W` and then `q` at once: the write completes.
    fn drop(&mut self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.writes
            && self.results.is_empty()
            && !self.results.is_closed()
            && std::time::Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
