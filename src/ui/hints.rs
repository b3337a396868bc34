//! The keys that the footer names: those of the part of the screen that keys act on, then those that work
//! everywhere.

use crate::app::opens::{Detail, OpensView};
use crate::app::talkers::TalkersView;
use crate::app::{App, Pane};
use crate::keymap::Row;
use crate::keys::{Action, Mode};

/// The ways to learn more and to leave stay longest on a narrow screen.
const FIRST: [Action; 2] = [Action::Help, Action::Quit];

/// The first two keys of the pane come before those of time.
const IN_FRONT: usize = 2;

/// Keys that work in both panes.
const EVERYWHERE: [Action; 9] = [
    Action::NextView,
    Action::Filter,
    Action::Connections,
    Action::NextSort,
    Action::FailedOnly,
    Action::Picker,
    Action::Pause,
    Action::Expand,
    Action::Mark,
];

/// The keys of the panes to name, the most important first, each once.
pub(super) fn of_panes(app: &App) -> Vec<&Row> {
    // There the key leads back to the addresses.
    let are_shown = app.talkers_pane.view == TalkersView::Connections;
    let elsewhere = EVERYWHERE.iter().filter(|a| !are_shown || **a != Action::Connections);
    let (first, rest) = of_pane(app).split_at(IN_FRONT.min(of_pane(app).len()));
    rows(app, FIRST.iter().chain(first).chain(of_time(app)).chain(rest).chain(elsewhere))
}

/// The keys that belong to the screen as it is: its view, its details, a pause.
pub(super) fn here(app: &App) -> Vec<&Row> {
    rows(app, of_time(app).iter().chain(of_pane(app)))
}

fn rows(app: &App, wanted: impl Iterator<Item = &'static Action>) -> Vec<&Row> {
    let mut actions: Vec<Action> = Vec::new();
    for action in wanted {
        if !actions.contains(action) {
            actions.push(*action);
        }
    }
    let row = |action| app.keys.of(Mode::Main).find(|row| row.action == action);
    actions.into_iter().filter_map(row).filter(|row| !row.keys.is_empty()).collect()
}

/// Keys of a screen that does not show the present, or has a mark.
fn of_time(app: &App) -> &'static [Action] {
    match () {
        () if app.replay.is_some() => {
            &[Action::Pause, Action::Back, Action::Forward, Action::Slower, Action::Faster]
        }
        () if app.paused() => &[Action::Pause, Action::Back, Action::Forward],
        () if app.screen.mark.is_some() => &[Action::NewOnly],
        () => &[],
    }
}

/// Keys of the focused pane.
fn of_pane(app: &App) -> &'static [Action] {
    use Action as A;
    match app.screen.focus {
        Pane::Opens => match (app.opens_pane.detail(), app.opens_pane.view) {
            (Some(Detail::Process(_)), _) => {
                &[A::CloseDetails, A::OpenDetails, A::Timeline, A::Copy]
            }
            (Some(_), _) => &[A::CloseDetails, A::OpenDetails, A::Copy],
            (None, OpensView::Programs | OpensView::Units) => {
                &[A::OpenDetails, A::NextView, A::Unfold]
            }
            (None, OpensView::Processes) => &[A::OpenDetails, A::NextView, A::Unfold, A::Timeline],
            (None, OpensView::Directories) => {
                &[A::OpenDetails, A::NextView, A::FewerLevels, A::MoreLevels]
            }
            (None, OpensView::Failures) => &[A::OpenDetails, A::NextView, A::AllFailures],
            (None, OpensView::Files | OpensView::Changes | OpensView::Live) => {
                &[A::OpenDetails, A::NextView]
            }
        },
        Pane::Talkers => match app.talkers_pane.view {
            TalkersView::Addresses if app.talkers_pane.inside.is_some() => {
                &[A::CloseDetails, A::OpenDetails, A::Copy]
            }
            TalkersView::Addresses => {
                &[A::OpenDetails, A::NextView, A::Connections, A::Direction, A::Names]
            }
            TalkersView::Connections if app.talkers_pane.conns.inside.is_some() => {
                &[A::CloseDetails, A::OpenDetails, A::Copy]
            }
            TalkersView::Connections => {
                &[A::OpenDetails, A::NextView, A::GroupConnections, A::Hostnames]
            }
            TalkersView::Listeners => &[A::OpenDetails, A::NextView],
        },
    }
}
