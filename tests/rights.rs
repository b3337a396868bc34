//! What the running program may do, and whose the files are that it writes. Needs root, and fails
//! without it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use common::net::*;
use common::tty::Tty;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ebpftop");

/// The id of `nobody`.
const NOBODY: u32 = 65_534;

/// The dashboard on `lo` of a namespace of its own, as `user` would start it with sudo.
fn dashboard(user: &str, args: &[&str]) -> Tty {
    own_namespace();
    ip("link set lo up");
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", user)];
    Tty::start(PROGRAM, &[&["-i", "lo"], args].concat(), &env, (120, 30))
}

fn log_as_nobody(path: &Path) -> Tty {
    dashboard("nobody", &["--log", path.to_str().unwrap()])
}

#[test]
fn a_log_is_written_with_the_rights_of_the_caller_of_sudo() {
    let home = tempfile::tempdir().unwrap();
    chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let log = home.path().join("log");
    for _ in 0..2 {
        let mut tty = log_as_nobody(&log);
        tty.wait_for("Files");
        tty.send("q");
        assert_eq!(tty.wait(), 0);
        let meta = log.metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (NOBODY, NOBODY, 0o600));
    }

    // Where only root may write, through links of either kind, over what is root's: nothing.
    let roots = tempfile::tempdir().unwrap();
    std::fs::set_permissions(roots.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let kept = roots.path().join("kept");
    std::fs::write(&kept, "kept").unwrap();
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o666)).unwrap();
    symlink(&kept, home.path().join("link")).unwrap();
    symlink(roots.path(), home.path().join("folder")).unwrap();
    for (path, why) in [
        (roots.path().join("log"), "Permission denied"),
        (home.path().join("folder/log"), "Permission denied"),
        (home.path().join("link"), "symbolic links"),
        (kept.clone(), "belongs to somebody else"),
    ] {
        let mut tty = log_as_nobody(&path);
        assert_eq!(tty.wait(), 1);
        assert!(tty.text().contains(why), "{why}: {}", tty.text());
    }
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(roots.path()).unwrap().count(), 1);
}
