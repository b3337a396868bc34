//! Looks up rows of the opens pane: their detail views, texts and identities.

use super::OpensPane;
use super::row::{Detail, FailGroup, FailRow, Row, fingerprint};
use crate::app::list::RowId;
use crate::app::related::MAX_USERS;
use crate::model::escape::escape;
use crate::model::file_change::FileChange;
use crate::model::opens::{LiveOpen, Opens, Process};
use crate::model::slab::Slot;

impl OpensPane {
    /// The escaped name of the open process or file; empty for other detail views.
    pub(in crate::app) fn detail_name(&self, opens: &Opens) -> String {
        let path = |slot: Slot| opens.paths().get(slot).map(|p| escape(&p.label()).into_owned());
        let process = |p: &Process| format!("{} {}", escape(p.name.as_bytes()), p.key.tgid);
        match self.detail() {
            Some(Detail::Process(_)) => self.detail_process(opens).map(process),
            Some(Detail::Path(slot)) => path(*slot),
            _ => None,
        }
        .unwrap_or_default()
    }

    /// The detail view of a row.
    pub(in crate::app) fn detail_of(&self, row: Row, opens: &Opens) -> Option<Detail> {
        let file = |slot: Slot| opens.files().get(slot);
        match row {
            Row::Unit(i) => {
                self.units.get(i).filter(|u| u.evicted == 0).map(|u| Detail::Unit(u.place.clone()))
            }
            Row::Program(i) | Row::ProgramUnderUnit(i) => {
                let program = self.programs.get(i).filter(|p| p.group.evicted == 0);
                program.map(|p| match p.single {
                    Some(slot) => Detail::Process(slot),
                    None => Detail::Program(p.group.key.clone()),
                })
            }
            Row::FileUnderProgram(i) | Row::FileOfProgram(i) => {
                self.group_files.get(i).map(|f| Detail::Path(f.path))
            }
            Row::ProcessUnderProgram(s) => Some(Detail::Process(s)),
            Row::Common(_) | Row::Ended => None,
            Row::Process(s) => Some(Detail::Process(s)),
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) => {
                file(s).map(|f| Detail::Path(f.path))
            }
            Row::Path(s) => Some(Detail::Path(s)),
            Row::ProcessOfFile(s) => file(s).map(|f| Detail::Process(f.process)),
            Row::Dir(i) => self.dirs.get(i).map(|d| Detail::Directory(d.path.clone())),
            Row::FailureGroup(i) => {
                let (depth, fail) = (self.depth, self.fails.get(i)?);
                let (name, errno, dir) = (fail.name, fail.errno, fail.dir.clone());
                Some(Detail::Failures(FailGroup { name, errno, dir, depth }))
            }
            Row::Failure(s) => opens.failures().get(s).map(|f| Detail::Process(f.process)),
            Row::Change(n) => {
                let event = self.change_at(n)?;
                opens.find(event.key).map(Detail::Process)
            }
            Row::Live(n) => self.live_at(n).map(|l| Detail::Process(l.process)),
        }
    }

    /// The text that `y` copies of a row: its path, directory or pid.
    pub(in crate::app) fn bytes_of(&self, row: Row, opens: &Opens) -> Option<Vec<u8>> {
        let path = |s: Slot| opens.paths().get(s).map(|p| p.label().into_owned());
        let pid = |s: Slot| opens.processes().get(s).map(|p| p.key.tgid.to_string().into_bytes());
        match row {
            Row::Unit(i) => self.units.get(i).map(|u| u.name().into_owned()),
            Row::Program(i) | Row::ProgramUnderUnit(i) => {
                self.programs.get(i).map(|p| p.group.key.name.as_bytes().to_vec())
            }
            Row::FileUnderProgram(i) | Row::FileOfProgram(i) => path(self.group_files.get(i)?.path),
            Row::Common(_) | Row::Ended => None,
            Row::Process(s) | Row::ProcessUnderProgram(s) => pid(s),
            Row::FileUnderProcess(s) | Row::FileOfProcess(s) => path(opens.files().get(s)?.path),
            Row::Path(s) => path(s),
            Row::ProcessOfFile(s) => pid(opens.files().get(s)?.process),
            Row::Dir(i) => self.dirs.get(i).map(|d| d.path.to_vec()),
            Row::FailureGroup(i) => match self.fails.get(i)? {
                one if one.files == 1 => path(one.path),
                many => Some(many.dir.to_vec()),
            },
            Row::Failure(s) => path(opens.failures().get(s)?.path),
            Row::Change(n) => {
                let event = self.change_at(n)?;
                let name = if event.has_to() { &event.to } else { &event.path };
                name.best().map(<[u8]>::to_vec)
            }
            Row::Live(n) => path(self.live_at(n)?.path?),
        }
    }

    /// The processes of a unit's programs, at most [`MAX_USERS`] of them.
    pub fn members_of_unit(&self, at: usize) -> impl Iterator<Item = Slot> {
        let programs = self.units.get(at).map_or(&[][..], |unit| &unit.programs);
        let programs = programs.iter().filter_map(|at| self.programs.get(*at));
        programs.flat_map(|p| &p.group.members).copied().take(MAX_USERS)
    }

    /// An open of the live feed, by its number.
    pub fn live_at(&self, number: u64) -> Option<&LiveOpen> {
        let at = self.live.binary_search_by_key(&number, |open| open.number).ok()?;
        self.live.get(at)
    }

    /// A change of a file in the rows, by its number.
    pub fn change_at(&self, number: u64) -> Option<&FileChange> {
        let at = self.changes.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.changes.get(at).map(|(_, event)| &**event)
    }

    /// Identifies a row while it is in its table.
    pub fn id(&self, row: Row) -> RowId {
        match row {
            Row::Program(i) => (10, self.programs.get(i).map_or(0, |p| p.id)),
            Row::Unit(i) => (15, self.units.get(i).map_or(0, |u| u.id)),
            Row::ProgramUnderUnit(i) => (16, self.programs.get(i).map_or(0, |p| p.id)),
            Row::FileUnderProgram(i) => (11, self.below(i)),
            Row::FileOfProgram(i) => (12, self.group_files.get(i).map_or(0, |f| f.path.id())),
            Row::ProcessUnderProgram(s) => (13, s.id()),
            Row::Common(i) => {
                let of = |(kind, id): RowId| fingerprint(&id.to_le_bytes(), u64::from(kind));
                (14, self.commons.get(i).map_or(0, |c| of(c.under)))
            }
            Row::Ended => (17, 0),
            Row::Process(s) => (0, s.id()),
            Row::FileUnderProcess(s) => (1, s.id()),
            Row::FileOfProcess(s) => (3, s.id()),
            Row::Path(s) => (4, s.id()),
            Row::ProcessOfFile(s) => (5, s.id()),
            Row::Dir(i) => (6, self.dirs.get(i).map_or(0, |d| fingerprint(&d.path, 0))),
            Row::FailureGroup(i) => {
                let of = |f: &FailRow| {
                    let errno = u64::from(f.errno.unsigned_abs());
                    fingerprint(&f.dir, fingerprint(&f.name.0, errno))
                };
                (7, self.fails.get(i).map_or(0, of))
            }
            Row::Failure(s) => (9, s.id()),
            Row::Change(n) => (11, n),
            Row::Live(n) => (8, n),
        }
    }

    /// Identifies a file under a program.
    fn below(&self, file: usize) -> u64 {
        let file = self.group_files.get(file);
        file.map_or(0, |f| fingerprint(&f.path.id().to_le_bytes(), f.program))
    }
}
