//! `/proc/PID/mountinfo` and `/proc/PID/cgroup`, parsed: which hierarchies of cgroups there are, and
//! where they are mounted.

/// A line of `/proc/PID/mountinfo`, with octal escapes decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The directory of the file system that is mounted; for cgroups relative to the reader's cgroup
    /// namespace, `/..` and the like where it is outside.
    pub root: Vec<u8>,
    /// The mount point.
    pub point: Vec<u8>,
    /// The file system's type, `cgroup2`.
    pub kind: Vec<u8>,
    /// The options of the file system, `rw,name=systemd`.
    pub options: Vec<u8>,
}

/// The mounts of a mountinfo, in its order. Lines that are none are left out.
pub fn mounts(mountinfo: &[u8]) -> impl Iterator<Item = Mount> {
    mountinfo.split(|b| *b == b'\n').filter_map(mount)
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/sda rw` (proc_pid_mountinfo(5)).
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    let root = unoctal(fields.nth(3)?);
    let point = unoctal(fields.next()?);
    // Optional fields end with a dash.
    fields.find(|field| *field == b"-")?;
    let kind = unoctal(fields.next()?);
    let options = unoctal(fields.nth(1)?);
    Some(Mount { root, point, kind, options })
}

/// The kernel writes space, tab, newline and backslash as `\040` there (fs/seq_file.c, mangle_path).
fn unoctal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let digits = after.get(..3).filter(|d| d.iter().all(|b| matches!(b, b'0'..=b'7')));
        let code = digits.and_then(|d| std::str::from_utf8(d).ok());
        match code.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => out.push(*first),
        }
    }
    out
}

/// A line of `/proc/PID/cgroup`: `4:memory:/path`, `0::/path` for v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership<'a> {
    /// The hierarchy's number; 0 is v2.
    pub hierarchy: u32,
    /// Its controllers, or its name, `cpu,cpuacct` or `name=systemd`.
    pub controllers: &'a [u8],
    /// The cgroup, from the root of the reader's cgroup namespace.
    pub path: &'a [u8],
}

/// The lines of a `/proc/PID/cgroup`.
pub fn memberships(text: &[u8]) -> impl Iterator<Item = Membership<'_>> {
    text.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.splitn(3, |b| *b == b':');
        let hierarchy = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        Some(Membership { hierarchy, controllers: fields.next()?, path: fields.next()? })
    })
}

/// The name of the hierarchy in which a systemd on cgroup v1 keeps its units.
pub const SYSTEMD: &[u8] = b"name=systemd";

/// Whether the pids controller is among these.
pub fn has_pids(controllers: &[u8]) -> bool {
    controllers.split(|b| *b == b',').any(|name| name == b"pids")
}

/// The cgroup of a process by its `/proc/PID/cgroup`, chosen as the BPF programs choose it
/// (`cgroup.h`): in name=systemd where that `is_used`, else in v2, else in pids, else in the oldest v1
/// hierarchy; roots do not count.
pub fn cgroup_path(text: &[u8], systemd_is_used: bool) -> Option<&[u8]> {
    let mut all: Vec<Membership<'_>> = memberships(text).collect();
    // Numbers are given in turn (kernel/cgroup/cgroup.c, cgroup_init_root_id).
    all.sort_by_key(|m| m.hierarchy);
    let below = |m: &&Membership<'_>| m.path != b"/";
    let systemd = all.iter().filter(below).find(|m| systemd_is_used && m.controllers == SYSTEMD);
    let v2 = all.iter().filter(below).find(|m| m.hierarchy == 0);
    let pids = all.iter().filter(below).find(|m| has_pids(m.controllers));
    let any = all.iter().find(below).or(all.first());
    let path = systemd.or(v2).or(pids).or(any)?.path;
    // The kernel marks a cgroup that is gone.
    Some(path.strip_suffix(b" (deleted)").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &[u8] = b"30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        31 25 0:27 /a\\040b /sys/fs/my\\040group\\134x rw,relatime shared:4 master:2 - cgroup2 c rw\n\
        nonsense\n32 25 0:28 / /x rw - tmpfs\n";

    #[test]
    fn mounts_are_found() {
        let all: Vec<Mount> = mounts(MOUNTINFO).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((&*all[0].kind, &*all[0].options), (&b"cgroup"[..], &b"rw,cpu"[..]));
        assert_eq!(all[1].point, b"/sys/fs/my group\\x");
        assert_eq!((&*all[1].root, &*all[1].kind), (&b"/a b"[..], &b"cgroup2"[..]));
    }

    #[test]
    fn escapes_are_octal_and_whole() {
        for (text, out) in [
            (&b"a\\040b"[..], &b"a b"[..]),
            (b"\\134040", b"\\040"),
            (b"\\08", b"\\08"),
            (b"\\+12", b"\\+12"),
            (b"\\777", b"\\777"),
            (b"end\\", b"end\\"),
        ] {
            assert_eq!(unoctal(text), out, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn the_most_specific_cgroup_is_chosen() {
        let hybrid = b"9:memory:/docker/x\n2:name=systemd:/user.slice\n0::/system.slice\n";
        let v1 = b"9:name=systemd:/\n8:pids:/docker/x\n4:memory:/limit\n0::/\n";
        for (text, systemd, path) in [
            (&b"0::/system.slice/a:b\n"[..], false, &b"/system.slice/a:b"[..]),
            (b"0::/gone (deleted)\n", false, b"/gone"),
            (hybrid, true, b"/user.slice"),
            (hybrid, false, b"/system.slice"),
            (v1, true, b"/docker/x"),
            (b"9:memory:/b\n4:cpu:/a\n0::/\n", true, b"/a"),
            (b"9:name=systemd:/\n8:pids:/\n0::/\n", true, b"/"),
            (b"8:pids:/\n", true, b"/"),
        ] {
            let found = cgroup_path(text, systemd);
            assert_eq!(found, Some(path), "{}", text.escape_ascii());
        }
        assert_eq!(cgroup_path(b"", false), None);
    }

    #[test]
    fn any_text_of_proc_does_no_harm() {
        crate::testing::fuzz::check("proc", |text| {
            assert!(mounts(text).all(|m| m.point.len() <= text.len()));
            memberships(text).for_each(|m| assert!(m.path.len() <= text.len()));
            cgroup_path(text, true);
            assert!(unoctal(text).len() <= text.len());
        });
    }
}
