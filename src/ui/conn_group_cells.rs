//! The cells of groups of connections.

use super::conns_cells::{bytes, rate, retransmits, rtt};
use super::look::Look;
use super::num;
use super::related::POLLED_MARK;
use super::text::{Line, middle};
use crate::app::App;
use crate::app::opens::label_of;
use crate::model::field::conn_groups::{ConnGroup, ConnGroupKey};
use crate::model::field::conns::ConnsField;

/// Draws a cell of a group.
pub fn draw(app: &App, look: &Look, field: ConnsField, group: &ConnGroup, line: &mut Line<'_>) {
    let theme = look.theme;
    let width = line.room();
    let ended = group.open == 0;
    let text = if ended { theme.quiet } else { theme.text };
    match field {
        ConnsField::Group => name(app, look, group, line),
        ConnsField::Unit => {
            if let ConnGroupKey::Program(key) = &group.key {
                line.put_path(&label_of(&key.place, None), look.glyphs.cut, theme.quiet);
            }
        }
        ConnsField::Open => {
            line.put_right(&num::count(group.open, width), text);
        }
        ConnsField::New => {
            let style = if group.begun > 0 { theme.text } else { theme.quiet };
            line.put_right(&num::rate(group.new_per_second(), width), style);
        }
        ConnsField::Failed => {
            let style = if group.failed > Some(0) { theme.bad } else { theme.quiet };
            let n = group.failed.map_or(look.glyphs.none.to_owned(), |n| num::count(n, width));
            line.put_right(&n, style);
        }
        ConnsField::Rx => rate(app, look, group.rates(), 0, line),
        ConnsField::Tx => rate(app, look, group.rates(), 1, line),
        ConnsField::Received => {
            bytes(app, look, ended, group.carried.map(|c| c.rx_bytes), line);
        }
        ConnsField::Sent => bytes(app, look, ended, group.carried.map(|c| c.tx_bytes), line),
        ConnsField::Rtt => rtt(look, group.worst.srtt_us, text, line),
        ConnsField::Retransmits => retransmits(look, group.worst.retransmits, !ended, line),
        ConnsField::Process
        | ConnsField::Pid
        | ConnsField::Protocol
        | ConnsField::Local
        | ConnsField::Peer
        | ConnsField::Name
        | ConnsField::State
        | ConnsField::Age => {}
    }
}

fn name(app: &App, look: &Look, group: &ConnGroup, line: &mut Line<'_>) {
    let (theme, glyphs) = (look.theme, look.glyphs);
    let is_unfolded = app.talkers_pane.conns.unfolded.contains(&group.key);
    line.put(if is_unfolded { glyphs.open } else { glyphs.closed }, theme.quiet).skip(1);
    let style = if group.open > 0 { theme.strong } else { theme.quiet };
    match &group.key {
        ConnGroupKey::Program(key) => {
            if app.owners().is_some_and(|owners| owners.polled()) {
                line.put(POLLED_MARK, theme.note);
            }
            line.put_bytes(key.name.as_bytes(), glyphs.cut, style);
        }
        ConnGroupKey::Peer(peer) => {
            let room = line.room();
            line.put(&middle(&peer.ip.to_string(), room, glyphs.cut), style);
        }
        ConnGroupKey::Unattributed => {
            line.put("unattributed", theme.quiet);
        }
        ConnGroupKey::NoPeer => {
            line.put("no peer of its own", theme.quiet);
        }
    }
}
