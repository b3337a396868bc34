//! What each action does.

use super::help::Help;
use super::opens_pane::{Detail, FailGroup, OpensView, Row};
use super::picker;
use super::related::{Related, RelatedRow};
use super::talkers_pane::{TalkerRow, TalkersPane, TalkersSort};
use super::{App, Effect, Notice, Overlay, Pane};
use crate::keys::{Action, Mode};
use crate::model::event::TalkersCommand;
use crate::model::link::{Choice, Link, XdpMode};
use crate::model::slab::Slot;
use crate::settings::saved_view::{FILES_SHOWN, MAX_LEVELS, SPLIT};

impl App {
    /// Does what a key asks for.
    pub(super) fn act(&mut self, mode: Mode, action: Action) -> Vec<Effect> {
        if action == Action::Quit {
            return vec![Effect::Quit];
        }
        let mut effects = match mode {
            Mode::Main => self.act_main(action),
            Mode::Filter => self.act_filter(action),
            Mode::Picker => self.act_picker(action),
            Mode::Help | Mode::HelpSearch => self.act_help(action),
            Mode::Confirm => self.act_confirm(action),
        };
        effects.push(Effect::Redraw);
        effects
    }

    fn act_main(&mut self, action: Action) -> Vec<Effect> {
        if let Some(effects) = self.act_on_replay(action) {
            return effects;
        }
        use Action::{NextInterface, Picker, PreviousInterface, XdpMode};
        if matches!(action, NextInterface | Picker | PreviousInterface | XdpMode)
            && let Some(problem) = self.data.watching.problem()
        {
            // Nobody is there to take it.
            self.say(&format!("the talkers do not run: {problem}"));
            return Vec::new();
        }
        if matches!(action, NextInterface | Picker | PreviousInterface | XdpMode) && self.locked {
            self.say("--lock: what is watched stays as it is; start without to change it");
            return Vec::new();
        }
        match action {
            Action::Help => self.screen.overlay = Overlay::Help(Help::default()),
            Action::Filter => self.filter.edit(),
            Action::Picker => self.open_picker(),
            Action::NextInterface => return self.neighbour(1),
            Action::PreviousInterface => return self.neighbour(-1),
            Action::NextPane | Action::PreviousPane => self.focus(match self.screen.focus {
                Pane::Opens => Pane::Talkers,
                Pane::Talkers => Pane::Opens,
            }),
            Action::OpensPane => self.focus(Pane::Opens),
            Action::TalkersPane => self.focus(Pane::Talkers),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.step(-self.page()),
            Action::PageDown => self.step(self.page()),
            Action::Top => self.step(isize::MIN / 2),
            Action::Bottom => self.step(isize::MAX / 2),
            Action::Into => self.open_row(),
            Action::Out => self.close_detail(),
            Action::Unfold => self.fold(true),
            Action::Fold => self.fold(false),
            Action::NextSort => self.next_sort(),
            Action::TurnRound => self.turn_round(),
            Action::NextView => self.next_view(),
            Action::Timeline => self.open_timeline(),
            Action::Fewer => self.levels(false),
            Action::More => self.levels(true),
            Action::FailedOnly => {
                self.opens_pane.turn_failed_only();
                self.rebuild_opens();
            }
            Action::Direction => self.next_direction(),
            Action::Pause => self.pause(),
            Action::Mark => {
                self.screen.mark = Some(self.clock);
                let new_only = self.keys.first(Action::NewOnly);
                self.say(&format!("marked: {new_only} shows what is new since now"));
            }
            Action::NewOnly => self.new_only(),
            Action::Follow => self.follow(),
            Action::Copy => return self.copy(),
            Action::Expand => {
                self.screen.expanded = !self.screen.expanded;
            }
            Action::SplitLeft => self.move_split(-5),
            Action::SplitRight => self.move_split(5),
            Action::Names => self.turn_names(),
            Action::XdpMode => return self.next_mode(),
            Action::Theme => self.next_theme(),
            Action::Units => self.next_units(),
            Action::Save => return self.save(),
            Action::Record => return self.record(),
            Action::Restart => {
                self.data.restart();
                // What was counted before is not gone back to.
                self.past.iter_mut().for_each(|past| past.clear());
                self.screen.frozen = None;
                self.opens_pane.crumbs.clear();
                self.talkers_pane.inside = None;
                self.talkers_pane.trail.clear();
                self.opens_pane.in_ties = false;
                self.screen.mark = None;
                self.screen.new_only = false;
                self.rebuild();
                self.say("the counts start again");
            }
            Action::Back | Action::Forth | Action::LeapBack | Action::LeapForth => {
                return self.step_in_time(action);
            }
            Action::Slower | Action::Faster => self.say("speed is for a replay"),
            Action::Quit | Action::Accept | Action::Cancel => {}
        }
        Vec::new()
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
        self.talkers_pane.inside = None;
        self.talkers_pane.trail.clear();
        self.talkers_pane.list = Default::default();
        vec![Effect::Talkers(TalkersCommand::Watch(choice))]
    }

    fn next_mode(&mut self) -> Vec<Effect> {
        let mode = picker::next_mode(self.mode);
        let watched = self.data.interfaces();
        let link = |w: &crate::model::event::Watched| {
            self.data.links.iter().find(|l| l.ifindex == w.ifindex)
        };
        let links: Vec<Option<&Link>> = watched.iter().map(link).collect();
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
        isize::try_from(self.room(self.screen.focus).rows.saturating_sub(1)).unwrap_or(1).max(1)
    }

    fn step(&mut self, by: isize) {
        self.wheel(self.screen.focus, by);
    }

    /// Moves the cursor of a pane.
    pub(super) fn wheel(&mut self, pane: Pane, by: isize) {
        let last = self.opens_pane.list.cursor + 1 >= self.opens_pane.rows.len();
        let in_ties = match pane {
            Pane::Talkers => self.talkers_pane.inside.is_some(),
            Pane::Opens => {
                let related = &self.opens_pane.related;
                let above = related.list.cursor == 0 && !self.opens_pane.rows.is_empty();
                match self.opens_pane.in_ties {
                    true if by == -1 && above => {
                        self.opens_pane.in_ties = false;
                        return;
                    }
                    false if by == 1 && last && !related.rows.is_empty() => {
                        self.opens_pane.in_ties = true;
                        return;
                    }
                    in_ties => in_ties,
                }
            }
        };
        if in_ties {
            let room = self.room(pane).related;
            let related = match pane {
                Pane::Opens => &mut self.opens_pane.related,
                Pane::Talkers => &mut self.talkers_pane.related,
            };
            related.list.step(by, related.rows.len());
            related.list.scroll(related.rows.len(), room);
            return;
        }
        let room = self.room(pane).rows;
        let (list, len) = match pane {
            Pane::Opens => (&mut self.opens_pane.list, self.opens_pane.rows.len()),
            Pane::Talkers => (&mut self.talkers_pane.list, self.talkers_pane.rows.len()),
        };
        list.step(by, len);
        list.scroll(len, room);
    }

    pub(super) fn open_row(&mut self) {
        if self.screen.focus == Pane::Talkers {
            if self.talkers_pane.inside.is_some() {
                self.open_related();
            } else if let Some(TalkerRow::Talker(slot)) = self.talkers_pane.selected() {
                self.open_talker(slot, None);
            }
            return;
        }
        if self.opens_pane.in_ties {
            return self.open_related();
        }
        let Some(row) = self.opens_pane.selected() else { return };
        if let Some(inside) = self.what_is_in(row) {
            self.open_detail(inside, None);
        }
    }

    fn what_is_in(&self, row: Row) -> Option<Detail> {
        let opens = self.opens();
        let path_of = |s: Slot| opens.files().get(s).map(|f| Detail::Path(f.path));
        match row {
            Row::Process(s) => Some(Detail::Process(s)),
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) => path_of(s),
            Row::Path(s) => Some(Detail::Path(s)),
            Row::ProcessOfFile(s) => opens.files().get(s).map(|f| Detail::Process(f.process)),
            Row::Dir(i) => self.opens_pane.dirs.get(i).map(|d| Detail::Directory(d.path.clone())),
            Row::FailureGroup(i) => {
                let (depth, fail) = (self.opens_pane.depth, self.opens_pane.fails.get(i)?);
                let (name, errno, dir) = (fail.name, fail.errno, fail.dir.clone());
                Some(Detail::Failures(FailGroup { name, errno, dir, depth }))
            }
            Row::Failure(s) => opens.failures().get(s).map(|f| Detail::Process(f.process)),
            Row::Live(n) => opens.live_at(n).map(|l| Detail::Process(l.process)),
        }
    }

    fn close_detail(&mut self) {
        if self.screen.focus == Pane::Talkers
            && let Some(slot) = self.talkers_pane.inside
        {
            return self.out_of_talker(slot);
        }
        if self.screen.focus == Pane::Opens
            && let Some(crumb) = self.opens_pane.crumbs.pop()
        {
            let pane = &mut self.opens_pane;
            pane.list = crumb.outside;
            pane.related.list = crumb.related;
            pane.in_ties = crumb.in_ties;
            if crumb.via.is_some() {
                self.screen.focus = Pane::Talkers;
            }
        } else if self.filter.is_active() {
            self.filter.clear();
        } else {
            self.screen.expanded = false;
        }
        self.rebuild();
    }

    fn fold(&mut self, show: bool) {
        if self.screen.focus == Pane::Opens && !self.opens_pane.related.rows.is_empty() {
            // Its files and its peers stand beside each other.
            self.opens_pane.in_ties = show;
            return self.rebuild_opens();
        }
        let process = match self.opens_pane.selected() {
            Some(Row::Process(s)) => s,
            Some(Row::FileUnderProcess(s)) => match self.opens().files().get(s) {
                Some(file) => file.process,
                None => return,
            },
            _ => return,
        };
        self.opens_pane.folds.insert(process, show);
        self.rebuild_opens();
        let at = self.opens_pane.rows.iter().position(|r| *r == Row::Process(process));
        if let (Some(at), false) = (at, show) {
            let len = self.opens_pane.rows.len();
            self.opens_pane.list.jump(at, len);
        }
    }

    fn next_sort(&mut self) {
        match self.screen.focus {
            Pane::Opens => self.opens_pane.next_sort(),
            Pane::Talkers => {
                let ways = self.talkers_pane.ways(self.wire());
                self.talkers_pane.next_sort(ways);
            }
        }
        self.rebuild();
    }

    fn turn_round(&mut self) {
        match self.screen.focus {
            Pane::Opens => self.opens_pane.reverse = !self.opens_pane.reverse,
            Pane::Talkers => self.talkers_pane.reverse = !self.talkers_pane.reverse,
        }
        self.rebuild();
    }

    fn next_view(&mut self) {
        self.screen.focus = Pane::Opens;
        self.opens_pane.crumbs.clear();
        self.opens_pane.in_ties = false;
        self.opens_pane.view = self.opens_pane.view.next();
        self.opens_pane.list = Default::default();
        self.rebuild();
    }

    fn levels(&mut self, more: bool) {
        let pane = &mut self.opens_pane;
        if pane.view == OpensView::Processes && pane.inside().is_none() {
            let shown = pane.under.unwrap_or(3);
            let steps: Vec<usize> = FILES_SHOWN.iter().filter_map(|(_, n)| *n).collect();
            let at = steps.iter().position(|n| *n >= shown).unwrap_or(0);
            let to = if more { at + 1 } else { at.saturating_sub(1) };
            pane.under = steps.get(to).or(steps.last()).copied();
            pane.folds.clear();
        } else if more {
            pane.depth = (pane.depth + 1).min(usize::from(MAX_LEVELS));
        } else {
            pane.depth = pane.depth.saturating_sub(1).max(1);
        }
        self.rebuild_opens();
    }

    fn next_direction(&mut self) {
        let next = self.talkers_pane.ways(self.wire()).next();
        self.talkers_pane.chosen = Some(next);
        if !TalkersSort::offered(next).contains(&self.talkers_pane.sort) {
            self.talkers_pane.sort = Default::default();
        }
        self.rebuild_talkers();
    }

    fn new_only(&mut self) {
        if self.screen.mark.is_none() {
            self.screen.mark = Some(self.clock);
        }
        self.screen.new_only = !self.screen.new_only;
        self.rebuild();
    }

    fn follow(&mut self) {
        let (list, id) = match self.screen.focus {
            Pane::Opens => {
                let id = self.opens_pane.selected().map(|r| self.opens_pane.id(r));
                (&mut self.opens_pane.list, id)
            }
            Pane::Talkers => {
                let id = self.talkers_pane.selected().map(TalkersPane::id);
                (&mut self.talkers_pane.list, id)
            }
        };
        list.follow = if list.follow.is_some() { None } else { id };
        let said = if list.follow.is_some() { "following this row" } else { "following nothing" };
        self.say(said);
    }

    fn copy(&mut self) -> Vec<Effect> {
        let Some(bytes) = self.selected_bytes() else { return Vec::new() };
        // Escaped: a name with a line break in it must not press Enter where it is pasted.
        let text = crate::model::escape::escape(&bytes).into_owned();
        self.say(&format!("copied {text}"));
        vec![Effect::Copy(text)]
    }

    /// What `y` copies: a path, a pid or an address.
    fn selected_bytes(&self) -> Option<Vec<u8>> {
        let related = match self.screen.focus {
            Pane::Talkers if self.talkers_pane.inside.is_some() => Some(&self.talkers_pane.related),
            Pane::Opens if self.opens_pane.in_ties => Some(&self.opens_pane.related),
            _ => None,
        };
        let peers = matches!(
            self.opens_pane.inside(),
            Some(Detail::Process(_) | Detail::Path(_)) if self.screen.focus == Pane::Opens
        );
        match related.and_then(Related::selected) {
            Some(RelatedRow::Pair(_, ip)) if peers => return Some(ip.to_string().into_bytes()),
            Some(RelatedRow::Pair(key, _)) => return Some(key.tgid.to_string().into_bytes()),
            Some(RelatedRow::File(slot)) => {
                let path = self.opens().files().get(slot)?.path;
                return self.opens().paths().get(path).map(|p| p.label().into_owned());
            }
            _ => {}
        }
        if self.screen.focus == Pane::Talkers {
            let selected = match self.talkers_pane.selected() {
                Some(TalkerRow::Talker(slot)) => Some(slot),
                _ => None,
            };
            let talker = self.wire().talkers().get(self.talkers_pane.inside.or(selected)?)?;
            return Some(talker.ip.to_string().into_bytes());
        }
        let opens = self.opens();
        let path = |s: Slot| opens.paths().get(s).map(|p| p.label().into_owned());
        let pid = |s: Slot| opens.processes().get(s).map(|p| p.key.tgid.to_string().into_bytes());
        match self.opens_pane.selected()? {
            Row::Process(s) => pid(s),
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) => path(opens.files().get(s)?.path),
            Row::Path(s) => path(s),
            Row::ProcessOfFile(s) => pid(opens.files().get(s)?.process),
            Row::Dir(i) => self.opens_pane.dirs.get(i).map(|d| d.path.to_vec()),
            Row::FailureGroup(i) => match self.opens_pane.fails.get(i)? {
                one if one.files == 1 => path(one.path),
                many => Some(many.dir.to_vec()),
            },
            Row::Failure(s) => path(opens.failures().get(s)?.path),
            Row::Live(n) => path(opens.live_at(n)?.path?),
        }
    }

    fn move_split(&mut self, by: i16) {
        self.screen.split = self.screen.split.saturating_add_signed(by).clamp(SPLIT.0, SPLIT.1);
    }

    pub(super) fn say(&mut self, text: &str) {
        let text = text.to_owned();
        self.screen.notice = Some(Notice { text, at: self.clock, quiet: false });
    }
}
