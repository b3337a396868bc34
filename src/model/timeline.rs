//! What one process did, opens and deeds on the wire together, in the order of the kernel's time.
//!
//! A file stands at its last open that is known. Where a watched path was opened before something
//! was sent, that is marked: a coincidence in time, not a proof of anything.

use std::net::IpAddr;

use super::opens::Opens;
use super::owners::{NetActivity, Owners, What};
use super::process::ProcessKey;
use super::slab::Slot;
use super::time::{Mono, NS_PER_SEC};

/// Between the open of a watched path and a send for that to be a coincidence.
const SOON_NS: u64 = 60 * NS_PER_SEC;

/// Moments told, the latest ones.
pub const MOST: usize = 512;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub at: Mono,
    pub did: TimelineAction,
    /// A watched path that was opened shortly before this was sent; of an open: it is watched.
    pub watched: Option<Slot>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelineAction {
    /// Opened a path, so often in all; what the last one returned.
    Opened {
        path: Slot,
        opens: u64,
        ret: i32,
    },
    OnTheWire(NetActivity),
}

/// Paths that are watched: `/` and names, `*` for anything within a name, `**/` for any directories.
#[derive(Clone, Debug, Default)]
pub struct WatchedPaths(Vec<regex::bytes::Regex>);

impl PartialEq for WatchedPaths {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(regex::bytes::Regex::as_str).eq(other.0.iter().map(|r| r.as_str()))
    }
}

impl Eq for WatchedPaths {}

impl WatchedPaths {
    /// Reads patterns; an error says which one is none.
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

/// What a process did, the latest last.
pub fn timeline(
    opens: &Opens,
    owners: Option<&Owners>,
    watched: &WatchedPaths,
    key: ProcessKey,
) -> Vec<TimelineEntry> {
    let process = opens.find(key).and_then(|slot| opens.processes().get(slot));
    let uses = process.map_or(&[][..], |p| &p.files).iter().filter_map(|s| opens.files().get(*s));
    let mut moments: Vec<TimelineEntry> = uses
        .map(|used| {
            let bytes = opens.paths().get(used.path).map_or(&[][..], |p| &p.bytes);
            TimelineEntry {
                at: used.tally.last,
                did: TimelineAction::Opened {
                    path: used.path,
                    opens: used.tally.opens,
                    ret: used.last_ret,
                },
                watched: watched.has(bytes).then_some(used.path),
            }
        })
        .collect();
    let deeds = owners.into_iter().flat_map(|owners| owners.events_of(key));
    moments.extend(deeds.map(|event| TimelineEntry {
        at: event.at,
        did: TimelineAction::OnTheWire(event.deed),
        watched: None,
    }));
    // What happened in one interval has one time: told in a steady order.
    moments.sort_by_key(|moment| (moment.at, address(moment)));
    let mut before: Option<(Mono, Slot)> = None;
    for moment in &mut moments {
        match moment.did {
            TimelineAction::Opened { ret, .. } => {
                if let Some(path) = moment.watched.filter(|_| ret >= 0) {
                    before = Some((moment.at, path));
                }
            }
            TimelineAction::OnTheWire(deed) => {
                let soon = before.filter(|(at, _)| moment.at.since(*at) <= SOON_NS);
                moment.watched = soon.filter(|_| sends(&deed)).map(|(_, path)| path);
            }
        }
    }
    let cut = moments.len().saturating_sub(MOST);
    moments.split_off(cut)
}

fn address(moment: &TimelineEntry) -> Option<IpAddr> {
    match moment.did {
        TimelineAction::OnTheWire(NetActivity::Carried { ip, .. }) => Some(ip),
        _ => None,
    }
}

fn sends(deed: &NetActivity) -> bool {
    match deed {
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
