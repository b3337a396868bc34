//! Storage whose places are reused, with handles that notice when their entry has gone.

/// Where an entry is, and which of those that have been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    index: u32,
    serial: u32,
}

impl Slot {
    /// A number that stands for the entry as long as it is held.
    pub fn id(self) -> u64 {
        (u64::from(self.serial) << 32) | u64::from(self.index)
    }
}

/// Entries at stable places. Insertion takes the place freed last.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    entries: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    serial: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), serial: 0 }
    }
}

impl<T> Slab<T> {
    /// How many entries are held.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes `value` in.
    pub fn insert(&mut self, value: T) -> Slot {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        if let Some(index) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            *entry = (serial, Some(value));
            return Slot { index, serial };
        }
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push((serial, Some(value)));
        Slot { index, serial }
    }

    /// The entry, unless it has gone.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&T> {
        match self.entries.get(slot.index as usize) {
            Some((serial, value)) if *serial == slot.serial => value.as_ref(),
            _ => None,
        }
    }

    /// The entry, unless it has gone.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        match self.entries.get_mut(slot.index as usize) {
            Some((serial, value)) if *serial == slot.serial => value.as_mut(),
            _ => None,
        }
    }

    /// Lets the entry go and hands it out.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let (serial, value) = self.entries.get_mut(slot.index as usize)?;
        if *serial != slot.serial {
            return None;
        }
        let value = value.take()?;
        self.free.push(slot.index);
        Some(value)
    }

    /// Every entry with its handle, in the order of places.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, (serial, value))| {
            let slot = Slot { index: u32::try_from(index).unwrap_or(u32::MAX), serial: *serial };
            value.as_ref().map(|v| (slot, v))
        })
    }

    /// Every entry with its handle, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut T)> {
        self.entries.iter_mut().enumerate().filter_map(|(index, (serial, value))| {
            let slot = Slot { index: u32::try_from(index).unwrap_or(u32::MAX), serial: *serial };
            value.as_mut().map(|v| (slot, v))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
