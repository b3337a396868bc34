//! A row of files in one directory, each named by the time of its beginning; the oldest are removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::create;
use crate::privileges::as_invoker;

/// Files that may begin in one second.
const A_SECOND: u32 = 10_000;

/// The row: `ebpftop-20261130T134500Z-0000.jsonl`, in UTC, so that names sort by time.
#[derive(Clone, Debug)]
pub struct Rotating {
    dir: PathBuf,
    extension: &'static str,
    keep: Option<usize>,
    /// The second in which the last file began, and its number in that.
    last: Option<(String, u32)>,
}

impl Rotating {
    /// Files in `dir`, of which `keep` stay at most, those of earlier runs included.
    pub fn new(dir: &Path, extension: &'static str, keep: Option<usize>) -> io::Result<Self> {
        if !as_invoker(|| fs::metadata(dir))??.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { dir: dir.to_owned(), extension, keep, last: None })
    }

    /// Begins the next file at `now`, 0600 and for the user who called sudo, and removes the oldest ones that are
    /// too many. An existing file is never written to.
    pub fn next(&mut self, now: Timestamp) -> io::Result<(File, PathBuf)> {
        let second = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let first = match &self.last {
            Some((last, number)) if *last == second => number + 1,
            _ => 0,
        };
        for number in first..A_SECOND {
            let path = self.dir.join(format!("ebpftop-{second}-{number:04}.{}", self.extension));
            match create(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    let file = made?;
                    self.last = Some((second, number));
                    self.remove_oldest(&path)?;
                    return Ok((file, path));
                }
            }
        }
        Err(io::Error::other("more than 10,000 files in one second"))
    }

    /// Removes the oldest files by name beyond those that stay. A link or a directory of such a name stays, and
    /// does not count; so does the `newest`, whatever a wall clock that was set back named it.
    fn remove_oldest(&self, newest: &Path) -> io::Result<()> {
        let Some(keep) = self.keep else { return Ok(()) };
        as_invoker(|| {
            let mut older = Vec::new();
            for entry in fs::read_dir(&self.dir)? {
                let entry = entry?;
                let name = entry.file_name();
                let is_ours = name.to_str().is_some_and(|name| self.is_of_row(name));
                if is_ours && entry.file_type()?.is_file() && entry.path() != newest {
                    older.push(entry.path());
                }
            }
            older.sort();
            let too_many = (older.len() + 1).saturating_sub(keep.max(1));
            for path in older.iter().take(too_many) {
                match fs::remove_file(path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            Ok(())
        })?
    }

    /// Whether [`Rotating::next`] gives such names.
    fn is_of_row(&self, name: &str) -> bool {
        let rest = name.strip_prefix("ebpftop-").and_then(|n| n.strip_suffix(self.extension));
        let Some(stem) = rest.and_then(|n| n.strip_suffix('.')) else { return false };
        const FORM: &[u8] = b"00000000T000000Z-0000";
        stem.len() == FORM.len()
            && stem.bytes().zip(FORM).all(|(c, form)| match form {
                b'0' => c.is_ascii_digit(),
                form => c == *form,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_796_000_000 + s).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_stay_and_nothing_of_others_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        for other in ["ebpftop-notes.jsonl", "ebpftop-20000101T000000Z-0000.csv", "a"] {
            fs::write(dir.path().join(other), "").unwrap();
        }
        let link = dir.path().join("ebpftop-20000101T000000Z-0000.jsonl");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let others = names(dir.path());
        // Three files of an earlier run, then this one in the same second.
        let mut earlier = Rotating::new(dir.path(), "jsonl", None).unwrap();
        for s in [0, 0, 5] {
            earlier.next(at(s)).unwrap();
        }
        let mut row = Rotating::new(dir.path(), "jsonl", Some(3)).unwrap();
        let (_, fourth) = row.next(at(5)).unwrap();
        assert!(fourth.to_str().unwrap().ends_with("-0001.jsonl"), "{fourth:?}");
        let mut left = names(dir.path());
        left.retain(|name| !others.contains(name));
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left[0].ends_with("-0001.jsonl"), "the second one of the first second: {left:?}");
        // A clock that was set back: the file that is being written stays.
        let (_, back) = row.next(at(-3_600)).unwrap();
        assert!(back.exists());
        assert_eq!(names(dir.path()).len(), others.len() + 3);
        assert!(others.iter().all(|other| names(dir.path()).contains(other)));
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Rotating::new(file.path(), "jsonl", None).is_err());
        assert!(Rotating::new(Path::new("/no/such"), "jsonl", None).is_err());
    }
}
