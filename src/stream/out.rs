//! Writes whole lines to stdout at the reader's pace, and ends even when the reader takes none.
//!
//! Nothing is buffered here. While the reader is slow, this waits, the probes' channel fills, the probes
//! wait too, and events that find no room in the kernel's ring are counted as lost.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};

use crate::cli::Format;
use crate::console::reads_utf8;
use crate::model::escape::inert;
use crate::session::Stop;

/// Bytes that a pipe which polls writable takes without blocking (PIPE_BUF).
const PIECE: usize = 4_096;

/// How long the end waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Interval at which a wait checks whether the end was requested.
const CHECK_MS: u16 = 100;

/// The reason why no more can be written.
#[derive(Debug, thiserror::Error)]
pub enum OutError {
    /// The reader closed its end, which is no error of the program.
    #[error("stdout is closed")]
    Closed,
    /// The end was requested and the reader takes nothing.
    #[error("write to stdout: the reader takes no more; the rest of the lines is lost")]
    Stuck,
    /// Any other error, such as a full disk.
    #[error("write to stdout: {0}")]
    Io(#[from] io::Error),
}

/// Stdout, with what is known about it.
#[derive(Debug)]
pub struct Out {
    fd: OwnedFd,
    /// A pipe, a socket or a terminal: a write may block forever.
    paced: bool,
    stop: Stop,
    /// Nothing beyond ASCII is written.
    ascii: Option<Format>,
}

impl Out {
    /// Stdout. A terminal that does not read UTF-8 gets what is beyond ASCII in the escapes of `format`.
    pub fn stdout(stop: Stop, format: Format) -> io::Result<Self> {
        let ascii = (io::stdout().is_terminal() && !reads_utf8()).then_some(format);
        let out = Self::new(io::stdout().as_fd().try_clone_to_owned()?, stop)?;
        Ok(Self { ascii, ..out })
    }

    fn new(fd: OwnedFd, stop: Stop) -> io::Result<Self> {
        let kind = SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT;
        let paced = kind == SFlag::S_IFIFO
            || kind == SFlag::S_IFSOCK
            || (kind == SFlag::S_IFCHR && nix::unistd::isatty(&fd).unwrap_or(false));
        Ok(Self { fd, paced, stop, ascii: None })
    }

    /// Writes all of `bytes` and empties the buffer.
    pub fn write(&self, bytes: &mut Vec<u8>) -> Result<(), OutError> {
        if let Some(format) = self.ascii {
            *bytes = in_ascii(bytes, format);
        }
        let done = self.write_all(bytes);
        bytes.clear();
        done
    }

    fn write_all(&self, mut rest: &[u8]) -> Result<(), OutError> {
        while !rest.is_empty() {
            let piece = if self.paced {
                self.wait()?;
                rest.get(..PIECE).unwrap_or(rest)
            } else {
                rest
            };
            match nix::unistd::write(&self.fd, piece) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait()?,
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(OutError::Closed),
                Err(e) => return Err(io::Error::from(e).into()),
            }
        }
        Ok(())
    }

    /// Waits until a write does not block.
    fn wait(&self) -> Result<(), OutError> {
        let mut since = None;
        loop {
            if self.poll(PollFlags::POLLOUT, CHECK_MS)?.is_some() {
                return Ok(());
            }
            let asked = self.stop.asked();
            let waited = (asked > 0).then(|| since.get_or_insert_with(Instant::now).elapsed());
            if asked > 1 || waited.is_some_and(|w| w > PATIENCE) {
                return Err(OutError::Stuck);
            }
        }
    }

    /// Whether the reader closed its end. Without lines to write, no write would report it.
    pub fn reader_gone(&self) -> bool {
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        self.paced
            && matches!(self.poll(PollFlags::empty(), 0), Ok(Some(events)) if events.intersects(gone))
    }

    fn poll(&self, wanted: PollFlags, ms: u16) -> io::Result<Option<PollFlags>> {
        let mut fds = [PollFd::new(self.fd.as_fd(), wanted)];
        match poll(&mut fds, PollTimeout::from(ms)) {
            Ok(0) | Err(Errno::EINTR) => Ok(None),
            Ok(_) => Ok(fds.first().and_then(PollFd::revents)),
            Err(e) => Err(e.into()),
        }
    }
}

/// Lines with what is beyond ASCII in the escapes of their format: of JSON, where such characters stand in
/// strings alone, its own ones.
fn in_ascii(lines: &[u8], format: Format) -> Vec<u8> {
    if format != Format::Json {
        return inert(lines, true).into_owned().into_bytes();
    }
    let mut out = String::with_capacity(lines.len());
    for c in String::from_utf8_lossy(lines).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn in_ascii_json_says_the_same() {
        let line = r#"{"path":"/tmp/é漢🦀Û31m\\n","n":1}"#;
        let ascii = in_ascii(line.as_bytes(), Format::Json);
        assert!(ascii.is_ascii());
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(&ascii), value(line.as_bytes()));
        let csv = in_ascii("é,\\n\n".as_bytes(), Format::Csv);
        assert_eq!(String::from_utf8(csv).unwrap(), "\\u{00e9},\\n\n");
    }

    #[test]
    fn a_pipe_takes_all_of_it() {
        let (mut reader, writer) = io::pipe().unwrap();
        let out = Out::new(writer.into(), Stop::default()).unwrap();
        let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let sent = bytes.clone();
        let thread = std::thread::spawn(move || out.write(&mut sent.clone()).is_ok());
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(thread.join().unwrap());
        assert!(read == bytes);
    }

    #[test]
    fn a_reader_that_has_gone_is_noticed() {
        let (reader, writer) = io::pipe().unwrap();
        let out = Out::new(writer.into(), Stop::default()).unwrap();
        assert!(!out.reader_gone());
        drop(reader);
        assert!(out.reader_gone());
        assert!(matches!(out.write(&mut b"x".to_vec()), Err(OutError::Closed)));
    }

    #[test]
    fn a_stuck_reader_does_not_delay_a_quick_end() {
        let (_reader, writer) = io::pipe().unwrap();
        let stop = Stop::default();
        let out = Out::new(writer.into(), stop.clone()).unwrap();
        stop.ask();
        stop.ask();
        assert!(matches!(out.write(&mut vec![0; 1 << 20]), Err(OutError::Stuck)));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let out = Out::new(full.into(), Stop::default()).unwrap();
        let e = out.write(&mut b"x".to_vec()).unwrap_err();
        assert!(e.to_string().contains("No space left"), "{e}");
    }
}
