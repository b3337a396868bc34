//! A live recording from a pipe, as `record -` writes it: the app gets each event as it comes, like those
//! of this machine's probes. Nothing is stored beside the app's own tables and last minutes.
//!
//! The clock is that of the other machine and stands at the newest event: between two events, and in a
//! stall, nothing on the screen pretends to be newer than it is.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::ahead::{AHEAD, Ahead, SLICE};
use crate::app::{App, Effect, Msg, Remote as State};
use crate::model::lag::{Lag, Lagging};
use crate::model::time::Mono;
use crate::recording::{Damage, Head, Item, Reader, Seen};
use crate::{clock, privileges};

/// The precision of shown times, ns.
const SHOWN_NS: u64 = 100_000_000;

/// An item that the thread has read, and the bytes that it takes.
type Fetched = (Result<Item, Damage>, usize);

/// A live recording.
#[derive(Debug)]
pub(super) struct Remote {
    head: Head,
    items: Receiver<Fetched>,
    ahead: Arc<Ahead>,
    /// The item to be taken in next.
    next: Option<Fetched>,
    /// The time of the newest event.
    at: Mono,
    lag: Lag,
    ended: Option<Result<String, String>>,
}

impl Remote {
    /// Waits for the beginning of the recording on stdin.
    pub(super) fn open() -> anyhow::Result<Self> {
        let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let reader = Reader::of_stream(BufReader::new(stdin)).map_err(|damage| match damage {
            Damage::Foreign => anyhow::anyhow!(
                "replay -: stdin has no recording of ebpftop; is it the output of `ebpftop record -`, \
                 and did that start?"
            ),
            damage => anyhow::anyhow!("replay -: {damage}"),
        })?;
        let head = reader.head().clone();
        let (out, items) = channel(AHEAD);
        let ahead = Arc::<Ahead>::default();
        let reads_ahead = ahead.clone();
        std::thread::Builder::new().name("remote".into()).spawn(move || {
            privileges::keep(&[], false);
            read(reader, &out, &reads_ahead);
        })?;
        let (next, lag, ended) = Default::default();
        Ok(Self { at: head.started.mono, head, items, ahead, next, lag, ended })
    }

    /// The machine and the time of its making.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Why it broke off.
    pub(super) fn damage(&self) -> Option<&str> {
        self.ended.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// The other machine's time, as far as it is known.
    pub(super) fn now(&self) -> Mono {
        self.at
    }

    /// Its delay or its end, as precise as it is shown.
    pub(super) fn state(&self, app: &App) -> State {
        let there = app.data.wall.unwrap_or(self.head.started.wall);
        let lag = self.lag.at(clock::mono(), clock::wall_offset(), there);
        let shown = |ns: u64| ns / SHOWN_NS * SHOWN_NS;
        let lag = Lagging {
            delay_ns: shown(lag.delay_ns),
            clock_ns: lag.clock_ns / SHOWN_NS.cast_signed() * SHOWN_NS.cast_signed(),
            stalled_ns: lag.stalled_ns.map(shown).filter(|_| self.ended.is_none()),
        };
        State { lag, ended: self.ended.clone() }
    }

    /// Returns when something has come. May be given up and called again.
    pub(super) async fn due(&mut self) {
        if self.next.is_none() && self.ended.is_none() {
            self.next = self.items.recv().await;
        }
        if self.next.is_none() {
            std::future::pending().await
        }
    }

    /// Takes what has come, for as long as keys may wait.
    pub(super) fn advance(&mut self, app: &mut App) -> Vec<Effect> {
        let began = Instant::now();
        let mut effects = Vec::new();
        while let Some((item, bytes)) = self.next.take().or_else(|| self.items.try_recv().ok()) {
            self.ahead.take(bytes);
            match item {
                Ok(Item::Seen(at, seen)) => {
                    self.at = self.at.max(at);
                    self.lag.came(at, clock::mono());
                    if let Seen::Tick = seen {
                        self.lag.ticked(at);
                    }
                    effects.extend(app.recorded(seen, at));
                }
                Ok(Item::Block(_)) => {}
                Ok(Item::End(totals)) => {
                    self.ended = Some(Ok(totals.in_words(&self.head, app.data.opens.lost())));
                }
                Err(damage) => self.ended = Some(Err(in_words(&damage))),
            }
            if self.ended.is_some() {
                effects.extend(app.update(Msg::Remote(self.state(app)), self.at));
                break;
            }
            if began.elapsed() >= SLICE {
                break;
            }
        }
        effects
    }
}

/// Why the stream broke off.
fn in_words(damage: &Damage) -> String {
    let why = match damage {
        Damage::Cut => "it broke off: the recorder was killed, or the connection was cut".into(),
        damage => damage.to_string(),
    };
    format!("{why}; what came before is shown")
}

/// Reads until the end, or until the receiver is gone.
fn read(mut reader: Reader<impl Read>, out: &Sender<Fetched>, ahead: &Ahead) {
    while ahead.wait(out) {
        let item = reader.read();
        let is_last = matches!(item, Ok(Item::End(_)) | Err(_));
        let bytes = match &item {
            Ok(Item::Seen(_, seen)) => seen.bytes(),
            _ => 0,
        };
        ahead.add(bytes);
        if out.blocking_send((item, bytes)).is_err() || is_last {
            return;
        }
    }
}
