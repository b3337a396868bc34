//! Details of a process beyond its events: read on demand, and only while it lives.
//!
//! Owns the data and the parsers of /proc's texts; `probes::process_info` reads the files.

use super::cgroup::Cgroup;
use super::process::{NS_PER_TICK, ProcessKey};

/// A request for the details of a process, with the facts that identify it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessQuery {
    pub key: ProcessKey,
    pub uid: u32,
    pub cgroup_id: Option<u64>,
}

/// The details of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// The name of its user.
    pub user: Option<String>,
    pub cgroup: Option<Cgroup>,
    /// Details of a live process, or why there are none.
    pub facts: Result<ProcessDetails, Unread>,
}

impl ProcessInfo {
    /// A process of another machine, or of another boot.
    pub const ELSEWHERE: Self = Self { user: None, cgroup: None, facts: Err(Unread::Elsewhere) };
}

/// The reason why nothing could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It has ended, or its id belongs to another process by now.
    Gone,
    /// It is not one of this machine, now.
    Elsewhere,
}

/// Details of a live process. Texts are bytes that the process chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessDetails {
    /// The file that it runs; a thread of the kernel has none.
    pub exe: Option<Vec<u8>>,
    /// Its arguments, the first being its own name for itself.
    pub args: Vec<Vec<u8>>,
    /// There were more arguments.
    pub args_cut: bool,
    /// Its parent first, then the parent's parent.
    pub parents: Vec<Parent>,
    /// How long ago it had started when this was read.
    pub started_ns: u64,
    /// The wall-clock time of that.
    pub started: String,
    /// The names of its threads, and how many have each.
    pub threads: Vec<(Vec<u8>, usize)>,
    pub thread_count: usize,
    /// Its open descriptors; `None` where /proc does not list them.
    pub descriptors: Option<Descriptors>,
}

/// The open descriptors of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// The first of them, by their numbers.
    pub listed: Vec<OpenDescriptor>,
    /// How many there are.
    pub count: usize,
}

/// An open descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDescriptor {
    pub fd: u32,
    /// The file behind it, as `readlink` names it: a path, `socket:[7]`, `/tmp/x (deleted)`.
    pub target: Vec<u8>,
}

impl OpenDescriptor {
    /// The kind of the file, a word: `file`, `socket`, `pipe`, `eventfd` and other kinds without a path.
    pub fn kind(&self) -> &[u8] {
        if self.target.starts_with(b"/") {
            return b"file";
        }
        let word = self.target.strip_prefix(b"anon_inode:").unwrap_or(&self.target);
        let word = word.strip_prefix(b"[").unwrap_or(word);
        word.split(|b| matches!(b, b':' | b']')).next().unwrap_or(word)
    }
}

impl Descriptors {
    /// How many of the listed ones are of each kind, the most frequent first.
    pub fn kinds(&self) -> Vec<(Vec<u8>, usize)> {
        counted(self.listed.iter().map(|d| d.kind().to_vec()).collect(), usize::MAX)
    }
}

/// One of the processes above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub pid: u32,
    pub name: Vec<u8>,
}

/// The parsed parts of /proc/PID/stat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub name: Vec<u8>,
    pub ppid: u32,
    /// When it started, in ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    /// Reads the text. The name may hold anything, brackets too: it ends at the last one.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = memchr::memchr(b'(', text)?;
        let close = memchr::memrchr(b')', text)?;
        let name = text.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        // Field 3, the state, comes first.
        let mut fields = rest.split_ascii_whitespace();
        let ppid = fields.nth(1)?.parse().ok()?;
        let start_ticks = fields.nth(17)?.parse().ok()?;
        Some(Self { name, ppid, start_ticks })
    }

    /// Whether this is the process with that start time: one that got the same id later started later.
    pub fn started_at(&self, start_boottime_ns: u64) -> bool {
        (start_boottime_ns / NS_PER_TICK).abs_diff(self.start_ticks) <= 1
    }
}

/// Splits /proc/PID/cmdline: each argument ends with a NUL. A process that wrote over its
/// arguments leaves one text with NULs behind it.
pub fn arguments(text: &[u8]) -> Vec<Vec<u8>> {
    let end = text.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    match text.get(..end) {
        None | Some([]) => Vec::new(),
        Some(text) => text.split(|b| *b == 0).map(<[u8]>::to_vec).collect(),
    }
}

/// Counts equal names, the most frequent first, else in their order; at most `most` of them.
pub fn counted(names: Vec<Vec<u8>>, most: usize) -> Vec<(Vec<u8>, usize)> {
    let mut counted: Vec<(Vec<u8>, usize)> = Vec::new();
    for name in names {
        if let Some((_, count)) = counted.iter_mut().find(|(n, _)| *n == name) {
            *count += 1;
        } else if counted.len() < most {
            counted.push((name, 1));
        }
    }
    counted.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "812 (ng) (x) S 1 812 812 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 4 0 123456 9 9";

    #[test]
    fn stat_is_read_whatever_the_name() {
        let stat = Stat::parse(STAT.as_bytes()).unwrap();
        assert_eq!(stat, Stat { name: b"ng) (x".to_vec(), ppid: 1, start_ticks: 123_456 });
        for text in ["", "1 (a", "1 (a) S", "1 (a) S x", "1 )a( S 1", "1 (a) S 1 2 3"] {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_reused_id_is_another_process() {
        let stat = Stat::parse(STAT.as_bytes()).unwrap();
        for (ns, same) in [
            (1_234_560_000_000, true),
            (1_234_569_999_999, true),
            (1_234_550_000_000, true),
            (1_234_540_000_000, false),
            (1_234_590_000_000, false),
            (0, false),
        ] {
            assert_eq!(stat.started_at(ns), same, "{ns}");
        }
    }

    #[test]
    fn arguments_are_split() {
        let of = |t: &[u8]| {
            arguments(t).iter().map(|a| a.escape_ascii().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(b"a\0b c\0\0d\0"), ["a", "b c", "", "d"]);
        assert_eq!(of(b"nginx: worker\0\0\0\0"), ["nginx: worker"]);
        assert!(of(b"").is_empty() && of(b"\0\0").is_empty());
    }

    #[test]
    fn threads_are_counted_by_name() {
        let names = ["a", "b", "b", "c", "d"].map(|n| n.as_bytes().to_vec()).to_vec();
        let counted = counted(names, 3);
        assert_eq!(counted, [(b"b".to_vec(), 2), (b"a".to_vec(), 1), (b"c".to_vec(), 1)]);
    }

    #[test]
    fn descriptors_are_counted_by_kind() {
        let targets = [
            "/dev/pts/0",
            "/tmp/a (deleted)",
            "pipe:[7]",
            "anon_inode:[eventpoll]",
            "anon_inode:inotify",
            "socket:[8]",
            "/x",
            "net:[4026531840]",
            "",
        ];
        let listed = targets
            .iter()
            .zip(0..)
            .map(|(target, fd)| OpenDescriptor { fd, target: target.as_bytes().to_vec() });
        let kinds = Descriptors { listed: listed.collect(), count: 9 }.kinds();
        let kinds: Vec<_> =
            kinds.iter().map(|(k, n)| (std::str::from_utf8(k).unwrap(), *n)).collect();
        let others = ["pipe", "eventpoll", "inotify", "socket", "net", ""].map(|kind| (kind, 1));
        assert_eq!(kinds[0], ("file", 3));
        assert_eq!(kinds[1..], others);
    }

    #[test]
    fn any_text_of_proc_does_no_harm() {
        crate::testing::fuzz::check("proc", |text| {
            Stat::parse(text);
            assert!(arguments(text).iter().all(|argument| !argument.contains(&0)));
        });
    }
}
