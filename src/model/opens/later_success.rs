//! Whether a file that could not be opened was found elsewhere: a later good open by the same
//! process of a path that ends in the same name. Worked out when it is asked for, so that
//! counting an open costs nothing more; bounded as the tables are.

use hashbrown::{HashMap, HashSet};

use super::{Failure, FileUse, Opens};
use crate::model::slab::Slot;

/// The good opens of processes that have failures, by the last part of the path.
#[derive(Debug)]
pub struct LaterSuccess<'a> {
    opens: &'a Opens,
    by_name: HashMap<(Slot, &'a [u8]), &'a FileUse>,
}

impl<'a> LaterSuccess<'a> {
    /// Indexes the good opens in `opens`.
    pub fn new(opens: &'a Opens) -> Self {
        Self::of(opens, opens.failures().iter().map(|(_, f)| f.process).collect())
    }

    /// Indexes the good opens of these processes. Those of what stands for evicted processes say nothing: one
    /// of them may have failed, and another one have opened a file of that name.
    pub(super) fn of(opens: &'a Opens, failing: HashSet<Slot>) -> Self {
        let mut by_name: HashMap<(Slot, &[u8]), &FileUse> = HashMap::new();
        let processes = failing.iter().filter_map(|s| opens.processes().get(*s));
        let files = processes.filter(|p| !p.is_stand_in()).flat_map(|p| &p.files);
        for file in files.filter_map(|s| opens.files().get(*s)) {
            let (Some(_), Some(path)) = (file.last_good, opens.paths().get(file.path)) else {
                continue;
            };
            let last = by_name.entry((file.process, name(&path.bytes))).or_insert(file);
            if last.last_good < file.last_good {
                *last = file;
            }
        }
        Self { opens, by_name }
    }

    /// The use of a path that this failure led to: opened since it last failed.
    pub fn after(&self, failure: &Failure) -> Option<&'a FileUse> {
        // A path that stands for evicted files has no name.
        let path = self.opens.paths().get(failure.path).filter(|path| !path.is_rest())?;
        let file = self.by_name.get(&(failure.process, name(&path.bytes)))?;
        (file.last_good? >= failure.last).then_some(*file)
    }

    /// Whether the file was found in another directory.
    pub fn elsewhere(&self, failure: &Failure) -> bool {
        failure.found_elsewhere || self.after(failure).is_some_and(|file| file.path != failure.path)
    }
}

/// The last part of a path.
fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::super::tests::add;
    use super::*;

    #[test]
    fn a_later_good_open_of_the_same_name_by_the_same_process() {
        type Opened = (u32, u64, i64, &'static str);
        let of = |tried: &[Opened]| {
            let mut opens = Opens::default();
            for (tgid, at, ret, path) in tried {
                add(&mut opens, *tgid, *at, *ret, path.as_bytes());
            }
            let found = LaterSuccess::new(&opens);
            let failure = opens.failures().iter().next().unwrap().1;
            let file = found.after(failure)?;
            let path = &opens.paths().get(file.path).unwrap().bytes;
            Some(String::from_utf8(path.to_vec()).unwrap())
        };
        const TRIED: Opened = (1, 5, -2, "/usr/lib/libfoo.so");
        for (then, found) in [
            (&[(1, 6, 3, "/opt/lib/libfoo.so")][..], Some("/opt/lib/libfoo.so")),
            (&[(1, 6, 3, "/usr/lib/libfoo.so")], Some("/usr/lib/libfoo.so")),
            (&[(1, 6, 3, "/a/libfoo.so"), (1, 7, 3, "/b/libfoo.so")], Some("/b/libfoo.so")),
            (&[(1, 6, 3, "libfoo.so")], Some("libfoo.so")),
            (&[(1, 4, 3, "/opt/lib/libfoo.so")], None),
            (&[(2, 6, 3, "/opt/lib/libfoo.so")], None),
            (&[(1, 6, -2, "/opt/lib/libfoo.so")], None),
            (&[(1, 6, 3, "/opt/lib/libfoo.so.1")], None),
            (&[(1, 6, 3, "/opt/libfoo.so/x")], None),
            // Found once, and failed again since.
            (&[(1, 6, 3, "/opt/libfoo.so"), (1, 7, -2, "/usr/lib/libfoo.so")], None),
        ] {
            let tried: Vec<_> = std::iter::once(TRIED).chain(then.iter().copied()).collect();
            assert_eq!(of(&tried).as_deref(), found, "{then:?}");
        }
    }

    /// Failures of processes and files that are long evicted are still known to be found or not.
    #[test]
    fn eviction_does_not_forget_what_was_found() {
        let limits = Limits { processes: 32, files: 64, failures: 48, ..Limits::default() };
        let mut opens = Opens::with_limits(limits);
        for n in 0..1_000u32 {
            let at = u64::from(n) * 1_000;
            add(&mut opens, n + 1, at, -2, format!("/usr/local/include/{n}.h").as_bytes());
            add(&mut opens, n + 1, at + 1, 3, format!("/usr/include/{n}.h").as_bytes());
            if n % 10 == 0 {
                add(&mut opens, n + 1, at + 2, -2, b"/srv/backup/last");
            }
        }
        assert!(opens.evicted().failures > 500 && opens.evicted().files > 500);
        let found = LaterSuccess::new(&opens);
        let sum = |is_found: bool| -> u64 {
            let failures = opens.failures().iter().map(|(_, f)| f);
            failures.filter(|f| found.elsewhere(f) == is_found).map(|f| f.count).sum()
        };
        assert_eq!((sum(true), sum(false)), (1_000, 100));
    }

    /// Two processes of one name are one entry once they are evicted: what one of them opened says nothing
    /// about the other.
    #[test]
    fn what_another_evicted_process_opened_is_not_found() {
        let mut opens = Opens::default();
        add(&mut opens, 1, 5, -2, b"/etc/app/app.conf");
        add(&mut opens, 2, 6, 3, b"/opt/app/app.conf");
        opens.evict_processes();
        opens.evict_processes();
        opens.evict_processes();
        assert_eq!(opens.evicted().processes, 2);
        let (_, failure) = opens.failures().iter().next().unwrap();
        let found = LaterSuccess::new(&opens);
        assert!(found.after(failure).is_none() && !found.elsewhere(failure), "{failure:?}");
    }

    /// A process's own uses move to its stand-in when there are many of them.
    #[test]
    fn a_process_with_many_files_keeps_what_it_found() {
        let limits = Limits { files_of_one: 16, ..Limits::default() };
        let mut opens = Opens::with_limits(limits);
        add(&mut opens, 1, 5, -2, b"/usr/local/include/a.h");
        add(&mut opens, 1, 6, 3, b"/usr/include/a.h");
        add(&mut opens, 2, 7, -2, b"/usr/local/include/a.h");
        for n in 0..64 {
            add(&mut opens, 1, 20_000_000_000 + n, 3, format!("/srv/{n}").as_bytes());
        }
        let gone = |(_, f): (Slot, &FileUse)| f.last_good != Some(crate::model::time::Mono(6));
        assert!(opens.files().iter().filter(|(_, f)| f.evicted == 0).all(gone));
        let found = LaterSuccess::new(&opens);
        let all = opens.failures().iter().map(|(_, f)| (f.first.0, found.elsewhere(f)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        assert_eq!(all, [(5, true), (7, false)]);
        drop(found);
        // One that fails again is one failure still, and not found since.
        add(&mut opens, 1, 30_000_000_000, -2, b"/usr/local/include/a.h");
        assert_eq!(opens.failures().len(), 3);
        let found = LaterSuccess::new(&opens);
        let all = opens.failures_by_path().map(|(_, f)| (f.first.0, f.count, found.elsewhere(&f)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        assert_eq!(all, [(5, 2, false), (7, 1, false)]);
    }

    #[test]
    fn the_last_part() {
        assert_eq!(name(b"/a/b"), b"b");
        assert_eq!(name(b"b"), b"b");
        assert_eq!(name(b"/"), b"");
    }
}
