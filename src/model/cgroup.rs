//! What a cgroup's path says of containers: docker, containerd, cri-o and podman, with the
//! systemd driver (`docker-ID.scope`) and the cgroupfs one (`docker/ID`), and Kubernetes' pods.
//! And which cgroups are known by their id.

use hashbrown::HashMap;

/// A cgroup that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// The path from the hierarchy's root, `/` for the root itself.
    pub path: Box<[u8]>,
    /// The container and the pod that the path tells of.
    pub owner: Owner,
}

/// Cgroups held; beyond that all are forgotten and asked for again: about 2 MiB with long paths.
const MOST: usize = 8_192;

/// How often is asked for an id before it is taken as one that nobody knows.
const TRIES: u8 = 5;

/// The cgroups that are known by their id, which is never used twice.
#[derive(Clone, Debug, Default)]
pub struct KnownCgroups {
    /// Known, or how often it was asked for in vain.
    known: HashMap<u64, Result<Cgroup, u8>>,
}

impl KnownCgroups {
    /// The cgroup of this id.
    pub fn get(&self, id: u64) -> Option<&Cgroup> {
        self.known.get(&id)?.as_ref().ok()
    }

    /// All that are known, as they were answered.
    pub fn all(&self) -> Vec<(u64, Option<Cgroup>)> {
        let known = self.known.iter();
        known.filter_map(|(id, known)| Some((*id, Some(known.as_ref().ok()?.clone())))).collect()
    }

    /// Whether it is worth asking for.
    pub fn is_wanted(&self, id: u64) -> bool {
        !matches!(self.known.get(&id), Some(Ok(_) | Err(TRIES..)))
    }

    /// Takes an answer in; true when something is known that was not.
    pub fn answer(&mut self, id: u64, cgroup: Option<Cgroup>) -> bool {
        if self.known.len() >= MOST && !self.known.contains_key(&id) {
            self.known.clear();
        }
        match (cgroup, self.known.get_mut(&id)) {
            (_, Some(Ok(_))) => false,
            (None, Some(Err(tries))) => {
                *tries = tries.saturating_add(1);
                false
            }
            (None, None) => {
                self.known.insert(id, Err(1));
                false
            }
            (Some(cgroup), _) => {
                self.known.insert(id, Ok(cgroup));
                true
            }
        }
    }
}

/// The container that a cgroup belongs to, and its pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The container's id, 64 hex digits.
    container: Option<[u8; 64]>,
    /// The pod's uid as Kubernetes writes it, and its length: 36 with dashes, or the 32 hex
    /// digits of a static pod.
    pod: Option<([u8; 36], u8)>,
}

impl Owner {
    /// Reads a path from the hierarchy's root. Where containers are nested, the innermost counts.
    pub fn of(path: &[u8]) -> Self {
        let mut owner = Self::default();
        for component in path.split(|b| *b == b'/') {
            if let Some(id) = container(component) {
                owner.container = Some(id);
            }
            // `kubepods-pod….slice:cri-containerd:ID` is containerd's when it was not told of systemd.
            let first = component.split(|b| *b == b':').next().unwrap_or_default();
            if let Some(uid) = pod(first) {
                owner.pod = Some(uid);
            }
        }
        owner
    }

    /// The container's id, 64 hex digits.
    pub fn container(&self) -> Option<&str> {
        self.container.as_ref().and_then(|id| std::str::from_utf8(id).ok())
    }

    /// The pod's uid.
    pub fn pod(&self) -> Option<&str> {
        let (uid, len) = self.pod.as_ref()?;
        std::str::from_utf8(uid.get(..usize::from(*len))?).ok()
    }
}

/// The id in `ID`, `docker-ID.scope`, `libpod-ID`, `…:cri-containerd:ID`. A `conmon` scope
/// holds the container's monitor, which is outside.
fn container(component: &[u8]) -> Option<[u8; 64]> {
    let name = component.strip_suffix(b".scope").unwrap_or(component);
    let (before, id) = name.split_at_checked(name.len().checked_sub(64)?)?;
    let id: &[u8; 64] = id.try_into().ok()?;
    let separated = matches!(before.last(), None | Some(b'-' | b':'));
    let hex = id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (separated && hex && !before.ends_with(b"conmon-")).then_some(*id)
}

/// The uid in `podUID` or `kubepods-burstable-podUID.slice`, where systemd wants `_` for `-`.
fn pod(component: &[u8]) -> Option<([u8; 36], u8)> {
    let name = component.strip_suffix(b".slice").unwrap_or(component);
    [36, 32].into_iter().find_map(|len| {
        let (before, uid) = name.split_at_checked(name.len().checked_sub(len)?)?;
        if before != b"pod" && !before.ends_with(b"-pod") {
            return None;
        }
        let mut out = [0; 36];
        for (at, (to, from)) in out.iter_mut().zip(uid).enumerate() {
            let dash = len == 36 && matches!(at, 8 | 13 | 18 | 23);
            *to = match from {
                b'-' | b'_' if dash => b'-',
                b'0'..=b'9' | b'a'..=b'f' if !dash => *from,
                _ => return None,
            };
        }
        Some((out, u8::try_from(len).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1b3f5c7d9e0a2b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";
    const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

    #[test]
    fn each_runtime_and_driver() {
        let under = UID.replace('-', "_");
        let other = ID.replace('1', "2");
        for (path, container, pod) in [
            ("/".into(), None, None),
            ("/system.slice/nginx.service".into(), None, None),
            (format!("/docker/{ID}"), Some(ID), None),
            (format!("/system.slice/docker-{ID}.scope"), Some(ID), None),
            (format!("/system.slice/docker-{ID}.scope/init.scope"), Some(ID), None),
            (format!("/machine.slice/libpod-{ID}.scope/container"), Some(ID), None),
            (format!("/machine.slice/libpod-conmon-{ID}.scope"), None, None),
            (format!("/libpod_parent/libpod-{ID}"), Some(ID), None),
            (format!("/kubepods/burstable/pod{UID}/{ID}"), Some(ID), Some(UID)),
            (format!("/kubepods/pod{UID}"), None, Some(UID)),
            (
                format!(
                    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{under}.slice/cri-containerd-{ID}.scope"
                ),
                Some(ID),
                Some(UID),
            ),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{ID}.scope/container"),
                Some(ID),
                Some(UID),
            ),
            (format!("/kubepods.slice/crio-conmon-{ID}.scope"), None, None),
            (
                format!("/system.slice/kubepods-burstable-pod{under}.slice:cri-containerd:{ID}"),
                Some(ID),
                Some(UID),
            ),
            (
                format!("/kubepods/burstable/pod3dcbd5d94ab8d2b27d4b6ea8a2a0e0c1/{ID}"),
                Some(ID),
                Some("3dcbd5d94ab8d2b27d4b6ea8a2a0e0c1"),
            ),
            (format!("/docker/{other}/kubelet/kubepods/pod{UID}/{ID}"), Some(ID), Some(UID)),
            (format!("/x{ID}"), None, None),
            (format!("/docker/{}", &ID[1..]), None, None),
            (format!("/docker/{}", ID.to_uppercase()), None, None),
            (format!("/podcast{UID}"), None, None),
        ] {
            let owner = Owner::of(path.as_bytes());
            assert_eq!((owner.container(), owner.pod()), (container, pod), "{path}");
        }
    }

    #[test]
    fn what_nobody_knows_is_not_asked_for_for_ever() {
        let mut known = KnownCgroups::default();
        for _ in 0..TRIES {
            assert!(known.is_wanted(7));
            assert!(!known.answer(7, None));
        }
        assert!(!known.is_wanted(7));
        let cgroup = Cgroup { path: b"/a"[..].into(), owner: Owner::default() };
        assert!(known.answer(8, Some(cgroup.clone())));
        assert!(!known.answer(8, None) && !known.is_wanted(8));
        assert_eq!(known.get(8), Some(&cgroup));
        for id in 0..20_000 {
            known.answer(id, Some(cgroup.clone()));
        }
        assert!(known.known.len() <= MOST);
    }

    #[test]
    fn any_path_does_no_harm() {
        crate::corpus::check("cgroup", |path| {
            Owner::of(path);
        });
    }
}
