//! The log of `--log FILE`: messages of libbpf, and errors.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::LevelFilter;

use crate::files;
use crate::model::escape::inert;

/// Sends the log to `path` from now on; without this call there is none.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = Inert(files::append(path)?);
    tracing_subscriber::fmt()
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .with_max_level(LevelFilter::DEBUG)
        .try_init()
        .map_err(io::Error::other)
}

/// Writes lines that do not act on the terminal which shows them.
struct Inert(File);

impl Write for Inert {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(inert(line, false).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
