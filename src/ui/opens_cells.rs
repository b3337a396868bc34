//! The cells of the opens pane's rows.

use ratatui::style::Style;

use super::glyphs::graph;
use super::related::POLLED_MARK;
use super::text::{Line, cells};
use super::{Look, num, outcome, unit_cells};
use crate::app::App;
use crate::app::opens::{CommonRow, DirRow, FailRow, GroupFile, ProgramRow, Row, Share, UnitRow};
use crate::app::related::MAX_USERS;
use crate::model::conn::Carried;
use crate::model::errno::errno_name;
use crate::model::field::opens::{OpensField, Traffic};
use crate::model::history::per_second;
use crate::model::opens::{Failure, FileUse, Latency, LiveOpen, Path, Process, Tally};
use crate::model::slab::Slot;

/// Cells to the left of a row under a program.
pub(super) const UNDER: u16 = 4;

/// The data that cells read.
pub struct Ctx<'a> {
    pub app: &'a App,
    pub look: &'a Look,
    /// The most opens a second of any process in the last minute: graphs are drawn against it.
    pub most: u64,
    /// Opens a second of all together.
    pub all: f64,
    /// The rows on the screen.
    pub shown: &'a [Row],
}

/// Draws a cell of a row.
pub fn draw(c: &Ctx<'_>, field: OpensField, row: Row, line: &mut Line<'_>) {
    let draw: fn(&Ctx<'_>, Row, &mut Line<'_>) = match field {
        OpensField::Parent => parent,
        OpensField::FailedPath => failed_path,
        OpensField::Program => program,
        OpensField::Unit => unit,
        OpensField::UnitOfRow => unit_cells::unit,
        OpensField::TopFile => top_file,
        OpensField::Pid => pid,
        OpensField::Process => name_or_file,
        OpensField::Thread => thread,
        OpensField::Rate | OpensField::FailRate => rate,
        OpensField::Failed => failed,
        OpensField::Total | OpensField::Times => total,
        OpensField::Mean | OpensField::Took => mean,
        OpensField::Max => slowest,
        OpensField::Rx => rx,
        OpensField::Tx => tx,
        OpensField::Peers => peers,
        OpensField::Past => past,
        OpensField::File => file,
        OpensField::Files => files,
        OpensField::Directory => dir,
        OpensField::Users => users,
        OpensField::Result => result,
        OpensField::Error => error,
        OpensField::FoundLater => found,
        OpensField::Age => age,
    };
    draw(c, row, line);
}

impl<'a> Ctx<'a> {
    /// The result of the last open of a file under its process, where it failed.
    fn failed_file(&self, row: Row) -> Option<i32> {
        let ret = match row {
            Row::FileUnderProcess(slot) => self.file(slot).map(|f| f.last_ret),
            Row::FileUnderProgram(at) => self.group_file(at).map(|f| f.last_ret),
            _ => None,
        };
        ret.filter(|ret| *ret < 0)
    }

    pub(super) fn program(&self, at: usize) -> Option<&'a ProgramRow> {
        self.app.opens_pane.programs.get(at)
    }

    pub(super) fn unit(&self, at: usize) -> Option<&'a UnitRow> {
        self.app.opens_pane.units.get(at)
    }

    fn group_file(&self, at: usize) -> Option<&'a GroupFile> {
        self.app.opens_pane.group_files.get(at)
    }

    fn common(&self, at: usize) -> Option<&'a CommonRow> {
        self.app.opens_pane.commons.get(at)
    }

    pub(super) fn process(&self, slot: Slot) -> Option<&'a Process> {
        self.app.opens().processes().get(slot)
    }

    pub(super) fn path(&self, slot: Slot) -> Option<&'a Path> {
        self.app.opens().paths().get(slot)
    }

    fn file(&self, slot: Slot) -> Option<&'a FileUse> {
        self.app.opens().files().get(slot)
    }

    fn dir(&self, at: usize) -> Option<&'a DirRow> {
        self.app.opens_pane.dirs.get(at)
    }

    fn fail(&self, at: usize) -> Option<&'a FailRow> {
        self.app.opens_pane.fails.get(at)
    }

    fn failure(&self, slot: Slot) -> Option<&'a Failure> {
        self.app.opens().failures().get(slot)
    }

    fn live(&self, number: u64) -> Option<&'a LiveOpen> {
        self.app.opens().live_at(number)
    }

    /// The process that a row is about.
    fn process_of(&self, row: Row) -> Option<&'a Process> {
        match row {
            Row::Process(s) | Row::ProcessUnderProgram(s) => self.process(s),
            Row::Program(i) | Row::ProgramUnderUnit(i) => self.process(self.program(i)?.single?),
            Row::ProcessOfFile(s) => self.process(self.file(s)?.process),
            Row::FailureGroup(i) => self.process(self.fail(i)?.process),
            Row::Failure(s) => self.process(self.failure(s)?.process),
            Row::Live(n) => self.process(self.live(n)?.process),
            _ => None,
        }
    }

    /// The counts of the row, and its opens a second.
    fn tally(&self, row: Row) -> Option<(&'a Tally, f64)> {
        let counted = |tally, meter| (tally, self.app.opens().rate_of(meter));
        match row {
            Row::Program(i) | Row::ProgramUnderUnit(i) => {
                self.program(i).map(|p| (&p.tally, p.rate))
            }
            Row::Unit(i) => self.unit(i).map(|u| (&u.tally, u.rate)),
            Row::FileUnderProgram(i) | Row::FileOfProgram(i) => {
                self.group_file(i).map(|f| (&f.tally, f.rate))
            }
            Row::Common(i) => self.common(i).map(|c| (&c.tally, c.rate)),
            Row::Process(s) | Row::ProcessUnderProgram(s) => {
                match self.app.opens_pane.parts.get(&s) {
                    Some(part) => Some((&part.tally, part.rate)),
                    None => self.process(s).map(|p| counted(&p.tally, &p.meter)),
                }
            }
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) | Row::ProcessOfFile(s) => {
                self.file(s).map(|f| counted(&f.tally, &f.meter))
            }
            Row::Path(s) => match self.share(s) {
                Some(share) => Some((&share.tally, share.rate)),
                None => self.path(s).map(|p| counted(&p.tally, &p.meter)),
            },
            _ => None,
        }
    }

    /// The part of a path's opens that matches the filter.
    fn share(&self, path: Slot) -> Option<&'a Share> {
        self.app.opens_pane.shares.get(&path)
    }

    fn path_of(&self, row: Row) -> Option<&'a [u8]> {
        let slot = match row {
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) => self.file(s)?.path,
            Row::Path(s) => s,
            Row::FileUnderProgram(i) | Row::FileOfProgram(i) => self.group_file(i)?.path,
            Row::Failure(s) => self.failure(s)?.path,
            Row::Live(n) => self.live(n)?.path?,
            _ => return None,
        };
        self.path(slot).map(|p| &*p.bytes)
    }

    fn last_ret(&self, row: Row) -> Option<i32> {
        match row {
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) | Row::ProcessOfFile(s) => {
                self.file(s).map(|f| f.last_ret)
            }
            Row::FileUnderProgram(i) | Row::FileOfProgram(i) => {
                self.group_file(i).map(|f| f.last_ret)
            }
            Row::Path(s) => match self.share(s) {
                Some(share) => Some(share.last_ret),
                None => self.path(s).map(|p| p.last_ret),
            },
            Row::Live(n) => self.live(n).map(|l| l.ret),
            _ => None,
        }
    }

    fn number(&self, line: &mut Line<'_>, text: &str, nothing: bool) {
        let style = if nothing { self.look.theme.quiet } else { self.look.theme.text };
        line.put_right(text, style);
    }

    /// Whether a file of a detail view is one that nearly every program opens.
    fn is_common(&self, row: Row) -> bool {
        match row {
            Row::FileOfProgram(at) => self.group_file(at).is_some_and(|f| f.common),
            _ => false,
        }
    }

    /// Whether this is new since the mark, and marks are being looked at.
    pub(super) fn is_new(&self, tally: &Tally) -> bool {
        self.app.screen.mark.is_some_and(|mark| tally.first > mark)
    }
}

fn pid(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::FailureGroup(i) = row
        && let Some(f) = c.fail(i).filter(|f| f.processes > 1)
    {
        let many = format!("{}{}", c.look.glyphs.times, num::count(f.processes as u64, 5));
        line.put_right(&many, c.look.theme.quiet);
        return;
    }
    if let Some(p) = c.process_of(row) {
        let style = if p.ended.is_some() { c.look.theme.quiet } else { c.look.theme.text };
        match p.is_stand_in() {
            true => line.put_right("evicted", c.look.theme.quiet),
            false => line.put_right(&p.key.tgid.to_string(), style),
        };
    }
}

fn name_or_file(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    match row {
        Row::FileUnderProcess(_) => {
            // The column for the pid is empty here.
            line.reach_left(4);
            return file(c, row, line);
        }
        Row::Common(_) => {
            line.reach_left(4);
            return common_files(c, row, line);
        }
        _ => {}
    }
    if let Row::FailureGroup(i) = row {
        if let Some(f) = c.fail(i) {
            line.put_bytes(f.name.as_bytes(), glyphs.cut, theme.text);
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
    let busy = c.app.opens().rate_of(&p.meter) > 0.0;
    line.put_bytes(p.name.as_bytes(), glyphs.cut, if busy { theme.strong } else { theme.text });
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

fn rate(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
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

fn failed(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
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

fn total(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
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

fn latency(c: &Ctx<'_>, row: Row) -> Option<Latency> {
    match row {
        Row::Dir(i) => c.dir(i).map(|d| d.latency),
        _ => c.tally(row).map(|(t, _)| t.latency),
    }
}

fn mean(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let ns = match row {
        Row::Live(n) => c.live(n).and_then(|l| l.latency_ns),
        _ => latency(c, row).and_then(|l| l.mean_ns()),
    };
    if let Some(ns) = ns {
        c.number(line, &num::latency(ns, c.look.glyphs.micro), is_below(row));
    }
}

fn slowest(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(latency) = latency(c, row).filter(|l| l.timed > 0) {
        c.number(line, &num::latency(latency.max_ns, c.look.glyphs.micro), true);
    }
}

fn age(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let last = match row {
        Row::Dir(i) => c.dir(i).map(|d| d.last),
        Row::FailureGroup(i) => c.fail(i).map(|f| f.last),
        Row::Failure(s) => c.failure(s).map(|f| f.last),
        Row::Live(n) => c.live(n).map(|l| l.at),
        _ => c.tally(row).filter(|(t, _)| t.opens > 0).map(|(t, _)| t.last),
    };
    if let Some(last) = last {
        c.number(line, &num::age(c.app.shown_at().since(last)), true);
    }
}

/// Traffic of a process in the last interval, as a share of all.
fn carried(c: &Ctx<'_>, row: Row, line: &mut Line<'_>, what: fn(Carried) -> u64) {
    let Some(owners) = c.app.owners() else { return };
    let traffic = match row {
        Row::Program(at) | Row::ProgramUnderUnit(at) => c.program(at).and_then(|p| p.traffic),
        Row::Unit(at) => c.unit(at).and_then(|u| u.traffic),
        Row::Process(slot) | Row::ProcessUnderProgram(slot) => {
            c.process(slot).and_then(|p| owners.process(p.key)).map(Traffic::of)
        }
        _ => return,
    };
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

/// Whether a row is below another one, and a part of it.
fn is_below(row: Row) -> bool {
    matches!(
        row,
        Row::FileUnderProcess(_)
            | Row::FileUnderProgram(_)
            | Row::ProgramUnderUnit(_)
            | Row::Common(_)
    )
}

/// A row under a program, over all columns up to this one; false for other rows.
fn below_program(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) -> bool {
    if !matches!(row, Row::FileUnderProgram(_) | Row::ProcessUnderProgram(_) | Row::Common(_)) {
        return false;
    }
    line.take_back(UNDER);
    match row {
        Row::FileUnderProgram(_) => file(c, row, line),
        Row::ProcessUnderProgram(slot) => process_below(c, slot, line),
        _ => common_files(c, row, line),
    }
    true
}

/// Name and number of processes, or the pid of the only one; below it files and processes.
fn program(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    if below_program(c, row, line) {
        return;
    }
    let Row::Program(at) = row else { return };
    let Some(p) = c.program(at) else { return };
    let members = p.group.members.iter().take(MAX_USERS).filter_map(|s| c.process(*s));
    if members.into_iter().any(|p| c.app.is_lit_process(p.key)) {
        line.put(glyphs.lit, theme.key);
    } else {
        line.skip(1);
    }
    if p.group.evicted > 0 {
        return evicted(c, p.group.evicted, line);
    }
    if c.is_new(&p.tally) {
        line.put_right("new", theme.fresh).skip_right(1);
    }
    let style = match (p.is_busy(), p.living) {
        (true, _) => theme.strong,
        (false, 0) => theme.quiet,
        (false, _) => theme.text,
    };
    let beside = beside_name(c, p);
    if !p.is_busy() && p.living == 0 {
        line.put_right("ended", theme.quiet).skip_right(1);
    }
    let name = p.group.key.name;
    line.put_bytes(name.as_bytes(), glyphs.cut, style);
    if line.room() > cells(&beside) {
        line.skip(1).put(&beside, theme.quiet);
    }
    if !c.app.opens_pane.inline && p.files > 0 {
        let files = if p.files == 1 { "file" } else { "files" };
        let text = format!("{} {files}", num::grouped(p.files as u64));
        line.skip(2).put_right(&text, theme.quiet);
    }
}

/// The number of a program's processes, or the pid of the only one.
pub(super) fn beside_name(c: &Ctx<'_>, p: &ProgramRow) -> String {
    match p.single.and_then(|s| c.process(s)) {
        Some(process) => process.key.tgid.to_string(),
        None => format!("{}{}", c.look.glyphs.times, num::count(p.group.processes, 6)),
    }
}

/// The name of the row of evicted programs.
pub(super) fn evicted(c: &Ctx<'_>, n: u64, line: &mut Line<'_>) {
    let programs = if n == 1 { "program" } else { "programs" };
    line.put(&format!("{} evicted {programs}", num::grouped(n)), c.look.theme.quiet);
}

/// A process under its program.
fn process_below(c: &Ctx<'_>, slot: Slot, line: &mut Line<'_>) {
    let (theme, Some(p)) = (c.look.theme, c.process(slot)) else { return };
    let style = if p.ended.is_some() { theme.quiet } else { theme.text };
    line.put(&format!("process {}", p.key.tgid), style);
    if let Some(at) = p.ended {
        let age = num::age(c.app.shown_at().since(at));
        line.skip(1).put(&format!("ended {age} ago"), theme.quiet);
    }
}

/// How many files nearly every program opens.
fn common_files(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let Row::Common(at) = row else { return };
    let Some(common) = c.common(at) else { return };
    let open = c.app.opens_pane.folds.get(&c.app.opens_pane.id(row)) == Some(&true);
    let sign = if open { "-" } else { "+" };
    let files = if common.files == 1 { "file" } else { "files" };
    let text = format!("{sign} {} common {files}", num::grouped(common.files as u64));
    line.put(&text, c.look.theme.quiet);
}

/// The unit or container of a program.
fn unit(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if below_program(c, row, line) {
        return;
    }
    let Row::Program(i) = row else { return };
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    match c.program(i).and_then(|p| p.group.key.place.unit()) {
        Some(unit) => line.put_bytes(unit.name, glyphs.cut, theme.quiet),
        None => line.put(glyphs.none, theme.quiet),
    };
}

/// The file of a program that matters most.
fn top_file(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if below_program(c, row, line) {
        return;
    }
    let Row::Program(i) = row else { return };
    let theme = c.look.theme;
    let Some(p) = c.program(i) else { return };
    let Some((top, path)) = p.top.and_then(|top| Some((top, c.path(top.path)?))) else {
        let files = if p.files == 1 { "file" } else { "files" };
        let common = if p.all_common { "common " } else { "" };
        if p.files > 0 {
            line.put(&format!("{} {common}{files}", num::grouped(p.files as u64)), theme.quiet);
        }
        return;
    };
    if top.last_ret < 0 {
        line.put(&errno_name(top.last_ret.saturating_neg()), theme.bad).skip(1);
    }
    line.put_path(&path.label(), c.look.glyphs.cut, theme.text);
}

/// Received traffic of a process; in rows of files below it the error of a failed open, since the
/// place is free there, and on narrow screens it is the only one.
fn rx(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(ret) = c.failed_file(row) {
        return outcome(c.look, ret, line);
    }
    carried(c, row, line, |carried| carried.rx_bytes);
}

fn tx(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    carried(c, row, line, |carried| carried.tx_bytes);
}

/// The number of a process's peers.
fn peers(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
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
fn past(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
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
    let per_cell = if c.look.glyphs.braille { 2 } else { 1 };
    let (now, n) = (c.app.shown_at(), width * per_cell);
    let (values, is_quiet): (Vec<u64>, bool) = match row {
        Row::Program(at) | Row::ProgramUnderUnit(at) => match c.program(at) {
            Some(p) => (p.past(c.app.opens(), now, n), p.living == 0 && !p.is_busy()),
            None => return,
        },
        Row::Unit(at) => match c.unit(at) {
            Some(unit) => {
                let past = unit.past(&c.app.opens_pane.programs, c.app.opens(), now, n);
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

fn file(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    let Some(path) = c.path_of(row) else {
        line.put("(no path)", theme.quiet);
        return;
    };
    if c.tally(row).is_some_and(|(t, _)| c.is_new(t)) {
        line.put_right("new", theme.fresh).skip_right(1);
    }
    let style: Style = if is_below(row) || c.is_common(row) { theme.quiet } else { theme.text };
    if let Row::Path(slot) = row
        && let Some(rest) = c.path(slot).filter(|p| p.is_rest())
    {
        line.put_path(&rest.label(), glyphs.cut, theme.quiet);
        return;
    }
    let others = c.shown.iter().filter_map(|row| c.path_of(*row));
    line.put_path_apart(path, others, glyphs.cut, style);
}

fn result(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(ret) = c.last_ret(row) {
        outcome(c.look, ret, line);
    }
}

fn users(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::Path(slot) = row
        && let Some(p) = c.path(slot)
    {
        let (width, users) =
            (line.room(), c.share(slot).map_or_else(|| c.app.opens().users_of(p), |s| s.users));
        c.number(line, &num::count(users as u64, width), users < 2);
    }
}

fn dir(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let path = match row {
        Row::Dir(i) => c.dir(i).map(|d| &d.path),
        Row::FailureGroup(i) => c.fail(i).map(|f| &f.dir),
        _ => None,
    };
    if let Some(path) = path {
        line.put_path(path, c.look.glyphs.cut, c.look.theme.text);
    }
}

/// The parent of the processes of failures; of several one, and how many more.
fn parent(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let Row::FailureGroup(i) = row else { return };
    let Some(f) = c.fail(i) else { return };
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    match f.parents.as_slice() {
        [] => {
            let ppid = c.process(f.process).map_or(0, |p| p.ppid);
            let text = if ppid > 0 { format!("pid {ppid}") } else { glyphs.none.into() };
            line.put(&text, theme.quiet);
        }
        [first, rest @ ..] => {
            if !rest.is_empty() {
                line.put_right(&format!("+{}", rest.len()), theme.quiet).skip_right(1);
            }
            line.put_bytes(first.as_bytes(), glyphs.cut, theme.text);
        }
    }
}

/// The path that failed; of several the directory.
fn failed_path(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let Row::FailureGroup(i) = row else { return };
    let Some(f) = c.fail(i) else { return };
    match c.path(f.path).filter(|_| f.files == 1) {
        Some(path) => line.put_path(&path.label(), c.look.glyphs.cut, c.look.theme.text),
        None => line.put_path(&f.dir, c.look.glyphs.cut, c.look.theme.text),
    };
}

fn files(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let n = match row {
        Row::Dir(i) => c.dir(i).map(|d| d.files),
        Row::FailureGroup(i) => c.fail(i).map(|f| f.files),
        _ => None,
    };
    if let Some(n) = n {
        let width = line.room();
        c.number(line, &num::count(n, width), true);
    }
}

fn error(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::FailureGroup(i) = row
        && let Some(f) = c.fail(i)
    {
        line.put(&errno_name(f.errno), c.look.theme.bad);
    }
}

/// The file at which a search succeeded after failures; for many failures the number of files that
/// were found, and the directory of the last one.
fn found(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    let (at, many) = match row {
        Row::FailureGroup(i) => {
            let Some(f) = c.fail(i) else { return };
            (f.found_at.map(|(_, path)| path), Some((f.found, f.tried)).filter(|_| f.tried > 1))
        }
        Row::Failure(s) => (c.app.opens_pane.found.get(&s).copied(), None),
        _ => return,
    };
    let Some(path) = at.and_then(|s| c.path(s)) else {
        line.put(glyphs.none, theme.quiet);
        return;
    };
    if c.path_of(row).is_some_and(|own| *own == *path.bytes) {
        line.put("there, later", theme.text);
        return;
    }
    let Some((found, files)) = many else {
        line.put_path(&path.bytes, glyphs.cut, theme.text);
        return;
    };
    if found < files {
        line.put(&format!("{found} of {files} "), theme.quiet);
    }
    let end = path.bytes.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let dir = path.bytes.get(..end).filter(|d| !d.is_empty()).unwrap_or(b"/");
    line.put_path(dir, glyphs.cut, theme.text);
}

fn thread(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::Live(n) = row
        && let Some(l) = c.live(n)
    {
        line.put_bytes(l.comm.as_bytes(), c.look.glyphs.cut, c.look.theme.text);
    }
}
