//! The cells of the opens pane's rows.

use super::opens_data::Ctx;
use super::text::{Line, middle};
use super::{address, change_cells, count_cells, file_cells, num, program_cells, unit_cells};
use crate::app::opens::{BUSY_SECONDS, Row, TopPeer, is_active};
use crate::model::field::opens::OpensField;
use crate::model::slab::Slot;

/// Draws a cell of a row.
pub fn draw(c: &Ctx<'_>, field: OpensField, row: Row, line: &mut Line<'_>) {
    let draw: fn(&Ctx<'_>, Row, &mut Line<'_>) = match field {
        OpensField::Parent => file_cells::parent,
        OpensField::FailedPath => file_cells::failed_path,
        OpensField::Program => program_cells::program,
        OpensField::Unit => program_cells::unit,
        OpensField::UnitOfRow => unit_cells::unit,
        OpensField::TopFile => program_cells::top_file,
        OpensField::Pid => pid,
        OpensField::Process => name_or_file,
        OpensField::Thread => thread,
        OpensField::Rate | OpensField::FailRate => count_cells::rate,
        OpensField::Failed => count_cells::failed,
        OpensField::Total | OpensField::Times => count_cells::total,
        OpensField::Mean | OpensField::Took => count_cells::mean,
        OpensField::Max => count_cells::slowest,
        OpensField::Rx => count_cells::rx,
        OpensField::Tx => count_cells::tx,
        OpensField::Peers => count_cells::peers,
        OpensField::WorstRtt => count_cells::worst_rtt,
        OpensField::WorstRetransmits => count_cells::worst_retransmits,
        OpensField::TopPeer => top_peer,
        OpensField::Read => count_cells::read,
        OpensField::Written => count_cells::written,
        OpensField::IoP50 => count_cells::io_p50,
        OpensField::IoP99 => count_cells::io_p99,
        OpensField::IoMax => count_cells::io_max,
        OpensField::SlowCalls => count_cells::slow_calls,
        OpensField::Past => count_cells::past,
        OpensField::File => file_cells::file,
        OpensField::Files => file_cells::files,
        OpensField::Directory => file_cells::dir,
        OpensField::Users => file_cells::users,
        OpensField::Result => file_cells::result,
        OpensField::Error => file_cells::error,
        OpensField::FoundLater => file_cells::found,
        OpensField::Op => change_cells::op,
        OpensField::Changed => change_cells::path,
        OpensField::Age => count_cells::age,
    };
    draw(c, row, line);
}

fn pid(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::Change(_) = row {
        return change_cells::pid(c, row, line);
    }
    if let Row::FailureGroup(i) = row
        && let Some(f) = c.fail(i).filter(|f| f.processes > 1)
    {
        let many = format!("{}{}", c.look.glyphs.times, num::count(f.processes as u64, 5));
        line.put_right(&many, c.look.theme.quiet);
        return;
    }
    let process = c.process_of(row);
    // That of a live open may have been evicted since the row was made.
    let is_evicted = process.map_or(matches!(row, Row::Live(_)), |p| p.is_stand_in());
    if is_evicted {
        line.put_right("evicted", c.look.theme.quiet);
    } else if let Some(p) = process {
        let style = if p.ended.is_some() { c.look.theme.quiet } else { c.look.theme.text };
        line.put_right(&p.key.tgid.to_string(), style);
    }
}

fn name_or_file(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    match row {
        Row::FileUnderProcess(_) => {
            // The column for the pid is empty here.
            line.reach_left(4);
            return file_cells::file(c, row, line);
        }
        Row::Common(_) => {
            line.reach_left(4);
            return file_cells::common_files(c, row, line);
        }
        _ => {}
    }
    if let Row::FailureGroup(i) = row {
        if let Some(f) = c.fail(i) {
            line.put_bytes(f.name.as_bytes(), glyphs.cut, theme.text);
        }
        return;
    }
    if let Row::Live(n) = row
        && c.process_of(row).is_none_or(|p| p.is_stand_in())
    {
        // The process was evicted since: its thread's name is in the row.
        if let Some(l) = c.live(n) {
            line.put_bytes(l.comm.as_bytes(), glyphs.cut, theme.quiet);
        }
        return;
    }
    let Some(p) = c.process_of(row) else { return };
    if c.app.is_lit_process(p.key) {
        // Over the gap between the columns, so that nothing moves.
        line.reach_left(7).put(glyphs.lit, theme.key);
    }
    if c.is_new(&p.tally) {
        line.put_right("new", theme.fresh).skip_right(1);
    }
    if let Some(at) = p.ended {
        let whole = format!("ended {}", num::age(c.app.shown_at().since(at)));
        let room = line.room().saturating_sub(p.name.as_bytes().len() + 2);
        let word = if room >= whole.len() { &whole } else { "ended" };
        line.put_right(word, theme.quiet).skip_right(1);
        line.put_bytes(p.name.as_bytes(), glyphs.cut, theme.quiet);
        return;
    }
    let traffic = c.app.owners().and_then(|owners| owners.process(p.key));
    let rate = c.app.opens().rate_of(&p.meter);
    let style = match is_active(rate, traffic.map(|net| net.delta)) {
        true => theme.strong,
        false if p.history.recent(c.app.shown_at(), BUSY_SECONDS) > 0 => theme.text,
        false => theme.quiet,
    };
    line.put_bytes(p.name.as_bytes(), glyphs.cut, style);
    if let Row::Process(_) = row {
        let files = p.files.len() as u64 + p.files_evicted;
        let text = format!("{} file{}", num::grouped(files), if files == 1 { "" } else { "s" });
        line.skip(2).put_right(&text, theme.quiet).skip_right(2);
    }
    if !p.threads.is_empty() && line.room() > 8 {
        for thread in &p.threads {
            line.put_bytes(thread.as_bytes(), glyphs.cut, theme.quiet).skip(1);
        }
    }
}

/// The peer of the row's processes that exchanges the most.
fn top_peer(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let top = |slot: Slot| c.app.opens_pane.top_peers.get(&c.process(slot)?.key).copied();
    let peer = match row {
        Row::Process(slot) | Row::ProcessUnderProgram(slot) => top(slot),
        Row::Program(at) | Row::ProgramUnderUnit(at) => {
            let program = c.program(at).filter(|p| p.traffic.is_some());
            let members = program.map_or(&[][..], |p| &p.group.members);
            members.iter().filter_map(|slot| top(*slot)).reduce(TopPeer::max)
        }
        _ => return,
    };
    let theme = c.look.theme;
    let Some(peer) = peer else {
        line.put(c.look.glyphs.none, theme.quiet);
        return;
    };
    let style = if peer.weight.0 > 0 { theme.text } else { theme.quiet };
    let text = address::name(c.app, peer.ip).unwrap_or_else(|| peer.ip.to_string());
    line.put(&middle(&text, line.room(), c.look.glyphs.cut), style);
}

fn thread(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::Change(_) = row {
        return change_cells::thread(c, row, line);
    }
    if let Row::Live(n) = row
        && let Some(l) = c.live(n)
    {
        line.put_bytes(l.comm.as_bytes(), c.look.glyphs.cut, c.look.theme.text);
    }
}
