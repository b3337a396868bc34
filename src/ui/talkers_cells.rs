//! The cells of the talkers pane.

use super::address;
use super::glyphs::graph;
use super::num;
use super::related::{POLLED_MARK, name_of};
use super::talkers_data::Ctx;
use super::text::{Line, cut};
use crate::app::talkers::TalkerRow;
use crate::model::escape::escape;
use crate::model::field::talkers::TalkersField;
use crate::model::talkers::Direction;

/// Draws a cell of a row.
pub fn draw(c: &Ctx<'_>, field: TalkersField, row: TalkerRow, line: &mut Line<'_>) {
    let draw: fn(&Ctx<'_>, TalkerRow, &mut Line<'_>) = match field {
        TalkersField::Process => process,
        TalkersField::Address => address::cell,
        TalkersField::Origin => address::origin,
        TalkersField::Interface => interface,
        TalkersField::Rx => rx,
        TalkersField::Tx => tx,
        TalkersField::Bits => bits,
        TalkersField::Packets => packets,
        TalkersField::Share => share,
        TalkersField::Total => total,
        TalkersField::Past => past,
    };
    draw(c, row, line);
}

fn interface(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    if let TalkerRow::Talker(slot) = row
        && let Some(port) = c.talker(slot).and_then(|t| c.app.wire().ports().get(t.port))
    {
        line.put(&escape(port.name.as_bytes()), c.look.theme.quiet);
    }
}

fn way(c: &Ctx<'_>, row: TalkerRow, direction: Direction, line: &mut Line<'_>) {
    let rate = c.rate(row, direction);
    let style = match rate.bps {
        v if v <= 0.0 => c.look.theme.quiet,
        v => c.look.theme.heat(v, c.all.bps),
    };
    line.put_right(&num::traffic(rate.bps, c.app.screen.units), style);
}

fn rx(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    way(c, row, Direction::Rx, line);
}

fn tx(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    way(c, row, Direction::Tx, line);
}

fn bits(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    if let [direction] = c.ways.directions() {
        way(c, row, *direction, line);
    }
}

fn packets(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    let pps = c.rates(row).pps;
    let width = line.room();
    c.number(line, &num::count(pps.round() as u64, width), pps <= 0.0);
}

fn share(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    let of_one = if c.all.bps > 0.0 { c.rates(row).bps / c.all.bps } else { 0.0 };
    let text = num::share(of_one);
    if text.is_empty() {
        line.put_right(c.look.glyphs.none, c.look.theme.quiet);
    } else {
        line.put_right(&text, c.look.theme.text);
    }
}

fn total(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    let bytes = c.total(row).bytes;
    c.number(line, &num::scaled(bytes as f64, c.app.screen.units.binary), bytes == 0);
}

fn past(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    let TalkerRow::Talker(slot) = row else { return };
    let Some(talker) = c.talker(slot) else { return };
    let width = line.room();
    let mut values = vec![0u64; c.look.glyphs.values_in(width).min(59)];
    for direction in c.ways.directions() {
        let last = talker.history(*direction).last(c.app.shown_at(), values.len());
        for (sum, v) in values.iter_mut().zip(last) {
            *sum = sum.saturating_add(v);
        }
    }
    let own = values.iter().copied().max().unwrap_or(0);
    if own == 0 {
        return;
    }
    let rows = graph(c.look.glyphs, &values, own.max(c.most / 8), width, 1);
    let style = c.look.theme.heat(own as f64, c.most as f64);
    line.put(rows.first().map_or("", String::as_str), style);
}

/// The process behind an address with the most traffic, and how many more there are.
fn process(c: &Ctx<'_>, row: TalkerRow, line: &mut Line<'_>) {
    let TalkerRow::Talker(slot) = row else { return };
    let (Some(talker), Some(connections)) = (c.talker(slot), c.app.owners()) else { return };
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    let Some(behind) = c.app.talkers_pane.behind.get(&talker.ip) else {
        let unknown = match connections.polled() {
            true => glyphs.none,
            // The kernel itself sends and answers most of it: IGMP, MLD, neighbour discovery.
            false if talker.ip.is_multicast() => "multicast",
            false => "unattributed",
        };
        let room = line.room();
        line.put(&cut(unknown, room, glyphs.cut), theme.quiet);
        return;
    };
    if behind.more > 0 {
        line.put_right(&format!("+{}", behind.more), theme.quiet).skip_right(1);
    }
    if connections.polled() {
        line.put(POLLED_MARK, theme.note);
    }
    let name = name_of(c.app, behind.key).unwrap_or_default();
    let style = if c.rates(row).pps > 0.0 { theme.text } else { theme.quiet };
    line.put_bytes(name, glyphs.cut, style);
}
