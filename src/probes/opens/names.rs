//! The names of files that were met, by the key that opens refer to.
//!
//! The kernel side says a file's name once, before the first open that refers to it. When many
//! have gathered here the epoch is raised: every key is new then, old names are kept for the
//! opens that are still on their way, and dropped at the next turn.

use hashbrown::HashMap;

/// Names in a generation before the next one begins.
const NAMES: usize = 16_384;
/// Bytes of names in a generation before the next one begins. With two generations, and a batch
/// that may overshoot, names take about 6 MiB; more while a backlog is read, see `has_room`.
const TEXT_BYTES: usize = 2 << 20;

#[derive(Debug, Default)]
struct Generation {
    epoch: u32,
    by_key: HashMap<u64, (u32, u32)>,
    text: Vec<u8>,
}

impl Generation {
    /// A backlog in the rings may bring more after the turn, a ring of 16 MiB full of ever new
    /// files just this much. Names without room then are not known.
    fn has_room(&self) -> bool {
        self.by_key.len() < 4 * NAMES && self.text.len() < 4 * TEXT_BYTES
    }

    fn get(&self, key: u64) -> Option<&[u8]> {
        let (start, len) = *self.by_key.get(&key)?;
        self.text.get(start as usize..)?.get(..len as usize)
    }
}

/// The content of a name record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probes) enum Place<'a> {
    /// The names from the file up to the root, each with its NUL; none for the root.
    Tree(&'a [u8]),
    /// `/NAME`: a memfd, for example.
    Named(&'a [u8]),
    /// `NAME:[INODE]`: a pipe, a socket, a namespace.
    Numbered(&'a [u8], u64),
    /// `anon_inode:NAME`: an eventfd, a pidfd.
    AnonInode(&'a [u8]),
}

/// Two generations of names.
#[derive(Debug, Default)]
pub(in crate::probes) struct Names {
    current: Generation,
    previous: Generation,
}

impl Names {
    /// Keeps the text of a place. One of an epoch that is gone is dropped: no open refers to it.
    pub(in crate::probes) fn insert(&mut self, key: u64, epoch: u32, place: Place<'_>) {
        let generation = if epoch == self.current.epoch && self.current.has_room() {
            &mut self.current
        } else if epoch == self.previous.epoch && self.previous.has_room() {
            &mut self.previous
        } else {
            return;
        };
        // Every ring names it once.
        if generation.by_key.contains_key(&key) {
            return;
        }
        let Ok(start) = u32::try_from(generation.text.len()) else { return };
        place.write(&mut generation.text);
        let len = generation.text.len() - start as usize;
        generation.by_key.insert(key, (start, u32::try_from(len).unwrap_or(0)));
    }

    /// The text of a place.
    pub(in crate::probes) fn get(&self, key: u64) -> Option<&[u8]> {
        self.current.get(key).or_else(|| self.previous.get(key))
    }

    /// The epoch to begin when enough names have gathered.
    pub(in crate::probes) fn turn(&mut self) -> Option<u32> {
        if self.current.by_key.len() < NAMES && self.current.text.len() < TEXT_BYTES {
            return None;
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.by_key.clear();
        self.current.text.clear();
        self.current.epoch = self.previous.epoch.wrapping_add(1);
        Some(self.current.epoch)
    }
}

impl Place<'_> {
    pub(super) fn write(self, text: &mut Vec<u8>) {
        match self {
            Place::Tree(names) => {
                let start = text.len();
                let names = names.strip_suffix(&[0]).unwrap_or(names);
                for name in names.rsplit(|b| *b == 0) {
                    text.push(b'/');
                    text.extend_from_slice(name);
                }
                debug_assert!(text.len() > start, "rsplit of nothing gives one empty name");
            }
            // As readlink of /proc/PID/fd/N, without its " (deleted)".
            Place::Named(name) => {
                text.push(b'/');
                text.extend_from_slice(name);
            }
            Place::Numbered(name, inode) => {
                text.extend_from_slice(name);
                text.extend_from_slice(format!(":[{inode}]").as_bytes());
            }
            Place::AnonInode(name) => {
                text.extend_from_slice(b"anon_inode:");
                text.extend_from_slice(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(place: Place<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        place.write(&mut text);
        text
    }

    #[test]
    fn paths_are_put_together_from_the_root() {
        assert_eq!(written(Place::Tree(b"hosts\0etc\0")), b"/etc/hosts");
        assert_eq!(written(Place::Tree(b"etc\0")), b"/etc");
        assert_eq!(written(Place::Tree(b"")), b"/");
        assert_eq!(written(Place::Named(b"memfd:a/b")), b"/memfd:a/b");
        assert_eq!(written(Place::Numbered(b"pipe", 7)), b"pipe:[7]");
        assert_eq!(written(Place::AnonInode(b"[eventfd]")), b"anon_inode:[eventfd]");
    }

    #[test]
    fn old_names_outlive_one_turn_and_are_gone_after_two() {
        let mut names = Names::default();
        names.insert(1, 0, Place::Tree(b"a\0"));
        assert_eq!(names.turn(), None);
        let fill = |names: &mut Names, epoch: u32| {
            for key in 0..NAMES as u64 {
                names.insert(1000 + u64::from(epoch) * 1_000_000 + key, epoch, Place::Tree(b"x\0"));
            }
        };
        fill(&mut names, 0);
        assert_eq!(names.turn(), Some(1));
        assert_eq!(names.get(1), Some(&b"/a"[..]));
        // Late ones of the epoch before are still taken, of others not.
        names.insert(2, 0, Place::Tree(b"late\0"));
        names.insert(3, 7, Place::Tree(b"odd\0"));
        assert_eq!(names.get(2), Some(&b"/late"[..]));
        assert_eq!(names.get(3), None);
        fill(&mut names, 1);
        assert_eq!(names.turn(), Some(2));
        assert_eq!((names.get(1), names.get(2)), (None, None));
        assert_eq!(names.get(1_001_000), Some(&b"/x"[..]));
    }
}
