//! The files of a row: a thread with the permissions of the user who called sudo makes each, and brings
//! those that ended to the disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use jiff::Timestamp;

use crate::files::rotating::Rotating;
use crate::model::escape::escape;
use crate::privileges;
use crate::recording::Sink;

#[derive(Debug)]
enum Order {
    Make(Sender<io::Result<(File, PathBuf)>>),
    /// All of it is written.
    Ended(File, PathBuf),
}

/// The loop's side.
#[derive(Debug)]
pub(super) struct Files {
    orders: Sender<Order>,
    thread: JoinHandle<io::Result<()>>,
}

impl Files {
    /// Starts the thread for files in `dir`. To be called before this thread drops the privilege to become another
    /// user.
    pub(super) fn start(dir: &Path, keep: Option<usize>) -> io::Result<Self> {
        let row = Rotating::new(dir, "rec", keep)?;
        let (orders, ordered) = mpsc::channel();
        let work = move || {
            let begun = privileges::become_invoker();
            privileges::keep(&[], false);
            begun?;
            run(row, &ordered)
        };
        let thread = std::thread::Builder::new().name("files".into()).spawn(work)?;
        Ok(Self { orders, thread })
    }

    /// Makes the next file.
    pub(super) fn next(&self) -> io::Result<Part> {
        let gone = || io::Error::other("the thread that makes files has ended");
        let (sender, made) = mpsc::channel();
        self.orders.send(Order::Make(sender)).map_err(|_| gone())?;
        let file = made.recv().map_err(|_| gone())??;
        Ok(Part { file: Some(file), to: self.orders.clone() })
    }

    /// Waits until the files that ended are on the disk.
    pub(super) fn finish(self) -> io::Result<()> {
        drop(self.orders);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))
    }
}

fn run(mut row: Rotating, orders: &Receiver<Order>) -> io::Result<()> {
    let mut done = Ok(());
    for order in orders {
        match order {
            Order::Make(to) => {
                // A file that is not on the disk ends the row. Where the loop has ended, nothing is written to it.
                let before = std::mem::replace(&mut done, Ok(()));
                let _ = to.send(before.and_then(|()| row.next(Timestamp::now())));
            }
            Order::Ended(file, path) => {
                done = done.and(file.sync_data().map_err(|e| of_file(&path, &e)));
            }
        }
    }
    done
}

/// An error with the file that it is about.
fn of_file(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", escape(path.as_os_str().as_encoded_bytes())))
}

/// A file of the row that is being written.
#[derive(Debug)]
pub(super) struct Part {
    /// `None` once it has ended.
    file: Option<(File, PathBuf)>,
    to: Sender<Order>,
}

impl Sink for Part {
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        let Some((file, path)) = &mut self.file else { return Ok(()) };
        file.put(bytes, at).map_err(|e| of_file(path, &e))
    }

    /// The disk is not waited for here.
    fn close(&mut self) -> io::Result<()> {
        if let Some((file, path)) = self.file.take() {
            // Without the thread there is an error already.
            let _ = self.to.send(Order::Ended(file, path));
        }
        Ok(())
    }
}
