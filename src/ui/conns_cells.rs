//! The cells of the table of connections.

use ratatui::style::Style;

use super::look::Look;
use super::num;
use super::related::POLLED_MARK;
use super::text::{Line, cells, cut, middle};
use crate::app::App;
use crate::app::opens::label_of;
use crate::model::conn::protocol_name;
use crate::model::escape::escape;
use crate::model::field::conn_groups::Grouping;
use crate::model::field::conns::{ConnRowData, ConnsField};
use crate::model::hostnames::Named;
use crate::model::opens::Place;

/// Draws a cell of a row; those of ended connections are dimmed.
pub fn draw(app: &App, look: &Look, field: ConnsField, row: &ConnRowData<'_>, line: &mut Line<'_>) {
    let (theme, glyphs) = (look.theme, look.glyphs);
    let conn = row.conn;
    let text = if row.closed.is_some() { theme.quiet } else { theme.text };
    match field {
        ConnsField::Pid => {
            if let Some(owner) = conn.owner() {
                line.put_right(&owner.key.tgid.to_string(), text);
            }
        }
        ConnsField::Process => {
            if app.owners().is_some_and(|owners| owners.polled()) {
                line.put(POLLED_MARK, theme.note);
            }
            if row.process.is_empty() {
                line.put("unattributed", theme.quiet);
            } else {
                line.put_bytes(row.process, glyphs.cut, text);
            }
        }
        ConnsField::Unit => {
            if let Some(unit) = unit(app, row) {
                line.put_path(&unit, glyphs.cut, theme.quiet);
            }
        }
        ConnsField::Protocol => {
            line.put(&protocol_name(conn.protocol), theme.quiet);
        }
        ConnsField::Local => {
            let room = line.room();
            line.put(&middle(&conn.local.to_string(), room, glyphs.cut), text);
        }
        ConnsField::Peer => {
            let room = line.room();
            if conn.remote.port() == 0 {
                line.put(glyphs.none, theme.quiet);
                return;
            }
            let known = row.closed.is_none() && app.talker_of(conn.remote.ip()).is_some();
            let style = if known { theme.strong } else { text };
            line.put(&middle(&conn.remote.to_string(), room, glyphs.cut), style);
        }
        ConnsField::Name => {
            if let Some(named) = row.name {
                name(look, named, "", text, line);
            }
        }
        ConnsField::State => {
            let (state, style) = state(row, look);
            line.put(state, style);
        }
        ConnsField::Rx => rate(app, look, row.rates(), 0, line),
        ConnsField::Tx => rate(app, look, row.rates(), 1, line),
        ConnsField::Received => {
            bytes(app, look, row.closed.is_some(), row.carried.map(|c| c.rx_bytes), line);
        }
        ConnsField::Sent => {
            bytes(app, look, row.closed.is_some(), row.carried.map(|c| c.tx_bytes), line);
        }
        ConnsField::Rtt => rtt(look, conn.quality.srtt_us, text, line),
        ConnsField::Retransmits => {
            retransmits(look, conn.quality.retransmits, row.closed.is_none(), line);
        }
        ConnsField::Group => {
            line.skip(2);
            let room = line.room();
            let by_peer = app.talkers_pane.conns.grouping == Grouping::Peer;
            match (by_peer, conn.owner()) {
                (true, Some(owner)) => {
                    line.put_bytes(row.process, glyphs.cut, text);
                    line.put(&format!(" {}", owner.key.tgid), theme.quiet);
                    line.put(&format!(" :{}", conn.local.port()), theme.quiet);
                }
                (true, None) => {
                    line.put("unattributed", theme.quiet);
                    line.put(&format!(" :{}", conn.local.port()), theme.quiet);
                }
                (false, _) => {
                    let end = if conn.remote.port() == 0 { conn.local } else { conn.remote };
                    line.put(&middle(&end.to_string(), room, glyphs.cut), text);
                }
            }
        }
        ConnsField::Open | ConnsField::New | ConnsField::Failed => {}
        ConnsField::Age => {
            let age = row.age_ns().map_or(glyphs.none.to_owned(), num::age);
            line.put_right(&age, text);
        }
    }
}

/// The name of the peer with the port, in place of its address.
pub fn named_peer(look: &Look, row: &ConnRowData<'_>, named: Named<'_>, line: &mut Line<'_>) {
    let style = if row.closed.is_some() { look.theme.quiet } else { look.theme.text };
    name(look, named, &format!(":{}", row.conn.remote.port()), style, line);
}

/// The end here, beside a peer in a table without a column for it: the port that a peer connected to, or the
/// address of a socket without a peer; where it fits.
pub fn local_end(look: &Look, row: &ConnRowData<'_>, line: &mut Line<'_>) {
    let local = row.conn.local;
    let text = match row.conn.remote.port() {
        0 => format!(" {local}"),
        _ if row.conn.passive => format!(" :{}", local.port()),
        _ => return,
    };
    if cells(&text) <= line.room() {
        line.put(&text, look.theme.quiet);
    }
}

/// A name that a process asked for, `after` it, how many others there are, and its source.
fn name(look: &Look, named: Named<'_>, after: &str, style: Style, line: &mut Line<'_>) {
    let others = match named.others {
        0 => String::new(),
        n => format!(" +{n}"),
    };
    let source = format!(" {}", named.source.name());
    let room = line.room().saturating_sub(after.len() + others.len() + source.len());
    let name = escape(named.name);
    line.put(&cut(&name, room, look.glyphs.cut), style).put(after, style);
    line.put(&others, look.theme.note).put(&source, look.theme.quiet);
}

/// The state, or why it failed.
pub fn state(row: &ConnRowData<'_>, look: &Look) -> (&'static str, Style) {
    let theme = look.theme;
    match row.closed {
        Some(closed) => match closed.failure() {
            Some(why) => (why.text(), theme.bad),
            None => ("closed", theme.quiet),
        },
        None => match row.state() {
            Some(state) => (state.name(), theme.text),
            None => (look.glyphs.none, theme.quiet),
        },
    }
}

/// The process with its id and its service or container.
pub fn who(app: &App, row: &ConnRowData<'_>) -> String {
    let Some(owner) = row.conn.owner() else { return "unattributed".to_owned() };
    let unit = unit(app, row).map(|unit| format!(" in {}", escape(&unit))).unwrap_or_default();
    let (name, pid) = (escape(row.process), owner.key.tgid);
    format!("{name} {pid}, uid {}, {} it{unit}", owner.uid, owner.from.name())
}

/// The name of its process's service or container.
fn unit(app: &App, row: &ConnRowData<'_>) -> Option<Vec<u8>> {
    let opens = app.opens();
    let process = opens.processes().get(opens.find(row.conn.owner()?.key)?)?;
    let cgroups = &app.data.cgroups;
    let cgroup = process.cgroup_id.and_then(|id| cgroups.get(id))?;
    let place = Place::of(process.cgroup_id, cgroups);
    Some(label_of(&place, cgroup.names.as_deref()).into_owned())
}

/// Bits per second of one direction.
pub(super) fn rate(
    app: &App,
    look: &Look,
    rates: Option<[f64; 2]>,
    way: usize,
    line: &mut Line<'_>,
) {
    let theme = look.theme;
    match rates.and_then(|rates| rates.get(way).copied()) {
        Some(bps) => {
            let style = if bps > 0.0 { theme.text } else { theme.quiet };
            line.put_right(&num::traffic(bps, app.screen.units), style)
        }
        None => line.put_right(look.glyphs.none, theme.quiet),
    };
}

/// A round-trip time.
pub(super) fn rtt(look: &Look, us: Option<u32>, style: Style, line: &mut Line<'_>) {
    match us {
        Some(us) => line.put_right(&num::latency(u64::from(us) * 1_000, look.glyphs.micro), style),
        None => line.put_right(look.glyphs.none, look.theme.quiet),
    };
}

/// Segments that were sent again.
pub(super) fn retransmits(look: &Look, n: Option<u32>, is_open: bool, line: &mut Line<'_>) {
    let (theme, width) = (look.theme, line.room());
    let style = if n > Some(0) && is_open { theme.strong } else { theme.quiet };
    let text = n.map_or(look.glyphs.none.to_owned(), |n| num::count(n.into(), width));
    line.put_right(&text, style);
}

/// Bytes so far.
pub(super) fn bytes(app: &App, look: &Look, ended: bool, n: Option<u64>, line: &mut Line<'_>) {
    let theme = look.theme;
    match n {
        Some(n) => {
            let idle = n == 0 || ended;
            let style = if idle { theme.quiet } else { theme.text };
            line.put_right(&num::scaled(n as f64, app.screen.units.binary), style)
        }
        None => line.put_right(look.glyphs.none, theme.quiet),
    };
}
