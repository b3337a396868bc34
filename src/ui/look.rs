//! Colours and signs of the screen, and the style of losses and results.

use ratatui::style::Style;

use super::glyphs::{self, Glyphs};
use super::text::Line;
use super::theme::Theme;
use crate::app::App;
use crate::model::errno::errno_name;
use crate::model::opens::NO_FD;
use crate::settings::ScreenSettings;

/// Colours and signs of the screen.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub theme: &'static Theme,
    pub glyphs: &'static Glyphs,
    colour: bool,
}

impl Look {
    /// The colours and signs that the settings ask for.
    pub fn new(settings: &ScreenSettings) -> Self {
        Self {
            theme: Theme::named(settings.view.theme, settings.colour),
            glyphs: if settings.ascii { &glyphs::ASCII } else { &glyphs::UNICODE },
            colour: settings.colour,
        }
    }

    /// These signs with the theme of that name.
    pub fn themed(self, name: &str) -> Self {
        Self { theme: Theme::named(name, self.colour), ..self }
    }
}

/// The style of `lost N`: quiet while it is 0.
pub(super) fn loss_style(app: &App, theme: &Theme) -> Style {
    if app.opens().lost() > 0 { theme.bad } else { theme.quiet }
}

/// The result of an open: the errno's name, or the descriptor.
pub(super) fn outcome(look: &Look, ret: i32, line: &mut Line<'_>) {
    if ret < 0 {
        line.put(&errno_name(ret.saturating_neg()), look.theme.bad);
    } else if ret == NO_FD {
        line.put("slot", look.theme.quiet);
    } else {
        line.put(&format!("fd {ret}"), look.theme.quiet);
    }
}
