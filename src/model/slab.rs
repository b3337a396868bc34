//! A generational slab with an undo log.

use super::undo::{Reading, Undoable, Window, Writing};

/// A handle: the index of an entry, and a serial number that distinguishes it from earlier entries there.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Slot {
    index: u32,
    serial: u32,
}

impl Slot {
    /// A number that identifies the entry as long as it exists.
    pub fn id(self) -> u64 {
        (u64::from(self.serial) << 32) | u64::from(self.index)
    }

    /// The order of insertion among live entries.
    pub fn order(self) -> u32 {
        self.serial
    }
}

#[derive(Clone, Debug)]
struct Entry<T> {
    serial: u32,
    /// Twice the turn in which it was noted last, plus one if it was inserted in that turn.
    noted: u32,
    value: Option<T>,
}

/// Entries at stable indices. Insertion takes the index freed last.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    serial: u32,
    held: usize,
    /// A changed entry is noted once a turn; turn 0 notes nothing.
    turn: u32,
    log: Log,
}

/// Undo records back to the beginning of the turn.
#[derive(Clone, Debug, Default)]
struct Log {
    /// Indices of inserted entries.
    came: Writing,
    /// Removed entries, as they were then.
    went: Writing,
    /// Changed entries, as they were before.
    changed: Writing,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        let (entries, free, log) = Default::default();
        Self { entries, free, serial: 0, held: 0, turn: 0, log }
    }
}

impl<T> Slab<T> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry; `None` if it was removed.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&T> {
        match self.entries.get(slot.index as usize) {
            Some(entry) if entry.serial == slot.serial => entry.value.as_ref(),
            _ => None,
        }
    }

    /// Every entry with its handle, in the order of indices.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.entries.iter().zip(0..).filter_map(|(entry, index)| {
            Some((Slot { index, serial: entry.serial }, entry.value.as_ref()?))
        })
    }

    /// Every entry with its handle. Changes made this way are not noted: they must be derived data,
    /// or the table must never go back before them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut T)> {
        self.entries.iter_mut().zip(0..).filter_map(|(entry, index)| {
            Some((Slot { index, serial: entry.serial }, entry.value.as_mut()?))
        })
    }

    /// The entry, for changes that are not noted: see [`Slab::iter_mut`].
    pub fn unnoted_mut(&mut self, slot: Slot) -> Option<&mut T> {
        match self.entries.get_mut(slot.index as usize) {
            Some(entry) if entry.serial == slot.serial => entry.value.as_mut(),
            _ => None,
        }
    }
}

impl<T: Undoable> Slab<T> {
    /// Inserts `value`.
    pub fn insert(&mut self, value: T) -> Slot {
        self.serial = self.serial.wrapping_add(1);
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { serial: 0, noted: 0, value: None });
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = Slot { index, serial: self.serial };
        self.put(slot, value);
        slot
    }

    /// Puts `value` at a free index.
    fn put(&mut self, slot: Slot, value: T) {
        let came = self.turn << 1 | 1;
        let Some(entry) = self.entries.get_mut(slot.index as usize) else { return };
        if self.turn > 0 && entry.noted != came {
            self.log.came.put(&slot.index);
        }
        *entry = Entry { serial: slot.serial, noted: came, value: Some(value) };
        self.held += 1;
    }

    /// The entry; `None` if it was removed.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        match self.entries.get_mut(slot.index as usize) {
            Some(entry) if entry.serial == slot.serial => {
                if entry.noted >> 1 != self.turn {
                    entry.noted = self.turn << 1;
                    self.log.change(slot, entry.value.as_ref());
                }
                entry.value.as_mut()
            }
            _ => None,
        }
    }

    /// Removes the entry and returns it.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let entry = self.entries.get_mut(slot.index as usize)?;
        if entry.serial != slot.serial {
            return None;
        }
        let value = entry.value.take()?;
        // An entry inserted in this turn did not exist before it.
        if self.turn > 0 && entry.noted != self.turn << 1 | 1 {
            let went = &mut self.log.went;
            went.put(&slot);
            value.write_fixed(went);
            value.write(went);
        }
        self.free.push(slot.index);
        self.held -= 1;
        Some(value)
    }

    /// Writes the undo records of this turn and begins another, in which histories change only in the
    /// seconds of `window`. The records of the first call are of no use.
    pub fn changes(&mut self, window: Window, to: &mut Writing) {
        self.turn += 1;
        let Log { came, went, changed } = std::mem::take(&mut self.log);
        self.log.changed.window = window;
        [came, went, changed].iter().for_each(|part| to.part(&part.bytes));
    }

    /// Goes back by the records that [`Slab::changes`] wrote of the next turn. Nothing may be inserted
    /// after that.
    pub fn go_back(&mut self, from: &mut Reading<'_>) -> Option<()> {
        let (mut came, mut went, mut changed) = (from.part()?, from.part()?, from.part()?);
        while !came.is_done() {
            let index: u32 = came.get()?;
            let serial = self.entries.get(index as usize)?.serial;
            self.remove(Slot { index, serial });
        }
        while !went.is_done() {
            let slot = went.get()?;
            let mut value = T::read_fixed(&mut went)?;
            value.read(&mut went)?;
            self.put(slot, value);
        }
        while !changed.is_done() {
            let slot = changed.get()?;
            self.get_mut(slot)?.read(&mut changed)?;
        }
        Some(())
    }
}

impl Log {
    #[cold]
    #[inline(never)]
    fn change<T: Undoable>(&mut self, slot: Slot, value: Option<&T>) {
        if let Some(value) = value {
            self.changed.put(&slot);
            value.write(&mut self.changed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Undoable for char {
        fn write_fixed(&self, _: &mut Writing) {}

        fn read_fixed(_: &mut Reading<'_>) -> Option<Self> {
            Some(' ')
        }

        fn write(&self, to: &mut Writing) {
            to.put(self);
        }

        fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
            *self = from.get()?;
            Some(())
        }
    }

    #[test]
    fn a_handle_does_not_reach_the_next_tenant() {
        let mut slab = Slab::default();
        let a = slab.insert('a');
        assert_eq!(slab.remove(a), Some('a'));
        let b = slab.insert('b');
        assert_eq!((slab.get(a), slab.get(b), slab.len()), (None, Some(&'b'), 1));
        assert_eq!(slab.remove(a), None);
        assert_ne!(a.id(), b.id());
    }

    /// Indices that are freed, used again, and freed again within one turn.
    #[test]
    fn every_turn_can_be_taken_back_and_made_again() {
        let mut slab = Slab::default();
        let held = |slab: &Slab<char>| slab.iter().map(|(s, c)| (s, *c)).collect::<Vec<_>>();
        let turn = |slab: &mut Slab<char>| {
            let mut writing = Writing::default();
            slab.changes(Window::ALL, &mut writing);
            writing.bytes
        };
        turn(&mut slab);
        let slots = ['a', 'b', 'c', 'd'].map(|c| slab.insert(c));
        let mut past = vec![(Vec::new(), turn(&mut slab))];
        let before = held(&slab);
        *slab.get_mut(slots[0]).unwrap() = 'A';
        *slab.get_mut(slots[1]).unwrap() = 'B';
        *slab.get_mut(slots[1]).unwrap() = 'X';
        slab.remove(slots[1]);
        let e = slab.insert('e');
        *slab.get_mut(e).unwrap() = 'E';
        slab.remove(e);
        slab.insert('f');
        slab.remove(slots[3]);
        slab.insert('g');
        slab.insert('h');
        past.push((before, turn(&mut slab)));
        let mut redos = Vec::new();
        for (then, undo) in past.iter().rev() {
            let now = held(&slab);
            slab.go_back(&mut Reading(undo)).unwrap();
            assert_eq!(held(&slab), *then);
            assert_eq!(slab.len(), then.len());
            redos.push((now, turn(&mut slab)));
        }
        while let Some((then, redo)) = redos.pop() {
            slab.go_back(&mut Reading(&redo)).unwrap();
            turn(&mut slab);
            assert_eq!(held(&slab), then);
        }
    }
}
