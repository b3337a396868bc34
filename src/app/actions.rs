//! The actions of the panes.

use super::overlay::Chosen;
use super::overlay::help::Help;
use super::overlay::picker::{self, Picker};
use super::talkers::{TalkersPane, TalkersView};
use super::time::{PAST_MIB, Stepped};
use super::{App, Effect, Overlay, Pane};
use crate::keys::{Action, Mode};
use crate::model::escape::escape;
use crate::model::event::{TalkersCommand, Watched};
use crate::model::field::conn_groups::Grouping;
use crate::model::link::{Choice, Link, XdpMode};
use crate::settings::saved_view::SPLIT;

impl App {
    /// Does what a key asks for.
    pub(super) fn act(&mut self, mode: Mode, action: Action) -> Vec<Effect> {
        match action {
            Action::Quit => return vec![Effect::Quit],
            Action::Suspend => return vec![Effect::Suspend],
            _ => {}
        }
        let mut effects = match mode {
            Mode::Main => self.act_main(action),
            Mode::Filter => self.act_filter(action),
            Mode::Picker | Mode::Help | Mode::HelpSearch | Mode::Confirm => {
                self.act_on_overlay(action)
            }
        };
        effects.push(Effect::Redraw);
        effects
    }

    fn act_main(&mut self, action: Action) -> Vec<Effect> {
        if self.is_elsewhere(action) {
            return Vec::new();
        }
        if let Some(effects) = self.act_on_replay(action) {
            return effects;
        }
        use Action::{NextInterface, Picker, PreviousInterface, XdpMode};
        if matches!(action, NextInterface | Picker | PreviousInterface | XdpMode) {
            if let Some(problem) = self.data.watching.problem() {
                self.say(&format!("the talkers probe is not running: {problem}"));
                return Vec::new();
            }
            if self.locked {
                self.say(
                    "cannot change: started with --lock. Restart without it to switch interface \
                     or mode",
                );
                return Vec::new();
            }
        }
        match action {
            Action::Help => self.screen.overlay = Overlay::Help(Help::default()),
            Action::Filter => self.filter.edit(),
            Action::Picker => self.open_picker(),
            Action::NextInterface => return self.neighbour(1),
            Action::PreviousInterface => return self.neighbour(-1),
            Action::NextPane | Action::PreviousPane => self.focus(self.screen.focus.other()),
            Action::OpensPane => self.focus(Pane::Opens),
            Action::TalkersPane => self.focus(Pane::Talkers),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.step(-self.page()),
            Action::PageDown => self.step(self.page()),
            Action::Top => self.step(isize::MIN / 2),
            Action::Bottom => self.step(isize::MAX / 2),
            Action::OpenDetails => self.open_row(),
            Action::CloseDetails => self.close_detail(),
            Action::Unfold => self.fold(true),
            Action::Fold => self.fold(false),
            Action::NextSort => self.next_sort(),
            Action::ReverseOrder => self.reverse(),
            Action::NextView if self.screen.focus == Pane::Talkers => {
                self.show_talkers(self.talkers_pane.view.next());
            }
            Action::Connections => {
                let again = self.screen.focus == Pane::Talkers
                    && self.talkers_pane.view == TalkersView::Connections;
                let view = if again { TalkersView::Addresses } else { TalkersView::Connections };
                self.show_talkers(view);
            }
            Action::GroupConnections => self.group_connections(),
            Action::NextView => {
                self.focus(Pane::Opens);
                self.opens_pane.next_view();
                self.rebuild_opens();
            }
            Action::Timeline => self.open_timeline(),
            Action::FewerLevels | Action::MoreLevels => {
                self.opens_pane.change_levels(action == Action::MoreLevels);
                self.rebuild_opens();
            }
            Action::FailedOnly => {
                self.opens_pane.toggle_failed_only();
                self.rebuild_opens();
            }
            Action::AllFailures => {
                self.opens_pane.all_failures = !self.opens_pane.all_failures;
                self.rebuild_opens();
            }
            Action::Direction => {
                let shown = self.time.shown(&self.data);
                self.talkers_pane.next_direction(shown.wire);
                self.rebuild_talkers();
            }
            Action::Pause => {
                self.time.toggle_pause(&self.data);
                self.rebuild();
            }
            Action::Mark => {
                let new_only = self.keys.first(Action::NewOnly);
                self.say(&format!("marked: press {new_only} for rows that are newer"));
                return self.set_mark();
            }
            Action::NewOnly => return self.toggle_new_only(),
            Action::Follow => self.follow(),
            Action::Copy => return self.copy(),
            Action::Expand => self.screen.expanded = !self.screen.expanded,
            Action::SplitLeft => self.move_split(-5),
            Action::SplitRight => self.move_split(5),
            Action::Names => self.toggle_names(),
            Action::Hostnames => return self.switch_hostnames(),
            Action::XdpMode => return self.next_mode(),
            Action::Theme => self.next_theme(),
            Action::Units => self.next_units(),
            Action::Save => return self.save(),
            Action::Record => return self.record(),
            Action::Restart => self.restart(),
            Action::Back | Action::Forward | Action::LeapBack | Action::LeapForward => {
                self.step_in_time(action);
            }
            Action::Slower | Action::Faster => self.say("only a replay has a speed"),
            Action::Quit | Action::Suspend | Action::Accept | Action::Cancel | Action::Complete => {
            }
        }
        Vec::new()
    }

    /// Whether changes of files are not reported, since that was not asked for or is refused.
    pub fn lacks_changes(&self) -> bool {
        let opens = self.data.opens_state.running();
        opens.is_some_and(|info| !info.files) && self.replay.is_none() && self.remote.is_none()
    }

    /// Warns of a filter that selects nothing for that reason.
    pub(super) fn warn_of_changes(&mut self) {
        if self.filter.filter().chooses_changes() && self.lacks_changes() {
            self.say("`op:` has no effect: changes of files are reported with --files");
        }
    }

    fn act_filter(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Accept => {
                self.filter.accept();
                self.warn_of_changes();
            }
            Action::Cancel => self.filter.clear(),
            Action::Complete => {
                let of_paths = self.opens_pane.paths_match.is_some();
                if let Err(keys) = self.filter.complete(of_paths) {
                    self.say(&keys);
                }
            }
            _ => {}
        }
        self.rebuild();
        Vec::new()
    }

    /// Starts the counts again.
    fn restart(&mut self) {
        self.data.restart();
        self.time.restart();
        self.opens_pane.close_all();
        self.talkers_pane.close_all();
        self.screen.mark = None;
        self.requests.forget_mark();
        self.screen.new_only = false;
        self.rebuild();
        self.say("counts restarted");
    }

    /// Shows a table of the talkers pane.
    fn show_talkers(&mut self, view: TalkersView) {
        self.focus(Pane::Talkers);
        self.talkers_pane.show(view);
        self.rebuild_talkers();
    }

    /// Groups connections in the next way; from another table, shows them first.
    fn group_connections(&mut self) {
        let is_shown = self.talkers_pane.view == TalkersView::Connections;
        self.talkers_pane.conns.inside = None;
        if is_shown && self.screen.focus == Pane::Talkers {
            self.talkers_pane.conns.next_grouping();
            return self.rebuild_talkers();
        }
        if self.talkers_pane.conns.grouping == Grouping::None {
            self.talkers_pane.conns.next_grouping();
        }
        self.show_talkers(TalkersView::Connections);
    }

    fn neighbour(&mut self, by: isize) -> Vec<Effect> {
        let from = self.data.interfaces().first().map(|w| w.interface.clone());
        match picker::neighbour(&self.data.links, from.as_ref(), by) {
            Some(choice) => self.watch(choice),
            None => {
                self.say("no interface is up");
                Vec::new()
            }
        }
    }

    pub(super) fn watch(&mut self, choice: Choice) -> Vec<Effect> {
        self.talkers_pane.close_all();
        self.talkers_pane.list = Default::default();
        vec![Effect::Talkers(TalkersCommand::Watch(choice))]
    }

    fn next_mode(&mut self) -> Vec<Effect> {
        let mode = picker::next_mode(self.mode);
        let link = |w: &Watched| self.data.links.iter().find(|l| l.ifindex == w.ifindex);
        let links: Vec<Option<&Link>> = self.data.interfaces().iter().map(link).collect();
        if links.iter().any(|l| picker::may_reset(*l, mode)) {
            self.screen.overlay = Overlay::Confirm(mode);
            return Vec::new();
        }
        self.take_mode(mode)
    }

    pub(super) fn take_mode(&mut self, mode: XdpMode) -> Vec<Effect> {
        self.mode = mode;
        self.say(&format!("XDP mode: {}", picker::mode_name(mode)));
        vec![Effect::Talkers(TalkersCommand::Mode(mode))]
    }

    pub(super) fn focus(&mut self, pane: Pane) {
        self.screen.focus = pane;
    }

    fn page(&self) -> isize {
        let rows = self.room(self.screen.focus).rows;
        isize::try_from(rows.saturating_sub(1)).unwrap_or(1).max(1)
    }

    fn step(&mut self, by: isize) {
        self.wheel(self.screen.focus, by);
    }

    /// Moves the cursor of a pane.
    pub(super) fn wheel(&mut self, pane: Pane, by: isize) {
        let room = self.room(pane);
        match pane {
            Pane::Opens => self.opens_pane.step(by, room),
            Pane::Talkers => self.talkers_pane.step(by, room),
        }
    }

    fn fold(&mut self, show: bool) {
        let in_talkers = self.screen.focus == Pane::Talkers;
        if in_talkers && self.talkers_pane.view == TalkersView::Connections {
            if self.talkers_pane.conns.inside.is_none() && self.talkers_pane.conns.fold(Some(show))
            {
                self.rebuild_talkers();
            }
            return;
        }
        if !in_talkers && self.opens_pane.focus_related(show) {
            return;
        }
        let Some(above) = self.opens_pane.fold(show) else { return };
        self.rebuild_opens();
        if !show {
            self.opens_pane.select(above);
        }
    }

    fn next_sort(&mut self) {
        match self.screen.focus {
            Pane::Opens => {
                self.opens_pane.next_sort();
                self.rebuild_opens();
            }
            Pane::Talkers => {
                match self.talkers_pane.view {
                    TalkersView::Addresses => {
                        let ways = self.talkers_pane.ways(self.wire());
                        self.talkers_pane.next_sort(ways);
                    }
                    TalkersView::Connections => self.talkers_pane.conns.next_sort(),
                    TalkersView::Listeners => self.talkers_pane.listeners.next_sort(),
                }
                self.rebuild_talkers();
            }
        }
    }

    fn reverse(&mut self) {
        match self.screen.focus {
            Pane::Opens => {
                self.opens_pane.reverse = !self.opens_pane.reverse;
                self.rebuild_opens();
            }
            Pane::Talkers => {
                let pane = &mut self.talkers_pane;
                let reverse = match pane.view {
                    TalkersView::Addresses => &mut pane.reverse,
                    TalkersView::Connections => &mut pane.conns.reverse,
                    TalkersView::Listeners => &mut pane.listeners.reverse,
                };
                *reverse = !*reverse;
                self.rebuild_talkers();
            }
        }
    }

    /// Marks this moment: rows that are newer, and the growth of descriptors since then.
    fn set_mark(&mut self) -> Vec<Effect> {
        let now = self.time.clock();
        self.screen.mark = Some(now);
        self.requests.mark(&self.data.opens, now).into_iter().collect()
    }

    fn toggle_new_only(&mut self) -> Vec<Effect> {
        let marked = if self.screen.mark.is_none() { self.set_mark() } else { Vec::new() };
        self.screen.new_only = !self.screen.new_only;
        self.rebuild();
        marked
    }

    fn follow(&mut self) {
        let (list, id) = match self.screen.focus {
            Pane::Opens => {
                let id = self.opens_pane.selected().map(|r| self.opens_pane.id(r));
                (&mut self.opens_pane.list, id)
            }
            Pane::Talkers => {
                let pane = &mut self.talkers_pane;
                let id = match pane.view {
                    TalkersView::Addresses => pane.selected().map(TalkersPane::id),
                    TalkersView::Connections => pane.conns.selected().map(|row| pane.conns.id(row)),
                    TalkersView::Listeners => pane.listeners.selected_id(),
                };
                (pane.shown_list_mut().0, id)
            }
        };
        list.follow = if list.follow.is_some() { None } else { id };
        let following = list.follow.is_some();
        self.say(if following { "following this row" } else { "following ended" });
    }

    fn copy(&mut self) -> Vec<Effect> {
        let Some(bytes) = self.selected_bytes() else { return Vec::new() };
        // Escaped: a line break in a name must not press Enter where it is pasted.
        let text = escape(&bytes).into_owned();
        vec![Effect::Copy(text)]
    }

    fn move_split(&mut self, by: i16) {
        let (least, most) = SPLIT;
        self.screen.split = self.screen.split.saturating_add_signed(by).clamp(least, most);
    }

    /// Steps through the last minutes.
    fn step_in_time(&mut self, action: Action) {
        let key = |action| self.keys.first(action);
        let (pause, back, forth) = (key(Action::Pause), key(Action::Back), key(Action::Forward));
        match self.time.step(action) {
            Stepped::Moved => self.rebuild(),
            Stepped::NotPaused => self.say(&format!(
                "press {pause} to pause first; then {back} and {forth} step through the last ten \
                 minutes"
            )),
            Stepped::AtOldest => self.say(&format!(
                "no older moment is kept: the limit is ten minutes, or {PAST_MIB} MiB of changes"
            )),
            Stepped::AtPause => {
                self.say(&format!("this is the moment of the pause; {pause} returns to now"));
            }
        }
    }

    pub(super) fn act_on_overlay(&mut self, action: Action) -> Vec<Effect> {
        let choices = picker::choices(&self.data.links);
        let page = self.screen.measured.overlay_page.max(1);
        match self.screen.overlay.act(action, &choices, page) {
            Some(Chosen::Interface(choice)) => self.watch(choice),
            Some(Chosen::Mode(mode)) => self.take_mode(mode),
            None => Vec::new(),
        }
    }

    pub(super) fn open_picker(&mut self) {
        let choices = picker::choices(&self.data.links);
        let now = match self.data.interfaces() {
            [one] => Choice::Named(one.interface.clone()),
            _ => Choice::All,
        };
        let cursor = choices.iter().position(|c| *c == now).unwrap_or(0);
        self.screen.overlay = Overlay::Picker(Picker { cursor });
    }
}
