//! The timeline of one process: its programs, its end, opens, changes of files and network activity, in the order of
//! the kernel's clock; and that of one file: who opened, changed, ran, or waited for it.
//!
//! A file that a process uses has one entry, at its last known use. Sending soon after a watched path was opened is
//! marked: a coincidence in time, not a proof.

use std::net::IpAddr;
use std::rc::Rc;

use super::connections::{Connections, NetActivity, What};
use super::event_log::EventLog;
use super::file_change::FileChange;
use super::file_io::IoCounts;
use super::open::Comm;
use super::opens::{FileUse, Opens};
use super::process::ProcessKey;
use super::process_event::{ProcessAction, ProcessEvent};
use super::slab::Slot;
use super::slow_call::SlowCall;
use super::time::{Mono, NS_PER_SEC};

/// Maximum time from the open of a watched path to a send that is marked.
const SOON_NS: u64 = 60 * NS_PER_SEC;

/// Maximum entries; the latest are shown.
pub const MAX_ENTRIES: usize = 512;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub at: Mono,
    /// The process and its name, in the timeline of a file.
    pub by: Option<(ProcessKey, Comm)>,
    pub did: TimelineAction,
    /// The watched path that was opened shortly before this was sent; for an open: its path, if it is
    /// watched.
    pub watched: Option<Slot>,
}

/// An action of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimelineAction {
    /// Opened a path, read or wrote it: the number of opens, the result of the last one, and the bytes so far.
    Used {
        path: Slot,
        opens: u64,
        ret: i32,
        io: IoCounts,
    },
    OnTheWire(NetActivity),
    /// Started a program, or ended.
    Process(Rc<ProcessEvent>),
    /// Changed a file.
    Changed(Rc<FileChange>),
    /// Called to read or write, and waited long.
    Slow(Rc<SlowCall>),
}

/// The latest events.
#[derive(Clone, Copy, Debug)]
pub struct Logs<'a> {
    pub processes: &'a EventLog<ProcessEvent>,
    pub changes: &'a EventLog<FileChange>,
    pub slow: &'a EventLog<SlowCall>,
}

/// Patterns of watched paths: `*` matches within a name, `**/` any directories.
#[derive(Clone, Debug, Default)]
pub struct WatchedPaths(Vec<regex::bytes::Regex>);

impl PartialEq for WatchedPaths {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(regex::bytes::Regex::as_str).eq(other.0.iter().map(|r| r.as_str()))
    }
}

impl Eq for WatchedPaths {}

impl WatchedPaths {
    /// Parses patterns; an error names the invalid one.
    pub fn parse<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let one = |pattern: &'a str| {
            if !pattern.starts_with('/') && !pattern.starts_with("**/") {
                return Err(format!("`{pattern}`: a path begins with / or **/"));
            }
            let text = regex::escape(pattern)
                .replace(r"\*\*/", "(?:.*/)?")
                .replace(r"\*", "[^/]*")
                .replace(r"\?", "[^/]");
            regex::bytes::Regex::new(&format!("(?s-u)^{text}$")).map_err(|e| e.to_string())
        };
        patterns.map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a path is watched.
    pub fn has(&self, path: &[u8]) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(path))
    }
}

/// The timeline of a process until `now`, the latest entry last.
pub fn timeline(
    opens: &Opens,
    owners: Option<&Connections>,
    logs: Logs<'_>,
    watched: &WatchedPaths,
    key: ProcessKey,
    now: Mono,
) -> Vec<TimelineEntry> {
    let process = opens.find(key).and_then(|slot| opens.processes().get(slot));
    let uses = process.map_or(&[][..], |p| &p.files).iter().filter_map(|s| opens.files().get(*s));
    let mut moments: Vec<TimelineEntry> = uses
        .map(|used| {
            let bytes = opens.paths().get(used.path).map_or(&[][..], |p| &p.bytes);
            let watched = watched.has(bytes).then_some(used.path);
            TimelineEntry { watched, ..entry(used.tally.last, action_of(used)) }
        })
        .collect();
    let activities = owners.into_iter().flat_map(|owners| owners.events_of(key));
    moments
        .extend(activities.map(|event| entry(event.at, TimelineAction::OnTheWire(event.activity))));
    let events = logs.processes.of(key).filter(|event| event.at <= now);
    moments.extend(events.map(|event| entry(event.at, TimelineAction::Process(event.clone()))));
    let changes = logs.changes.of(key).filter(|event| event.at <= now);
    moments.extend(changes.map(|event| entry(event.at, TimelineAction::Changed(event.clone()))));
    let slow = logs.slow.of(key).filter(|call| call.at <= now);
    moments.extend(slow.map(|call| entry(call.at, TimelineAction::Slow(call.clone()))));
    // Traffic of one interval has one time; addresses make the order steady.
    moments.sort_by_key(|moment| (moment.at, address(moment)));
    let mut before: Option<(Mono, Slot)> = None;
    for moment in &mut moments {
        match &moment.did {
            TimelineAction::Used { ret, .. } => {
                if let Some(path) = moment.watched.filter(|_| *ret >= 0) {
                    before = Some((moment.at, path));
                }
            }
            TimelineAction::OnTheWire(activity) => {
                let soon = before.filter(|(at, _)| moment.at.since(*at) <= SOON_NS);
                moment.watched = soon.filter(|_| sends(activity)).map(|(_, path)| path);
            }
            TimelineAction::Process(_) | TimelineAction::Changed(_) | TimelineAction::Slow(_) => {}
        }
    }
    let cut = moments.len().saturating_sub(MAX_ENTRIES);
    moments.split_off(cut)
}

/// The timeline of a path until `now`, the latest entry last: of each process that uses it the last use, the changes
/// that have it as a name, the programs that were started from it, and the slow calls.
pub fn timeline_of_file(
    opens: &Opens,
    logs: Logs<'_>,
    path: &[u8],
    users: &[Slot],
    now: Mono,
) -> Vec<TimelineEntry> {
    let by = |by, entry| TimelineEntry { by: Some(by), ..entry };
    let uses = users.iter().filter_map(|slot| opens.files().get(*slot));
    let mut moments: Vec<TimelineEntry> = uses
        .map(|used| {
            let process = opens.processes().get(used.process).map(|p| (p.key, p.name));
            TimelineEntry { by: process, ..entry(used.tally.last, action_of(used)) }
        })
        .collect();
    let runs = |event: &&Rc<ProcessEvent>| match &event.action {
        ProcessAction::Exec { executable, .. } => executable.as_deref() == Some(path),
        ProcessAction::Exit(_) => false,
    };
    let events = logs.processes.iter().map(|(_, event)| event);
    moments.extend(events.filter(|event| event.at <= now).filter(runs).map(|event| {
        by((event.key, event.process), entry(event.at, TimelineAction::Process(event.clone())))
    }));
    let changes = logs.changes.iter().map(|(_, event)| event).filter(|event| event.at <= now);
    moments.extend(changes.filter(|event| event.paths().contains(&path)).map(|event| {
        by((event.key, event.process), entry(event.at, TimelineAction::Changed(event.clone())))
    }));
    let slow = logs.slow.iter().map(|(_, call)| call).filter(|call| call.at <= now);
    moments.extend(slow.filter(|call| call.path() == Some(path)).map(|call| {
        by((call.key, call.process), entry(call.at, TimelineAction::Slow(call.clone())))
    }));
    moments.sort_by_key(|moment| moment.at);
    let cut = moments.len().saturating_sub(MAX_ENTRIES);
    moments.split_off(cut)
}

fn entry(at: Mono, did: TimelineAction) -> TimelineEntry {
    TimelineEntry { at, by: None, did, watched: None }
}

fn action_of(used: &FileUse) -> TimelineAction {
    TimelineAction::Used {
        path: used.path,
        opens: used.tally.opens,
        ret: used.last_ret,
        io: used.tally.io.total,
    }
}

fn address(moment: &TimelineEntry) -> Option<IpAddr> {
    match moment.did {
        TimelineAction::OnTheWire(NetActivity::Carried { ip, .. }) => Some(ip),
        _ => None,
    }
}

fn sends(activity: &NetActivity) -> bool {
    match activity {
        NetActivity::Conn { what, carried, .. } => {
            *what == What::Connect || carried.is_some_and(|c| c.tx_bytes > 0)
        }
        NetActivity::Carried { carried, .. } => carried.tx_bytes > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_watched_by_pattern() {
        let watched = WatchedPaths::parse(["/etc/shadow", "**/id_*", "/var/*/key.?em"].into_iter());
        let watched = watched.unwrap();
        for path in ["/etc/shadow", "/id_rsa", "/home/a/.ssh/id_ed25519", "/var/x/key.pem"] {
            assert!(watched.has(path.as_bytes()), "{path}");
        }
        for path in ["/etc/shadow-", "/x/etc/shadow", "/home/id_x/file", "/var/x/y/key.pem"] {
            assert!(!watched.has(path.as_bytes()), "{path}");
        }
        assert!(watched.has(b"/tmp/id_\xff\n"));
        assert!(WatchedPaths::parse(["shadow"].into_iter()).is_err());
    }
}
