//! The container and the pod that a cgroup's path names: docker, containerd, cri-o and podman, with the
//! systemd driver (`docker-ID.scope`) and the cgroupfs one (`docker/ID`), Kubernetes' pods, LXC, Incus, and
//! containers of systemd-machined.

/// A container's id or name: its bytes, and how many.
type Name = ([u8; 64], u8);

/// The container that a cgroup belongs to, and its pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    container: Option<Name>,
    /// The pod's uid as Kubernetes writes it, and its length: 36 with dashes, or the 32 hex
    /// digits of a static pod.
    pod: Option<([u8; 36], u8)>,
}

impl Owner {
    /// Reads a path from the hierarchy's root. Where containers are nested, the innermost counts.
    pub fn of(path: &[u8]) -> Self {
        let mut owner = Self::default();
        let mut parent: &[u8] = b"";
        for component in path.split(|b| *b == b'/') {
            if let Some(found) = container(component).or_else(|| named(component, parent)) {
                owner.container = Some(found);
            }
            parent = component;
            // `kubepods-pod….slice:cri-containerd:ID` is containerd's without its systemd driver.
            let first = component.split(|b| *b == b':').next().unwrap_or_default();
            if let Some(uid) = pod(first) {
                owner.pod = Some(uid);
            }
        }
        owner
    }

    /// The container's id, 64 hex digits, or its name: ASCII letters, digits, `.`, `_`, `-`, the
    /// first one a letter or a digit.
    pub fn container(&self) -> Option<&str> {
        let (name, len) = self.container.as_ref()?;
        std::str::from_utf8(name.get(..usize::from(*len))?).ok()
    }

    /// The pod's uid.
    pub fn pod(&self) -> Option<&str> {
        let (uid, len) = self.pod.as_ref()?;
        std::str::from_utf8(uid.get(..usize::from(*len))?).ok()
    }
}

/// The id in `ID`, `docker-ID.scope`, `libpod-ID`, `…:cri-containerd:ID`. A `conmon` scope
/// holds the container's monitor, which is outside.
pub(super) fn container(component: &[u8]) -> Option<Name> {
    let name = component.strip_suffix(b".scope").unwrap_or(component);
    let (before, id) = name.split_at_checked(name.len().checked_sub(64)?)?;
    let id: &[u8; 64] = id.try_into().ok()?;
    let separated = matches!(before.last(), None | Some(b'-' | b':'));
    let hex = id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (separated && hex && !before.ends_with(b"conmon-")).then_some((*id, 64))
}

/// The name in `lxc.payload.NAME`, `lxc/NAME` (LXC, Incus), `machine-NAME.scope` and
/// `systemd-nspawn@NAME.service` (systemd-machined). libvirt's virtual machines, `machine-qemu…`, are
/// no containers.
pub(super) fn named(component: &[u8], parent: &[u8]) -> Option<Name> {
    let between = |before: &[u8], after: &[u8]| {
        component.strip_prefix(before).and_then(|rest| rest.strip_suffix(after))
    };
    let unit = between(b"machine-", b".scope").or_else(|| between(b"systemd-nspawn@", b".service"));
    let name = match unit {
        Some(unit) => unescaped(unit).filter(|name| !name.starts_with(b"qemu-")),
        None if matches!(parent, b"lxc" | b"lxc.payload") => {
            Some(component.to_vec()).filter(|name| !name.starts_with(b"lxc."))
        }
        None => component.strip_prefix(b"lxc.payload.").map(<[u8]>::to_vec),
    }?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.first()?.is_ascii_alphanumeric() || !name.iter().all(plain) {
        return None;
    }
    let mut out = [0; 64];
    out.get_mut(..name.len())?.copy_from_slice(&name);
    Some((out, u8::try_from(name.len()).ok()?))
}

/// A part of a unit's name, where systemd writes `-` as `\x2d` (systemd.unit(5)).
fn unescaped(unit: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(unit.len());
    let mut rest = unit;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let code = after.strip_prefix(b"x").and_then(|a| a.get(..2));
        let code = std::str::from_utf8(code?).ok()?;
        out.push(u8::from_str_radix(code, 16).ok()?);
        rest = after.get(3..).unwrap_or_default();
    }
    Some(out)
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
            ("/lxc.payload.web".into(), Some("web"), None),
            ("/lxc.payload.web/system.slice/nginx.service".into(), Some("web"), None),
            ("/lxc.monitor.web".into(), None, None),
            ("/lxc/db-1/init.scope".into(), Some("db-1"), None),
            ("/lxc/lxc.pivot".into(), None, None),
            (format!("/lxc.payload.web/docker/{ID}"), Some(ID), None),
            ("/machine.slice/systemd-nspawn@web.service/payload".into(), Some("web"), None),
            (r"/machine.slice/machine-my\x2dbox.scope".into(), Some("my-box"), None),
            (r"/machine.slice/machine-qemu\x2d1\x2dvm.scope".into(), None, None),
            (r"/machine.slice/machine-a\x0ab.scope".into(), None, None),
            (r"/machine.slice/machine-a\x.scope".into(), None, None),
            (format!("/lxc.payload.{}", "n".repeat(65)), None, None),
            ("/lxc.payload.".into(), None, None),
            ("/lxc/-1+1".into(), None, None),
        ] {
            let owner = Owner::of(path.as_bytes());
            assert_eq!((owner.container(), owner.pod()), (container, pod), "{path}");
        }
    }

    #[test]
    fn any_path_does_no_harm() {
        crate::testing::fuzz::check("cgroup", |path| {
            Owner::of(path);
        });
    }
}
