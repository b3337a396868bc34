//! A process that opens files that a test can find on a screen.

use std::os::unix::process::CommandExt;

use super::spawn::fresh;
use super::tty::{Tty, touch};

/// A process of a name of its own that opens a file of its own, and one that is not there,
/// again and again until dropped.
pub struct Opener {
    pub child: std::process::Child,
    name: String,
    _dir: tempfile::TempDir,
}

pub fn opener(name: &str) -> Opener {
    let dir = tempfile::tempdir().unwrap();
    let shell = dir.path().join(name);
    std::fs::copy("/bin/sh", &shell).unwrap();
    touch(dir.path(), &format!("file-of-{name}"));
    let script = format!(
        "while :; do true < file-of-{name}; true < missing-{name}; sleep 0.01; done 2>/dev/null"
    );
    let mut command = std::process::Command::new(&shell);
    // A shell that is one of many programs in one goes by what it is called by.
    let child = fresh(command.arg0("sh").args(["-c", &script]).current_dir(dir.path()));
    Opener { child, name: name.into(), _dir: dir }
}

impl Opener {
    /// Filters for it, and waits until what it opens is there.
    pub fn find(&self, tty: &mut Tty) -> String {
        tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
        tty.send(&format!("/{}\r", self.name));
        tty.wait_for(&format!("file-of-{}", self.name))
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
