//! Windows over the panes: help, the interface picker, a question.

pub mod help;
pub mod picker;

use crate::keys::{Action, Mode};
use crate::model::link::{Choice, XdpMode};
use help::Help;
use picker::Picker;

/// The window that lies over the panes.
#[derive(Clone, Debug, Default)]
pub enum Overlay {
    #[default]
    None,
    Help(Help),
    Picker(Picker),
    /// Asks before this mode is taken, which may reset the link.
    Confirm(XdpMode),
}

/// The answer of an overlay that an action closed.
pub(super) enum Chosen {
    Interface(Choice),
    Mode(XdpMode),
}

impl Overlay {
    /// The mode of its keys; `None` without an overlay.
    pub(super) fn mode(&self) -> Option<Mode> {
        match self {
            Overlay::None => None,
            Overlay::Help(Help { typing: true, .. }) => Some(Mode::HelpSearch),
            Overlay::Help(_) => Some(Mode::Help),
            Overlay::Picker(_) => Some(Mode::Picker),
            Overlay::Confirm(_) => Some(Mode::Confirm),
        }
    }

    /// Does what a key asks for; `page` is the number of lines that a page scrolls by.
    pub(super) fn act(
        &mut self,
        action: Action,
        choices: &[Choice],
        page: usize,
    ) -> Option<Chosen> {
        let (open, chosen) = match self {
            Overlay::None => return None,
            Overlay::Help(help) => (help.act(action, page), None),
            Overlay::Picker(_) if action == Action::Accept => {
                let Overlay::Picker(picker) = self else { return None };
                (false, choices.get(picker.cursor).cloned().map(Chosen::Interface))
            }
            Overlay::Picker(picker) => (picker.act(action, choices.len(), page), None),
            Overlay::Confirm(mode) => {
                (false, (action == Action::Accept).then_some(Chosen::Mode(*mode)))
            }
        };
        if !open {
            *self = Overlay::None;
        }
        chosen
    }
}
