//! An address as a cell of the talkers' table and as a line of its detail: with its mark
//! and its name.

use std::net::IpAddr;

use ratatui::style::Style;

use super::talkers_data::Ctx;
use super::text::{Line, cells, middle};
use crate::app::App;
use crate::app::talkers::TalkerRow;
use crate::model::escape::escape;
use crate::model::marks::Mark;
use crate::model::names::{Answer, Known};
use crate::model::process::ProcessKey;

/// Minimum room for a name beside its address; with less it takes the address's place.
const NAME: usize = 8;

/// Writes the cell.
pub fn cell(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    let theme = c.look.theme;
    let TalkerRow::Talker(slot) = row else {
        line.put("other", theme.quiet);
        if line.room() > 20 {
            line.put(" (not IP, evicted)", theme.quiet);
        }
        return;
    };
    let Some(talker) = c.talker(slot) else { return };
    if c.app.screen.mark.is_some_and(|mark| talker.first > mark) {
        line.put_right("new", theme.fresh).skip_right(1);
    }
    let busy = c.rates(row).pps > 0.0;
    let style = if busy { theme.text } else { theme.quiet };
    let lit = c.app.is_lit_address(talker.ip);
    if lit {
        line.reach_left(0).put(c.look.glyphs.lit, theme.key);
    }
    let sign = c.look.glyphs.cut;
    let address = talker.ip.to_string();
    let style = match c.app.data.marks.get(talker.ip) {
        Some(mark) => {
            // The word must not cut an address that fits; the shade stays.
            let fits = cells(&address) + 1 + cells(mark.word()) <= line.room();
            if fits || cells(&address) > line.room() {
                line.put_right(mark.word(), shade(c, mark)).skip_right(1);
            }
            if busy && mark != Mark::Private { shade(c, mark) } else { style }
        }
        None => style,
    };
    let style = if lit { theme.key } else { style };
    let room = line.room();
    let behind = c.app.talkers_pane.behind.get(&talker.ip);
    let asked = behind.and_then(|behind| asked(c.app, behind.key, talker.ip));
    let Some(name) = asked.or_else(|| name(c.app, talker.ip)) else {
        line.put(&middle(&address, room, sign), style);
        return;
    };
    let beside = room.saturating_sub(cells(&address) + 1);
    if beside >= NAME.min(cells(&name)) {
        line.put(&address, theme.quiet).skip(1).put(&middle(&name, beside, sign), style);
    } else {
        line.put(&middle(&name, room, sign), style);
    }
}

/// Writes the country and network of an address.
pub fn origin(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    if let TalkerRow::Talker(slot) = row
        && let Some(talker) = c.talker(slot)
    {
        let origin = c.app.origins.get(talker.ip).to_string();
        line.put_bytes(origin.as_bytes(), c.look.glyphs.cut, c.look.theme.quiet);
    }
}

fn shade(c: &Ctx<'_>, mark: Mark) -> Style {
    match mark {
        Mark::Own => c.look.theme.strong,
        Mark::Gateway => c.look.theme.key,
        Mark::Private => c.look.theme.quiet,
    }
}

/// The escaped name that a process asked for last with this address, and its source.
pub(super) fn asked(app: &App, process: ProcessKey, ip: IpAddr) -> Option<String> {
    let named = app.owners()?.hostnames.latest(process, ip)?;
    Some(format!("{} {}", escape(named.name), named.source.name()))
}

/// The escaped name of an address, while names are shown.
pub(super) fn name(app: &App, ip: IpAddr) -> Option<String> {
    let name = app.data.names.name(ip).filter(|_| app.talkers_pane.names)?;
    Some(escape(name.as_bytes()).into_owned())
}

/// Words about an address: its relation to this machine, its origin, and its name unless names are
/// off.
pub fn words(app: &App, ip: IpAddr) -> Vec<String> {
    let meaning = app.data.marks.get(ip).map(|mark| match mark {
        Mark::Own => "self",
        Mark::Gateway => "gateway",
        Mark::Private => "private",
    });
    let name = app.talkers_pane.names.then(|| match app.data.names.get(ip) {
        Known::Unasked | Known::Asking => "(resolving)".into(),
        Known::Answered(Answer::Name(name)) => escape(name.as_bytes()).into_owned(),
        Known::Answered(Answer::Nameless) => "(no name)".into(),
        Known::Answered(Answer::Silence) => "(no answer)".into(),
    });
    let origin = app.origins.get(ip).to_string();
    let origin = (!origin.is_empty()).then(|| escape(origin.as_bytes()).into_owned());
    meaning.map(str::to_owned).into_iter().chain(origin).chain(name).collect()
}
