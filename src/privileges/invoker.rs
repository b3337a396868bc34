//! The user for whose benefit the program runs, and files opened with that user's permissions alone.
//!
//! Behind sudo this is the user who called it; with file capabilities, the user without them. Every path
//! that a user names, on the command line, in the environment or in the configuration, is opened
//! through [`as_invoker`].

use std::ffi::{CString, OsStr};
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use caps::{CapSet, CapsHashSet};
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist, setfsgid, setfsuid, setgroups};

/// The user who called sudo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoker {
    pub uid: Uid,
    pub gid: Gid,
    /// The home directory; `None` where the user database does not know the user.
    pub home: Option<PathBuf>,
}

/// The user who called sudo; `None` without sudo, and where root called it.
///
/// The first call finds it out and gives the process that user's supplementary groups in place of
/// root's. It must come before [`super::seccomp()`], which refuses that, and before other threads.
/// An error where the user cannot be identified, or the groups cannot be set: then no file is opened.
pub fn invoker() -> io::Result<Option<&'static Invoker>> {
    static INVOKER: OnceLock<Result<Option<Invoker>, String>> = OnceLock::new();
    match INVOKER.get_or_init(identify) {
        Ok(invoker) => Ok(invoker.as_ref()),
        Err(why) => Err(io::Error::new(io::ErrorKind::PermissionDenied, why.clone())),
    }
}

fn identify() -> Result<Option<Invoker>, String> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = [set("SUDO_UID"), set("SUDO_GID"), set("SUDO_USER")];
    let Some((uid, gid)) = ids(named.each_ref().map(Option::as_deref))? else { return Ok(None) };
    let user = User::from_uid(uid).ok().flatten();
    setgroups(&groups(user.as_ref(), gid))
        .map_err(|e| format!("take on the groups of the user who called sudo: {e}"))?;
    Ok(Some(Invoker { uid, gid, home: user.map(|user| user.dir) }))
}

/// User and group from `SUDO_UID`, `SUDO_GID` and `SUDO_USER`; `None` where they name no user but root.
fn ids([uid, gid, user]: [Option<&OsStr>; 3]) -> Result<Option<(Uid, Gid)>, String> {
    let number = |text: Option<&OsStr>| text.and_then(OsStr::to_str)?.parse::<u32>().ok();
    match (number(uid), number(gid)) {
        _ if uid.is_none() && gid.is_none() && user.is_none() => Ok(None),
        (Some(0), _) => Ok(None),
        (Some(uid), Some(gid)) => Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid)))),
        _ => Err("SUDO_UID and SUDO_GID do not say who called sudo".into()),
    }
}

/// The groups of `user`; `gid` alone where they are not known.
fn groups(user: Option<&User>, gid: Gid) -> Vec<Gid> {
    let name = user.and_then(|user| CString::new(user.name.as_str()).ok());
    name.and_then(|name| getgrouplist(&name, gid).ok()).unwrap_or_else(|| vec![gid])
}

/// Does `work` with no more permissions for files than the invoker has: on this thread alone, and until `work`
/// returns. An error where that cannot be had; then `work` is not done.
pub fn as_invoker<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let _lowered = Lowered::new()?;
    Ok(work())
}

/// Takes on the invoker's file permissions for the rest of this thread. Lasts when the capabilities to change ids are
/// given up.
pub fn become_invoker() -> io::Result<()> {
    Lowered::new().map(std::mem::forget)
}

/// Ids and capabilities that come back when this is dropped.
struct Lowered {
    ids: Option<(Uid, Gid)>,
    effective: Option<CapsHashSet>,
}

impl Lowered {
    fn new() -> io::Result<Self> {
        let mut lowered = Self { ids: None, effective: None };
        let invoker = invoker()?;
        if let Some(user) = invoker {
            // The calls return what was set before, not whether they were allowed.
            let gid = setfsgid(user.gid);
            lowered.ids = Some((setfsuid(user.uid), gid));
            if setfsuid(user.uid) != user.uid || setfsgid(user.gid) != user.gid {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        // Not those over permissions alone: with CAP_SYS_PTRACE /proc/PID/fd leads into every directory.
        if invoker.is_some() || !geteuid().is_root() {
            let held = caps::read(None, CapSet::Effective).map_err(io::Error::other)?;
            if !held.is_empty() {
                lowered.effective = Some(held);
                caps::clear(None, CapSet::Effective).map_err(io::Error::other)?;
            }
        }
        Ok(lowered)
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        if let Some(held) = &self.effective {
            // They are still permitted, and so can be taken up again.
            let _ = caps::set(None, CapSet::Effective, held);
        }
        if let Some((uid, gid)) = self.ids {
            setfsuid(uid);
            setfsgid(gid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_of_sudo_that_is_not_known_is_an_error() {
        let of = |named: [&'static str; 3]| {
            let set = named.map(|text| (!text.is_empty()).then(|| OsStr::new(text)));
            ids(set).map(|ids| ids.map(|(uid, gid)| (uid.as_raw(), gid.as_raw())))
        };
        assert_eq!(of(["", "", ""]), Ok(None));
        assert_eq!(of(["0", "0", "root"]), Ok(None));
        assert_eq!(of(["1000", "100", "alice"]), Ok(Some((1000, 100))));
        assert_eq!(of(["1000", "100", ""]), Ok(Some((1000, 100))));
        for unknown in [
            ["", "", "alice"],
            ["1000", "", "alice"],
            ["", "100", "alice"],
            ["-1", "100", "alice"],
            ["1000x", "100", ""],
            ["4294967296", "100", ""],
        ] {
            assert!(of(unknown).is_err(), "{unknown:?}");
        }
    }

    #[test]
    fn an_unknown_user_has_the_one_group() {
        assert_eq!(groups(None, Gid::from_raw(7)), [Gid::from_raw(7)]);
    }
}
