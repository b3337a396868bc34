//! Writes a recording while the dashboard runs, on a thread of its own: a disk that is slow, full or
//! hangs does not delay the loop. The queue is bounded; events that do not fit are counted, and the
//! recording has the count.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use jiff::Zoned;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::app::{Lost, Recorded};
use crate::clock;
use crate::console::say;
use crate::model::escape::escape;
use crate::model::event::ProbeEvent;
use crate::model::time::Mono;
use crate::recording::{Head, Seen, WriteError, Writer};
use crate::{files, privileges};

/// Bytes that may wait to be written, about.
const MOST_WAITING: usize = 32 << 20;

/// Interval at which a waiting block is checked.
const POLL: Duration = Duration::from_millis(500);

/// How long the end waits for writing.
const PATIENCE: Duration = Duration::from_secs(2);

enum Order {
    Begin(Vec<Seen>, Mono),
    /// An event, and the bytes that it takes.
    Seen(Mono, Seen, usize),
    End(Mono),
}

/// Counts of both sides.
#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    bytes: AtomicU64,
}

/// The thread that writes, with the privileges of the user who called sudo alone.
#[derive(Debug)]
pub(super) struct Recorder {
    orders: mpsc::Sender<Order>,
    reports: UnboundedReceiver<Recorded>,
    shared: Arc<Shared>,
    /// Something is to be written.
    runs: bool,
    /// It has not said yet how it ended.
    writes: bool,
    /// Missing since the last event that was handed on.
    gap: Lost,
    /// Missing in all.
    lost: Lost,
}

impl Recorder {
    /// Starts it. Only this needs the privilege to become another user.
    pub(super) fn start() -> Self {
        let (orders, ordered) = mpsc::channel();
        let (sender, reports) = unbounded_channel();
        let shared = Arc::<Shared>::default();
        let counts = shared.clone();
        let work = move || {
            let begun = privileges::become_invoker().map_err(|e| e.to_string());
            privileges::keep(&[], false);
            Thread { sender, shared: counts, open: None }.run(&ordered, &begun);
        };
        // Without a thread the first order fails.
        let _ = std::thread::Builder::new().name("record".into()).spawn(work);
        Self {
            orders,
            reports,
            shared,
            runs: false,
            writes: false,
            gap: Lost::default(),
            lost: Lost::default(),
        }
    }

    /// Begins a recording with the known state.
    pub(super) fn begin(&mut self, before: Vec<Seen>, now: Mono) {
        (self.gap, self.lost, self.writes) = (Lost::default(), Lost::default(), true);
        self.shared.bytes.store(0, Ordering::Relaxed);
        self.runs = self.orders.send(Order::Begin(before, now)).is_ok();
    }

    /// Ends it.
    pub(super) fn end(&mut self, now: Mono) {
        self.record_gap(now);
        let _ = self.orders.send(Order::End(now));
        self.runs = false;
    }

    /// Whether a recording is under way.
    pub(super) fn runs(&self) -> bool {
        self.runs
    }

    /// Hands on what came, as far as there is room.
    pub(super) fn take(&mut self, now: Mono, seen: Seen) {
        let bytes = seen.bytes();
        let waiting = self.shared.waiting.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > MOST_WAITING {
            let opens = match &seen {
                Seen::Probe(ProbeEvent::Opens(batch)) => batch.len() as u64,
                _ => 0,
            };
            for lost in [&mut self.gap, &mut self.lost] {
                lost.opens += opens;
                lost.events += 1;
            }
            return;
        }
        self.record_gap(now);
        self.shared.waiting.fetch_add(bytes, Ordering::Relaxed);
        let _ = self.orders.send(Order::Seen(now, seen, bytes));
    }

    fn record_gap(&mut self, now: Mono) {
        if let Lost { opens, events: events @ 1.. } = std::mem::take(&mut self.gap) {
            let _ = self.orders.send(Order::Seen(now, Seen::Missing { opens, events }, 0));
        }
    }

    /// How far it is.
    #[cfg(feature = "bpf")]
    pub(super) fn grown(&self) -> Recorded {
        let bytes = self.shared.bytes.load(Ordering::Relaxed);
        Recorded::Grown { bytes, lost: self.lost }
    }

    /// The next report of the thread; pending for ever without a recording.
    pub(super) async fn next(&mut self) -> Recorded {
        if !self.writes {
            std::future::pending::<()>().await;
        }
        let gone = || Recorded::Ended("not recorded: it could not be begun".into());
        let report = self.reports.recv().await.unwrap_or_else(gone);
        if matches!(report, Recorded::Ended(_)) {
            (self.runs, self.writes) = (false, false);
        }
        report
    }
}

impl Drop for Recorder {
    /// Ends a recording that is under way.
    fn drop(&mut self) {
        if self.runs {
            self.end(clock::mono());
        }
        let deadline = Instant::now() + PATIENCE;
        while self.writes && Instant::now() < deadline {
            match self.reports.try_recv() {
                Ok(Recorded::Ended(words)) => {
                    // The screen is given back by now.
                    say(&words);
                    return;
                }
                Err(tokio::sync::mpsc::error::TryRecvError::Disconnected) => return,
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

/// The other side.
struct Thread {
    sender: UnboundedSender<Recorded>,
    shared: Arc<Shared>,
    open: Option<Open>,
}

/// A file that is being written.
struct Open {
    name: String,
    head: crate::recording::Head,
    writer: Writer,
    /// Opens that the kernel had lost before, and that it has by now.
    lost: (u64, u64),
    /// Opens that did not get here.
    missing: u64,
}

impl Open {
    fn take(&mut self, at: Mono, seen: &Seen) -> Result<(), WriteError> {
        match seen {
            Seen::Before(before) => self.lost = (before.lost(), before.lost()),
            Seen::Probe(ProbeEvent::Opens(batch)) => self.lost.1 = batch.counts.lost,
            Seen::Missing { opens, .. } => self.missing += opens,
            _ => {}
        }
        self.writer.take(at, seen)
    }
}

impl Thread {
    fn run(mut self, orders: &mpsc::Receiver<Order>, begun: &Result<(), String>) {
        loop {
            let done = match orders.recv_timeout(POLL) {
                Ok(Order::Begin(before, now)) => {
                    self.begin(begun, before, now);
                    Ok(())
                }
                Ok(Order::Seen(at, seen, bytes)) => {
                    let done = self.write(|open| open.take(at, &seen));
                    self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
                    done
                }
                Ok(Order::End(at)) => {
                    self.end(at, None);
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.write(|open| open.writer.idle(clock::mono()))
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(why) = done {
                self.end(clock::mono(), Some(why));
            }
        }
    }

    fn write(
        &mut self,
        work: impl FnOnce(&mut Open) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let done = work(open);
        self.shared.bytes.store(open.writer.bytes(), Ordering::Relaxed);
        done
    }

    fn begin(&mut self, begun: &Result<(), String>, before: Vec<Seen>, now: Mono) {
        let stem = Zoned::now().strftime("ebpftop-%Y%m%d-%H%M%S").to_string();
        let mut path = place(&format!("{stem}.rec"));
        let mut head = Head::of_this_machine();
        head.started.mono = now;
        let made = begun.clone().and_then(|()| {
            let mut file = files::create(&path);
            // More than one a second.
            for n in 2..10 {
                if file.as_ref().is_err_and(|e| e.kind() == ErrorKind::AlreadyExists) {
                    path = place(&format!("{stem}-{n}.rec"));
                    file = files::create(&path);
                }
            }
            let file = file.map_err(|e| e.to_string())?;
            Writer::new(file, &head, u64::MAX).map_err(|e| {
                // It holds nothing that could be read.
                let _ = std::fs::remove_file(&path);
                e.to_string()
            })
        });
        let name = escape(path.as_os_str().as_encoded_bytes()).into_owned();
        match made {
            Err(why) => {
                let words = format!("not recorded: {name}: {why}");
                let _ = self.sender.send(Recorded::Ended(words));
            }
            Ok(writer) => {
                let _ = self.sender.send(Recorded::Begun(name.clone()));
                self.open = Some(Open { name, head, writer, lost: (0, 0), missing: 0 });
                let all = |open: &mut Open| before.iter().try_for_each(|seen| open.take(now, seen));
                if let Err(why) = self.write(all) {
                    self.end(now, Some(why));
                }
            }
        }
    }

    fn end(&mut self, at: Mono, why: Option<WriteError>) {
        let Some(Open { name, head, writer, lost, missing }) = self.open.take() else { return };
        let (totals, finished) = writer.finish(at);
        let what = totals.in_words(&head, lost.1.saturating_sub(lost.0) + missing);
        let words = match why.or(finished.err()) {
            None => format!("recorded {what} in {name}"),
            Some(why) => format!("recording stopped: {name}: {why}; saved: {what}"),
        };
        let _ = self.sender.send(Recorded::Ended(words));
    }
}

/// A file in the directory that the program was started in.
fn place(name: &str) -> PathBuf {
    std::env::current_dir().map_or_else(|_| Path::new(name).into(), |dir| dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::open::{Comm, OpenBatch, OpenMeta, Syscall};
    use crate::recording::{Head, Item, Reader, Totals};

    fn batch(n: usize) -> Seen {
        let mut batch = OpenBatch::default();
        let meta = OpenMeta {
            at: Mono(1),
            tgid: 1,
            tid: 1,
            ppid: 0,
            uid: 0,
            start_boottime_ns: 0,
            comm: Comm::default(),
            process: Comm::default(),
            syscall: Syscall::Open,
            flags: None,
            mode: 0,
            ret: 3,
            slot: None,
            latency_ns: None,
            cgroup_id: None,
        };
        for _ in 0..n {
            batch.push(meta, Some(&[b'x'; 4_000]), None);
        }
        Seen::Probe(ProbeEvent::Opens(batch))
    }

    /// Events without opens count with what hangs on them, and are missing as events.
    #[test]
    fn large_events_of_every_kind_count_with_their_size() {
        use crate::model::conn::{ConnectionsBatch, ConnectionsTick, PeerFlow};
        use crate::model::link::Link;
        use crate::model::process::ProcessKey;
        let flow = PeerFlow {
            cookie: 1,
            process: ProcessKey { tgid: 1, start_boottime_ns: 0 },
            remote: ([10, 0, 0, 1], 53).into(),
            carried: Default::default(),
        };
        let tick = ConnectionsTick { peers: vec![flow; 65_536], ..Default::default() };
        let connections = ConnectionsBatch { tick: Some(tick), ..ConnectionsBatch::default() };
        let link = Link { addresses: vec![[10, 0, 0, 1].into(); 100], ..Link::default() };
        for event in [ProbeEvent::Connections(connections), ProbeEvent::Links(vec![link; 2_000])] {
            let (orders, _ordered) = mpsc::channel();
            let (_, reports) = unbounded_channel();
            let (shared, gap, lost) = Default::default();
            let mut recorder =
                Recorder { orders, reports, shared, runs: true, writes: false, gap, lost };
            for _ in 0..100 {
                recorder.take(Mono(1), Seen::Probe(event.clone()));
            }
            let waiting = recorder.shared.waiting.load(Ordering::Relaxed);
            assert!(waiting <= MOST_WAITING && waiting > MOST_WAITING / 2, "{waiting}");
            assert!(recorder.lost.events > 50 && recorder.lost.opens == 0, "{:?}", recorder.lost);
            recorder.runs = false;
        }
    }

    /// A disk that takes nothing for a while: the queue is bounded, the recording has the number of
    /// missing events at their place, and all adds up.
    #[test]
    fn events_that_a_slow_disk_does_not_take_are_counted() {
        let (orders, ordered) = mpsc::channel();
        let (sender, reports) = unbounded_channel();
        let shared = Arc::<Shared>::default();
        let (runs, writes) = (true, true);
        let counts = shared.clone();
        let mut recorder = Recorder {
            orders,
            reports,
            shared,
            runs,
            writes,
            gap: Lost::default(),
            lost: Lost::default(),
        };
        for _ in 0..200 {
            recorder.take(Mono(1), batch(100));
            assert!(recorder.shared.waiting.load(Ordering::Relaxed) <= MOST_WAITING);
        }
        let missing = recorder.lost.opens;
        assert!((5_000..19_000).contains(&missing), "{missing}");
        let lost = Lost { opens: missing, events: missing / 100 };
        assert_eq!(recorder.grown(), Recorded::Grown { bytes: 0, lost });
        recorder.end(Mono(2));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.rec");
        let file = std::fs::File::create_new(&path).unwrap();
        let writer = Writer::new(file, &Head::default(), u64::MAX).unwrap();
        let (name, head) = (String::new(), Head::default());
        let open = Some(Open { name, head, writer, lost: (0, 0), missing: 0 });
        recorder.writes = false;
        drop(recorder);
        Thread { sender, shared: counts.clone(), open }.run(&ordered, &Ok(()));
        assert_eq!(counts.waiting.load(Ordering::Relaxed), 0);
        let mut reader = Reader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let (mut opens, mut gone, mut of) = (0, 0, 0);
        let totals: Totals = loop {
            match reader.read().unwrap() {
                Item::Seen(_, Seen::Probe(ProbeEvent::Opens(batch))) => opens += batch.len() as u64,
                Item::Seen(_, Seen::Missing { opens, events }) => {
                    (gone, of) = (gone + opens, of + events);
                }
                Item::Seen(..) | Item::Block(_) => {}
                Item::End(totals) => break totals,
            }
        };
        assert_eq!((opens + gone, gone, of), (20_000, missing, missing / 100));
        assert_eq!((totals.opens, totals.unwritten), (opens, of));
    }
}
