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

impl<T> Table<T> {
    /// The rows.
    pub fn slab(&self) -> &Slab<T> {
        &self.rows
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row; `None` if it was removed.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.rows.get(slot)
    }

    /// Every row with its handle: see [`Slab::iter`].
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.rows.iter()
    }

    /// Every row, for changes that are not noted: see [`Slab::iter_mut`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut T)> {
        self.rows.iter_mut()
    }

    /// The row, for changes that are not noted: see [`Slab::unnoted_mut`].
    pub fn unnoted_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.rows.unnoted_mut(slot)
    }
}

impl<T: Keyed> Table<T> {
    /// The slot of the row with this key.
    #[inline]
    pub fn find(&self, key: T::Key) -> Option<Slot> {
        let same = |slot: &Slot| self.rows.get(*slot).is_some_and(|row| row.key() == key);
        self.index.find(self.hasher.hash_one(key), same).copied()
    }

    /// The row with this key.
    pub fn row(&self, key: T::Key) -> Option<&T> {
        self.rows.get(self.find(key)?)
    }

    fn index(&mut self, key: T::Key, slot: Slot) {
        let (rows, hasher) = (&self.rows, &self.hasher);
        let hash = |slot: &Slot| rows.get(*slot).map_or(0, |row| hasher.hash_one(row.key()));
        self.index.insert_unique(hasher.hash_one(key), slot, hash);
    }

    /// Number of indexed rows: all of them.
    #[cfg(test)]
    pub fn indexed(&self) -> usize {
        self.index.len()
    }

    /// Builds the index again, after [`Table::go_back`].
    pub fn settle(&mut self) {
        self.index.clear();
        let keys: Vec<_> = self.rows.iter().map(|(slot, row)| (row.key(), slot)).collect();
        keys.into_iter().for_each(|(key, slot)| self.index(key, slot));
    }
}

impl<T: Keyed + Undoable> Table<T> {
    /// The row, for a change; `None` if it was removed.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.rows.get_mut(slot)
    }

    /// The row with this key, for a change.
    pub fn row_mut(&mut self, key: T::Key) -> Option<&mut T> {
        self.rows.get_mut(self.find(key)?)
    }

    /// Inserts a row; there must be none with its key.
    pub fn insert(&mut self, row: T) -> Slot {
        let key = row.key();
        let slot = self.rows.insert(row);
        self.index(key, slot);
        slot
    }

    /// The row with this key, for a change; `new` makes it where there is none.
    pub fn row_or_insert(&mut self, key: T::Key, new: impl FnOnce() -> T) -> &mut T {
        let slot = self.find(key).unwrap_or_else(|| self.insert(new()));
        self.rows.get_mut(slot).expect("it was found or inserted")
    }

    /// Removes the row and returns it.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let hash = self.hasher.hash_one(self.rows.get(slot)?.key());
        if let Ok(found) = self.index.find_entry(hash, |indexed| *indexed == slot) {
            found.remove();
        }
        self.rows.remove(slot)
    }

    /// Removes the row with this key and returns it.
    pub fn remove_row(&mut self, key: T::Key) -> Option<T> {
        self.remove(self.find(key)?)
    }

    fn chosen(&self, chosen: impl Fn(&T) -> bool) -> Vec<Slot> {
        self.rows.iter().filter(|(_, row)| chosen(row)).map(|(slot, _)| slot).collect()
    }

    /// Passes the rows that `chosen` selects to `change`; no other row counts as changed.
    pub fn change(&mut self, chosen: impl Fn(&T) -> bool, mut change: impl FnMut(&mut T)) {
        for slot in self.chosen(chosen) {
            if let Some(row) = self.rows.get_mut(slot) {
                change(row);
            }
        }
    }

    /// Removes the rows that `chosen` selects, and passes each to `removed`.
    pub fn evict(&mut self, chosen: impl Fn(&T) -> bool, removed: impl FnMut(T)) {
        self.chosen(chosen).into_iter().filter_map(|slot| self.remove(slot)).for_each(removed);
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

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for char {
        type Key = char;

        fn key(&self) -> char {
            *self
        }
    }

    #[test]
    fn rows_are_found_by_key_as_long_as_they_are_there() {
        let mut table = Table::default();
        let slots = ['a', 'b', 'c'].map(|row| table.insert(row));
        assert_eq!(table.find('b'), Some(slots[1]));
        assert_eq!(table.remove_row('b'), Some('b'));
        assert_eq!((table.find('b'), table.remove(slots[1])), (None, None));
        assert_eq!(*table.row_or_insert('d', || 'd'), 'd');
        let mut evicted = Vec::new();
        table.evict(|row| *row != 'c', |row| evicted.push(row));
        assert_eq!((evicted, table.find('c')), (vec!['a', 'd'], Some(slots[2])));
        assert_eq!((table.len(), table.indexed()), (1, 1));
    }

    #[test]
    fn rows_that_come_back_are_found_again() {
        let mut table = Table::default();
        let slot = table.insert('a');
        let turn = |table: &mut Table<char>| {
            let mut writing = Writing::default();
            table.changes(Window::ALL, &mut writing);
            writing.bytes
        };
        turn(&mut table);
        table.remove(slot);
        table.insert('b');
        let undo = turn(&mut table);
        table.go_back(&mut Reading(&undo)).unwrap();
        table.settle();
        assert_eq!((table.find('a'), table.find('b'), table.indexed()), (Some(slot), None, 1));
    }
}
