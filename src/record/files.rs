//! The files of a row: a thread with the permissions of the user who called sudo makes each, and brings
//! those that ended to the disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use jiff::Timestamp;

use crate::files::rotating::Rotating;
use crate::privileges;
use crate::recording::Sink;

#[derive(Debug)]
enum Order {
    Make(Sender<io::Result<(File, PathBuf)>>),
    /// All of it is written.
    Ended(File),
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
    pub(super) fn next(&self) -> io::Result<(Part, PathBuf)> {
        let gone = || io::Error::other("the thread that makes files has ended");
        let (sender, made) = mpsc::channel();
        self.orders.send(Order::Make(sender)).map_err(|_| gone())?;
        let (file, path) = made.recv().map_err(|_| gone())??;
        Ok((Part { file: Some(file), to: self.orders.clone() }, path))
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
                // Where the loop has ended, nothing is written to it.
                let _ = to.send(row.next(Timestamp::now()));
            }
            Order::Ended(file) => done = done.and(file.sync_data()),
        }
    }
    done
}

/// A file of the row that is being written.
#[derive(Debug)]
pub(super) struct Part {
    /// `None` once it has ended.
    file: Option<File>,
    to: Sender<Order>,
}

impl Sink for Part {
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.put(bytes, at))
    }

    /// The disk is not waited for here.
    fn close(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            // Without the thread there is an error already.
            let _ = self.to.send(Order::Ended(file));
        }
        Ok(())
    }
}
