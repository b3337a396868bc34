//! A recording on stdout, for a reader that shows it live.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::recording::Sink;
use crate::session::{OutError, Paced, Stop};

/// Whether this name means stdout; a file of that name is `./-`.
pub(super) fn is_meant(path: &Path) -> bool {
    path == Path::new("-")
}

/// Stdout. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    to: Arc<Paced>,
    /// A write failed: part of a block may be there, so nothing follows.
    broken: Arc<AtomicBool>,
}

impl Pipe {
    pub(super) fn stdout(stop: Stop) -> io::Result<Self> {
        Ok(Self { to: Arc::new(Paced::stdout(stop)?), broken: Arc::default() })
    }

    /// Whether the reader closed its end.
    pub(super) fn reader_gone(&self) -> bool {
        self.to.reader_gone()
    }
}

impl Sink for Pipe {
    fn put(&mut self, bytes: &[u8], _at: u64) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.to.write_all(bytes).map_err(|why| {
            self.broken.store(true, Ordering::Relaxed);
            match why {
                OutError::Closed => io::ErrorKind::BrokenPipe.into(),
                OutError::Stuck => io::Error::other("the reader takes no more"),
                OutError::Io(e) | OutError::Begin(e) | OutError::File(_, e) => e,
            }
        })
    }

    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}
