//! The unit or the container that a cgroup belongs to, by its path.

use super::container_path::{Owner, container, named};

/// Digits of a container's id that are shown.
const ID_DIGITS: usize = 12;

/// A unit of systemd, a container, or, where a path names neither, the cgroup itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// The path of its cgroup: equal for all cgroups below it, and for no other.
    pub path: &'a [u8],
    /// The short name: `nginx.service`, the first digits of a container's id, or the container's name.
    pub name: &'a [u8],
}

impl<'a> Unit<'a> {
    /// The innermost container in the path, else the innermost unit of systemd that is no slice, else the
    /// innermost slice.
    pub fn of(path: &'a [u8]) -> Self {
        let mut found = Unit { path, name: last(path) };
        let mut rank = 0;
        let (mut end, mut parent): (usize, &[u8]) = (0, b"");
        for component in path.split(|b| *b == b'/') {
            end += component.len();
            let before = path.get(..end).unwrap_or(path);
            end += 1;
            let (this, name) = match container(component) {
                Some((id, _)) => (3, component_id(component, &id)),
                None if named(component, parent).is_some() => (3, plain(component)),
                None => match kind(component) {
                    Some(b"slice") => (1, component),
                    Some(_) => (2, component),
                    None => (0, component),
                },
            };
            parent = component;
            if this > 0 && this >= rank {
                (found, rank) = (Unit { path: before, name }, this);
            }
        }
        found
    }
}

/// The innermost systemd unit that a path names; `None` where it names none, and in the cgroup of a
/// container, which is no unit of this machine.
pub fn systemd_unit(path: &[u8]) -> Option<&[u8]> {
    match Owner::of(path).container() {
        Some(_) => None,
        None => path.split(|b| *b == b'/').rev().find(|name| kind(name).is_some()),
    }
}

/// The kind of systemd unit, of those that have a cgroup, that a component names (systemd.unit(5)).
fn kind(component: &[u8]) -> Option<&[u8]> {
    const KINDS: [&[u8]; 6] = [b"service", b"scope", b"slice", b"socket", b"mount", b"swap"];
    let kind = component.rsplit(|b| *b == b'.').next()?;
    (component.len() > kind.len() + 1 && KINDS.contains(&kind)).then_some(kind)
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

/// The first digits of the id where it is in the component.
fn component_id<'a>(component: &'a [u8], id: &[u8]) -> &'a [u8] {
    let at = component.windows(id.len()).position(|part| part == id).unwrap_or(0);
    component.get(at..at + ID_DIGITS).unwrap_or(component)
}

/// The name of a container without its manager's prefix and suffix.
fn plain(component: &[u8]) -> &[u8] {
    let between = |before: &str, after: &str| {
        component
            .strip_prefix(before.as_bytes())
            .and_then(|rest| rest.strip_suffix(after.as_bytes()))
    };
    between("machine-", ".scope")
        .or_else(|| between("systemd-nspawn@", ".service"))
        .or_else(|| between("lxc.payload.", ""))
        .unwrap_or(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_or_container_has_all_cgroups_below_it() {
        let id = "1b3f5c7d9e0a2b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";
        for (path, unit, name) in [
            ("/", "/", "/"),
            ("/system.slice/nginx.service", "/system.slice/nginx.service", "nginx.service"),
            ("/system.slice/nginx.service/a/b", "/system.slice/nginx.service", "nginx.service"),
            ("/user.slice/user-0.slice", "/user.slice/user-0.slice", "user-0.slice"),
            (
                "/user.slice/user-0.slice/user@0.service/app.slice/x.service",
                "/user.slice/user-0.slice/user@0.service/app.slice/x.service",
                "x.service",
            ),
            ("/user.slice/user-0.slice/session-3.scope", "", "session-3.scope"),
            ("/plain/below", "/plain/below", "below"),
            ("/system.slice/mnt-x.mount", "/system.slice/mnt-x.mount", "mnt-x.mount"),
            ("/system.slice/x.socket/y", "/system.slice/x.socket", "x.socket"),
            ("/.service/x", "/.service/x", "x"),
            (&format!("/docker/{id}"), "", "1b3f5c7d9e0a"),
            (
                &format!("/system.slice/docker-{id}.scope/init.scope"),
                &format!("/system.slice/docker-{id}.scope"),
                "1b3f5c7d9e0a",
            ),
            ("/lxc.payload.web/system.slice/cron.service", "/lxc.payload.web", "web"),
            ("/lxc/web/x", "/lxc/web", "web"),
            ("/machine.slice/machine-web.scope/payload", "/machine.slice/machine-web.scope", "web"),
            ("/a/systemd-nspawn@db.service/init.scope", "/a/systemd-nspawn@db.service", "db"),
        ] {
            let unit = if unit.is_empty() { path } else { unit };
            let is = Unit { path: unit.as_bytes(), name: name.as_bytes() };
            assert_eq!(Unit::of(path.as_bytes()), is, "{path}");
        }
    }
}
