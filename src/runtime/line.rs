//! Output to the terminal, without waiting: a terminal that is not read (a stopped multiplexer, a
//! connection that hangs) must not delay keys and signals. Bytes that it does not take now are
//! buffered, and no frame is drawn before they are written.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::termios::{FlushArg, tcflush};

/// Maximum buffered bytes; further ones are dropped. A frame fits: none is drawn while any wait.
const MOST: usize = 4 << 20;

/// The buffer and its terminal.
#[derive(Debug)]
pub(super) struct Line {
    terminal: File,
    late: Vec<u8>,
}

/// The terminal behind stdout, opened again: O_NONBLOCK belongs to the open file, and that of stdout is
/// the shell's too. If it cannot be opened (another user's terminal after `su`), stdout itself
/// serves, and blocks.
pub(super) fn terminal() -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    File::options()
        .write(true)
        .custom_flags(flags)
        .open("/proc/self/fd/1")
        .or_else(|_| Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
}

impl Line {
    pub(super) fn new(terminal: File) -> Self {
        Self { terminal, late: Vec::new() }
    }

    /// Whether something still waits.
    pub(super) fn behind(&self) -> bool {
        !self.late.is_empty()
    }

    /// Buffers bytes that are to be written in one piece.
    pub(super) fn put(&mut self, parts: &[&[u8]]) {
        if self.late.len() + parts.iter().map(|p| p.len()).sum::<usize>() <= MOST {
            parts.iter().for_each(|part| self.late.extend_from_slice(part));
        }
    }

    /// Writes until the terminal takes no more.
    pub(super) fn push(&mut self) -> io::Result<()> {
        let mut done = 0;
        let result = loop {
            let Some(rest) = self.late.get(done..).filter(|rest| !rest.is_empty()) else {
                break Ok(());
            };
            match self.terminal.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        self.late.drain(..done);
        result
    }

    /// Drops the buffer.
    pub(super) fn forget(&mut self) {
        self.late.clear();
    }
}

/// Writes the last bytes: waits briefly for a slow terminal, and drops the pending frame of one that is
/// not read, since that screen ends anyway.
pub(super) fn last_words(terminal: &File, words: &[u8], patience: Duration) {
    let mut line = Line::new(match terminal.try_clone() {
        Ok(terminal) => terminal,
        Err(_) => return,
    });
    line.put(&[words]);
    let deadline = Instant::now() + patience;
    while line.push().is_ok() && line.behind() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = tcflush(&line.terminal, FlushArg::TCOFLUSH);
            let _ = line.push();
            return;
        }
        let ms = u16::try_from(left.as_millis()).unwrap_or(u16::MAX).max(1);
        let _ = poll(&mut [PollFd::new(line.terminal.as_fd(), PollFlags::POLLOUT)], ms);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use nix::fcntl::OFlag;
    use portable_pty::{PtySize, native_pty_system};

    use super::*;

    fn pipe() -> (File, File) {
        let (from, to): (OwnedFd, OwnedFd) = nix::unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
        (from.into(), to.into())
    }

    #[test]
    fn output_that_is_not_taken_waits_and_goes_out_in_order() {
        let (mut from, to) = pipe();
        let mut line = Line::new(to);
        let sent: Vec<u8> = (0..300_000u32).flat_map(u32::to_be_bytes).collect();
        line.put(&[&sent]);
        line.push().unwrap();
        assert!(line.behind());
        let mut got = Vec::new();
        while line.behind() {
            let _ = from.read_to_end(&mut got);
            line.push().unwrap();
        }
        let _ = from.read_to_end(&mut got);
        assert!(got == sent);
    }

    #[test]
    fn waiting_output_is_bounded_and_can_be_forgotten() {
        let (_from, to) = pipe();
        let mut line = Line::new(to);
        line.put(&[&vec![b'x'; MOST]]);
        line.put(&[b"more"]);
        assert_eq!(line.late.len(), MOST);
        line.forget();
        assert!(!line.behind());
    }

    #[test]
    fn the_terminal_is_not_read() {
        let (from, to) = pipe();
        drop(from);
        let mut line = Line::new(to);
        line.put(&[b"x"]);
        assert!(line.push().is_err());
    }

    #[test]
    fn last_words_reach_a_terminal_that_was_not_read() {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let name = pair.master.tty_name().unwrap();
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let slave = File::options().write(true).custom_flags(flags).open(name).unwrap();
        let mut line = Line::new(slave.try_clone().unwrap());
        while !line.behind() {
            line.put(&[&[b'x'; 1 << 14]]);
            line.push().unwrap();
        }
        last_words(&slave, b"good bye", Duration::from_millis(10));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut got = Vec::new();
        let mut buf = [0; 1 << 12];
        while !got.ends_with(b"good bye") {
            let n = reader.read(&mut buf).unwrap();
            got.extend_from_slice(&buf[..n]);
        }
    }
}
