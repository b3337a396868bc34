//! The data that the cells of the opens pane read.

use super::look::Look;
use super::text::Line;
use crate::app::App;
use crate::app::opens::{CommonRow, DirRow, FailRow, GroupFile, ProgramRow, Row, Share, UnitRow};
use crate::model::file_change::FileChange;
use crate::model::opens::{Failure, FileUse, LiveOpen, Path, Process, Tally};
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

impl<'a> Ctx<'a> {
    /// The result of the last open of a file under its process, where it failed.
    pub(super) fn failed_file(&self, row: Row) -> Option<i32> {
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

    pub(super) fn group_file(&self, at: usize) -> Option<&'a GroupFile> {
        self.app.opens_pane.group_files.get(at)
    }

    pub(super) fn common(&self, at: usize) -> Option<&'a CommonRow> {
        self.app.opens_pane.commons.get(at)
    }

    pub(super) fn process(&self, slot: Slot) -> Option<&'a Process> {
        self.app.opens().processes().get(slot)
    }

    pub(super) fn path(&self, slot: Slot) -> Option<&'a Path> {
        self.app.opens().paths().get(slot)
    }

    pub(super) fn file(&self, slot: Slot) -> Option<&'a FileUse> {
        self.app.opens().files().get(slot)
    }

    pub(super) fn dir(&self, at: usize) -> Option<&'a DirRow> {
        self.app.opens_pane.dirs.get(at)
    }

    pub(super) fn fail(&self, at: usize) -> Option<&'a FailRow> {
        self.app.opens_pane.fails.get(at)
    }

    pub(super) fn failure(&self, slot: Slot) -> Option<Failure> {
        self.app.opens().failure(slot)
    }

    pub(super) fn live(&self, number: u64) -> Option<&'a LiveOpen> {
        self.app.opens_pane.live_at(number)
    }

    pub(super) fn change(&self, number: u64) -> Option<&'a FileChange> {
        self.app.opens_pane.change_at(number)
    }

    /// The process that a row is about.
    pub(super) fn process_of(&self, row: Row) -> Option<&'a Process> {
        match row {
            Row::Process(s) | Row::ProcessUnderProgram(s) => self.process(s),
            Row::Program(i) | Row::ProgramUnderUnit(i) => self.process(self.program(i)?.single?),
            Row::ProcessOfFile(s) => self.process(self.file(s)?.process),
            Row::FailureGroup(i) => self.process(self.fail(i)?.process),
            Row::Failure(s) => self.process(self.failure(s)?.process),
            Row::Change(n) => self.process(self.app.opens().find(self.change(n)?.key)?),
            Row::Live(n) => self.process(self.live(n)?.process),
            _ => None,
        }
    }

    /// The counts of the row, and its opens a second.
    pub(super) fn tally(&self, row: Row) -> Option<(&'a Tally, f64)> {
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
            Row::Ended => Some((&self.app.opens_pane.ended.tally, 0.0)),
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
    pub(super) fn share(&self, path: Slot) -> Option<&'a Share> {
        self.app.opens_pane.shares.get(&path)
    }

    /// The path of a file's row, as it was tried of a failure; `None` where it has none, and where it was
    /// evicted since the row was built.
    pub(super) fn path_at(&self, row: Row) -> Option<&'a Path> {
        let slot = match row {
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) => self.file(s)?.path,
            Row::Path(s) => s,
            Row::FileUnderProgram(i) | Row::FileOfProgram(i) => self.group_file(i)?.path,
            Row::Failure(s) => self.failure(s)?.path,
            Row::Live(n) => self.live(n)?.path?,
            _ => return None,
        };
        self.path(slot)
    }

    pub(super) fn path_of(&self, row: Row) -> Option<&'a [u8]> {
        self.path_at(row).map(|p| &*p.bytes)
    }

    pub(super) fn last_ret(&self, row: Row) -> Option<i32> {
        // A file that was read or written may not have been opened since the start.
        let of = |tally: &Tally, ret: i32| (tally.opens > 0).then_some(ret);
        match row {
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) | Row::ProcessOfFile(s) => {
                self.file(s).and_then(|f| of(&f.tally, f.last_ret))
            }
            Row::FileUnderProgram(i) | Row::FileOfProgram(i) => {
                self.group_file(i).and_then(|f| of(&f.tally, f.last_ret))
            }
            Row::Path(s) => match self.share(s) {
                Some(share) => of(&share.tally, share.last_ret),
                None => self.path(s).and_then(|p| of(&p.tally, p.last_ret)),
            },
            Row::Live(n) => self.live(n).map(|l| l.ret),
            _ => None,
        }
    }

    pub(super) fn number(&self, line: &mut Line<'_>, text: &str, nothing: bool) {
        let style = if nothing { self.look.theme.quiet } else { self.look.theme.text };
        line.put_right(text, style);
    }

    /// Whether a file of a detail view is one that nearly every program opens.
    pub(super) fn is_common(&self, row: Row) -> bool {
        match row {
            Row::FileOfProgram(at) => self.group_file(at).is_some_and(|f| f.common),
            _ => false,
        }
    }

    /// Whether this is new since the mark.
    pub(super) fn is_new(&self, tally: &Tally) -> bool {
        self.app.screen.mark.is_some_and(|mark| tally.first > mark)
    }
}

/// Whether a row is below another one, and a part of it.
pub(super) fn is_below(row: Row) -> bool {
    matches!(
        row,
        Row::FileUnderProcess(_)
            | Row::FileUnderProgram(_)
            | Row::ProgramUnderUnit(_)
            | Row::Common(_)
    )
}
