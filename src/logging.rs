//! The log of `--log FILE`: messages of libbpf, and errors.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::LevelFilter;

use crate::files;

/// Sends the log to `path` from now on; without this call there is none.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = files::append(path)?;
    tracing_subscriber::fmt()
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .with_max_level(LevelFilter::DEBUG)
        .try_init()
        .map_err(io::Error::other)
}
