//! A slab whose rows are found by a key.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::{Slab, Slot};
use super::undo::{Reading, Undoable, Window, Writing};

/// A row that has a key, which never changes while the row exists.
pub trait Keyed {
    /// The type of the key.
    type Key: Copy + Eq + Hash;
    /// The key.
    fn key(&self) -> Self::Key;
}

/// Rows in a slab, with an index by key.
#[derive(Clone, Debug)]
pub struct Table<T> {
    rows: Slab<T>,
    index: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        let (rows, index, hasher) = Default::default();
        Self { rows, index, hasher }
    }
}

impl<T: Keyed> Table<T> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row with this key.
    pub fn get(&self, key: T::Key) -> Option<&T> {
        self.rows.get(self.find(key)?)
    }

    /// Every row, in the order of the slab.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().map(|(_, row)| row)
    }

    /// Every row, for changes that are not noted: see [`Slab::iter_mut`].
    pub fn unnoted_values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().map(|(_, row)| row)
    }

    fn find(&self, key: T::Key) -> Option<Slot> {
        let same = |slot: &Slot| self.rows.get(*slot).is_some_and(|row| row.key() == key);
        self.index.find(self.hasher.hash_one(key), same).copied()
    }

    fn index(&mut self, key: T::Key, slot: Slot) {
        let (rows, hasher) = (&self.rows, &self.hasher);
        let hash = |slot: &Slot| rows.get(*slot).map_or(0, |row| hasher.hash_one(row.key()));
        self.index.insert_unique(hasher.hash_one(key), slot, hash);
    }

    /// Builds the index again, after [`Table::go_back`].
    pub fn settle(&mut self) {
        self.index.clear();
        let keys: Vec<_> = self.rows.iter().map(|(slot, row)| (row.key(), slot)).collect();
        keys.into_iter().for_each(|(key, slot)| self.index(key, slot));
    }
}

impl<T: Keyed + Undoable> Table<T> {
    /// The row with this key, for a change.
    pub fn get_mut(&mut self, key: T::Key) -> Option<&mut T> {
        self.rows.get_mut(self.find(key)?)
    }

    /// The row with this key, for a change; `new` makes it where there is none.
    pub fn get_or_insert(&mut self, key: T::Key, new: impl FnOnce() -> T) -> &mut T {
        let slot = self.find(key).unwrap_or_else(|| {
            let slot = self.rows.insert(new());
            self.index(key, slot);
            slot
        });
        self.rows.get_mut(slot).expect("it was found or inserted")
    }

    /// Removes the row with this key and returns it.
    pub fn remove(&mut self, key: T::Key) -> Option<T> {
        let same = |slot: &Slot| self.rows.get(*slot).is_some_and(|row| row.key() == key);
        let found = self.index.find_entry(self.hasher.hash_one(key), same).ok()?;
        let (slot, _) = found.remove();
        self.rows.remove(slot)
    }

    /// Passes the rows that `chosen` selects to `change`; no other row counts as changed.
    pub fn change(&mut self, chosen: impl Fn(&T) -> bool, mut change: impl FnMut(&mut T)) {
        let chosen = self.rows.iter().filter(|(_, row)| chosen(row));
        let slots: Vec<Slot> = chosen.map(|(slot, _)| slot).collect();
        for slot in slots {
            if let Some(row) = self.rows.get_mut(slot) {
                change(row);
            }
        }
    }

    /// Removes the rows that `chosen` selects, and passes each to `removed`.
    pub fn evict(&mut self, chosen: impl Fn(&T) -> bool, mut removed: impl FnMut(T)) {
        let keys: Vec<_> = self.values().filter(|row| chosen(row)).map(Keyed::key).collect();
        keys.into_iter().filter_map(|key| self.remove(key)).for_each(&mut removed);
    }

    /// Writes the undo records of this turn and begins another: see [`Slab::changes`].
    pub fn changes(&mut self, window: Window, to: &mut Writing) {
        self.rows.changes(window, to);
    }

    /// Goes back by what [`Table::changes`] wrote; [`Table::settle`] has to follow.
    pub fn go_back(&mut self, from: &mut Reading<'_>) -> Option<()> {
        self.rows.go_back(from)
    }
}
