//! Whether the filters match a process, a file or an open.

use hashbrown::HashSet;

use super::row::{Counted, Share, add};
use crate::model::cgroup::KnownCgroups;
use crate::model::connections::Connections;
use crate::model::event_log::EventLog;
use crate::model::field::opens::Traffic;
use crate::model::file_change::FileChange;
use crate::model::filter::{Filter, ProcessInfo, What};
use crate::model::lineage::Lineage;
use crate::model::opens::{FileUse, Group, Opens, Path, Process, Tally};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// The tables, and what rows have to match.
#[derive(Clone, Copy, Debug)]
pub struct Choose<'a> {
    pub opens: &'a Opens,
    /// Changes of files.
    pub changes: &'a EventLog<FileChange>,
    pub cgroups: &'a KnownCgroups,
    pub lineage: &'a Lineage,
    /// Connections and their processes, if they are known.
    pub owners: Option<&'a Connections>,
    /// The processes whose peers match, if a filter is about peers.
    pub talking: Option<&'a HashSet<ProcessKey>>,
    /// The processes whose ancestors match, if a filter is about ancestors.
    pub descended: Option<&'a HashSet<ProcessKey>>,
    /// The filter that was typed, and the one of the command line.
    pub filters: [Option<&'a Filter>; 2],
    pub failed_only: bool,
    /// Only rows first seen after this.
    pub new_since: Option<Mono>,
    pub now: Mono,
}

impl Choose<'_> {
    pub(super) fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.filters.iter().flatten().copied().filter(|f| !f.is_empty())
    }

    pub(super) fn tally(&self, tally: &Tally) -> bool {
        (!self.failed_only || tally.failed > 0)
            && self.new_since.is_none_or(|mark| tally.first > mark)
    }

    /// Whether the filters match a change of a file: by its process as far as that is in the table.
    pub(super) fn change(&self, event: &FileChange) -> bool {
        let names = [event.comm.as_bytes(), event.process.as_bytes()];
        let who = ProcessInfo {
            names: &names,
            tgid: event.key.tgid,
            uid: event.uid,
            cgroup: event.cgroup_id.and_then(|id| self.cgroups.get(id)),
        };
        let known = self.opens.find(event.key).and_then(|slot| self.opens.processes().get(slot));
        let is_wanted = match known {
            Some(process) => self.who(process),
            None => self.filters().all(|f| f.process(&who)),
        };
        is_wanted
            && (!self.failed_only || event.errno.is_some())
            && self.new_since.is_none_or(|mark| event.at > mark)
            && self.filters().all(|f| f.change(event))
    }

    /// Whether the filters match a process, whatever it opens.
    pub(super) fn who(&self, process: &Process) -> bool {
        if self.talking.is_some_and(|talking| !talking.contains(&process.key)) {
            return false;
        }
        if self.descended.is_some_and(|descended| !descended.contains(&process.key)) {
            return false;
        }
        let (names, n) = process.names();
        let who = ProcessInfo {
            names: names.get(..n).unwrap_or_default(),
            tgid: process.key.tgid,
            uid: process.uid,
            cgroup: process.cgroup_id.and_then(|id| self.cgroups.get(id)),
        };
        self.filters().all(|f| f.process(&who))
    }

    /// Whether the filters match a process's use of `path`, as requested or as resolved.
    pub(super) fn what(&self, path: &[u8], used: Option<&FileUse>, ret: i32) -> bool {
        let errno = (ret < 0).then(|| ret.saturating_neg());
        let passed = used.map_or(path, |f| f.given.of(path));
        let what = What { path: Some(passed), resolved: Some(path), errno };
        self.filters().all(|f| f.file(&what))
    }

    /// The use of a path by a process; looked up only if a filter is about files.
    pub(super) fn used(&self, process: Slot, path: Slot) -> Option<&FileUse> {
        if self.chooses_files() { self.opens.use_of(process, path) } else { None }
    }

    pub(super) fn file(&self, file: &FileUse) -> bool {
        let path = self.opens.paths().get(file.path);
        path.is_some_and(|p| self.what(&p.bytes, Some(file), file.last_ret))
    }

    pub(super) fn process(&self, process: &Process) -> bool {
        if !self.tally(&process.tally) && !self.has_new_file(process) || !self.who(process) {
            return false;
        }
        !self.chooses_files()
            || process
                .files
                .iter()
                .any(|s| self.opens.files().get(*s).is_some_and(|f| self.file(f)))
    }

    /// The opens of a group to test against the filters. A part of its processes is found one
    /// by one; the sum of all is exact, also where processes were evicted.
    pub(super) fn counted(&self, group: &Group) -> Counted {
        if self.chooses_files() {
            return Counted::Files;
        }
        let single = self.talking.is_some() || self.filters().any(Filter::needs_each_process);
        let name = [group.key.name.as_bytes()];
        let matches = |cgroup_id: Option<u64>| {
            let cgroup = cgroup_id.and_then(|id| self.cgroups.get(id));
            let all = ProcessInfo { names: &name, tgid: 0, uid: 0, cgroup };
            self.filters().all(|f| f.process(&all))
        };
        let mut programs = group.programs.iter().filter_map(|s| self.opens.programs().get(*s));
        match !single && programs.all(|p| matches(p.key.cgroup_id)) {
            true => Counted::Whole,
            false => Counted::Members,
        }
    }

    /// The part of a process that the filters select: of its files, if a term is about files.
    pub(super) fn part(&self, process: &Process) -> Option<(Tally, f64)> {
        let mut sum: Option<(Tally, f64)> = None;
        for file in process.files.iter().filter_map(|s| self.opens.files().get(*s)) {
            if self.file(file) {
                add(&mut sum, &file.tally, self.opens.rate_of(&file.meter));
            }
        }
        sum
    }

    /// The traffic of a process.
    pub(super) fn traffic(&self, process: &Process) -> Option<Traffic> {
        self.owners?.process(process.key).map(Traffic::of)
    }

    /// How many paths contain a word; `None`: none does.
    pub fn paths_with(&self, word: &str) -> Option<usize> {
        let filter = Filter::parse(&format!("path:{word}")).ok()?;
        let matches = |path: &Path| {
            let path = Some(&*path.bytes);
            filter.file(&What { path, resolved: path, errno: None })
        };
        let n = self.opens.paths().iter().filter(|(_, p)| matches(p)).count();
        (n > 0).then_some(n)
    }

    /// Whether a filter is about files.
    pub(super) fn chooses_files(&self) -> bool {
        self.filters().any(Filter::chooses_files)
    }

    /// An old process that opens a new file counts as new.
    pub(super) fn has_new_file(&self, process: &Process) -> bool {
        self.new_since.is_some()
            && process
                .files
                .iter()
                .any(|s| self.opens.files().get(*s).is_some_and(|f| self.tally(&f.tally)))
    }

    /// The figures of a path by processes that match; `None` if it is not shown.
    pub(super) fn share(&self, path: &Path) -> Option<Share> {
        let opens = self.opens;
        if path.tally.is_empty() {
            return None; // evicted failures refer to it, and no use
        }
        if self.filters().next().is_none() {
            return self.tally(&path.tally).then(|| Share {
                tally: path.tally.clone(),
                rate: opens.rate_of(&path.meter),
                last_ret: path.last_ret,
                users: opens.users_of(path),
            });
        }
        let mut share: Option<Share> = None;
        for file in path.users.iter().filter_map(|s| opens.files().get(*s)) {
            if !self.what(&path.bytes, Some(file), file.last_ret)
                || !opens.processes().get(file.process).is_some_and(|p| self.who(p))
            {
                continue;
            }
            let rate = opens.rate_of(&file.meter);
            let Some(sum) = &mut share else {
                let (tally, last_ret) = (file.tally.clone(), file.last_ret);
                share = Some(Share { tally, rate, last_ret, users: file.uses() });
                continue;
            };
            if file.tally.last >= sum.tally.last {
                sum.last_ret = file.last_ret;
            }
            sum.tally.merge(&file.tally);
            sum.rate += rate;
            sum.users += file.uses();
        }
        share.filter(|s| self.tally(&s.tally))
    }
}
