//! Lines on their way to files or to a slow reader, written by a thread of their own, in a queue that is
//! bounded in bytes.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::files::rotating::Rotating;
use crate::model::escape::escape;
use crate::privileges;
use crate::session::{OutError, Paced, Stop};

/// Bytes that may wait; a single larger line waits alone.
pub(super) const MOST_WAITING: usize = 8 << 20;

/// Interval at which a wait checks whether the end was requested, or the reader is gone.
const CHECK: Duration = Duration::from_millis(100);

/// How long the end waits for a disk or a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The other end of the queue.
pub(super) enum Target {
    /// Files in a directory, and the current one.
    Files(Rotating, Option<Open>),
    Stdout(Paced),
}

/// A file that is being written.
pub(super) struct Open {
    file: File,
    name: String,
    /// Whole lines in it, bytes.
    bytes: u64,
}

enum Order {
    /// Whole lines.
    Lines(Vec<u8>),
    /// The next file begins with these.
    Begin(Vec<u8>),
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    failed: Option<OutError>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop's end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    orders: Option<mpsc::Sender<Order>>,
    shared: Arc<Shared>,
    stop: Stop,
}

impl Queue {
    /// Starts the thread. To be called before this thread drops the privilege to become another user.
    pub(super) fn start(target: Target, stop: Stop) -> io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        std::thread::Builder::new().name("lines".into()).spawn(move || {
            let begun = privileges::become_invoker();
            privileges::keep(&[], false);
            let done = match begun {
                Ok(()) => run(target, &ordered, &theirs),
                Err(e) => Err(e.into()),
            };
            let mut state = theirs.lock();
            state.ended = true;
            state.failed = done.err();
            theirs.changed.notify_all();
        })?;
        Ok(Self { orders: Some(orders), shared, stop })
    }

    /// Whether so many bytes may be added now.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let state = self.shared.lock();
        state.ended || has_room(&state, bytes)
    }

    /// Adds whole lines, and waits for room.
    pub(super) fn lines(&self, bytes: Vec<u8>) -> Result<(), OutError> {
        self.put(bytes.len(), Order::Lines(bytes))
    }

    /// Ends the current file; the next one begins with these lines.
    pub(super) fn begin(&self, bytes: Vec<u8>) -> Result<(), OutError> {
        self.put(bytes.len(), Order::Begin(bytes))
    }

    fn put(&self, bytes: usize, order: Order) -> Result<(), OutError> {
        let Some(mut state) = self.wait(|state| has_room(state, bytes))? else {
            return Err(OutError::Closed);
        };
        state.waiting += bytes;
        drop(state);
        if let Some(orders) = &self.orders {
            // Where the thread has ended, the next wait has the reason.
            let _ = orders.send(order);
        }
        Ok(())
    }

    /// Waits until everything is written and on the disk.
    pub(super) fn finish(&mut self) -> Result<(), OutError> {
        self.orders = None;
        self.wait(|_| false).map(|_| ())
    }

    /// An error of the thread so far.
    pub(super) fn failed(&self) -> Option<OutError> {
        self.shared.lock().failed.take()
    }

    /// Waits until the state is as wanted; `None` when the thread has ended without an error.
    fn wait(
        &self,
        wanted: impl Fn(&State) -> bool,
    ) -> Result<Option<MutexGuard<'_, State>>, OutError> {
        let mut state = self.shared.lock();
        let mut since = None;
        loop {
            if state.ended {
                return state.failed.take().map_or(Ok(None), Err);
            }
            if wanted(&state) {
                return Ok(Some(state));
            }
            let asked = self.stop.asked();
            let waited = (asked > 0).then(|| since.get_or_insert_with(Instant::now).elapsed());
            if asked > 1 || waited.is_some_and(|w| w > PATIENCE) {
                return Err(OutError::Stuck);
            }
            let woken = self.shared.changed.wait_timeout(state, CHECK);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn has_room(state: &State, bytes: usize) -> bool {
    state.waiting == 0 || state.waiting + bytes <= MOST_WAITING
}

/// Writes until the sender is gone.
fn run(mut to: Target, orders: &mpsc::Receiver<Order>, shared: &Shared) -> Result<(), OutError> {
    loop {
        let bytes = match orders.recv_timeout(CHECK) {
            Ok(Order::Lines(bytes)) => bytes,
            Ok(Order::Begin(bytes)) => {
                to.next_file()?;
                bytes
            }
            Err(mpsc::RecvTimeoutError::Timeout) if to.reader_gone() => {
                return Err(OutError::Closed);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        };
        to.write(&bytes)?;
        shared.lock().waiting -= bytes.len();
        shared.changed.notify_all();
    }
    to.close()
}

impl Target {
    fn reader_gone(&self) -> bool {
        matches!(self, Target::Stdout(paced) if paced.reader_gone())
    }

    fn next_file(&mut self) -> Result<(), OutError> {
        self.close()?;
        if let Target::Files(row, current) = self {
            let (file, path) = row.next(Timestamp::now()).map_err(OutError::Begin)?;
            let name = escape(path.as_os_str().as_encoded_bytes()).into_owned();
            *current = Some(Open { file, name, bytes: 0 });
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutError> {
        match self {
            Target::Files(_, Some(open)) => match open.file.write_all(bytes) {
                Ok(()) => {
                    open.bytes += bytes.len() as u64;
                    Ok(())
                }
                Err(e) => {
                    // No half line stays.
                    let _ = open.file.set_len(open.bytes);
                    Err(OutError::File(open.name.clone(), e))
                }
            },
            Target::Files(_, None) => Ok(()),
            Target::Stdout(paced) => paced.write_all(bytes),
        }
    }

    /// A file that ends is on the disk.
    fn close(&mut self) -> Result<(), OutError> {
        match self {
            Target::Files(_, current) => match current.take() {
                Some(open) => open.file.sync_data().map_err(|e| OutError::File(open.name, e)),
                None => Ok(()),
            },
            Target::Stdout(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_queue_is_bounded_and_loses_nothing_that_it_took() {
        let (mut reader, writer) = io::pipe().unwrap();
        let paced = Paced::new(writer.into(), Stop::default()).unwrap();
        let mut queue = Queue::start(Target::Stdout(paced), Stop::default()).unwrap();
        let chunk = vec![b'x'; 1 << 20];
        let mut taken = 0;
        while queue.has_room(chunk.len()) {
            queue.lines(chunk.clone()).unwrap();
            taken += chunk.len();
            assert!(taken <= MOST_WAITING + chunk.len());
        }
        let thread = std::thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read.len()
        });
        // It waits for room.
        queue.lines(chunk.clone()).unwrap();
        queue.finish().unwrap();
        assert_eq!(thread.join().unwrap(), taken + chunk.len());
    }

    #[test]
    fn a_reader_that_has_gone_is_noticed_without_a_write() {
        let (reader, writer) = io::pipe().unwrap();
        let paced = Paced::new(writer.into(), Stop::default()).unwrap();
        let queue = Queue::start(Target::Stdout(paced), Stop::default()).unwrap();
        drop(reader);
        let ended = queue.wait(|_| false);
        assert!(matches!(ended, Err(OutError::Closed)));
    }

    #[test]
    fn an_end_that_was_asked_for_twice_does_not_wait() {
        let (_reader, writer) = io::pipe().unwrap();
        let stop = Stop::default();
        let paced = Paced::new(writer.into(), Stop::default()).unwrap();
        let mut queue = Queue::start(Target::Stdout(paced), stop.clone()).unwrap();
        queue.lines(vec![0; 1 << 20]).unwrap();
        stop.ask();
        stop.ask();
        assert!(matches!(queue.finish(), Err(OutError::Stuck)));
    }

    #[test]
    fn files_have_whole_lines_and_errors_their_name() {
        let dir = tempfile::tempdir().unwrap();
        let row = Rotating::new(dir.path(), "jsonl", None).unwrap();
        let mut queue = Queue::start(Target::Files(row, None), Stop::default()).unwrap();
        for n in 0..3 {
            queue.begin(format!("head {n}\n").into()).unwrap();
            queue.lines(format!("line {n}\n").into()).unwrap();
        }
        queue.finish().unwrap();
        let mut files: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let text = |path| std::fs::read_to_string(path).unwrap();
        let texts: Vec<String> = files.iter().map(text).collect();
        assert_eq!(texts, [0, 1, 2].map(|n| format!("head {n}\nline {n}\n")));
        // The directory has gone.
        let row = Rotating::new(dir.path(), "jsonl", None).unwrap();
        drop(dir);
        let mut queue = Queue::start(Target::Files(row, None), Stop::default()).unwrap();
        queue.begin(b"head\n".to_vec()).unwrap();
        let error = queue.finish().unwrap_err().to_string();
        assert!(
            error.contains("begin a file in the directory of --output: No such file"),
            "{error}"
        );
    }
}
