//! Changes of files and directories, on the real kernel. Needs root.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, types};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::common::conns::{Gate, done, process};
use crate::common::opens::{in_child, watch};
use crate::common::patience::until;
use crate::common::program::{Ended, Stream, ebpftop};
use crate::common::tty::Tty;
use ebpftop::model::file_change::{How, Name, Op};
use ebpftop::probes::OpensConfig;

const CWD: i32 = libc::AT_FDCWD;

/// Makes a system call, and returns its result or the negative number of its error.
macro_rules! call {
    ($number:ident $(, $arg:expr)*) => {{
        // SAFETY: the arguments live through the call.
        let done = unsafe { libc::syscall(libc::$number $(, $arg)*) };
        if done < 0 { -i64::from(io::Error::last_os_error().raw_os_error().unwrap()) } else { done }
    }};
}

fn stream(args: &[&str]) -> Stream {
    Stream::json(&[&["files"], args].concat())
}

/// The changes by a process.
fn of(ended: &Ended, pid: Pid) -> Vec<Value> {
    ended.of_type("file").into_iter().filter(|event| event["pid"] == pid.as_raw()).collect()
}

/// Nothing was lost, and each change that was written is counted.
fn check_counts(ended: &Ended) {
    let summary = &ended.of_type("summary")[0];
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert_eq!(summary["files"], ended.of_type("file").len());
    assert_eq!(summary["files_lost"], 0);
}

/// A change as a line has it: operation, call, path, resolved path and its kind, second path, second resolved path,
/// error; `""` is null.
type Row<'a> = [&'a str; 8];

fn rows(events: &[Value]) -> Vec<Vec<String>> {
    let keys = ["op", "syscall", "path", "resolved", "resolved_kind", "to", "to_resolved", "errno"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| keys.map(|key| text(&event[key])).to_vec()).collect()
}

#[track_caller]
fn check(events: &[Value], expected: &[Row<'_>]) {
    let rows = rows(events);
    for (at, (row, expected)) in rows.iter().zip(expected).enumerate() {
        assert_eq!(row, &expected.map(str::to_owned), "row {at}");
    }
    assert_eq!(rows.len(), expected.len(), "{rows:#?}");
}

/// A folder without symbolic links in its path.
fn folder() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    (dir, root)
}

/// One run for all the tables: each start and end of the probe takes seconds.
#[test]
fn each_call_is_one_line_with_its_names_and_result() {
    let (_dirs, roots): (Vec<_>, Vec<_>) = (0..3).map(|_| folder()).unzip();
    let stream = stream(&[]);
    let [calls, older, mounted] = [
        calls(&roots[0]),
        if cfg!(target_arch = "x86_64") { older_calls(&roots[1]) } else { Pid::from_raw(0) },
        in_mounts(&roots[2]),
    ];
    let ended = stream.interrupt();
    check_counts(&ended);
    check_calls(&of(&ended, calls), &roots[0], calls);
    if cfg!(target_arch = "x86_64") {
        check_older_calls(&of(&ended, older), &roots[1]);
    }
    check_in_mounts(&of(&ended, mounted), &roots[2]);
}

/// Every call, good and failing, by each way to name a file.
fn calls(root: &str) -> Pid {
    let at = |name: &str| format!("{root}/{name}");
    let child = process(|| {
        std::env::set_current_dir(root).unwrap();
        let dir = File::open(root).unwrap();
        let fd = dir.as_raw_fd();
        let whole = CString::new(at("a")).unwrap();
        // The descriptor of a file that was created.
        let a = call!(SYS_openat, CWD, c"a".as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o640);
        assert!(a >= 0);
        assert!(call!(SYS_openat, CWD, c"a".as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o640) >= 0);
        let exclusive = libc::O_CREAT | libc::O_EXCL;
        let again = call!(SYS_openat, fd, c"a".as_ptr(), exclusive, 0o600);
        assert_eq!(again, -i64::from(libc::EEXIST));
        let missing = call!(SYS_openat, CWD, c"no/a".as_ptr(), libc::O_CREAT, 0o600);
        assert_eq!(missing, -i64::from(libc::ENOENT));
        assert!(call!(SYS_openat, CWD, whole.as_ptr(), libc::O_WRONLY | libc::O_TRUNC) >= 0);
        assert!(call!(SYS_openat, CWD, c"/dev/null".as_ptr(), libc::O_WRONLY | libc::O_TRUNC) >= 0);
        assert!(call!(SYS_openat, CWD, c".".as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600) >= 0);
        assert_eq!(call!(SYS_ftruncate, a, 5_000_000_000_i64), 0);
        assert_eq!(call!(SYS_truncate, whole.as_ptr(), 10), 0);
        assert_eq!(call!(SYS_fchmod, a, 0o4600), 0);
        assert_eq!(call!(SYS_fchmodat, fd, c"a".as_ptr(), 0o600), 0);
        assert_eq!(call!(SYS_fchown, a, 65_533, u32::MAX), 0);
        assert_eq!(call!(SYS_fchownat, CWD, c"a".as_ptr(), 1, 2, libc::AT_SYMLINK_NOFOLLOW), 0);
        assert_eq!(call!(SYS_fchownat, a, c"".as_ptr(), 3, 4, libc::AT_EMPTY_PATH), 0);
        assert_eq!(call!(SYS_linkat, CWD, c"a".as_ptr(), fd, c"b".as_ptr(), 0), 0);
        assert_eq!(call!(SYS_symlinkat, c"../x y\n".as_ptr(), fd, c"s".as_ptr()), 0);
        assert_eq!(call!(SYS_mkdirat, fd, c"d".as_ptr(), 0o750), 0);
        assert_eq!(call!(SYS_mknodat, CWD, c"d/p".as_ptr(), libc::S_IFIFO | 0o600, 0), 0);
        assert_eq!(call!(SYS_renameat2, fd, c"b".as_ptr(), CWD, c"d/c".as_ptr(), 1), 0);
        assert_eq!(call!(SYS_renameat2, CWD, c"d/c".as_ptr(), CWD, whole.as_ptr(), 2), 0);
        let no = call!(SYS_renameat2, CWD, c"no".as_ptr(), CWD, c"".as_ptr(), 0);
        assert_eq!(no, -i64::from(libc::ENOENT));
        assert_eq!(call!(SYS_unlinkat, CWD, c"d".as_ptr(), 0), -i64::from(libc::EISDIR));
        assert_eq!(call!(SYS_unlinkat, fd, c"d/p".as_ptr(), 0), 0);
        assert_eq!(call!(SYS_unlinkat, CWD, c"d/c".as_ptr(), 0), 0);
        assert_eq!(call!(SYS_unlinkat, fd, c"d".as_ptr(), libc::AT_REMOVEDIR), 0);
        assert_eq!(call!(SYS_unlinkat, -1, c"d".as_ptr(), 0), -i64::from(libc::EBADF));
        assert_eq!(call!(SYS_unlinkat, CWD, 1_usize, 0), -i64::from(libc::EFAULT));
        assert_eq!(call!(SYS_fchmod, -1, 0o600), -i64::from(libc::EBADF));
        // Arguments that no call takes.
        let no_flags = call!(SYS_renameat2, CWD, c"a".as_ptr(), CWD, c"b".as_ptr(), 0x10a);
        assert_eq!(no_flags, -i64::from(libc::EINVAL));
        assert_eq!(call!(SYS_truncate, whole.as_ptr(), -1_i64), -i64::from(libc::EINVAL));
        let unreadable = call!(SYS_fchownat, a, 1_usize, 3, 4, libc::AT_EMPTY_PATH);
        assert_eq!(unreadable, -i64::from(libc::EFAULT));
        let long = CString::new("x".repeat(4_096)).unwrap();
        let too_long = -i64::from(libc::ENAMETOOLONG);
        assert_eq!(call!(SYS_renameat2, CWD, long.as_ptr(), CWD, c"b".as_ptr(), 0), too_long);
        assert_eq!(call!(SYS_renameat2, CWD, c"a".as_ptr(), CWD, long.as_ptr(), 0), too_long);
        // Through a symbolic link, and back.
        assert_eq!(call!(SYS_mkdirat, CWD, c"e".as_ptr(), 0o700), 0);
        assert_eq!(call!(SYS_symlinkat, c"e".as_ptr(), CWD, c"l".as_ptr()), 0);
        assert_eq!(call!(SYS_mkdirat, CWD, c"l/f".as_ptr(), 0o700), 0);
        assert_eq!(call!(SYS_unlinkat, CWD, c"l/../e/f".as_ptr(), libc::AT_REMOVEDIR), 0);
        assert!(call!(SYS_openat, CWD, c"l/../l/g".as_ptr(), libc::O_CREAT, 0o600) >= 0);
        let mut handle = [128_u32, 0].into_iter().chain([0; 32]).collect::<Vec<_>>();
        let mut mount_id = 0_i32;
        let (handle, mount_id) = (handle.as_mut_ptr(), &raw mut mount_id);
        assert_eq!(call!(SYS_name_to_handle_at, CWD, c"a".as_ptr(), handle, mount_id, 0), 0);
        let flags = libc::O_WRONLY | libc::O_TRUNC;
        assert!(call!(SYS_open_by_handle_at, fd, handle, flags) >= 0);
        // A file without a name.
        assert_eq!(call!(SYS_unlinkat, CWD, c"a".as_ptr(), 0), 0);
        assert_eq!(call!(SYS_fchmod, a, 0o400), 0);
    });
    done(child);
    child
}

fn check_calls(events: &[Value], root: &str, child: Pid) {
    let at = |name: &str| format!("{root}/{name}");
    let [a, b, c, d, p, s] = ["a", "b", "d/c", "d", "d/p", "s"].map(at);
    let no = at("no");
    let [e, l, f, back, g] = ["e", "l", "l/f", "l/../e/f", "e/g"].map(at);
    check(
        events,
        &[
            ["create", "openat", "a", &a, "opened", "", "", ""],
            ["create", "openat", "a", &a, "tried", "", "", "EEXIST"],
            ["truncate", "openat", &a, &a, "opened", "", "", ""],
            ["truncate", "ftruncate", "", &a, "opened", "", "", ""],
            ["truncate", "truncate", &a, &a, "tried", "", "", ""],
            ["chmod", "fchmod", "", &a, "opened", "", "", ""],
            ["chmod", "fchmodat", "a", &a, "tried", "", "", ""],
            ["chown", "fchown", "", &a, "opened", "", "", ""],
            ["chown", "fchownat", "a", &a, "tried", "", "", ""],
            ["chown", "fchownat", "", &a, "opened", "", "", ""],
            ["link", "linkat", "a", &a, "tried", "b", &b, ""],
            ["symlink", "symlinkat", "../x y\\n", "", "", "s", &s, ""],
            ["mkdir", "mkdirat", "d", &d, "tried", "", "", ""],
            ["mknod", "mknodat", "d/p", &p, "tried", "", "", ""],
            ["rename", "renameat2", "b", &b, "tried", "d/c", &c, ""],
            ["rename", "renameat2", "d/c", &c, "tried", &a, &a, ""],
            ["rename", "renameat2", "no", &no, "tried", "", &format!("{root}/"), "ENOENT"],
            ["unlink", "unlinkat", "d", &d, "tried", "", "", "EISDIR"],
            ["unlink", "unlinkat", "d/p", &p, "tried", "", "", ""],
            ["unlink", "unlinkat", "d/c", &c, "tried", "", "", ""],
            ["rmdir", "unlinkat", "d", &d, "tried", "", "", ""],
            ["unlink", "unlinkat", "d", "", "", "", "", "EBADF"],
            ["unlink", "unlinkat", "", "", "", "", "", "EFAULT"],
            ["chmod", "fchmod", "", "", "", "", "", "EBADF"],
            ["rename", "renameat2", "a", &a, "tried", "b", &b, "EINVAL"],
            ["truncate", "truncate", &a, &a, "tried", "", "", "EINVAL"],
            ["chown", "fchownat", "", "", "", "", "", "EFAULT"],
            ["rename", "renameat2", "", "", "", "b", &b, "ENAMETOOLONG"],
            ["rename", "renameat2", "a", &a, "tried", "", "", "ENAMETOOLONG"],
            ["mkdir", "mkdirat", "e", &e, "tried", "", "", ""],
            ["symlink", "symlinkat", "e", "", "", "l", &l, ""],
            ["mkdir", "mkdirat", "l/f", &f, "tried", "", "", ""],
            ["rmdir", "unlinkat", "l/../e/f", &back, "tried", "", "", ""],
            ["create", "openat", "l/../l/g", &g, "opened", "", "", ""],
            ["truncate", "open_by_handle_at", "", &a, "opened", "", "", ""],
            ["unlink", "unlinkat", "a", &a, "tried", "", "", ""],
            ["chmod", "fchmod", "", &a, "deleted", "", "", ""],
        ],
    );
    let of_row = |at: usize, keys: &[&str]| keys.iter().map(|k| events[at][*k].clone()).collect();
    let rest: Vec<Vec<Value>> = vec![
        of_row(0, &["mode", "uid", "ppid", "tid"]),
        of_row(2, &["size"]),
        of_row(3, &["size"]),
        of_row(4, &["size", "mode"]),
        of_row(5, &["mode", "size"]),
        of_row(7, &["owner", "group"]),
        of_row(8, &["owner", "group"]),
        of_row(12, &["mode"]),
        of_row(13, &["mode"]),
        of_row(14, &["flags"]),
        of_row(15, &["flags"]),
        of_row(16, &["flags", "to"]),
        of_row(17, &["flags", "to", "owner"]),
        of_row(24, &["flags"]),
        of_row(25, &["size"]),
    ];
    let expected = [
        json!(["0640", 0, std::process::id(), child.as_raw()]),
        json!([0]),
        json!([5_000_000_000_u64]),
        json!([10, null]),
        json!(["4600", null]),
        json!([65_533, null]),
        json!([1, 2]),
        json!(["0750"]),
        json!(["10600"]),
        json!([["RENAME_NOREPLACE"]]),
        json!([["RENAME_EXCHANGE"]]),
        json!([[], ""]),
        json!([null, null, null]),
        json!([["RENAME_EXCHANGE", "0x108"]]),
        json!([null]),
    ];
    assert_eq!(rest.into_iter().map(Value::from).collect::<Vec<_>>(), expected);
}

/// `fchmodat2` by name and by an empty one.
#[test]
fn the_newest_chmod_is_reported() {
    let (_dir, root) = folder();
    let stream = stream(&[]);
    let child = process(|| {
        let dir = File::open(&root).unwrap();
        let fd = dir.as_raw_fd();
        assert_eq!(call!(SYS_mkdirat, fd, c"d".as_ptr(), 0o700), 0);
        assert_eq!(call!(SYS_fchmodat2, fd, c"d".as_ptr(), 0o750, libc::AT_SYMLINK_NOFOLLOW), 0);
        assert_eq!(call!(SYS_fchmodat2, fd, c"".as_ptr(), 0o711, libc::AT_EMPTY_PATH), 0);
        let none = call!(SYS_fchmodat2, fd, c"no".as_ptr(), 0o600, 0);
        assert_eq!(none, -i64::from(libc::ENOENT));
    });
    done(child);
    let ended = stream.interrupt();
    check_counts(&ended);
    let events = of(&ended, child);
    let [d, no] = ["d", "no"].map(|name| format!("{root}/{name}"));
    check(
        &events,
        &[
            ["mkdir", "mkdirat", "d", &d, "tried", "", "", ""],
            ["chmod", "fchmodat2", "d", &d, "tried", "", "", ""],
            ["chmod", "fchmodat2", "", &root, "opened", "", "", ""],
            ["chmod", "fchmodat2", "no", &no, "tried", "", "", "ENOENT"],
        ],
    );
    let modes: Vec<_> = events.iter().map(|event| event["mode"].clone()).collect();
    assert_eq!(modes, ["0700", "0750", "0711", "0600"]);
}

/// Calls that newer architectures have not.
#[cfg(target_arch = "x86_64")]
fn older_calls(root: &str) -> Pid {
    let child = process(|| {
        std::env::set_current_dir(root).unwrap();
        let [a, b, d, s] = [c"a", c"b", c"d", c"s"].map(CStr::as_ptr);
        assert!(call!(SYS_creat, a, 0o644) >= 0);
        assert!(call!(SYS_creat, a, 0o644) >= 0);
        assert!(call!(SYS_open, b, libc::O_CREAT | libc::O_WRONLY, 0o600) >= 0);
        assert_eq!(call!(SYS_chmod, a, 0o711), 0);
        assert_eq!(call!(SYS_chown, a, 1, 2), 0);
        assert_eq!(call!(SYS_symlink, a, s), 0);
        assert_eq!(call!(SYS_lchown, s, 5, 6), 0);
        assert_eq!(call!(SYS_rename, a, b), 0);
        assert_eq!(call!(SYS_renameat, CWD, b, CWD, a), 0);
        assert_eq!(call!(SYS_link, a, b), 0);
        assert_eq!(call!(SYS_mkdir, d, 0o700), 0);
        assert_eq!(call!(SYS_mkdir, d, 0o700), -i64::from(libc::EEXIST));
        assert_eq!(call!(SYS_rmdir, d), 0);
        assert_eq!(call!(SYS_mknod, d, libc::S_IFIFO | 0o600, 0), 0);
        assert_eq!(call!(SYS_unlink, d), 0);
        let how = [(libc::O_CREAT | libc::O_EXCL) as u64, 0o600, 0];
        assert!(call!(SYS_openat2, CWD, d, how.as_ptr(), 24) >= 0);
    });
    done(child);
    child
}

#[cfg(not(target_arch = "x86_64"))]
fn older_calls(_root: &str) -> Pid {
    unreachable!("this architecture has none of them")
}

fn check_older_calls(events: &[Value], root: &str) {
    let [a, b, d, s] = ["a", "b", "d", "s"].map(|name| format!("{root}/{name}"));
    check(
        events,
        &[
            ["create", "creat", "a", &a, "opened", "", "", ""],
            ["truncate", "creat", "a", &a, "opened", "", "", ""],
            ["create", "open", "b", &b, "opened", "", "", ""],
            ["chmod", "chmod", "a", &a, "tried", "", "", ""],
            ["chown", "chown", "a", &a, "tried", "", "", ""],
            ["symlink", "symlink", "a", "", "", "s", &s, ""],
            ["chown", "lchown", "s", &s, "tried", "", "", ""],
            ["rename", "rename", "a", &a, "tried", "b", &b, ""],
            ["rename", "renameat", "b", &b, "tried", "a", &a, ""],
            ["link", "link", "a", &a, "tried", "b", &b, ""],
            ["mkdir", "mkdir", "d", &d, "tried", "", "", ""],
            ["mkdir", "mkdir", "d", &d, "tried", "", "", "EEXIST"],
            ["rmdir", "rmdir", "d", &d, "tried", "", "", ""],
            ["mknod", "mknod", "d", &d, "tried", "", "", ""],
            ["unlink", "unlink", "d", &d, "tried", "", "", ""],
            ["create", "openat2", "d", &d, "opened", "", "", ""],
        ],
    );
    assert_eq!(events[15]["mode"], "0600");
}

/// In a mount namespace of its own, in a bind mount, an overlay and a chroot.
fn in_mounts(root: &str) -> Pid {
    let at = |name: &str| format!("{root}/{name}");
    for name in ["real", "bound", "over", "upper", "work", "jail"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("real/lower"), "x").unwrap();
    let child = process(|| {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let bind = Some(at("real"));
        mount(bind.as_deref(), at("bound").as_str(), none, MsFlags::MS_BIND, none).unwrap();
        let flags = MsFlags::empty();
        mount(Some("none"), at("upper").as_str(), Some("tmpfs"), flags, none).unwrap();
        for name in ["upper/up", "upper/work"] {
            call!(SYS_mkdirat, CWD, CString::new(at(name)).unwrap().as_ptr(), 0o755);
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            at("real"),
            at("upper/up"),
            at("upper/work")
        );
        let over = at("over");
        mount(Some("none"), over.as_str(), Some("overlay"), flags, Some(options.as_str())).unwrap();
        std::env::set_current_dir(at("bound")).unwrap();
        assert!(
            call!(SYS_openat, CWD, c"new".as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600) >= 0
        );
        assert_eq!(call!(SYS_renameat2, CWD, c"new".as_ptr(), CWD, c"newer".as_ptr(), 0), 0);
        std::env::set_current_dir(at("over")).unwrap();
        assert_eq!(call!(SYS_unlinkat, CWD, c"lower".as_ptr(), 0), 0);
        assert!(
            call!(SYS_openat, CWD, c"new".as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600) >= 0
        );
        nix::unistd::chroot(at("jail").as_str()).unwrap();
        assert_eq!(call!(SYS_mkdirat, CWD, c"/d".as_ptr(), 0o700), 0);
        assert!(call!(SYS_openat, CWD, c"/d/f".as_ptr(), libc::O_CREAT, 0o600) >= 0);
    });
    done(child);
    child
}

fn check_in_mounts(events: &[Value], root: &str) {
    let at = |name: &str| format!("{root}/{name}");
    let [new, newer, lower, created, d, f] =
        ["bound/new", "bound/newer", "over/lower", "over/new", "jail/d", "jail/d/f"].map(at);
    let [up, work] = ["upper/up", "upper/work"].map(at);
    check(
        events,
        &[
            ["mkdir", "mkdirat", &up, &up, "tried", "", "", ""],
            ["mkdir", "mkdirat", &work, &work, "tried", "", "", ""],
            ["create", "openat", "new", &new, "opened", "", "", ""],
            ["rename", "renameat2", "new", &new, "tried", "newer", &newer, ""],
            ["unlink", "unlinkat", "lower", &lower, "tried", "", "", ""],
            ["create", "openat", "new", &created, "opened", "", "", ""],
            ["mkdir", "mkdirat", "/d", &d, "tried", "", "", ""],
            ["create", "openat", "/d/f", &f, "opened", "", "", ""],
        ],
    );
}

/// Requests of a ring, inline and by a worker; needs kernel 6.4.
#[test]
fn changes_through_io_uring_are_seen() {
    let (_dir, root) = folder();
    let at = |name: &str| format!("{root}/{name}");
    let stream = stream(&[]);
    let child = process(|| {
        std::env::set_current_dir(&root).unwrap();
        let dir = File::open(&root).unwrap();
        let (cwd, fd) = (types::Fd(CWD), types::Fd(dir.as_raw_fd()));
        let mut ring = IoUring::new(8).unwrap();
        let mut one = |entry| {
            // SAFETY: what the entries point to lives through the wait.
            unsafe { ring.submission().push(&entry).unwrap() };
            ring.submit_and_wait(1).unwrap();
            ring.completion().next().unwrap().result()
        };
        let [a, b, d, s] = [c"a", c"b", c"d", c"s"].map(CStr::as_ptr);
        let create = opcode::OpenAt::new(cwd, a).flags(libc::O_CREAT | libc::O_WRONLY).mode(0o600);
        assert!(one(create.build()) >= 0);
        assert!(one(opcode::OpenAt::new(cwd, a).build()) >= 0);
        assert_eq!(one(opcode::LinkAt::new(cwd, a, fd, b).build()), 0);
        assert_eq!(one(opcode::RenameAt::new(fd, b, cwd, b).flags(1).build()), -libc::EEXIST);
        assert_eq!(one(opcode::RenameAt::new(fd, b, cwd, d).build()), 0);
        assert_eq!(one(opcode::SymlinkAt::new(fd, a, s).build()), 0);
        assert_eq!(one(opcode::UnlinkAt::new(cwd, d).build()), 0);
        assert_eq!(one(opcode::MkDirAt::new(fd, d).mode(0o700).build()), 0);
        let rmdir = opcode::UnlinkAt::new(cwd, d).flags(libc::AT_REMOVEDIR);
        assert_eq!(one(rmdir.build()), 0);
        assert_eq!(one(opcode::UnlinkAt::new(cwd, d).build()), -libc::ENOENT);
    });
    done(child);
    let ended = stream.interrupt();
    check_counts(&ended);
    let [a, b, d, s] = ["a", "b", "d", "s"].map(at);
    let ring = "io_uring";
    check(
        &of(&ended, child),
        &[
            ["create", ring, "a", &a, "opened", "", "", ""],
            ["link", ring, "a", &a, "tried", "b", &b, ""],
            ["rename", ring, "b", &b, "tried", "b", &b, "EEXIST"],
            ["rename", ring, "b", &b, "tried", "d", &d, ""],
            ["symlink", ring, "a", "", "", "s", &s, ""],
            ["unlink", ring, "d", &d, "tried", "", "", ""],
            ["mkdir", ring, "d", &d, "tried", "", "", ""],
            ["rmdir", ring, "d", &d, "tried", "", "", ""],
            ["unlink", ring, "d", &d, "tried", "", "", "ENOENT"],
        ],
    );
    requests_beyond_their_table_are_lost(&root);
    requests_without_room_for_their_completion_are_lost(&root);
}

/// They count when the memory of their requests is used again.
fn requests_without_room_for_their_completion_are_lost(root: &str) {
    const MADE: u64 = 32;
    let watch = watch(OpensConfig { calls: false, files: true, ..OpensConfig::default() });
    let child = in_child(|| {
        std::env::set_current_dir(root).unwrap();
        let mut ring: IoUring = IoUring::builder().setup_cqsize(8).build(8).unwrap();
        let names: Vec<_> = (0..MADE).map(|n| CString::new(format!("made {n}")).unwrap()).collect();
        for some in names.chunks(8) {
            for name in some {
                let symlink = opcode::SymlinkAt::new(types::Fd(CWD), c"x".as_ptr(), name.as_ptr());
                // SAFETY: the names live as long as the ring.
                unsafe { ring.submission().push(&symlink.build()).unwrap() };
            }
            ring.submit().unwrap();
        }
        assert!(names.iter().all(|name| until_made(name)));
        // Uses all of them again.
        for _ in 0..16 {
            while ring.completion().next().is_some() {}
            for _ in 0..8 {
                let none = opcode::UnlinkAt::new(types::Fd(CWD), c"none".as_ptr()).build();
                // SAFETY: the name is a constant.
                unsafe { ring.submission().push(&none).unwrap() };
            }
            ring.submit_and_wait(8).unwrap();
        }
    });
    let all = watch.finish_all(|_| true);
    let events = all.changes.iter().flat_map(|changes| &changes.events);
    let made = events.filter(|event| event.key.tgid == child && event.op == Op::Symlink).count();
    let lost = all.changes.last().unwrap().lost;
    assert!(made >= 8 && made as u64 + lost >= MADE, "{made} and {lost}");
}

/// Whether a worker has made it.
fn until_made(name: &CStr) -> bool {
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    until("the link", || path.is_symlink().then_some(()));
    true
}

/// After the requests above, which would take the room of these.
fn requests_beyond_their_table_are_lost(root: &str) {
    let config =
        OpensConfig { calls: false, files: true, table_entries: Some(1), ..OpensConfig::default() };
    let watch = watch(config);
    let child = in_child(|| {
        std::env::set_current_dir(root).unwrap();
        let mut ring = IoUring::new(8).unwrap();
        // Linked: all are submitted before the first is executed.
        for name in [c"1", c"2", c"3"] {
            let mkdir = opcode::MkDirAt::new(types::Fd(CWD), name.as_ptr()).build();
            // SAFETY: the names are constants.
            unsafe { ring.submission().push(&mkdir.flags(Flags::IO_LINK)).unwrap() };
        }
        ring.submit_and_wait(3).unwrap();
        assert!(ring.completion().all(|done| done.result() == 0));
        // A file that an open has made says so itself.
        for name in [c"4", c"5", c"6"] {
            let create = opcode::OpenAt::new(types::Fd(CWD), name.as_ptr()).mode(0o640);
            let create = create.flags(libc::O_CREAT | libc::O_WRONLY).build();
            // SAFETY: the names are constants.
            unsafe { ring.submission().push(&create.flags(Flags::IO_LINK)).unwrap() };
        }
        ring.submit_and_wait(3).unwrap();
        assert!(ring.completion().all(|done| done.result() >= 0));
    });
    let all = watch.finish_all(|_| true);
    let events = all.changes.iter().flat_map(|changes| &changes.events);
    let events: Vec<_> = events.filter(|event| event.key.tgid == child).collect();
    assert_eq!(events.iter().filter(|event| event.op == Op::Mkdir).count(), 1);
    let made: Vec<_> = events.iter().filter(|event| event.op == Op::Create).collect();
    let names: Vec<_> = made.iter().map(|event| event.path.resolved().unwrap().last()).collect();
    assert_eq!(names, [Some(&b'4'), Some(&b'5'), Some(&b'6')]);
    assert!(made.iter().all(|event| event.how == How::Mode(0o640)));
    assert_eq!(made.iter().filter(|event| event.path.requested.is_none()).count(), 2);
    assert_eq!(all.changes.last().unwrap().lost, 2);
}

/// Without what kernel 5.10 lacks: arguments are read at entry.
#[test]
fn on_the_oldest_kernel_calls_have_their_names_too() {
    let (_dir, root) = folder();
    let config =
        OpensConfig { calls: false, files: true, as_on_510: true, ..OpensConfig::default() };
    let watch = watch(config);
    let child = in_child(|| {
        std::env::set_current_dir(&root).unwrap();
        assert!(call!(SYS_openat, CWD, c"a".as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o640) >= 0);
        assert_eq!(call!(SYS_renameat2, CWD, c"a".as_ptr(), CWD, c"b".as_ptr(), 1), 0);
        assert_eq!(call!(SYS_unlinkat, CWD, c"a".as_ptr(), 0), -i64::from(libc::ENOENT));
    });
    let all = watch.finish_all(|_| true);
    let events = all.changes.iter().flat_map(|changes| &changes.events);
    let events: Vec<_> = events.filter(|event| event.key.tgid == child).collect();
    let text = |name: &Name| String::from_utf8_lossy(name.resolved().unwrap_or(b"-")).into_owned();
    let rows: Vec<_> =
        events.iter().map(|e| (e.op, text(&e.path), text(&e.to), e.errno, e.how)).collect();
    let at = |name: &str| format!("{root}/{name}");
    let none = || "-".to_owned();
    assert_eq!(
        rows,
        [
            (Op::Create, at("a"), none(), None, How::Mode(0o640)),
            (Op::Rename, at("a"), at("b"), None, How::Rename(1)),
            (Op::Unlink, at("a"), none(), Some(libc::ENOENT), How::None),
        ]
    );
    assert_eq!(events[0].path.requested.as_deref(), Some(&b"a"[..]));
}

/// Where the arguments are read at entry and their table is full, the file itself says that it was made; what is
/// not known is counted as lost.
#[test]
fn opens_without_arguments_are_reported_or_lost() {
    let (_dir, root) = folder();
    let config = OpensConfig {
        calls: false,
        files: true,
        as_on_510: true,
        table_entries: Some(1),
        ..OpensConfig::default()
    };
    let watch = watch(config);
    // This thread takes the only place, where no other has.
    drop(File::open(&root));
    let child = in_child(|| {
        std::env::set_current_dir(&root).unwrap();
        assert!(call!(SYS_openat, CWD, c"a".as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o640) >= 0);
        assert!(call!(SYS_openat, CWD, c"a".as_ptr(), libc::O_WRONLY | libc::O_TRUNC) >= 0);
        assert!(call!(SYS_openat, CWD, c"a".as_ptr(), libc::O_RDONLY) >= 0);
        assert!(call!(SYS_openat, CWD, c"a".as_ptr(), libc::O_CREAT | libc::O_EXCL, 0o600) < 0);
    });
    let all = watch.finish_all(|_| true);
    let events: Vec<_> = all.changes.iter().flat_map(|changes| &changes.events).collect();
    let last = all.changes.last().unwrap();
    assert_eq!(last.seen, events.len() as u64 + last.lost);
    assert!(last.lost >= 2, "{last:?}");
    let own: Vec<_> = events.into_iter().filter(|event| event.key.tgid == child).collect();
    let made = format!("{root}/a");
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!((own[0].op, own[0].path.resolved()), (Op::Create, Some(made.as_bytes())));
    assert_eq!(own[0].path.requested, None);
}

/// Every call is counted until the same moment, however long the programs take to detach.
#[test]
fn nothing_after_the_end_counts() {
    let (_dir, root) = folder();
    let stream = stream(&[]);
    let gate = Gate::new();
    let child = process(|| {
        std::env::set_current_dir(&root).unwrap();
        let [a, b] = [c"a", c"b"].map(CStr::as_ptr);
        for cycle in 0_u64.. {
            call!(SYS_mkdirat, CWD, a, 0o700);
            call!(SYS_fchmodat, CWD, a, 0o711);
            call!(SYS_renameat2, CWD, a, CWD, b, 0);
            call!(SYS_unlinkat, CWD, b, libc::AT_REMOVEDIR);
            // As a rate: a flood would be lost.
            std::thread::sleep(std::time::Duration::from_micros(500));
            if cycle == 20 {
                gate.open();
            }
        }
    });
    gate.wait();
    let ended = stream.interrupt();
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
    crate::common::patience::reaped(child);
    check_counts(&ended);
    let events = of(&ended, child);
    assert!(events.len() >= 80);
    let cycle = ["mkdir", "chmod", "rename", "rmdir"];
    for (event, op) in events.iter().zip(cycle.into_iter().cycle()) {
        assert_eq!(event["op"], op, "{event}");
    }
}

/// A ring of one page: each change is either reported or counted as lost.
#[test]
fn a_flood_is_counted_exactly() {
    const CHANGES: u64 = 20_000;
    let config = OpensConfig {
        calls: false,
        files: true,
        ring_bytes: Some(4_096),
        ..OpensConfig::default()
    };
    let watch = watch(config);
    assert!(watch.info.files);
    let child = in_child(|| {
        for _ in 0..CHANGES {
            call!(SYS_unlinkat, CWD, c"/no such file".as_ptr(), 0);
        }
    });
    let all = watch.finish_all(|_| true);
    let events = all.changes.iter().flat_map(|changes| &changes.events);
    let all_events = events.clone().count() as u64;
    let own = events.filter(|event| event.key.tgid == child).count() as u64;
    let last = all.changes.last().unwrap();
    assert!(last.lost > 0 && own > 0, "{} lost, {own} reported", last.lost);
    assert_eq!(last.seen, all_events + last.lost);
    assert!(last.seen >= CHANGES && own <= CHANGES);
    assert_eq!((all.counts.seen, all.seen.len()), (0, 0), "opens are not asked for");
}

#[test]
fn changes_are_chosen_by_process_operation_path_and_result() {
    let (_dir, root) = folder();
    let work = || {
        process(|| {
            std::env::set_current_dir(&root).unwrap();
            fs::write("one", "x").unwrap();
            fs::rename("one", "two").unwrap();
            assert!(fs::remove_file("one").is_err());
            fs::remove_file("two").unwrap();
        })
    };
    let base = Path::new(&root).file_name().unwrap().to_str().unwrap();
    let by_path = format!("path:{base}/two");
    for (args, expected) in [
        (&["--failed", "--filter", "!op:rename"][..], &["unlink"][..]),
        (&["--filter", &by_path], &["rename", "unlink"]),
    ] {
        let stream = stream(args);
        let child = work();
        done(child);
        let ended = stream.interrupt();
        let ops: Vec<_> =
            of(&ended, child).iter().map(|e| e["op"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ops, expected, "{args:?}");
        let summary = &ended.of_type("summary")[0];
        assert!(summary["files_seen"].as_u64() >= summary["files"].as_u64());
        assert!(summary["files_seen"].as_u64() >= Some(4));
    }
}

#[test]
fn csv_and_text_have_a_line_each() {
    let (_dir, root) = folder();
    let csv = Stream::text(&["files", "--format", "csv"]);
    let text = Stream::text(&["files"]);
    let child = process(|| {
        std::env::set_current_dir(&root).unwrap();
        assert_eq!(call!(SYS_mkdirat, CWD, c"=d,".as_ptr(), 0o700), 0);
        assert_eq!(call!(SYS_renameat2, CWD, c"=d,".as_ptr(), CWD, c"e\x1b".as_ptr(), 0), 0);
    });
    done(child);
    let (csv, text) = (csv.interrupt().text(), text.interrupt().text());
    let header = csv.lines().next().unwrap();
    assert!(header.starts_with("type,time,pid,tid,ppid,uid,comm,process,op,syscall,path,"));
    let mut rows = csv.lines().filter(|l| l.contains(&format!(",{child},")));
    assert!(rows.next().unwrap().contains(",mkdir,mkdirat,\"\\x3dd,\","));
    assert!(rows.next().unwrap().contains(",e\\x1b,"));
    let mut rows = text.lines().filter(|l| l.contains(&format!(" {child} ")));
    assert!(rows.next().unwrap().ends_with(&format!(" - mkdir    {root}/=d,")));
    let rename = format!(" - rename   {root}/=d, -> {root}/e\\x1b");
    assert!(rows.next().unwrap().ends_with(&rename));
}

/// The view of changes: by the keyboard, with a filter on it.
#[test]
fn the_dashboard_shows_changes_as_they_come() {
    let (_dir, root) = folder();
    let mut tty = Tty::start(
        ebpftop(),
        &["--interval", "200ms", "-i", "lo", "--xdp-mode", "off", "--files"],
        &[],
        (120, 40),
    );
    tty.wait_for("by program");
    for view in ["by process", "by service", "by file", "by directory", "failures", "changes"] {
        tty.send("t");
        tty.wait_for(view);
    }
    // The whole width, so that no path is cut.
    tty.send("e/op:rename\r");
    let [old, new] = ["made-here", "named-here"].map(|name| Path::new(&root).join(name));
    // Again and again: the screen is there before the probe is attached.
    let screen = tty.wait_until("the change", |screen| {
        fs::write(&old, "x").unwrap();
        fs::rename(&old, &new).unwrap();
        screen.contains("named-here")
    });
    let row = screen.lines().find(|line| line.contains("named-here")).unwrap();
    let [pid, name] = [std::process::id().to_string(), "made-here".into()];
    assert!(row.contains("rename") && row.contains(&pid) && row.contains(&name), "{screen}");
    assert!(!screen.contains(" create "), "{screen}");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}
