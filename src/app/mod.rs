//! The dashboard's state, and what changes it: `update(Msg) -> effects`. Pure: no I/O, no clock.

mod actions;
pub mod data;
mod failures;
pub mod help;
pub mod input;
pub mod list;
mod measured;
mod mouse;
mod msg;
mod names;
mod opens_groups;
pub mod opens_pane;
mod opens_rows;
mod overlays;
pub mod picker;
mod record;
pub mod related;
mod replay;
mod requests;
mod rewind;
mod saved_view;
pub mod talkers_pane;

use std::rc::Rc;

use jiff::tz::TimeZone;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::keymap::{Key, Keymap};
use crate::keys::{Action, Mode};
use crate::model::event::{LookAt, ProbeEvent, ProbeId, ProbeInfo, Watched};
use crate::model::link::XdpMode;
use crate::model::opens::{Opens, Process};
use crate::model::origin::Origins;
use crate::model::owners::Owners;
use crate::model::past::Past;
use crate::model::process::ProcessKey;
use crate::model::time::{Mono, NS_PER_SEC};
use crate::model::timeline::WatchedPaths;
use crate::model::wire::Wire;
use crate::settings::saved_view::{SavedView, Units};
use crate::settings::{Columns, ScreenSettings, Settings};
pub use data::{Data, ProbeState};
use help::Help;
use input::FilterLine;

pub use measured::{Measured, PaneRoom};
pub use mouse::Target;
pub use msg::{Effect, Msg};
use opens_pane::OpensPane;
use picker::Picker;
pub use record::{Recorded, Recording};
pub use replay::{PlayerCommand, Replay};
use rewind::Frozen;
use talkers_pane::TalkersPane;

/// How long a word about what was just done stays.
const NOTICE_NS: u64 = 4 * NS_PER_SEC;

/// Processes asked after on each tick, whether they are still there.
const ASK_AFTER: usize = 256;

/// One of the two panes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    #[default]
    Opens,
    Talkers,
}

/// What lies over the panes.
#[derive(Clone, Debug, Default)]
pub enum Overlay {
    #[default]
    None,
    Help(Help),
    Picker(Picker),
    /// May this mode be taken, though it may reset the link?
    Confirm(XdpMode),
}

/// A word about what was just done.
#[derive(Debug)]
struct Notice {
    text: String,
    at: Mono,
    /// Of no weight: it answers a key that does nothing.
    quiet: bool,
}

/// What belongs to the screen as a whole.
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
    /// The mouse holds the line between the panes.
    dragging: bool,
    pub overlay: Overlay,
    /// When `m` was pressed.
    pub mark: Option<Mono>,
    pub new_only: bool,
    /// No key was pressed yet.
    pub fresh: bool,
    notice: Option<Notice>,
    frozen: Option<Frozen>,
}

/// The dashboard.
#[derive(Debug)]
pub struct App {
    pub data: Data,
    pub screen: Screen,
    pub opens_pane: OpensPane,
    pub talkers_pane: TalkersPane,
    pub filter: FilterLine,
    pub keys: Keymap,
    /// What the configuration says of columns.
    pub columns: Columns,
    /// The machine's name, as bytes that somebody chose.
    pub host: String,
    /// The network namespace that is watched, where it is not our own.
    pub netns: Option<String>,
    /// Where addresses are registered.
    pub origins: Origins,
    /// Paths that the timeline marks.
    path_watchlist: WatchedPaths,
    /// What is watched stays as it is.
    locked: bool,
    /// The mode that was asked for last.
    mode: XdpMode,
    clock: Mono,
    described: requests::Described,
    /// What the configuration has, and what it is to have.
    saved: SavedView,
    saving: Option<SavedView>,
    /// Whose talk the probe was asked for.
    looked: Option<LookAt>,
    /// Where the round of asking after processes is.
    asked: usize,
    /// How a recording is being played, when one is.
    pub replay: Option<Replay>,
    /// The recording that is being written.
    recording: Option<Recording>,
    /// The last minutes, with how was watched, where they are kept.
    past: Option<Past<Rc<ProbeState<Vec<Watched>>>>>,
    /// What clocks here show.
    pub zone: TimeZone,
}

impl App {
    /// A dashboard that has seen nothing yet.
    pub fn new(settings: &Settings, host: &str, now: Mono) -> Self {
        Self {
            data: Data::with_owners(settings.owners),
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
                frozen: None,
            },
            opens_pane: OpensPane::default(),
            talkers_pane: TalkersPane::default(),
            filter: FilterLine::new(settings.filter.as_deref(), settings.process.as_deref()),
            keys: Keymap::default(),
            columns: Columns::default(),
            host: host.to_owned(),
            netns: settings.netns.clone(),
            origins: Origins::default(),
            path_watchlist: WatchedPaths::default(),
            locked: settings.locked,
            mode: settings.xdp_mode,
            clock: now,
            described: requests::Described::default(),
            saved: SavedView::default(),
            saving: None,
            looked: None,
            asked: 0,
            replay: None,
            recording: None,
            past: None,
            zone: TimeZone::UTC,
        }
    }

    /// Begins as the configuration says.
    pub fn arrange(&mut self, screen: &ScreenSettings) {
        self.keys = screen.keys.clone();
        self.columns = screen.columns.clone();
        self.path_watchlist = screen.watched.clone();
        self.apply_view(&screen.view);
    }

    /// Takes in what happened at `now`, and tells what is to be done about it.
    pub fn update(&mut self, msg: Msg, now: Mono) -> Vec<Effect> {
        self.clock = self.clock.max(now);
        let mut effects = self.take(msg);
        effects.extend(self.ask_who());
        effects.extend(self.ask_names());
        effects.extend(self.ask_look());
        effects
    }

    fn take(&mut self, msg: Msg) -> Vec<Effect> {
        match msg {
            Msg::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Msg::Key(key) => self.key(key),
            Msg::Paste(text) => {
                self.help_paste(&text);
                if self.filter.editing() && self.filter.paste(&text) {
                    self.rebuild();
                }
                vec![Effect::Redraw]
            }
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
                self.data.ended(&gone, self.clock);
                Vec::new()
            }
            Msg::Described(key, who) => self.take_who(key, *who),
            Msg::Cgroups(answers) => self.take_cgroups(answers),
            Msg::Named(ip, answer) => self.take_name(ip, answer),
            Msg::Saved(result) => self.take_saved(result),
            Msg::Recorded(told) => self.take_recorded(told),
            Msg::Replay(replay) => self.take_replay(replay),
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
        if mode == Mode::Main {
            return self.unknown(key);
        }
        if mode == Mode::HelpSearch {
            self.help_key(key);
            return vec![Effect::Redraw];
        }
        if mode != Mode::Filter {
            return Vec::new();
        }
        if self.filter.key(key) {
            self.rebuild();
        }
        vec![Effect::Redraw]
    }

    /// A key that does nothing: where to find those that do.
    fn unknown(&mut self, key: KeyEvent) -> Vec<Effect> {
        let modifiers = key.modifiers.difference(KeyModifiers::SHIFT);
        let name = Key { code: key.code, modifiers }.name();
        let name = crate::model::escape::escape(name.as_bytes()).into_owned();
        let help = self.keys.first(Action::Help);
        let text = format!("{name} does nothing here; {help} tells all keys");
        self.screen.notice = Some(Notice { text, at: self.clock, quiet: true });
        vec![Effect::Redraw]
    }

    fn probe(&mut self, mut event: ProbeEvent) -> Vec<Effect> {
        if let ProbeEvent::Cgroups(made) = event {
            return self.take_made(made);
        }
        self.choose(&mut event);
        let watching = matches!(
            event,
            ProbeEvent::Started(ProbeInfo::Talkers(_))
                | ProbeEvent::Failed(ProbeId::Talkers, _)
                | ProbeEvent::Watching(_)
        );
        let talkers = matches!(event, ProbeEvent::Talkers(_));
        self.keep_before(&event);
        let opens_started = matches!(
            event,
            ProbeEvent::Started(ProbeInfo::Opens(_)) | ProbeEvent::Failed(ProbeId::Opens, _)
        );
        let owners = matches!(&event, ProbeEvent::Owners(batch) if batch.tick.is_some());
        let show = self.data.absorb(event, self.clock);
        if owners || opens_started {
            self.meet_owners(opens_started);
        }
        if owners && !self.paused() && !self.seeking() {
            opens_rows::sum_up(&mut self.opens_pane, &self.data.owners);
        }
        if watching && let Some(mode) = self.data.interfaces().first().map(|w| w.mode) {
            self.mode = mode;
        }
        if (watching || talkers) && !self.paused() && !self.seeking() {
            self.rebuild_talkers();
        }
        if show && (watching || !self.paused()) { vec![Effect::Redraw] } else { Vec::new() }
    }

    fn tick(&mut self) -> Vec<Effect> {
        self.data.tick(self.clock);
        self.keep_moment();
        if self.seeking() {
            return Vec::new();
        }
        if !self.paused() {
            self.rebuild();
        }
        let mut effects = vec![Effect::Redraw];
        let ask = self.next_to_ask_after();
        if !ask.is_empty() {
            effects.push(Effect::AskAfter(ask));
        }
        effects.extend(self.ask_cgroups());
        effects
    }

    /// A few processes on each tick, all of them in turn.
    fn next_to_ask_after(&mut self) -> Vec<ProcessKey> {
        let processes = self.data.opens.processes();
        let len = processes.len();
        if self.asked >= len {
            self.asked = 0;
        }
        let next = processes.iter().skip(self.asked).take(ASK_AFTER);
        let asked = |p: &Process| p.ended.is_none() && !p.is_program();
        let keys = next.filter(|(_, p)| asked(p)).map(|(_, p)| p.key).collect();
        self.asked += ASK_AFTER;
        keys
    }

    /// What keys go to.
    pub fn mode(&self) -> Mode {
        match self.screen.overlay {
            Overlay::Help(Help { typing: true, .. }) => Mode::HelpSearch,
            Overlay::Help(_) => Mode::Help,
            Overlay::Picker(_) => Mode::Picker,
            Overlay::Confirm(_) => Mode::Confirm,
            Overlay::None if self.filter.editing() => Mode::Filter,
            Overlay::None => Mode::Main,
        }
    }

    /// Whether the screen stands still.
    pub fn paused(&self) -> bool {
        self.screen.frozen.is_some()
    }

    /// The moment that the screen shows.
    pub fn shown_at(&self) -> Mono {
        self.screen.frozen.as_ref().map_or(self.clock, |f| f.now)
    }

    /// The opens that the screen shows.
    pub fn opens(&self) -> &Opens {
        self.screen.frozen.as_ref().map_or(&self.data.opens, |f| &f.opens)
    }

    /// The talkers that the screen shows.
    pub fn wire(&self) -> &Wire {
        self.screen.frozen.as_ref().map_or(&self.data.wire, |f| &f.wire)
    }

    /// The processes behind connections that the screen shows.
    /// `None` where nothing is known of them: the probe never ran, or what is shown is before the
    /// moment at which the screen was paused.
    pub fn owners(&self) -> Option<&Owners> {
        self.screen.frozen.as_ref().map_or_else(|| self.data.known_owners(), Frozen::owners)
    }

    /// A word about what was just done, and whether it is of no weight.
    pub fn notice(&self) -> Option<(&str, bool)> {
        let notice = self.screen.notice.as_ref()?;
        (self.clock.since(notice.at) < NOTICE_NS).then_some((&notice.text, notice.quiet))
    }

    /// The mark, when only what is new since then is shown.
    pub fn new_since(&self) -> Option<Mono> {
        self.screen.mark.filter(|_| self.screen.new_only)
    }

    /// Builds the rows of both panes anew.
    pub(crate) fn rebuild(&mut self) {
        self.rebuild_opens();
        self.rebuild_talkers();
    }

    pub(crate) fn rebuild_opens(&mut self) {
        self.rebuild_ties_of_opens();
        let room = self.room(Pane::Opens).rows;
        let filters = [Some(self.filter.filter()), self.filter.fixed()];
        let talking = related::talking(self.owners(), filters.into_iter().flatten());
        let opens = self.screen.frozen.as_ref().map_or(&self.data.opens, |f| &f.opens);
        let choose = opens_rows::Choose {
            opens,
            cgroups: &self.data.cgroups,
            owners: self
                .screen
                .frozen
                .as_ref()
                .map_or_else(|| self.data.known_owners(), Frozen::owners),
            talking: talking.as_ref(),
            filters,
            failed_only: self.opens_pane.failed_only,
            new_since: self.new_since(),
            now: self.shown_at(),
        };
        opens_rows::build(&mut self.opens_pane, &choose, room);
        self.opens_pane.settle(room);
    }

    pub(crate) fn rebuild_talkers(&mut self) {
        let room = self.room(Pane::Talkers).rows;
        let new_since = self.new_since();
        let now = self.shown_at();
        let wire = self.screen.frozen.as_ref().map_or(&self.data.wire, |f| &f.wire);
        let watched = self.interfaces().iter();
        let ports: Vec<usize> = watched.filter_map(|w| wire.port_named(&w.interface)).collect();
        let links = self.data.links.iter().filter(|link| link.is_stacked());
        let stacked: Vec<u32> = links.map(|link| link.ifindex).collect();
        let is_stacked =
            |at: &usize| wire.ports().get(*at).is_some_and(|port| stacked.contains(&port.ifindex));
        let mut summed: Vec<usize> = ports.iter().copied().filter(|at| !is_stacked(at)).collect();
        if summed.is_empty() {
            summed.clone_from(&ports);
        }
        self.talkers_pane.summed = summed;
        self.talkers_pane.ports.clone_from(&ports);
        let filter = self.filter.filter();
        let choose = talkers_pane::Choose { wire, ports: &ports, filter, new_since, now };
        self.talkers_pane.build(&choose);
        self.talkers_pane.settle(room);
        self.rebuild_ties_of_talkers();
    }
}
