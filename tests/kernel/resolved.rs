//! Resolved paths of opens, on the real kernel.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::common::fuse;
use crate::common::opens::{Seen, in_child, watch};
use ebpftop::model::open::ResolvedKind;
use ebpftop::probes::OpensConfig;
use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, chroot};

const RDONLY: OFlag = OFlag::O_RDONLY;

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// The resolved path of the open whose path as passed is `path`, by `tgid`.
fn resolved(seen: &[Seen], path: &str) -> Option<(ResolvedKind, String)> {
    let open = seen
        .iter()
        .find(|s| s.path.as_deref() == Some(path.as_bytes()))
        .unwrap_or_else(|| panic!("no open of {path:?}: {seen:?}"));
    open.resolved.as_ref().map(|(k, p)| (*k, String::from_utf8_lossy(p).into_owned()))
}

/// Runs `act` in a process of its own (it may change root, directory, namespaces) and gives what
/// the probe reported of it; again where opens were lost on a kernel that preempts the programs of
/// system calls (7.2).
fn observe(act: impl Fn()) -> Vec<Seen> {
    for _ in 0..5 {
        let watch = watch(OpensConfig::default());
        let child = in_child(&act);
        let (seen, counts) = watch.finish(|m| m.tgid == child);
        assert_eq!(counts.malformed, 0);
        if counts.lost == 0 {
            return seen;
        }
        let names = fs::read_to_string("/proc/kallsyms").unwrap();
        assert!(names.contains(" trace_call_bpf_faultable"), "{counts:?}");
    }
    panic!("five runs, and each of them lost opens");
}

fn raw_openat(dirfd: RawFd, path: &str) -> i64 {
    let path = CString::new(path).unwrap();
    // SAFETY: a string that lives through the call.
    unsafe { libc::syscall(libc::SYS_openat, dirfd, path.as_ptr(), libc::O_RDONLY) }
}

/// /dir/{real/file, link -> real, cwd/}
fn tree() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("real/deep")).unwrap();
    fs::create_dir(root.join("cwd")).unwrap();
    fs::write(root.join("real/file"), "x").unwrap();
    std::os::unix::fs::symlink("real", root.join("link")).unwrap();
    let root = root.to_str().unwrap().to_string();
    (dir, root)
}

#[test]
fn relative_to_cwd_to_a_descriptor_through_links_and_dots() {
    let (_dir, root) = tree();
    let dirfd = File::open(format!("{root}/real")).unwrap();
    let seen = observe(|| {
        chdir(format!("{root}/cwd").as_str()).unwrap();
        for path in ["../real/file", "../link/deep/../file", "/", "."] {
            open(path, RDONLY, Mode::empty()).unwrap();
        }
        openat(&dirfd, "./file", RDONLY, Mode::empty()).unwrap();
        open(format!("{root}/link/file").as_str(), RDONLY, Mode::empty()).unwrap();
    });
    let opened = |p: String| Some((ResolvedKind::Opened, p));
    assert_eq!(resolved(&seen, "../real/file"), opened(format!("{root}/real/file")));
    assert_eq!(resolved(&seen, "../link/deep/../file"), opened(format!("{root}/real/file")));
    assert_eq!(resolved(&seen, "./file"), opened(format!("{root}/real/file")));
    assert_eq!(resolved(&seen, &format!("{root}/link/file")), opened(format!("{root}/real/file")));
    assert_eq!(resolved(&seen, "/"), opened("/".into()));
    assert_eq!(resolved(&seen, "."), opened(format!("{root}/cwd")));
}

#[test]
fn a_failed_open_has_the_absolute_path_that_was_tried() {
    let (_dir, root) = tree();
    let dirfd = File::open(format!("{root}/real")).unwrap();
    let seen = observe(|| {
        chdir(format!("{root}/cwd").as_str()).unwrap();
        for path in ["none/../x", "/no/such", ""] {
            open(path, RDONLY, Mode::empty()).unwrap_err();
        }
        openat(&dirfd, "missing", RDONLY, Mode::empty()).unwrap_err();
        assert_eq!(raw_openat(999, "nowhere"), -1);
    });
    let tried = |p: String| Some((ResolvedKind::Tried, p));
    assert_eq!(resolved(&seen, "none/../x"), tried(format!("{root}/cwd/none/../x")));
    assert_eq!(resolved(&seen, "/no/such"), tried("/no/such".into()));
    assert_eq!(resolved(&seen, ""), tried(format!("{root}/cwd/")));
    assert_eq!(resolved(&seen, "missing"), tried(format!("{root}/real/missing")));
    assert_eq!(resolved(&seen, "nowhere"), None, "no such descriptor: not known");
}

#[test]
fn a_chroot_is_seen_through() {
    let (_dir, root) = tree();
    let seen = observe(|| {
        chroot(root.as_str()).unwrap();
        chdir("/").unwrap();
        open("/real/file", RDONLY, Mode::empty()).unwrap();
        open("/etc/none", RDONLY, Mode::empty()).unwrap_err();
        open("gone", RDONLY, Mode::empty()).unwrap_err();
    });
    assert_eq!(
        resolved(&seen, "/real/file"),
        Some((ResolvedKind::Opened, format!("{root}/real/file")))
    );
    assert_eq!(
        resolved(&seen, "/etc/none"),
        Some((ResolvedKind::Tried, format!("{root}/etc/none")))
    );
    assert_eq!(resolved(&seen, "gone"), Some((ResolvedKind::Tried, format!("{root}/gone"))));
}

#[test]
fn bind_mounts_and_file_systems_in_another_mount_namespace() {
    let (_dir, root) = tree();
    let seen = observe(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let (real, cwd) = (format!("{root}/real"), format!("{root}/cwd"));
        mount(Some(real.as_str()), cwd.as_str(), none, MsFlags::MS_BIND, none).unwrap();
        open(format!("{cwd}/file").as_str(), RDONLY, Mode::empty()).unwrap();
        let deep = format!("{cwd}/deep");
        mount(Some("none"), deep.as_str(), Some("tmpfs"), MsFlags::empty(), none).unwrap();
        open(format!("{deep}/new").as_str(), OFlag::O_CREAT | OFlag::O_WRONLY, Mode::S_IRWXU)
            .unwrap();
    });
    for name in ["cwd/file", "cwd/deep/new"] {
        let path = format!("{root}/{name}");
        assert_eq!(resolved(&seen, &path), Some((ResolvedKind::Opened, path.clone())));
    }
}

/// A container's path is the container's own: the root is the one of its mount namespace.
#[test]
fn the_root_is_that_of_the_process() {
    let (_dir, root) = tree();
    let seen = observe(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some(root.as_str()), root.as_str(), none, MsFlags::MS_BIND, none).unwrap();
        chdir(root.as_str()).unwrap();
        fs::create_dir_all("old").unwrap();
        nix::unistd::pivot_root(".", "old").unwrap();
        chdir("/").unwrap();
        open("/link/file", RDONLY, Mode::empty()).unwrap();
    });
    assert_eq!(resolved(&seen, "/link/file"), Some((ResolvedKind::Opened, "/real/file".into())));
}

#[test]
fn deleted_temporary_and_anonymous_files_are_said_to_be_so() {
    let (_dir, root) = tree();
    let doomed = format!("{root}/doomed");
    let held = File::create(&doomed).unwrap();
    fs::remove_file(&doomed).unwrap();
    let (pipe, _end) = nix::unistd::pipe().unwrap();
    let memfd = nix::sys::memfd::memfd_create("na/me", nix::sys::memfd::MFdFlags::empty()).unwrap();
    let pipe_name = fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd())).unwrap();
    let proc = |fd: RawFd| format!("/proc/self/fd/{fd}");
    let (held, pipe, memfd) =
        (proc(held.as_raw_fd()), proc(pipe.as_raw_fd()), proc(memfd.as_raw_fd()));
    let seen = observe(|| {
        for path in [&held, &pipe, &memfd] {
            open(path.as_str(), RDONLY, Mode::empty()).unwrap();
        }
        open(root.as_str(), OFlag::O_TMPFILE | OFlag::O_RDWR, Mode::S_IRWXU).unwrap();
    });
    assert_eq!(resolved(&seen, &held), Some((ResolvedKind::Deleted, doomed)));
    let pipe_name = pipe_name.to_str().unwrap().to_string();
    assert_eq!(resolved(&seen, &pipe), Some((ResolvedKind::Anon, pipe_name)));
    assert_eq!(resolved(&seen, &memfd), Some((ResolvedKind::Anon, "/memfd:na/me".into())));
    assert_eq!(resolved(&seen, &root), Some((ResolvedKind::Tmpfile, root.clone())));
}

/// Files outside of the tree are named as `readlink` names them.
#[test]
fn files_outside_of_the_tree_have_the_names_that_readlink_has() {
    use nix::sys::eventfd::EventFd;
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (pipe, _end) = nix::unistd::pipe().unwrap();
    let event = EventFd::new().unwrap();
    // SAFETY: takes a process id and flags.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) } as RawFd;
    assert!(pidfd >= 0);
    let memfd = nix::sys::memfd::memfd_create("x", nix::sys::memfd::MFdFlags::empty()).unwrap();
    let fds = [socket.as_raw_fd(), tcp.as_raw_fd(), pipe.as_raw_fd(), memfd.as_raw_fd(), pidfd];
    let fds = fds.into_iter().chain([std::os::fd::AsFd::as_fd(&event).as_raw_fd()]);
    let mut paths: Vec<String> = fds.map(|fd| format!("/proc/self/fd/{fd}")).collect();
    for name in fs::read_dir("/proc/self/ns").unwrap() {
        paths.push(name.unwrap().path().to_str().unwrap().into());
    }
    let mut names = Vec::new();
    for path in &paths {
        let name = fs::read_link(path).unwrap().into_os_string().into_string().unwrap();
        names.push(name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned());
    }
    let seen = observe(|| {
        for path in &paths {
            // O_PATH opens also what cannot be opened to read.
            open(path.as_str(), OFlag::O_PATH, Mode::empty()).unwrap();
        }
        openat(&socket, "below", RDONLY, Mode::empty()).unwrap_err();
    });
    for (path, name) in paths.iter().zip(names) {
        assert_eq!(resolved(&seen, path), Some((ResolvedKind::Anon, name)), "{path}");
    }
    assert_eq!(resolved(&seen, "below"), None, "nothing is below a socket");
}

/// Names that are longer than 255 bytes.
#[test]
fn the_longest_names_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fuse::serve(&root, || {});
    let names = [200, 255, 256, 300, 800, 1_023].map(|len| "n".repeat(len));
    let seen = observe(|| {
        chdir(&root).unwrap();
        for name in &names {
            open(name.as_str(), RDONLY, Mode::empty()).unwrap();
        }
    });
    umount(&root).unwrap();
    for name in &names {
        let whole = root.join(name).to_str().unwrap().to_owned();
        assert_eq!(resolved(&seen, name), Some((ResolvedKind::Opened, whole)), "{}", name.len());
    }
}

const FS_IOC_SETFLAGS: u64 = 0x4008_6602;
static FS_CASEFOLD_FL: libc::c_long = 0x4000_0000;

/// A file system that hashes names without regard to case: a rename that changes the case alone
/// leaves the hash as it is.
///
/// tmpfs can do so since kernel 6.13, where that has CONFIG_UNICODE.
#[test]
fn a_rename_that_changes_the_case_alone_shows() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let options = Some("casefold=utf8-12.1.0");
    let mounted = mount(Some("none"), &root, Some("tmpfs"), MsFlags::empty(), options);
    let folds = mounted.is_ok();
    println!("tmpfs with casefold: {mounted:?}");
    let inside = root.join("dir");
    fs::create_dir(&inside).unwrap();
    if folds {
        let fd = File::open(&inside).unwrap();
        // SAFETY: a descriptor, and a word that lives through the call.
        let set =
            unsafe { libc::ioctl(fd.as_raw_fd(), FS_IOC_SETFLAGS, &raw const FS_CASEFOLD_FL) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }
    fs::create_dir(inside.join("deep")).unwrap();
    fs::write(inside.join("deep/name"), "x").unwrap();
    let steps = ["deep/name", "deep/NAME", "Deep/NAME", "Deep/Name"];
    let seen = observe(|| {
        chdir(&inside).unwrap();
        for (n, path) in steps.iter().enumerate() {
            if let Some(before) = n.checked_sub(1).map(|n| steps[n]) {
                // By another name: for the kernel the two are one.
                let (from, to) = match before.split_once('/').unwrap() {
                    (dir, _) if !path.starts_with(dir) => (dir.to_owned(), path.split('/').next()),
                    _ => (before.to_owned(), Some(*path)),
                };
                fs::rename(&from, "other").unwrap();
                fs::rename("other", to.unwrap()).unwrap();
            }
            let copy = format!("./{path}");
            open(copy.as_str(), RDONLY, Mode::empty()).unwrap();
        }
        for (from, to) in [
            ("Deep/Name", "Deep/other"),
            ("Deep/other", "Deep/name"),
            ("Deep", "other"),
            ("other", "deep"),
        ] {
            fs::rename(from, to).unwrap();
        }
    });
    if folds {
        umount(&root).unwrap();
    }
    for path in steps {
        let whole = inside.join(path).to_str().unwrap().to_owned();
        let found = resolved(&seen, &format!("./{path}"));
        assert_eq!(found, Some((ResolvedKind::Opened, whole)), "{path}, casefold: {folds}");
    }
}

/// The same dentry and inode under a name that changes, itself and above.
#[test]
fn a_rename_shows_in_the_next_open() {
    let (_dir, root) = tree();
    let seen = observe(|| {
        chdir(root.as_str()).unwrap();
        open("real/file", RDONLY, Mode::empty()).unwrap();
        fs::rename("real/file", "real/file2").unwrap();
        open("real/file2", RDONLY, Mode::empty()).unwrap();
        fs::rename("real", "really").unwrap();
        open("really/file2", RDONLY, Mode::empty()).unwrap();
        fs::rename("really", "real").unwrap();
        fs::rename("real/file2", "real/file").unwrap();
    });
    for path in ["real/file", "real/file2", "really/file2"] {
        let whole = format!("{root}/{path}");
        assert_eq!(resolved(&seen, path), Some((ResolvedKind::Opened, whole)));
    }
}

/// 4,095 bytes is the longest path there is; beyond that the kernel cannot say it either.
#[test]
fn the_deepest_path_is_whole_and_a_deeper_one_not_known() {
    let (_dir, root) = tree();
    let short = "a".to_string();
    let long = "n".repeat(255);
    let seen = observe(|| {
        chdir(root.as_str()).unwrap();
        let mut at = root.len();
        let mut down = |name: &str| {
            fs::create_dir_all(name).unwrap();
            chdir(name).unwrap();
            at += 1 + name.len();
            at
        };
        // Half in names of one byte (many steps), half in the longest names.
        while down(&short) < 2000 {}
        while down(&long) < 4095 - 256 {}
        let last = "l".repeat(4095 - at - 1);
        fs::write(&last, "x").unwrap();
        open(last.as_str(), RDONLY, Mode::empty()).unwrap();
        let over = "m".repeat(4095 - at);
        fs::write(&over, "x").unwrap();
        open(over.as_str(), RDONLY, Mode::empty()).unwrap();
    });
    let of = |first: u8| {
        let open =
            seen.iter().rfind(|s| s.path.as_ref().is_some_and(|p| p.first() == Some(&first)));
        open.unwrap().resolved.clone()
    };
    let (kind, whole) = of(b'l').unwrap();
    assert_eq!((kind, whole.len()), (ResolvedKind::Opened, 4095));
    assert!(whole.starts_with(root.as_bytes()) && whole.ends_with(b"lll"));
    assert!(!whole.contains(&0));
    assert_eq!(of(b'm'), None);
}

/// More files than a generation of names holds, twice over: every open has its own path.
#[test]
fn ever_new_files_each_have_their_own_path() {
    let (_dir, root) = tree();
    const FILES: usize = 40_000;
    let watch = watch(OpensConfig::default());
    let child = in_child(|| {
        chdir(format!("{root}/cwd").as_str()).unwrap();
        for i in 0..FILES {
            let name = format!("f{i}");
            open(name.as_str(), OFlag::O_CREAT | OFlag::O_WRONLY, Mode::S_IRWXU).unwrap();
            fs::remove_file(&name).unwrap();
        }
    });
    let all = watch.finish_all(|m| m.tgid == child);
    // So many so fast that a busy machine may lose some; those are counted.
    assert_eq!(all.seen.len() + all.lost_of(child) as usize, FILES);
    assert!(all.seen.len() > 100, "{:?}", all.counts);
    for open in all.seen {
        let whole = format!("{root}/cwd/{}", open.path_str());
        assert_eq!(open.resolved, Some((ResolvedKind::Opened, whole.into_bytes())));
    }
}

#[test]
fn a_detached_mount_has_no_path_in_this_namespace() {
    let seen = observe(|| {
        // SAFETY: a NUL-terminated path, flags.
        let tree = unsafe {
            libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c"/usr".as_ptr(), 1 /* CLONE */)
        };
        assert!(tree >= 0);
        assert!(raw_openat(tree as RawFd, "lib") >= 0);
    });
    assert_eq!(resolved(&seen, "lib"), None);
}

const RESOLVE_BENEATH: u64 = 0x08;
const RESOLVE_IN_ROOT: u64 = 0x10;

fn raw_openat2(dirfd: RawFd, path: &CStr, resolve: u64) -> i64 {
    // SAFETY: integers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.resolve = resolve;
    let (how, len) = (&raw const how, size_of_val(&how));
    // SAFETY: a string and a struct that live through the call.
    unsafe { libc::syscall(libc::SYS_openat2, dirfd, path.as_ptr(), how, len) }
}

#[test]
fn openat2_in_root_starts_from_the_descriptor() {
    let (_dir, root) = tree();
    let dir = File::open(&root).unwrap();
    let seen = observe(|| {
        chdir(root.as_str()).unwrap();
        raw_openat2(dir.as_raw_fd(), c"/real/none", RESOLVE_IN_ROOT);
        raw_openat2(libc::AT_FDCWD, c"/cwd/none", RESOLVE_IN_ROOT);
    });
    for path in ["/real/none", "/cwd/none"] {
        let tried = Some((ResolvedKind::Tried, format!("{root}{path}")));
        assert_eq!(resolved(&seen, path), tried);
    }
}

/// A path beneath the descriptor is opened; one that leads out is refused, and has the path that it led to.
#[test]
fn openat2_beneath_the_descriptor() {
    let (_dir, root) = tree();
    std::os::unix::fs::symlink("/etc", format!("{root}/real/out")).unwrap();
    let real = File::open(format!("{root}/real")).unwrap();
    let out = [c"../cwd", c"deep/../../cwd", c"out/hostname", c"/etc/hostname"];
    let seen = observe(|| {
        assert!(raw_openat2(real.as_raw_fd(), c"deep/../file", RESOLVE_BENEATH) >= 0);
        for path in out {
            assert_eq!(raw_openat2(real.as_raw_fd(), path, RESOLVE_BENEATH), -1);
        }
    });
    let file = format!("{root}/real/file");
    assert_eq!(resolved(&seen, "deep/../file"), Some((ResolvedKind::Opened, file)));
    for path in out.map(|p| p.to_str().unwrap()) {
        let open = seen.iter().find(|s| s.path_str() == path).unwrap();
        assert_eq!(open.meta.errno(), Some(libc::EXDEV), "{path}");
        let from = if path.starts_with('/') { String::new() } else { format!("{root}/real/") };
        let tried = Some((ResolvedKind::Tried, format!("{from}{path}")));
        assert_eq!(resolved(&seen, path), tried);
    }
}

#[test]
fn bytes_that_are_not_text_stay_as_they_are() {
    let (_dir, root) = tree();
    let odd = Path::new(&root).join(std::ffi::OsStr::from_bytes(b"a\n\x1b[31m\xff"));
    fs::write(&odd, "x").unwrap();
    let seen = observe(|| {
        open(&odd, RDONLY, Mode::empty()).unwrap();
    });
    let open = seen.iter().find(|s| s.path == Some(bytes(&odd))).unwrap();
    assert_eq!(open.resolved, Some((ResolvedKind::Opened, bytes(&odd))));
}
