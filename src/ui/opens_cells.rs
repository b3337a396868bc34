//! What is in the cells of the opens pane's rows.

use ratatui::style::Style;

use super::glyphs::graph;
use super::related::POLLED_MARK;
use super::text::Line;
use super::{Look, num, outcome};
use crate::app::App;
use crate::app::opens::{DirRow, FailRow, Row, Share};
use crate::model::conn::Carried;
use crate::model::errno::errno_name;
use crate::model::field::opens::OpensField;
use crate::model::history::per_second;
use crate::model::opens::{Failure, FileUse, Latency, LiveOpen, Path, Process, Tally};
use crate::model::slab::Slot;

/// What cells look things up in.
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
    /// What the last open of a file under its process returned, where it failed.
    fn failed_file(&self, row: Row) -> Option<i32> {
        let Row::FileUnderProcess(slot) = row else { return None };
        self.file(slot).map(|f| f.last_ret).filter(|ret| *ret < 0)
    }

    fn process(&self, slot: Slot) -> Option<&'a Process> {
        self.app.opens().processes().get(slot)
    }

    fn path(&self, slot: Slot) -> Option<&'a Path> {
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
            Row::Process(s) => self.process(s),
            Row::ProcessOfFile(s) => self.process(self.file(s)?.process),
            Row::FailureGroup(i) => self.process(self.fail(i)?.process),
            Row::Failure(s) => self.process(self.failure(s)?.process),
            Row::Live(n) => self.process(self.live(n)?.process),
            _ => None,
        }
    }

    /// What the row counts, and its opens a second.
    fn tally(&self, row: Row) -> Option<(&'a Tally, f64)> {
        let told = |tally, meter| (tally, self.app.opens().rate_of(meter));
        match row {
            Row::Process(s) => self.process(s).map(|p| told(&p.tally, &p.meter)),
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) | Row::ProcessOfFile(s) => {
                self.file(s).map(|f| told(&f.tally, &f.meter))
            }
            Row::Path(s) => match self.share(s) {
                Some(share) => Some((&share.tally, share.rate)),
                None => self.path(s).map(|p| told(&p.tally, &p.meter)),
            },
            _ => None,
        }
    }

    /// What a filter lets through of a path.
    fn share(&self, path: Slot) -> Option<&'a Share> {
        self.app.opens_pane.shares.get(&path)
    }

    fn path_of(&self, row: Row) -> Option<&'a [u8]> {
        let slot = match row {
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) => self.file(s)?.path,
            Row::Path(s) => s,
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

    /// Whether this is new since the mark, and marks are being looked at.
    fn is_new(&self, tally: &Tally) -> bool {
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
    if let Row::FileUnderProcess(_) = row {
        // The column for the pid is empty here.
        line.reach_left(4);
        return file(c, row, line);
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
        let files = p.files.len() as u64 + p.files_let_go;
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
        _ => (c.tally(row).map(|(_, rate)| rate), !matches!(row, Row::FileUnderProcess(_))),
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
    let quiet = matches!(row, Row::FileUnderProcess(_));
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
        c.number(
            line,
            &num::latency(ns, c.look.glyphs.micro),
            matches!(row, Row::FileUnderProcess(_)),
        );
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

/// What a process carried in the last interval, of what all did.
fn carried(c: &Ctx<'_>, row: Row, line: &mut Line<'_>, what: fn(Carried) -> u64) {
    let Row::Process(slot) = row else { return };
    let (Some(p), Some(owners)) = (c.process(slot), c.app.owners()) else { return };
    let theme = c.look.theme;
    let net = owners.process(p.key).filter(|_| c.app.data.connections_state.problem().is_none());
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

/// What a process receives; under it, why a file could not be opened: the place is free there, and
/// on narrow screens it is the only one.
fn rx(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(ret) = c.failed_file(row) {
        return outcome(c.look, ret, line);
    }
    carried(c, row, line, |carried| carried.rx_bytes);
}

fn tx(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    carried(c, row, line, |carried| carried.tx_bytes);
}

/// How many a process talks to.
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
    if let Row::FileUnderProcess(slot) = row {
        if let Some(f) = c.file(slot) {
            let width = line.room();
            line.put_right(&num::age(c.app.shown_at().since(f.tally.last)), c.look.theme.quiet);
            line.skip_right(if width > 11 { 2 } else { 1 });
            let told = c.app.opens_pane.net && !c.app.columns.contains_key("processes");
            if !told || c.failed_file(row).is_none() {
                outcome(c.look, f.last_ret, line);
            }
        }
        return;
    }
    let Row::Process(slot) = row else { return };
    let Some(p) = c.process(slot) else { return };
    let width = line.room();
    let per_cell = if c.look.glyphs.braille { 2 } else { 1 };
    let values: Vec<u64> = p.history.last(c.app.shown_at(), width * per_cell).collect();
    let own = values.iter().copied().max().unwrap_or(0);
    if own == 0 {
        return;
    }
    // Against its own peak, but what is small beside the busiest one looks small.
    let most = own.max(c.most / 8).max(4);
    let rows = graph(c.look.glyphs, &values, most, width, 1);
    let style = match p.ended {
        Some(_) => c.look.theme.quiet,
        None => c.look.theme.heat(own as f64, c.most as f64),
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
    let style: Style =
        if matches!(row, Row::FileUnderProcess(_)) { theme.quiet } else { theme.text };
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

/// Where what was looked for was found in the end: the file; for many how many of them, and in
/// which directory the last one.
fn found(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    let (at, many) = match row {
        Row::FailureGroup(i) => {
            let Some(f) = c.fail(i) else { return };
            (f.found_at.map(|(_, path)| path), Some((f.found, f.files)).filter(|_| f.files > 1))
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
