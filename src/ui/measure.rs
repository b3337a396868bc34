//! Measures the screen: the places of everything, and the lines that the app's lists have there.

use ratatui::layout::Rect;

use super::layout::{Parts, layout_of};
use super::look::Look;
use super::{detail, help, opens, picker, related, talkers};
use crate::app::opens::Detail;
use crate::app::talkers::TalkersView;
use crate::app::{App, Measured, Overlay, Pane, PaneRoom};

/// From this width on a process's files and its peers are side by side.
const SIDE: u16 = 96;

/// From this height on they are one above the other; below, one at a time.
const STACKED: u16 = 8;

/// From this height on the details of an address have lines to spare.
const ROOMY: u16 = 20;

/// Measures a screen of size `area`, for [`App::fit`].
pub fn measure(app: &App, look: &Look, area: Rect) -> Measured {
    let at = layout_of(app, area);
    let room = |parts: Parts| PaneRoom {
        rows: parts.rows.height.into(),
        related: parts.related.map_or(0, |area| area.height.into()),
    };
    let (overlay_page, help_last) = match &app.screen.overlay {
        Overlay::Help(page) => help::measure(app, look, page, area),
        Overlay::Picker(_) => (picker::rows(app, area), 0),
        Overlay::None | Overlay::Confirm(_) => (0, 0),
    };
    Measured {
        opens: at.inside(Pane::Opens).map(|inside| room(opens_parts(app, look, inside))),
        talkers: at.inside(Pane::Talkers).map(|inside| room(talkers_parts(app, look, inside))),
        overlay_page,
        help_last,
    }
}

/// The parts of a pane whose inside is `inside`.
pub fn parts(app: &App, look: &Look, pane: Pane, inside: Rect) -> Parts {
    match pane {
        Pane::Opens => opens_parts(app, look, inside),
        Pane::Talkers => talkers_parts(app, look, inside),
    }
}

fn opens_parts(app: &App, look: &Look, inside: Rect) -> Parts {
    let mut rest = below(inside, opens::warning_lines(app));
    let height = detail::height(app, look, inside);
    let detail = Rect { height, ..rest }.intersection(inside);
    rest = below(rest, height);
    let (rows, related) = share_opens(app, below(rest, 1));
    Parts { detail, rows, related }
}

fn talkers_parts(app: &App, look: &Look, inside: Rect) -> Parts {
    let warnings = match app.talkers_pane.view {
        TalkersView::Addresses => {
            u16::try_from(talkers::warnings(app, look).len()).unwrap_or(u16::MAX)
        }
        // The line of counts.
        TalkersView::Connections | TalkersView::Listeners => 1,
    };
    let detail = Rect { height: 0, ..inside };
    let rows = below(inside, warnings.saturating_add(1));
    let mut related = app.talkers_pane.related.rows.len();
    // Why there is none has a line where that takes none from the address.
    if related == 0 && rows.height >= ROOMY && related::uncalled(app).is_some() {
        related = 1;
    }
    if app.talkers_pane.inside.is_none() || related == 0 {
        return Parts { detail, rows, related: None };
    }
    // The processes come before the ports, but leave those some lines.
    let most = rows.height.saturating_sub(3).min((rows.height / 2).max(2));
    let height = u16::try_from(related + 1).unwrap_or(most).min(most);
    let above = Rect { height: rows.height - height, ..rows };
    let y = above.bottom() + u16::from(height > 0);
    let related = Rect { y, height: height.saturating_sub(1), ..rows };
    Parts { detail, rows: above, related: Some(related) }
}

/// Divides `rows` between the opens pane's rows and the related ones: side by side, one above the
/// other, or the focused list alone.
fn share_opens(app: &App, rows: Rect) -> (Rect, Option<Rect>) {
    let pane = &app.opens_pane;
    let none = Rect { height: 0, ..rows };
    match pane.detail() {
        Some(detail) if detail.is_alone() => (none, Some(rows)),
        Some(Detail::Program(_) | Detail::Process(_) | Detail::Path(_))
            if !pane.related.rows.is_empty() =>
        {
            if rows.width >= SIDE {
                let width = rows.width * 11 / 20;
                let x = rows.x + width + 1;
                let beside = Rect { x, width: rows.width - width - 1, ..rows };
                (Rect { width, ..rows }, Some(beside))
            } else if rows.height >= STACKED {
                let wanted = u16::try_from(pane.related.rows.len() + 1).unwrap_or(rows.height);
                let height = wanted.min(rows.height * 2 / 5);
                let above = Rect { height: rows.height - height, ..rows };
                let y = above.bottom() + 1;
                (above, Some(Rect { y, height: height - 1, ..rows }))
            } else if pane.in_related {
                (none, Some(rows))
            } else {
                (rows, None)
            }
        }
        _ => (rows, None),
    }
}

/// `area` without its first `lines`.
fn below(area: Rect, lines: u16) -> Rect {
    let lines = lines.min(area.height);
    Rect { y: area.y + lines, height: area.height - lines, ..area }
}
