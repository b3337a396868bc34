//! The cells of the opens pane that have numbers and graphs.

use super::conns_cells;
use super::glyphs::graph;
use super::look::outcome;
use super::num;
use super::opens_data::{Ctx, is_below};
use super::related::POLLED_MARK;
use super::text::Line;
use crate::app::opens::Row;
use crate::model::call_times::CallTimes;
use crate::model::conn::Carried;
use crate::model::field::opens::Traffic;
use crate::model::file_io::IoTally;
use crate::model::history::per_second;
use crate::model::io_history::Counting;
use crate::model::opens::Latency;

pub(super) fn rate(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (value, heat) = match row {
        Row::Dir(i) => (c.dir(i).map(|d| d.rate), true),
        Row::FailureGroup(i) => (c.fail(i).map(|f| f.rate), false),
        Row::Failure(s) => (c.failure(s).map(|f| c.app.opens().rate_of(&f.meter)), false),
        _ => (c.tally(row).map(|(_, rate)| rate), !is_below(row)),
    };
    let Some(value) = value else { return };
    let theme = c.look.theme;
    let style = match value {
        v if v <= 0.0 => theme.quiet,
        _ if heat => theme.heat(value, c.all),
        _ => theme.text,
    };
    let width = line.room();
    line.put_right(&num::rate(value, width), style);
}

pub(super) fn failed(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let share = match row {
        Row::Dir(i) => c.dir(i).map(|d| d.failed as f64 / d.opens.max(1) as f64),
        _ => c.tally(row).map(|(t, _)| t.failed_share()),
    };
    match share {
        None => {}
        Some(share) if share > 0.0 => {
            line.put_right(&num::share(share), c.look.theme.bad);
        }
        Some(_) => c.number(line, c.look.glyphs.none, true),
    }
}

pub(super) fn total(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let n = match row {
        Row::Dir(i) => c.dir(i).map(|d| d.opens),
        Row::FailureGroup(i) => c.fail(i).map(|f| f.count),
        Row::Failure(s) => c.failure(s).map(|f| f.count),
        _ => c.tally(row).map(|(t, _)| t.opens),
    };
    let Some(n) = n else { return };
    let width = line.room();
    let quiet = is_below(row);
    c.number(line, &num::count(n, width), quiet);
}

pub(super) fn latency(c: &Ctx<'_>, row: Row) -> Option<Latency> {
    match row {
        Row::Dir(i) => c.dir(i).map(|d| d.latency),
        _ => c.tally(row).map(|(t, _)| t.latency),
    }
}

pub(super) fn mean(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let ns = match row {
        Row::Live(n) => c.live(n).and_then(|l| l.latency_ns),
        _ => latency(c, row).and_then(|l| l.mean_ns()),
    };
    if let Some(ns) = ns {
        c.number(line, &num::latency(ns, c.look.glyphs.micro), is_below(row));
    }
}

pub(super) fn slowest(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(latency) = latency(c, row).filter(|l| l.timed > 0) {
        c.number(line, &num::latency(latency.max_ns, c.look.glyphs.micro), true);
    }
}

pub(super) fn age(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let last = match row {
        Row::Dir(i) => c.dir(i).map(|d| d.last),
        Row::FailureGroup(i) => c.fail(i).map(|f| f.last),
        Row::Failure(s) => c.failure(s).map(|f| f.last),
        Row::Change(n) => c.change(n).map(|event| event.at),
        Row::Live(n) => c.live(n).map(|l| l.at),
        _ => c.tally(row).filter(|(t, _)| t.opens > 0).map(|(t, _)| t.last),
    };
    if let Some(last) = last {
        c.number(line, &num::age(c.app.shown_at().since(last)), true);
    }
}

/// Traffic of the processes of a row, as far as it is known; the outer `None`: not a row of processes.
fn traffic(c: &Ctx<'_>, row: Row) -> Option<Option<Traffic>> {
    let owners = c.app.owners()?;
    Some(match row {
        Row::Program(at) | Row::ProgramUnderUnit(at) => c.program(at).and_then(|p| p.traffic),
        Row::Unit(at) => c.unit(at).and_then(|u| u.traffic),
        Row::Process(slot) | Row::ProcessUnderProgram(slot) => {
            c.process(slot).and_then(|p| owners.process(p.key)).map(Traffic::of)
        }
        _ => return None,
    })
}

/// The longest round-trip time of the living connections.
pub(super) fn worst_rtt(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(traffic) = traffic(c, row) {
        let us = traffic.and_then(|traffic| traffic.worst.srtt_us);
        conns_cells::rtt(c.look, us, c.look.theme.text, line);
    }
}

/// The most segments that one of the living connections sent again.
pub(super) fn worst_retransmits(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(traffic) = traffic(c, row) {
        let n = traffic.and_then(|traffic| traffic.worst.retransmits);
        conns_cells::retransmits(c.look, n, true, line);
    }
}

/// Traffic of a process in the last interval, as a share of all.
pub(super) fn carried(c: &Ctx<'_>, row: Row, line: &mut Line<'_>, what: fn(Carried) -> u64) {
    let Some(owners) = c.app.owners() else { return };
    let Some(traffic) = traffic(c, row) else { return };
    let theme = c.look.theme;
    let net = traffic.filter(|_| c.app.data.connections_state.problem().is_none());
    let Some(net) = net else {
        line.put_right(c.look.glyphs.none, theme.quiet);
        return;
    };
    if owners.polled() {
        line.put_right(c.look.glyphs.none, theme.quiet).put_right(POLLED_MARK, theme.note);
        return;
    }
    let bps = |bytes: u64| per_second(bytes.saturating_mul(8), owners.interval_ns);
    let (own, all) = (bps(what(net.delta)), bps(what(owners.delta)));
    let style = if own > 0.0 { theme.heat(own, all) } else { theme.quiet };
    line.put_right(&num::traffic(own, c.app.screen.units), style);
}

/// Received traffic of a process; in rows of files below it the error of a failed open, since the
/// place is free there, and on narrow screens it is the only one.
pub(super) fn rx(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(ret) = c.failed_file(row) {
        return outcome(c.look, ret, line);
    }
    carried(c, row, line, |carried| carried.rx_bytes);
}

pub(super) fn tx(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    carried(c, row, line, |carried| carried.tx_bytes);
}

/// Bytes and calls read and written.
fn file_io<'a>(c: &'a Ctx<'_>, row: Row) -> Option<&'a IoTally> {
    match row {
        Row::Dir(i) => c.dir(i).map(|d| &d.io),
        _ => c.tally(row).map(|(tally, _)| &tally.io),
    }
}

/// The durations of these calls.
fn times<'a>(c: &'a Ctx<'_>, row: Row) -> Option<&'a CallTimes> {
    file_io(c, row).and_then(|io| io.times.as_deref())
}

fn percentile(c: &Ctx<'_>, row: Row, line: &mut Line<'_>, percent: u64) {
    let glyphs = c.look.glyphs;
    if let Some(ns) = times(c, row).and_then(|times| times.percentile_ns(percent)) {
        let text = format!("{}{}", glyphs.at_most, num::latency(ns, glyphs.micro).trim_start());
        c.number(line, &text, is_below(row));
    }
}

pub(super) fn io_p50(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    percentile(c, row, line, 50);
}

pub(super) fn io_p99(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    percentile(c, row, line, 99);
}

pub(super) fn io_max(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(times) = times(c, row) {
        c.number(line, &num::latency(times.max_ns, c.look.glyphs.micro), is_below(row));
    }
}

pub(super) fn slow_calls(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(times) = times(c, row) {
        let width = line.room();
        c.number(line, &num::count(times.slow, width), times.slow == 0);
    }
}

/// Bytes per second in the last interval, as a share of all.
fn bytes(c: &Ctx<'_>, row: Row, line: &mut Line<'_>, of: fn((f64, f64)) -> f64) {
    let (opens, io) = (c.app.opens(), &c.app.opens_pane.io);
    let Some(own) = file_io(c, row) else { return };
    let theme = c.look.theme;
    if own.is_none() {
        line.put_right(c.look.glyphs.none, theme.quiet);
        return;
    }
    let (own, all) = (of(io.rates(own)), of(io.rates(&opens.total().io)));
    let style = if own > 0.0 { theme.heat(own, all) } else { theme.quiet };
    line.put_right(&num::scaled(own, c.app.screen.units.binary), style);
}

pub(super) fn read(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    bytes(c, row, line, |(read, _)| read);
}

pub(super) fn written(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    bytes(c, row, line, |(_, written)| written);
}

/// The number of a process's peers.
pub(super) fn peers(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let Row::Process(slot) = row else { return };
    let (Some(p), Some(owners)) = (c.process(slot), c.app.owners()) else { return };
    match owners.process(p.key) {
        Some(net) => {
            let width = line.room();
            c.number(line, &num::count(net.peers.into(), width), net.peers == 0);
            if owners.polled() {
                line.put_right(POLLED_MARK, c.look.theme.note);
            }
        }
        None => c.number(line, c.look.glyphs.none, true),
    }
}

/// A process's last minute; under it, each file's last result and when that was.
pub(super) fn past(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::FileUnderProcess(_) | Row::FileUnderProgram(_) = row {
        if let (Some((tally, _)), Some(ret)) = (c.tally(row), c.last_ret(row)) {
            let width = line.room();
            line.put_right(&num::age(c.app.shown_at().since(tally.last)), c.look.theme.quiet);
            line.skip_right(if width > 11 { 2 } else { 1 });
            let table = c.app.opens_pane.table().name();
            let shown = c.app.opens_pane.net && !c.app.columns.contains_key(table);
            if !shown || c.failed_file(row).is_none() {
                outcome(c.look, ret, line);
            }
        }
        return;
    }
    let width = line.room();
    let (now, n) = (c.app.shown_at(), c.look.glyphs.values_in(width));
    let (values, is_quiet): (Vec<u64>, bool) = match row {
        Row::Program(at) | Row::ProgramUnderUnit(at) => match c.program(at) {
            Some(p) => {
                (p.past(Counting::Opens, c.app.opens(), now, n), p.living == 0 && !p.is_busy())
            }
            None => return,
        },
        Row::Unit(at) => match c.unit(at) {
            Some(unit) => {
                let past =
                    unit.past(Counting::Opens, &c.app.opens_pane.programs, c.app.opens(), now, n);
                (past, unit.living == 0 && !unit.is_busy())
            }
            None => return,
        },
        Row::Process(slot) | Row::ProcessUnderProgram(slot) => match c.process(slot) {
            // Files have no history.
            Some(_) if c.app.opens_pane.parts.contains_key(&slot) => return,
            Some(p) => (p.history.last(now, n).collect(), p.ended.is_some()),
            None => return,
        },
        _ => return,
    };
    let own = values.iter().copied().max().unwrap_or(0);
    if own == 0 {
        return;
    }
    // Against its own peak, but what is small beside the busiest one looks small.
    let most = own.max(c.most / 8).max(4);
    let rows = graph(c.look.glyphs, &values, most, width, 1);
    let style = match is_quiet {
        true => c.look.theme.quiet,
        false => c.look.theme.heat(own as f64, c.most as f64),
    };
    line.put(rows.first().map_or("", String::as_str), style);
}
