//! Tests of readers of foreign bytes: with the files of `tests/corpus`, and with mutations of them.
//!
//! Each reader has a folder there. [`check`] passes it every file, then mutations of the files: 1,000,
//! or `EBPFTOP_FUZZ_CASES` (`make fuzz`). It minimizes an input that fails and writes it into the
//! folder, where it is a test from then on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestError, TestRunner};

const CASES: u32 = 1_000;

/// Inputs grow by changes; none is larger than this.
const MOST_BYTES: usize = 64 << 10;

/// One change of an input.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    /// A number of 2, 4 or 8 bytes: lengths and counts go wrong at their ends.
    Number(Index, usize, u64),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
    /// The rest comes from another file.
    Cross(Index, Index, Index),
}

fn place() -> impl Strategy<Value = Index> {
    any::<Index>()
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        any::<u64>(),
        0u64..300,
        prop_oneof![Just(u64::MAX), Just(i64::MAX as u64), Just(u32::MAX.into()), Just(0xffff)],
    ];
    let piece = prop_oneof![
        vec(any::<u8>(), 1..12),
        "[\\PC\u{1b}\u{202e}\u{200b}\n\t\"'=,:!~/(\\[\\\\]{1,6}".prop_map(String::into_bytes),
    ];
    prop_oneof![
        (place(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (place(), any::<u8>()).prop_map(|(at, to)| Change::Set(at, to)),
        (place(), prop_oneof![Just(2usize), Just(4), Just(8)], number)
            .prop_map(|(at, size, to)| Change::Number(at, size, to)),
        (place(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (place(), 1usize..40).prop_map(|(at, n)| Change::Remove(at, n)),
        (place(), 1usize..200).prop_map(|(at, n)| Change::Repeat(at, n)),
        place().prop_map(Change::Cut),
        (place(), place(), place()).prop_map(|(file, from, at)| Change::Cross(file, from, at)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change, files: &[Vec<u8>]) {
    let len = bytes.len();
    let index = |at: &Index| at.index(len + 1);
    match change {
        Change::Flip(at, bit) if len > 0 => bytes[at.index(len)] ^= 1 << bit,
        Change::Set(at, to) if len > 0 => bytes[at.index(len)] = *to,
        Change::Number(at, size, to) if len >= *size => {
            let at = at.index(len - size + 1);
            bytes[at..at + size].copy_from_slice(&to.to_le_bytes()[..*size]);
        }
        Change::Insert(at, piece) => {
            let at = index(at);
            bytes.splice(at..at, piece.iter().copied());
        }
        Change::Remove(at, n) => {
            let at = index(at);
            bytes.drain(at..len.min(at + n));
        }
        Change::Repeat(at, n) => {
            let at = index(at);
            let piece = bytes[at..len.min(at + n)].to_vec();
            bytes.splice(at..at, piece);
        }
        Change::Cut(at) => bytes.truncate(index(at)),
        Change::Cross(file, from, at) => {
            let other = file.get(files);
            bytes.truncate(index(at));
            bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
        }
        _ => {}
    }
    bytes.truncate(MOST_BYTES);
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target)
}

/// The files of a folder, by name.
fn files(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder(target);
    let there = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = there.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Passes `read` the files of `target` and mutations of them. It fails by a panic.
pub(crate) fn check(target: &str, read: impl Fn(&[u8])) {
    let kept = files(target);
    assert!(!kept.is_empty(), "nothing is kept for {target}");
    for (path, bytes) in &kept {
        let done = catch_unwind(AssertUnwindSafe(|| read(bytes)));
        assert!(done.is_ok(), "{} does harm", path.display());
    }

    let cases = std::env::var("EBPFTOP_FUZZ_CASES").map_or(CASES, |n| n.parse().unwrap());
    let files: Vec<_> = kept.into_iter().map(|(_, bytes)| bytes).collect();
    let inputs = (place(), vec(change(), 0..8)).prop_map({
        let files = files.clone();
        move |(file, changes)| {
            let mut bytes = file.get(&files).clone();
            for change in &changes {
                apply(&mut bytes, change, &files);
            }
            bytes
        }
    });
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let done = TestRunner::new(config).run(&inputs, |bytes| {
        read(&bytes);
        Ok(())
    });
    if let Err(TestError::Fail(why, bytes)) = done {
        let path = folder(target).join(format!("failed-{:08x}", crc32fast::hash(&bytes)));
        std::fs::write(&path, &bytes).unwrap();
        panic!("{why}; the input is kept as {}", path.display());
    }
    done.unwrap();
}

#[test]
fn a_failing_input_is_found() {
    let found = catch_unwind(|| check("self", |bytes| assert!(bytes.len() < 40)));
    let why = *found.unwrap_err().downcast::<String>().unwrap();
    let path = why.rsplit(' ').next().unwrap();
    assert_eq!(std::fs::read(path).unwrap().len(), 40);
    std::fs::remove_file(path).unwrap();
}
