//! The configuration and the dashboard: the screen follows the file, and `W` writes it.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::common::net::*;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;
use crate::common::user::{CALLS_SUDO, USER};

/// A configuration in a folder of a user without privileges.
fn home(text: Option<&str>) -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("ebpftop/config.toml");
    chown(home.path(), Some(USER), Some(USER)).unwrap();
    if let Some(text) = text {
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        for path in [file.parent().unwrap(), &file] {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
    }
    (home, file)
}

/// The dashboard on `lo` of a namespace of its own, as that user starts it with sudo.
fn dashboard(home: &Path) -> Tty {
    own_namespace();
    ip("link set lo up");
    let home = home.to_str().unwrap();
    let env = [&[("XDG_CONFIG_HOME", home)], &CALLS_SUDO[..]].concat();
    let tty = Tty::start(ebpftop(), &["--interval", "200ms", "-i", "lo"], &env, (140, 40));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    tty
}

fn quit(mut tty: Tty) {
    tty.send("\x03");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn changes_are_saved_for_the_caller_of_sudo_and_apply_the_next_time() {
    let (home, file) = home(None);
    let mut tty = dashboard(home.path());
    tty.send("W");
    tty.wait_for("nothing to save");
    assert!(!file.exists());
    tty.send("tttsu>");
    tty.wait_for("by file");
    tty.send("W");
    tty.wait_for("saved view, sort, split, unit in ");
    // Saved already: nothing to do.
    tty.send("W");
    tty.wait_for("nothing to save");
    // Undoing it is a change as well, and is written though the program ends at once.
    tty.send("uWq");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
    let meta = file.metadata().unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (USER, USER, 0o600));
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written, "view = \"file\"\nsort = \"failed\"\nsplit = 59\nunit = \"bits\"\n");
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);

    let tty = dashboard(home.path());
    tty.wait_until("as it was saved", |s| s.contains("by file") && s.contains("failed ▼"));
    quit(tty);
}

#[test]
fn keys_and_columns_are_those_of_the_configuration() {
    let text = "# mine\nview = \"process\"\n[columns]\nprocesses = [\"process\", \"total\", \"pid\"]\n\
                [keys]\npause = [\"P\", \"F9\"]\n";
    let (home, _file) = home(Some(text));
    let mut tty = dashboard(home.path());
    let header = |s: &str| s.lines().find(|l| l.contains("PROCESS")).unwrap_or("").to_owned();
    let screen = tty.wait_until("the columns", |s| !header(s).contains("OPENS/S"));
    let header = header(&screen);
    let places = ["PROCESS", "TOTAL", "PID"].map(|name| header.find(name).unwrap());
    assert!(places.is_sorted(), "{header}");
    tty.send("p");
    tty.wait_for("p has no function here; press ? for all keys");
    tty.send("P");
    tty.wait_for("PAUSED");
    tty.send("\x1b[20~");
    tty.wait_until("going on", |s| !s.contains("PAUSED"));
    quit(tty);
}

#[test]
fn a_failure_to_save_is_reported_and_nothing_is_changed() {
    // A link to a file that is root's own.
    let (home, file) = home(Some(""));
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(secret.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(&file).unwrap();
    symlink(secret.path(), &file).unwrap();
    let mut tty = dashboard(home.path());
    tty.send("tW");
    tty.wait_for("not saved: ");
    tty.wait_for("symbolic link");
    assert_eq!(std::fs::read(secret.path()).unwrap(), b"");
    // A folder where only root may write.
    std::fs::remove_file(&file).unwrap();
    chown(file.parent().unwrap(), Some(0), Some(0)).unwrap();
    tty.send("W");
    tty.wait_for("Permission denied");
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 0);
    // The file has a mistake meanwhile: it stays as it is.
    chown(file.parent().unwrap(), Some(USER), Some(USER)).unwrap();
    std::fs::write(&file, "mouse = 1\n").unwrap();
    tty.send("W");
    tty.wait_for("line 1: ");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mouse = 1\n");
    std::fs::remove_file(&file).unwrap();
    tty.send("W");
    tty.wait_for("saved view in ");
    quit(tty);
}
