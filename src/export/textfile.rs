//! `--textfile`: the metrics in a file for node_exporter's textfile collector.
//!
//! A thread of its own writes beside the file and renames, so that a reader finds a whole file and a
//! slow disk stops nothing: it then misses snapshots.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::publish::{Shared, Snapshot};
use super::text::Format;
use crate::console::say;
use crate::model::escape::escape;
use crate::privileges;

/// The file, written for as long as this lives.
#[derive(Debug)]
pub struct TextFile {
    snapshots: Option<SyncSender<Arc<Snapshot>>>,
    thread: Option<JoinHandle<bool>>,
}

impl TextFile {
    /// Starts the thread. The first error is one of this call. `counts`: nothing else reads the
    /// snapshots, so that one that was written counts as scraped.
    pub fn start(path: &Path, shared: Arc<Shared>, counts: bool) -> anyhow::Result<Self> {
        let (to, snapshots) = sync_channel::<Arc<Snapshot>>(1);
        let (tried, result) = sync_channel(1);
        let file = Paths::new(path);
        let write = move || {
            let invoker = privileges::become_invoker();
            privileges::keep(&[], false);
            let ready = invoker.and_then(|()| file.try_to_write());
            let is_ready = ready.is_ok();
            let _ = tried.send(ready);
            if !is_ready {
                return false;
            }
            let mut failed = false;
            for snapshot in snapshots {
                match file.write(&snapshot.text(Format::Prometheus)) {
                    Ok(()) if counts => shared.taken(&snapshot),
                    Ok(()) => {}
                    Err(e) if !failed => {
                        failed = true;
                        say(&format!("write {}: {e}", file.shown()));
                    }
                    Err(_) => {}
                }
            }
            // Numbers that no program counts any more would be taken for those of now.
            let _ = fs::remove_file(&file.path);
            !failed
        };
        let thread = thread::Builder::new().name("textfile".into()).spawn(write)?;
        let shown = escape(path.as_os_str().as_encoded_bytes());
        result.recv()?.map_err(|e| anyhow::anyhow!("write {shown}: {e}"))?;
        Ok(Self { snapshots: Some(to), thread: Some(thread) })
    }

    /// Writes this snapshot, unless the thread is still busy with another.
    pub fn take(&self, snapshot: &Arc<Snapshot>) {
        if let Some(to) = &self.snapshots {
            let _ = to.try_send(snapshot.clone());
        }
    }

    /// Removes the file and ends. Returns whether everything was written.
    pub fn end(mut self) -> bool {
        drop(self.snapshots.take());
        self.thread.take().is_some_and(|thread| thread.join().unwrap_or(false))
    }
}

struct Paths {
    path: PathBuf,
    /// Not named `*.prom`: node_exporter does not read it.
    beside: PathBuf,
}

impl Paths {
    fn new(path: &Path) -> Self {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        Self { path: path.into(), beside: path.with_file_name(name) }
    }

    fn shown(&self) -> String {
        escape(self.path.as_os_str().as_encoded_bytes()).into_owned()
    }

    fn try_to_write(&self) -> io::Result<()> {
        if self.path.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
            return Err(io::Error::other("it is there already and not a regular file"));
        }
        self.create()?;
        fs::remove_file(&self.beside)
    }

    /// Makes the file beside, which anybody may read.
    fn create(&self) -> io::Result<File> {
        match fs::remove_file(&self.beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&self.beside)?;
        // Whatever the umask.
        file.set_permissions(Permissions::from_mode(0o644))?;
        Ok(file)
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let mut file = self.create()?;
        let written = file.write_all(text).and_then(|()| fs::rename(&self.beside, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&self.beside);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_file_is_whole_readable_and_goes_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ebpftop.prom");
        let shared = Arc::new(Shared::new(Duration::from_secs(1)));
        let file = TextFile::start(&path, shared.clone(), true).unwrap();
        let snapshot = shared.publish(|_| Vec::new());
        file.take(&snapshot);
        let mut text = String::new();
        for _ in 0..1_000 {
            text = fs::read_to_string(&path).unwrap_or_default();
            if !text.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(text.contains("ebpftop_http_connections_dropped_total"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(file.end());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut seen = false;
        shared.publish(|scraped| {
            seen = scraped;
            Vec::new()
        });
        assert!(seen);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        for path in
            ["/nonexistent/a.prom", "/proc/a.prom", dir.path().join("link").to_str().unwrap()]
        {
            let shared = Arc::new(Shared::new(Duration::from_secs(1)));
            let error = TextFile::start(Path::new(path), shared, false).unwrap_err().to_string();
            assert!(error.starts_with(&format!("write {path}: ")), "{error}");
        }
    }
}
