//! The dashboard's state and its transitions: `update(Msg) -> effects`. Pure: no I/O, no clock, no
//! places on the screen.
//!
//! `App` is made of parts with methods of their own: the two panes, the overlay, the time that is
//! shown, the recording, the questions asked outside. Here messages are handed to them, and rows
//! are built again when a message asks for it.

mod actions;
mod ask;
pub mod conns;
pub mod data;
pub mod filter_line;
pub mod list;
pub mod listeners;
mod measured;
mod mouse;
mod msg;
mod navigate;
pub mod opens;
mod order;
pub mod overlay;
mod pane;
mod rebuild;
mod record;
mod recording;
pub mod related;
mod remote;
mod replay;
mod replaying;
mod requests;
mod saved_view;
pub mod talkers;
mod time;

use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::keymap::{Key, Keymap};
use crate::keys::{Action, Mode};
use crate::model::connections::Connections;
use crate::model::escape::escape;
use crate::model::event::{ProbeEvent, Watched};
use crate::model::link::XdpMode;
use crate::model::listener::Listeners;
use crate::model::opens::Opens;
use crate::model::origin::Origins;
use crate::model::past::PAST_BYTES;
use crate::model::time::{Mono, NS_PER_SEC};
use crate::model::timeline::WatchedPaths;
use crate::model::wire::Wire;
use crate::settings::saved_view::{SavedView, Units};
use crate::settings::{Columns, ScreenSettings, Settings};
pub use data::{Data, ProbeState};
use filter_line::FilterLine;

pub use measured::{Measured, PaneRoom};
pub use msg::{Effect, Msg, Target};
use opens::OpensPane;
pub use overlay::Overlay;
pub use pane::Pane;
pub use recording::{Lost, Recorded, Recording};
pub use remote::Remote;
pub use replay::{PlayerCommand, Replay};
use requests::Requests;
use talkers::{TalkersPane, TalkersView};
pub use time::Shown;
use time::Time;

/// How long a notice stays on the screen; also in updates of a recording whose clock stands still, five a
/// second.
const NOTICE_NS: u64 = 4 * NS_PER_SEC;
const NOTICE_UPDATES: u32 = 20;

/// A short report about the last key or event.
#[derive(Debug)]
struct Notice {
    text: String,
    at: Mono,
    /// Updates since then while the clock stood still.
    updates: u32,
    /// Shown dimmed: it answers a key without an action.
    quiet: bool,
}

/// State of the screen as a whole.
#[derive(Debug)]
pub struct Screen {
    measured: Measured,
    pub focus: Pane,
    pub expanded: bool,
    /// Percent of the first pane.
    pub split: u16,
    /// One of [`THEME_NAMES`](crate::settings::saved_view::THEME_NAMES).
    pub theme: &'static str,
    pub units: Units,
    /// The mouse drags the line between the panes.
    dragging: bool,
    pub overlay: Overlay,
    /// When `m` was pressed.
    pub mark: Option<Mono>,
    pub new_only: bool,
    /// No key was pressed yet.
    pub fresh: bool,
    notice: Option<Notice>,
}

/// The dashboard.
#[derive(Debug)]
pub struct App {
    pub data: Data,
    pub screen: Screen,
    pub opens_pane: OpensPane,
    pub talkers_pane: TalkersPane,
    pub filter: FilterLine,
    time: Time,
    requests: Requests,
    /// How a recording is played, in a replay.
    pub replay: Option<Replay>,
    /// Delay and end of a live recording of another machine.
    pub remote: Option<Remote>,
    /// The recording that is being written.
    recording: Option<Recording>,
    pub keys: Keymap,
    /// The columns that the configuration chooses.
    pub columns: Columns,
    /// The machine's name, as unescaped bytes from elsewhere.
    pub host: String,
    /// The network namespace that is watched, if it is not our own.
    pub netns: Option<String>,
    /// Countries and networks of addresses.
    pub origins: Origins,
    /// Paths that the timeline marks.
    path_watchlist: WatchedPaths,
    /// `--lock`: interface and mode cannot change.
    locked: bool,
    /// The mode that was asked for last.
    mode: XdpMode,
    /// The settings that the configuration has, and those being written to it.
    saved: SavedView,
    saving: Option<SavedView>,
    /// The time zone of clock times.
    pub zone: TimeZone,
}

impl App {
    /// A dashboard without data.
    pub fn new(settings: &Settings, host: &str, now: Mono) -> Self {
        Self {
            data: Data::with_connections(settings.owners),
            screen: Screen {
                measured: Measured::default(),
                focus: Pane::Opens,
                expanded: false,
                split: SavedView::default().split,
                theme: SavedView::default().theme,
                units: Units::default(),
                dragging: false,
                overlay: Overlay::None,
                mark: None,
                new_only: false,
                fresh: true,
                notice: None,
            },
            opens_pane: OpensPane::default(),
            talkers_pane: TalkersPane::default(),
            filter: FilterLine::new(settings.filter.as_deref(), settings.process.as_deref()),
            time: Time::new(now),
            requests: Requests::default(),
            replay: None,
            remote: None,
            recording: None,
            keys: Keymap::default(),
            columns: Columns::default(),
            host: host.to_owned(),
            netns: settings.netns.clone(),
            origins: Origins::default(),
            path_watchlist: WatchedPaths::default(),
            locked: settings.locked,
            mode: settings.xdp_mode,
            saved: SavedView::default(),
            saving: None,
            zone: TimeZone::UTC,
        }
    }

    /// Applies the configuration.
    pub fn arrange(&mut self, screen: &ScreenSettings) {
        self.keys = screen.keys.clone();
        self.columns = screen.columns.clone();
        self.path_watchlist = screen.watched.clone();
        self.apply_view(&screen.view);
    }

    /// Keeps the last minutes from now on, to be stepped through while paused.
    pub fn remember(&mut self, interval: Duration) {
        self.remember_within(interval, PAST_BYTES);
    }

    /// Stores moments as [`App::remember`], with a bound in bytes of packed changes.
    pub fn remember_within(&mut self, interval: Duration, max_bytes: usize) {
        self.time.remember(interval, max_bytes);
    }

    /// Takes a message at time `now`; returns the effects that it asks for.
    pub fn update(&mut self, msg: Msg, now: Mono) -> Vec<Effect> {
        self.time.advance(now);
        let mut effects = self.take(msg);
        effects.extend(self.ask());
        effects
    }

    fn take(&mut self, msg: Msg) -> Vec<Effect> {
        match msg {
            Msg::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Msg::Key(key) => self.key(key),
            Msg::Paste(text) => self.paste(&text),
            Msg::Click(target) => self.click(target),
            Msg::Drag(percent) => self.drag(percent),
            Msg::Drop => {
                self.screen.dragging = false;
                Vec::new()
            }
            Msg::Wheel(pane, by) => {
                self.turn_wheel(pane, by);
                vec![Effect::Redraw]
            }
            Msg::Probe(event) => self.probe(event),
            Msg::Ended(gone) => {
                self.data.ended(&gone, self.time.clock());
                Vec::new()
            }
            Msg::Described(key, info) => self.take_process_info(key, *info),
            Msg::Descriptors(counts) => self.take_descriptors(counts),
            Msg::Cgroups(answers) => self.take_cgroups(answers),
            Msg::Containers(answers) => {
                let news = self.data.cgroups.name_containers(&answers);
                self.cgroups_changed(news)
            }
            Msg::Listeners(found) => self.take_listeners(*found),
            Msg::Parents(answers) => {
                self.data.lineage.take(answers);
                Vec::new()
            }
            Msg::Named(ip, answer) => self.take_name(ip, answer),
            Msg::Saved(result) => self.take_saved(result),
            Msg::Copied(sentence) => {
                self.say(&sentence);
                vec![Effect::Redraw]
            }
            Msg::Recorded(report) => self.take_recorded(report),
            Msg::Replay(replay) => self.take_replay(replay),
            Msg::Remote(remote) => self.take_remote(remote),
            Msg::Tick => self.tick(),
        }
    }

    fn key(&mut self, mut key: KeyEvent) -> Vec<Effect> {
        self.screen.fresh = false;
        if key.modifiers.contains(KeyModifiers::ALT) {
            // Terminals send Alt as Esc, and a quick Esc before another key looks like Alt.
            let mut effects = self.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
            key.modifiers.remove(KeyModifiers::ALT);
            effects.extend(self.key(key));
            return effects;
        }
        let mode = self.mode();
        if let Some(action) = self.keys.action(mode, key) {
            return self.act(mode, action);
        }
        match mode {
            Mode::Main => self.say_unbound(key),
            Mode::HelpSearch => {
                if let Overlay::Help(help) = &mut self.screen.overlay {
                    help.key(key);
                }
            }
            Mode::Filter => {
                if self.filter.key(key) {
                    self.rebuild();
                }
            }
            Mode::Help | Mode::Picker | Mode::Confirm => return Vec::new(),
        }
        vec![Effect::Redraw]
    }

    fn paste(&mut self, text: &str) -> Vec<Effect> {
        if let Overlay::Help(help) = &mut self.screen.overlay {
            help.paste(text);
        }
        if self.filter.editing() && self.filter.paste(text) {
            self.rebuild();
        }
        vec![Effect::Redraw]
    }

    fn say_unbound(&mut self, key: KeyEvent) {
        let modifiers = key.modifiers.difference(KeyModifiers::SHIFT);
        let name = Key { code: key.code, modifiers }.name();
        let name = escape(name.as_bytes());
        let help = self.keys.first(Action::Help);
        let text = format!("{name} has no function here; press {help} for all keys");
        self.screen.notice = Some(Notice { text, at: self.time.clock(), updates: 0, quiet: true });
    }

    fn take_listeners(&mut self, mut found: Listeners) -> Vec<Effect> {
        if self.data.connections_known && !self.data.polled() {
            let missed = self.talkers_pane.listeners.missed_by(&found);
            self.data.owners.accepted.fill_in(&mut found, &missed);
        }
        self.talkers_pane.listeners.take(found);
        if self.talkers_pane.view != TalkersView::Listeners {
            return Vec::new();
        }
        self.rebuild_talkers();
        vec![Effect::Redraw]
    }

    fn probe(&mut self, mut event: ProbeEvent) -> Vec<Effect> {
        if let ProbeEvent::Cgroups(made) = event {
            return self.take_new_cgroups(made);
        }
        if let ProbeEvent::Listeners(found) = event {
            return self.take_listeners(*found);
        }
        self.choose(&mut event);
        self.time.keep_before(&event, &mut self.data);
        let changed = self.data.absorb(event, self.time.clock());
        if changed.connections || changed.opens_started {
            self.data.meet_talking_processes(changed.opens_started, self.time.clock());
        }
        if changed.opens_started {
            self.warn_of_changes();
        }
        if changed.watching
            && let Some(watched) = self.data.interfaces().first()
        {
            self.mode = watched.mode;
        }
        let present = !self.paused() && !self.seeking();
        if present && changed.connections {
            opens::sum_up(&mut self.opens_pane, &self.data.opens, &self.data.owners);
        }
        if present && (changed.watching || changed.talkers) {
            self.rebuild_talkers();
        }
        let visible = changed.watching || changed.redraw && !self.paused();
        if visible { vec![Effect::Redraw] } else { Vec::new() }
    }

    fn tick(&mut self) -> Vec<Effect> {
        self.data.tick(self.time.clock());
        self.time.keep_moment(&mut self.data);
        if self.seeking() {
            return Vec::new();
        }
        if !self.paused() {
            self.rebuild();
        }
        let mut effects = vec![Effect::Redraw];
        effects.extend(self.ask_on_tick());
        effects
    }

    /// The mode that decides what keys do.
    pub fn mode(&self) -> Mode {
        let below = if self.filter.editing() { Mode::Filter } else { Mode::Main };
        self.screen.overlay.mode().unwrap_or(below)
    }

    /// Whether it shows this machine, and not a recording.
    pub fn is_live(&self) -> bool {
        self.replay.is_none() && self.remote.is_none()
    }

    /// The moment of the latest event or tick.
    pub fn clock(&self) -> Mono {
        self.time.clock()
    }

    pub fn paused(&self) -> bool {
        self.time.is_paused()
    }

    /// The tables that the screen shows: the present, or an earlier moment while it is paused.
    pub fn shown(&self) -> Shown<'_> {
        self.time.shown(&self.data)
    }

    /// The moment that the screen shows.
    pub fn shown_at(&self) -> Mono {
        self.shown().at
    }

    pub fn opens(&self) -> &Opens {
        self.shown().opens
    }

    pub fn wire(&self) -> &Wire {
        self.shown().wire
    }

    /// Connections and their processes; `None` where they are unknown.
    pub fn owners(&self) -> Option<&Connections> {
        self.shown().owners
    }

    /// The state of the talkers probe.
    pub fn watching(&self) -> &ProbeState<Vec<Watched>> {
        self.shown().watching
    }

    /// The watched interfaces.
    pub fn interfaces(&self) -> &[Watched] {
        self.shown().interfaces()
    }

    /// While paused: the distances from the pause back to the shown moment and to the oldest one, ns.
    pub fn rewound(&self) -> Option<(u64, u64)> {
        self.time.rewound()
    }

    /// The current notice, and whether it is shown dimmed.
    pub fn notice(&self) -> Option<(&str, bool)> {
        let notice = self.screen.notice.as_ref()?;
        let age = self.time.clock().since(notice.at);
        let stays = age < NOTICE_NS && notice.updates < NOTICE_UPDATES;
        stays.then_some((&notice.text, notice.quiet))
    }

    /// Counts an update while the clock stands still; true when the notice has been shown long enough.
    fn age_notice(&mut self) -> bool {
        let Some(notice) = &mut self.screen.notice else { return false };
        notice.updates = notice.updates.saturating_add(1);
        notice.updates == NOTICE_UPDATES
    }

    pub(super) fn say(&mut self, text: &str) {
        let text = text.to_owned();
        self.screen.notice = Some(Notice { text, at: self.time.clock(), updates: 0, quiet: false });
    }

    /// The mark, while only rows that are newer are shown.
    pub fn new_since(&self) -> Option<Mono> {
        self.screen.mark.filter(|_| self.screen.new_only)
    }
}
