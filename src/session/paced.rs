//! Writes to stdout at the reader's pace, and ends even when the reader takes nothing.
//!
//! Nothing is buffered here. While the reader is slow, this waits, the probes' channel fills, the probes
//! wait too, and events that find no room in the kernel's ring are counted as lost.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};

use super::Stop;

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
    #[error("write the lines: the output takes no more; the rest is lost")]
    Stuck,
    /// No further file can begin in the directory of `--output`.
    #[error("begin a file in the directory of --output: {0}")]
    Begin(io::Error),
    /// A file cannot be written.
    #[error("write {0}: {1}")]
    File(String, io::Error),
    /// Any other error, such as a full disk.
    #[error("write to stdout: {0}")]
    Io(#[from] io::Error),
}

/// Stdout, with what is known about it.
#[derive(Debug)]
pub struct Paced {
    fd: OwnedFd,
    /// A pipe, a socket or a terminal: a write may block forever.
    paced: bool,
    stop: Stop,
}

impl Paced {
    /// Stdout.
    pub fn stdout(stop: Stop) -> io::Result<Self> {
        Self::new(io::stdout().as_fd().try_clone_to_owned()?, stop)
    }

    /// A descriptor that is open for writing.
    pub fn new(fd: OwnedFd, stop: Stop) -> io::Result<Self> {
        let kind = SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT;
        let paced = kind == SFlag::S_IFIFO
            || kind == SFlag::S_IFSOCK
            || (kind == SFlag::S_IFCHR && nix::unistd::isatty(&fd).unwrap_or(false));
        Ok(Self { fd, paced, stop })
    }

    /// Writes all of `bytes`, waiting for the reader.
    pub fn write_all(&self, mut rest: &[u8]) -> Result<(), OutError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_pipe_takes_all_of_it() {
        let (mut reader, writer) = io::pipe().unwrap();
        let out = Paced::new(writer.into(), Stop::default()).unwrap();
        let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let sent = bytes.clone();
        let thread = std::thread::spawn(move || out.write_all(&sent).is_ok());
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(thread.join().unwrap());
        assert!(read == bytes);
    }

    #[test]
    fn a_reader_that_has_gone_is_noticed() {
        let (reader, writer) = io::pipe().unwrap();
        let out = Paced::new(writer.into(), Stop::default()).unwrap();
        assert!(!out.reader_gone());
        drop(reader);
        assert!(out.reader_gone());
        assert!(matches!(out.write_all(b"x"), Err(OutError::Closed)));
    }

    #[test]
    fn a_stuck_reader_does_not_delay_a_quick_end() {
        let (_reader, writer) = io::pipe().unwrap();
        let stop = Stop::default();
        let out = Paced::new(writer.into(), stop.clone()).unwrap();
        stop.ask();
        stop.ask();
        assert!(matches!(out.write_all(&vec![0; 1 << 20]), Err(OutError::Stuck)));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let out = Paced::new(full.into(), Stop::default()).unwrap();
        let e = out.write_all(b"x").unwrap_err();
        assert!(e.to_string().contains("No space left"), "{e}");
    }
}
