//! Distinguishes the files of a program from those that nearly all programs open.

use hashbrown::HashMap;

use crate::model::common_files::{is_common, is_of_most, weight};
use crate::model::field::opens::{Measures, OpensSort};
use crate::model::field::step;
use crate::model::open::Comm;
use crate::model::opens::{Opens, Path, Tally};
use crate::model::slab::Slot;

/// The number of programs that open each file.
pub(super) struct Commonness<'a> {
    opens: &'a Opens,
    users: HashMap<Slot, usize>,
    programs: usize,
}

impl<'a> Commonness<'a> {
    /// Counts programs by their names, whatever a filter selects.
    pub(super) fn of(opens: &'a Opens) -> Self {
        let name = |slot: &Slot| {
            let process = opens.files().get(*slot).map(|f| f.process);
            process.and_then(|s| opens.processes().get(s)).map(|p| p.name)
        };
        let mut names: Vec<Comm> = Vec::new();
        let mut all: hashbrown::HashSet<Comm> = hashbrown::HashSet::new();
        let mut users = HashMap::with_capacity(opens.paths().len());
        for (slot, path) in opens.paths().iter() {
            names.clear();
            names.extend(path.users.iter().filter_map(name));
            names.sort_unstable_by_key(|name| name.0);
            names.dedup();
            all.extend(&names);
            users.insert(slot, names.len());
        }
        Self { opens, users, programs: all.len() }
    }

    fn users(&self, path: Slot) -> usize {
        self.users.get(&path).copied().unwrap_or(1)
    }

    /// Whether a file says nothing about the programs that open it.
    pub(super) fn is_common(&self, path: Slot) -> bool {
        is_of_most(self.users(path), self.programs)
            || self.opens.paths().get(path).is_some_and(|p| is_common(&p.bytes))
    }

    /// The class of a file among those of a program: its own, then evicted files of a directory, then those
    /// that are common.
    pub(super) fn class(&self, path: Slot) -> u8 {
        let is_rest = || self.opens.paths().get(path).is_some_and(Path::is_rest);
        match self.is_common(path) {
            true => 2,
            false => u8::from(is_rest()),
        }
    }

    /// The weight of a file of a program or process. By rate, that is the rate, and the opens among
    /// equals, weighed down by the share of all programs that open the file.
    pub(super) fn weigh(
        &self,
        sort: OpensSort,
        path: Slot,
        tally: &Tally,
        rate: f64,
    ) -> (u64, u64) {
        if sort != OpensSort::Rate {
            return sort.weigh(&Measures::of(tally, rate));
        }
        let weight = weight(self.users(path), self.programs);
        (step(rate * weight), (tally.opens as f64 * weight) as u64)
    }
}
