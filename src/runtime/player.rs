//! Plays a recording: hands the app what came then, at the pace and to the place asked for.
//!
//! A thread reads and unpacks; the loop takes the items that are due. Going back begins at a point that
//! was saved on the way, and plays from there at full speed.

use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::ahead::{AHEAD, Ahead, SLICE};
use crate::app::{App, Data, Effect, Msg, PlayerCommand, Replay};
use crate::model::escape::escape;
use crate::model::time::{Mono, NS_PER_SEC};
use crate::recording::{Damage, Head, Item, Mark, Reader};
use crate::{files, privileges};

/// A short recording of made-up processes and addresses.
const DEMO: &[u8] = include_bytes!("../../assets/demo.ebpftop");

/// How many points to go back to are remembered, and the bytes of their tables; when there are more,
/// every other one goes.
const MOST_POINTS: usize = 12;
const MOST_POINT_BYTES: usize = 96 << 20;

/// The speeds there are, as percent and in words; the one in the middle of time is 1.
const SPEEDS: [(u64, &str); 8] = [
    (25, "1/4"),
    (50, "1/2"),
    (100, "1"),
    (200, "2"),
    (400, "4"),
    (800, "8"),
    (1_600, "16"),
    (6_400, "64"),
];
const NORMAL: usize = 2;

trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// The tables at the beginning of a block.
#[derive(Debug)]
struct Point {
    mark: Mark,
    at: Mono,
    data: Data,
    bytes: usize,
}

/// An item that the thread has read, after how many orders, and the bytes that it takes.
type Fetched = (u64, Result<Item, Damage>, usize);

/// A recording that is played.
#[derive(Debug)]
pub(super) struct Player {
    name: String,
    head: Head,
    end: Mono,
    items: Receiver<Fetched>,
    ahead: Arc<Ahead>,
    orders: mpsc::Sender<(u64, Mark)>,
    ordered: u64,
    /// The item to be taken in next.
    next: Option<Result<Item, Damage>>,
    /// Up to where all has been taken in.
    at: Mono,
    /// The moment at which time ran on, and the time of the recording then.
    since: Instant,
    from: Mono,
    speed: usize,
    paused: bool,
    target: Option<Mono>,
    ended: bool,
    damage: Option<String>,
    points: Vec<Point>,
    between_ns: u64,
}

impl Player {
    /// Opens a recording; without a name, the one that is built in.
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let (name, source): (String, Box<dyn Source>) = match path {
            Some(path) => {
                let name = escape(path.as_os_str().as_encoded_bytes()).into_owned();
                let file = files::open(path).map_err(|e| anyhow::anyhow!("replay {name}: {e}"))?;
                (name, Box::new(BufReader::new(file)))
            }
            None => ("the demo".into(), Box::new(Cursor::new(DEMO))),
        };
        let reader = Reader::new(source).map_err(|e| anyhow::anyhow!("replay {name}: {e}"))?;
        Ok(Self::new(name, reader)?)
    }

    fn new(name: String, reader: Reader<Box<dyn Source>>) -> std::io::Result<Self> {
        let (head, end) = (reader.head().clone(), reader.end());
        let start = head.started.mono;
        let (out, items) = channel(AHEAD);
        let (orders, ordered) = mpsc::channel();
        let ahead = Arc::<Ahead>::default();
        let reads_ahead = ahead.clone();
        std::thread::Builder::new().name("replay".into()).spawn(move || {
            privileges::keep(&[], false);
            read(reader, &out, &reads_ahead, &ordered);
        })?;
        Ok(Self {
            name,
            head,
            end,
            items,
            ahead,
            orders,
            ordered: 0,
            next: None,
            at: start,
            since: Instant::now(),
            from: start,
            speed: NORMAL,
            paused: false,
            target: None,
            ended: false,
            damage: None,
            points: Vec::new(),
            between_ns: 5 * NS_PER_SEC,
        })
    }

    /// The machine and the time of its making.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Why it could not be played to its end.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// The recording's time.
    pub(super) fn now(&self) -> Mono {
        if self.paused || self.ended || self.target.is_some() {
            return self.at;
        }
        let elapsed = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let passed = elapsed.saturating_mul(self.percent()) / 100;
        Mono(self.from.0.saturating_add(passed)).min(self.end).max(self.at)
    }

    fn percent(&self) -> u64 {
        SPEEDS.get(self.speed).map_or(100, |(percent, _)| *percent)
    }

    /// How it is being played.
    pub(super) fn state(&self) -> Replay {
        Replay {
            start: self.head.started.mono,
            end: self.end,
            speed: SPEEDS.get(self.speed).map_or("", |(_, name)| name),
            paused: self.paused,
            seeking: self.target.is_some(),
            ended: self.ended,
            damage: self.damage.clone(),
        }
    }

    /// Returns when something is due. May be given up and called again.
    pub(super) async fn due(&mut self) {
        while self.next.is_none() && !self.ended {
            let Some((orders, item, bytes)) = self.items.recv().await else { break };
            self.ahead.take(bytes);
            if orders == self.ordered {
                self.next = Some(item);
            }
        }
        match &self.next {
            _ if self.ended => std::future::pending().await,
            Some(Ok(Item::Seen(at, _))) if self.target.is_none() => {
                if self.paused {
                    return std::future::pending().await;
                }
                let ahead = at.since(self.from).saturating_mul(100) / self.percent();
                // A time far ahead: other events wake the loop before.
                let ahead = Duration::from_nanos(ahead.min(3_600 * NS_PER_SEC));
                tokio::time::sleep_until(self.since + ahead).await;
            }
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    /// Takes the items that are due, for as long as keys may wait.
    pub(super) fn advance(&mut self, app: &mut App) -> Vec<Effect> {
        let began = Instant::now();
        let mut effects = Vec::new();
        let was = self.target.is_some();
        while let Some(item) = self.fetch() {
            let until = self.target.unwrap_or_else(|| self.now());
            match item {
                Ok(Item::Seen(at, _)) if at > until => {
                    self.next = Some(item);
                    if self.target.take().is_some() {
                        self.run_from(until);
                    }
                    break;
                }
                Ok(Item::Seen(at, seen)) => {
                    self.at = self.at.max(at);
                    effects.extend(app.recorded(seen, at));
                }
                Ok(Item::Block(mark)) => self.remember(mark, app),
                Ok(Item::End(totals)) => {
                    self.finish(self.at.max(totals.ended.min(self.end)));
                    break;
                }
                Err(damage) => {
                    let name = &self.name;
                    self.damage = Some(format!("{name}: {damage}; what could be saved is shown"));
                    self.finish(self.at);
                    break;
                }
            }
            if began.elapsed() >= SLICE {
                break;
            }
        }
        if was || self.ended {
            effects.extend(app.update(Msg::Replay(self.state()), self.at));
            effects.push(Effect::Redraw);
        }
        effects
    }

    fn fetch(&mut self) -> Option<Result<Item, Damage>> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        loop {
            let (orders, item, bytes) = self.items.try_recv().ok()?;
            self.ahead.take(bytes);
            if orders == self.ordered {
                return Some(item);
            }
        }
    }

    fn finish(&mut self, at: Mono) {
        self.at = at;
        self.end = at;
        self.target = None;
        self.ended = true;
    }

    fn run_from(&mut self, at: Mono) {
        self.at = at;
        self.from = at;
        self.since = Instant::now();
    }

    /// Saves the state here, so that going back need not begin at the start.
    fn remember(&mut self, mark: Mark, app: &App) {
        let last = self.points.last().map(|p| p.at);
        if last.is_some_and(|last| self.at.since(last) < self.between_ns) {
            return;
        }
        let bytes = app.data.bytes();
        self.points.push(Point { mark, at: self.at, data: app.data.clone(), bytes });
        // The first one stays: without it there is no way back.
        while self.points.len() > MOST_POINTS
            || (self.points.len() > 1
                && self.points.iter().map(|p| p.bytes).sum::<usize>() > MOST_POINT_BYTES)
        {
            let mut odd = false;
            self.points.retain(|_| {
                odd = !odd;
                odd
            });
            self.between_ns = self.between_ns.saturating_mul(2);
        }
    }

    /// Does what a key asks for.
    pub(super) fn obey(&mut self, command: PlayerCommand, app: &mut App) -> Vec<Effect> {
        let now = self.now();
        match command {
            PlayerCommand::Pause if self.ended => {
                self.paused = false;
                self.seek(self.head.started.mono, app);
            }
            PlayerCommand::Pause => {
                self.run_from(now);
                self.paused = !self.paused;
            }
            PlayerCommand::Faster | PlayerCommand::Slower => {
                self.run_from(now);
                let by = if command == PlayerCommand::Faster { 1 } else { -1 };
                self.speed = self.speed.saturating_add_signed(by).min(SPEEDS.len() - 1);
            }
            PlayerCommand::Seek(by) => {
                let from = self.target.unwrap_or(now);
                let to = Mono(from.0.saturating_add_signed(by));
                self.seek(to.clamp(self.head.started.mono.min(self.end), self.end), app);
            }
        }
        let mut effects = app.update(Msg::Replay(self.state()), self.at);
        effects.push(Effect::Redraw);
        effects
    }

    fn seek(&mut self, to: Mono, app: &mut App) {
        if to >= self.at {
            if !self.ended {
                self.target = Some(to);
            }
            return;
        }
        let point = self.points.iter().rev().find(|p| p.at <= to).or(self.points.first());
        let Some(point) = point else { return };
        self.ordered += 1;
        if self.orders.send((self.ordered, point.mark)).is_err() {
            return;
        }
        app.restore(point.data.clone(), point.at);
        self.next = None;
        self.at = point.at;
        self.ended = false;
        self.damage = None;
        self.target = Some(to);
    }
}

/// Reads ahead until the receiver is gone; goes elsewhere when asked to.
fn read(
    mut reader: Reader<Box<dyn Source>>,
    out: &Sender<Fetched>,
    ahead: &Ahead,
    orders: &mpsc::Receiver<(u64, Mark)>,
) {
    let mut ordered = 0;
    let mut over = false;
    while ahead.wait(out) {
        let order = if over { orders.recv().ok() } else { orders.try_recv().ok() };
        let mut item = None;
        match order {
            Some((number, mark)) => {
                ordered = number;
                item = reader.go(mark).err().map(Err);
            }
            None if over => return,
            None => {}
        }
        let item = item.unwrap_or_else(|| reader.read());
        over = matches!(item, Ok(Item::End(_)) | Err(_));
        let bytes = match &item {
            Ok(Item::Seen(_, seen)) => seen.bytes(),
            _ => 0,
        };
        ahead.add(bytes);
        if out.blocking_send((ordered, item, bytes)).is_err() {
            return;
        }
    }
}
