//! The rows related to a detail view: the processes behind an address with their files, the peers of
//! a process or of a file's processes, the descriptors of a process, a timeline.

use std::borrow::Cow;
use std::net::IpAddr;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::address;
use super::columns::chosen;
use super::look::Look;
use super::num;
use super::table::Table;
use super::text::{Line, cells, cut};
use super::timeline_cells;
use crate::app::App;
use crate::app::opens::Detail;
use crate::app::related::{Related, RelatedRow};
use crate::model::conn::{Carried, TCP, UDP};
use crate::model::connections::{Connections, Pair, Service, Side};
use crate::model::coverage::Attribution;
use crate::model::field::related::{Fixed, RelatedField, RelatedTable};
use crate::model::opens::{FileUse, Process};
use crate::model::process::ProcessKey;
use crate::model::services::service;
use crate::model::time::Mono;
use crate::model::timeline::TimelineEntry;

/// The tables that cells read.
pub struct Ctx<'a> {
    app: &'a App,
    look: &'a Look,
    related: &'a Related,
}

/// Marks values found by polling /proc.
pub const POLLED_MARK: &str = "~";

fn cell(c: &Ctx<'_>, field: RelatedField, entry: RelatedRow, line: &mut Line<'_>) {
    let draw: fn(&Ctx<'_>, RelatedRow, &mut Line<'_>) = match field {
        RelatedField::Rate => rate,
        RelatedField::Total => total,
        RelatedField::State => state,
        RelatedField::Pid => pid,
        RelatedField::Process => name,
        RelatedField::Peer => peer,
        RelatedField::Ports => ports,
        RelatedField::Live => live,
        RelatedField::Rx => rx,
        RelatedField::Tx => tx,
        RelatedField::Time => time,
        RelatedField::Event => activity,
        RelatedField::Age => age,
    };
    draw(c, entry, line);
}

/// Draws the rows into `area`, their header above it.
pub fn draw(
    app: &App,
    look: &Look,
    related: &Related,
    area: Rect,
    focused: bool,
    buf: &mut Buffer,
) {
    if area.y == 0 {
        return;
    }
    let talker = std::ptr::eq(related, &app.talkers_pane.related);
    let table = match app.opens_pane.detail() {
        Some(Detail::Program(_)) if !talker => RelatedTable::ProcessesOfProgram,
        Some(Detail::Process(_)) if !talker => RelatedTable::PeersOfProcess,
        Some(Detail::Path(_)) if !talker => RelatedTable::PeersOfFile,
        Some(detail) if detail.is_timeline() && !talker => RelatedTable::Timeline,
        _ => RelatedTable::ProcessesOfAddress,
    };
    let columns = chosen(table.columns(), app.columns.get(table.name()));
    let table = Table { look, columns: &columns, sort: Fixed, reverse: false, focused };
    let header = Rect { y: area.y - 1, height: 1, ..area };
    match related.rows.first() {
        // These have no columns.
        Some(RelatedRow::Descriptor(_)) => {
            Line::new(buf, header).skip(1).put("DESCRIPTOR", look.theme.heading);
        }
        _ => table.header(header, buf),
    }
    if related.rows.is_empty() {
        let timeline = app.opens_pane.detail().is_some_and(Detail::is_timeline) && !talker;
        let nothing = match uncalled(app).filter(|_| talker) {
            _ if timeline => "no known activity".into(),
            None => "no known processes".into(),
            Some(0) => "no process called: kernel, forwarded or unread".into(),
            Some(n) => format!("no known processes; {} calls named no address", num::grouped(n)),
        };
        Line::new(buf, area).skip(1).put(&nothing, look.theme.quiet);
        return;
    }
    let len = related.rows.len();
    let first = related.list.first(len, usize::from(area.height));
    let ctx = Ctx { app, look, related };
    for (row, y) in related.rows.iter().skip(first).zip(area.y..area.bottom()) {
        across(&ctx, *row, Rect { y, height: 1, ..area }, buf);
    }
    table.rows(area, (first, len, related.list.cursor), buf, |column, row, line| {
        if let Some(row) = related.rows.get(row) {
            cell(&ctx, column.field, *row, line);
        }
    });
}

/// Where bytes are counted at calls, each process that called for traffic with an address is known, but for this
/// many calls that named none: of raw sockets, as those of ping, or without a place for the address.
pub fn uncalled(app: &App) -> Option<u64> {
    let owners = app.owners().filter(|owners| owners.attribution == Attribution::Call)?;
    Some(owners.limits.unknown_peers)
}

impl<'a> Ctx<'a> {
    fn pair(&self, entry: RelatedRow) -> Option<&'a Pair> {
        match entry {
            RelatedRow::Pair(key, peer) => self.app.owners()?.between(key, peer),
            _ => None,
        }
    }

    fn member(&self, entry: RelatedRow) -> Option<&'a Process> {
        match entry {
            RelatedRow::Member(slot) => self.app.opens().processes().get(slot),
            _ => None,
        }
    }

    fn file(&self, entry: RelatedRow) -> Option<&'a FileUse> {
        match entry {
            RelatedRow::File(slot) => self.app.opens().files().get(slot),
            _ => None,
        }
    }

    /// The mark of rows found by polling.
    fn mark(&self) -> &'static str {
        if self.app.owners().is_some_and(Connections::polled) { POLLED_MARK } else { "" }
    }

    fn carried(&self, entry: RelatedRow) -> Option<Carried> {
        match entry {
            RelatedRow::Pair(..) => self.pair(entry).map(|p| p.total),
            RelatedRow::Unattributed(_, carried) => Some(carried),
            RelatedRow::Member(_)
            | RelatedRow::File(_)
            | RelatedRow::Descriptor(_)
            | RelatedRow::TimelineEntry(_)
            | RelatedRow::Unheld(_) => None,
        }
    }

    fn number(&self, line: &mut Line<'_>, n: u64) {
        let width = line.room();
        let style = if n == 0 { self.look.theme.quiet } else { self.look.theme.text };
        line.put_right(&num::count(n, width), style);
    }
}

/// The name of a process.
pub fn name_of(app: &App, key: ProcessKey) -> Option<&[u8]> {
    let opens = app.opens();
    let process = opens.find(key).and_then(|slot| opens.processes().get(slot));
    match process {
        Some(process) => Some(process.name.as_bytes()),
        None => app.owners()?.process(key).map(|net| net.owner.comm.as_bytes()),
    }
}

fn pid(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    if let RelatedRow::Pair(key, _) = entry {
        line.put_right(&key.tgid.to_string(), c.look.theme.text);
    }
    if let Some(p) = c.member(entry) {
        let theme = c.look.theme;
        let style = if p.ended.is_some() { theme.quiet } else { theme.strong };
        line.put_right(&p.key.tgid.to_string(), style);
    }
}

fn rate(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    let Some(p) = c.member(entry) else { return };
    let (theme, value) = (c.look.theme, c.app.opens().rate_of(&p.meter));
    let style = if value > 0.0 { theme.heat(value, c.app.opens().rate()) } else { theme.quiet };
    let width = line.room();
    line.put_right(&num::rate(value, width), style);
}

fn total(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    if let Some(p) = c.member(entry) {
        c.number(line, p.tally.opens);
    }
}

fn state(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    let Some(p) = c.member(entry) else { return };
    match p.ended {
        Some(at) => {
            let age = num::age(c.app.shown_at().since(at));
            line.put(&format!("ended {age} ago"), c.look.theme.quiet);
        }
        None => {
            line.put("lives", c.look.theme.text);
        }
    }
}

fn name(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    // Rows that are no process are written over the empty columns.
    if let RelatedRow::Pair(key, _) = entry {
        let name = name_of(c.app, key).unwrap_or_default();
        line.put(c.mark(), c.look.theme.note);
        line.put_bytes(name, c.look.glyphs.cut, c.look.theme.strong);
    }
}

/// Rows without values for most columns: written from the left over the empty ones.
fn across(c: &Ctx<'_>, entry: RelatedRow, row: Rect, buf: &mut Buffer) {
    let theme = c.look.theme;
    let numbers = row.width.min(16);
    let mut line = Line::new(buf, row);
    match entry {
        RelatedRow::Member(_) | RelatedRow::Pair(..) | RelatedRow::TimelineEntry(_) => {}
        RelatedRow::Descriptor(n) => {
            if let Some(open) = c.related.descriptors.get(n) {
                line.skip(1).put(&format!("fd {:<4} ", open.fd), theme.quiet);
                line.put_path(&open.target, c.look.glyphs.cut, theme.text);
            }
        }
        RelatedRow::Unheld(n) => {
            let sockets = if n == 1 { "socket" } else { "sockets" };
            let text = format!("unattributed: {n} {sockets}, not in /proc");
            line.skip_right(numbers).skip(1).put(&text, theme.note);
        }
        RelatedRow::File(_) => {
            if let Some(path) = c.file(entry).and_then(|f| c.app.opens().paths().get(f.path)) {
                line.skip_right(7).skip(10).put_path(&path.bytes, c.look.glyphs.cut, theme.quiet);
            }
        }
        RelatedRow::Unattributed(reason, _) => {
            let text = format!("unattributed: {}", reason.text());
            line.skip_right(numbers).skip(1).put(&text, theme.note);
        }
    }
}

fn peer(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    let RelatedRow::Pair(key, peer) = entry else { return };
    let ip = peer.ip;
    let theme = c.look.theme;
    line.put(c.mark(), theme.note);
    let style: Style = if is_watched(c.app, ip) { theme.strong } else { theme.text };
    let text = ip.to_string();
    let room = line.room();
    line.put(&cut(&text, room, c.look.glyphs.cut), style);
    let name = address::asked(c.app, key, ip).or_else(|| address::name(c.app, ip));
    if let Some(name) = name.filter(|_| line.room() > 8) {
        let room = line.skip(1).room();
        line.put(&cut(&name, room, c.look.glyphs.cut), theme.quiet);
    }
}

/// Whether an address is among the talkers.
fn is_watched(app: &App, ip: IpAddr) -> bool {
    app.talker_of(ip).is_some()
}

/// A service: `tcp 443 https there`. The name and the end are left out where there is no room.
fn said(of: Service, named: bool, placed: bool) -> String {
    let protocol = match of.protocol {
        TCP => Cow::Borrowed("tcp"),
        UDP => Cow::Borrowed("udp"),
        other => Cow::Owned(other.to_string()),
    };
    let name = u8::try_from(of.protocol).ok().filter(|_| named);
    let name = name.and_then(|protocol| service(protocol, of.port));
    let name = name.map_or(String::new(), |name| format!(" {name}"));
    let at = match of.side {
        _ if !placed => "",
        Side::Ours => " here",
        Side::Theirs => " there",
        Side::Unknown => "",
    };
    format!("{protocol} {}{name}{at}", of.port)
}

fn ports(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    let Some(pair) = c.pair(entry) else { return };
    let more = if pair.more_services { format!(", {}", c.look.glyphs.cut) } else { String::new() };
    let all = |named, placed| {
        let services = pair.services.iter().map(|s| said(*s, named, placed));
        services.collect::<Vec<_>>().join(", ") + &more
    };
    let room = line.room();
    let ways = [(true, true), (true, false), (false, true)];
    let text = ways.into_iter().map(|(named, placed)| all(named, placed));
    let text = text.into_iter().find(|t| cells(t) <= room).unwrap_or_else(|| all(false, false));
    line.put(&cut(&text, room, c.look.glyphs.cut), c.look.theme.quiet);
}

fn live(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    if let RelatedRow::Pair(key, _) = entry {
        c.number(line, c.related.live.get(&key).copied().unwrap_or(0).into());
    }
}

fn rx(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    bytes(c, entry, line, |carried| carried.rx_bytes);
}

fn tx(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    bytes(c, entry, line, |carried| carried.tx_bytes);
}

fn bytes(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>, of: fn(Carried) -> u64) {
    let Some(carried) = c.carried(entry) else { return };
    if c.mark().is_empty() {
        c.number(line, of(carried));
    } else {
        line.put_right(c.look.glyphs.none, c.look.theme.quiet);
    }
}

fn age(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    let last: Option<Mono> =
        c.pair(entry).map(|p| p.last).or_else(|| c.file(entry).map(|f| f.tally.last));
    if let Some(last) = last {
        line.put_right(&num::age(c.app.shown_at().since(last)), c.look.theme.quiet);
    }
}

fn moment<'a>(c: &Ctx<'a>, entry: RelatedRow) -> Option<&'a TimelineEntry> {
    match entry {
        RelatedRow::TimelineEntry(n) => c.related.timeline.get(n),
        _ => None,
    }
}

fn time(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    if let Some(moment) = moment(c, entry) {
        timeline_cells::time(c.app, c.look, moment, line);
    }
}

fn activity(c: &Ctx<'_>, entry: RelatedRow, line: &mut Line<'_>) {
    if let Some(moment) = moment(c, entry) {
        timeline_cells::activity(c.app, c.look, moment, line);
    }
}
