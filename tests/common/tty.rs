//! A pseudo-terminal: starts a program in it, types, reads its screen, sees how it leaves.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::patience::{patience, until};
use super::spawn::may_change_user;
use super::user::AS_USER;

/// How long the rest of a frame may take before it is looked at as it is.
const WHOLE: Duration = Duration::from_millis(500);

/// Written behind the program's last output: a sequence that changes nothing on the screen.
const END: &[u8] = b"\x1b]ebpftop-tests-end\x1b\\";

/// A program in a terminal.
pub struct Tty {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<Recorded>>,
    /// The terminal's output is not read.
    held: Arc<AtomicBool>,
    /// The slave's side, kept open so that its modes can be read after the program has gone.
    slave: std::fs::File,
    before: String,
}

/// The output of the program.
struct Recorded {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    /// Everything that was written before [`END`] has been read.
    ended: bool,
}

impl Recorded {
    /// Whether what was written ends outside of a synchronised update (DEC mode 2026).
    fn between_frames(&self) -> bool {
        let mark = b"\x1b[?2026";
        let at = self.bytes.windows(mark.len() + 1).rfind(|w| w.starts_with(mark));
        at.is_none_or(|w| w.ends_with(b"l"))
    }
}

impl Tty {
    /// Starts `program` in a terminal of `cols` × `rows`; `env` comes on top of a UTF-8 locale.
    pub fn start(
        program: &str,
        args: &[&str],
        env: &[(&str, &str)],
        (cols, rows): (u16, u16),
    ) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let name = pair.master.tty_name().unwrap();
        let slave = std::fs::File::options().read(true).write(true).open(name).unwrap();
        let before = modes(&slave);
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        // The tests may run inside of another terminal's program.
        for name in ["NO_COLOR", "TMUX", "STY"] {
            command.env_remove(name);
        }
        // Else it starts in the home directory, which not every user has.
        command.cwd("/");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        // A terminal that does not know its size has the usual one.
        let or = |n, usual| if n == 0 { usual } else { n };
        let parser = vt100::Parser::new(or(rows, 24), or(cols, 80), 0);
        let screen = Arc::new(Mutex::new(Recorded { parser, bytes: Vec::new(), ended: false }));
        let held = Arc::new(AtomicBool::new(false));
        std::thread::spawn({
            let (screen, held) = (screen.clone(), held.clone());
            move || {
                let mut buf = [0; 1 << 14];
                let wait = || {
                    while held.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                };
                while let Ok(n @ 1..) = reader.read(&mut buf) {
                    let mut screen = screen.lock().unwrap();
                    screen.parser.process(&buf[..n]);
                    screen.bytes.extend_from_slice(&buf[..n]);
                    if screen.bytes.ends_with(END) {
                        let output = screen.bytes.len() - END.len();
                        screen.bytes.truncate(output);
                        screen.ended = true;
                    }
                    drop(screen);
                    wait();
                }
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { master: pair.master, writer, child, screen, held, slave, before }
    }

    /// Types.
    pub fn send(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Reads no more of what is written, or again.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    /// Whether the terminal takes anything more.
    pub fn takes_more(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, poll};
        let mut fds = [PollFd::new(self.slave.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, 0u8).unwrap() == 1
    }

    /// Waits until everything that was written has been read.
    pub fn settle(&self) {
        let mut before = usize::MAX;
        until("silence of the terminal", || {
            let now = self.bytes().len();
            let silent = std::mem::replace(&mut before, now) == now;
            std::thread::sleep(Duration::from_millis(if silent { 0 } else { 200 }));
            silent.then_some(())
        });
    }

    /// Makes the terminal another size.
    pub fn resize(&mut self, (cols, rows): (u16, u16)) {
        // vt100 0.16 panics on screens of a cell or two, and while a larger screen shrinks under
        // its cursor: it gets one that holds all the same.
        self.screen.lock().unwrap().parser.screen_mut().set_size(rows.max(60), cols.max(80));
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// The text of the screen, a whole frame unless its rest does not come.
    pub fn text(&self) -> String {
        let deadline = Instant::now() + WHOLE;
        loop {
            let screen = self.screen.lock().unwrap();
            if screen.between_frames() || Instant::now() > deadline {
                return screen.parser.screen().contents();
            }
            drop(screen);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Everything that was written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.screen.lock().unwrap().bytes.clone()
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + patience();
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(
                Instant::now() < deadline,
                "{what} did not come; the screen:\n{}",
                dense(&text)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the screen has `text` on it.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// The program's process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.process_id().unwrap()).unwrap()
    }

    /// Runs `stty` on it, as a shell does that takes the terminal.
    pub fn stty(&self, args: &[&str]) {
        stty(&self.slave, args);
    }

    /// Sends a signal.
    pub fn kill(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for the end; the exit status.
    #[track_caller]
    pub fn wait(&mut self) -> u32 {
        let deadline = Instant::now() + patience();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.read_to_end();
                return status.exit_code();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end; the screen:\n{}",
                dense(&self.text())
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the output of the program, which has ended, is read: bytes of the terminal come in their order.
    fn read_to_end(&mut self) {
        if self.held.load(Ordering::Relaxed) {
            return;
        }
        self.slave.write_all(END).unwrap();
        until("the last output", || self.screen.lock().unwrap().ended.then_some(()));
    }

    /// Fails unless the terminal is as it was before: modes, screen, cursor, mouse, attributes.
    pub fn assert_given_back(&self) {
        assert_eq!(modes(&self.slave), self.before, "terminal modes");
        self.assert_screen_given_back();
    }

    /// The same of all but the modes.
    pub fn assert_screen_given_back(&self) {
        let recorded = self.screen.lock().unwrap();
        let screen = recorded.parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen was left");
        assert!(!screen.hide_cursor(), "the cursor is there");
        assert!(!screen.bracketed_paste(), "bracketed paste is off");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert_eq!((screen.fgcolor(), screen.bgcolor()), Default::default());
        assert!(!screen.bold() && !screen.inverse());
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `program` in a terminal as an unprivileged user; as the user that runs the tests if
/// that is not root.
pub fn without_privileges(program: &Path, args: &[&str], size: (u16, u16)) -> Tty {
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let program = program.to_str().unwrap();
    if !may_change_user() {
        return Tty::start(program, args, &env, size);
    }
    Tty::start("setpriv", &[&AS_USER[..], &[program], args].concat(), &env, size)
}

/// The terminal's modes, as text to compare.
fn modes(slave: &std::fs::File) -> String {
    stty(slave, &["-g"])
}

fn stty(slave: &std::fs::File, args: &[&str]) -> String {
    let output = std::process::Command::new("stty")
        .args(args)
        .stdin(slave.try_clone().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A file that can be found on a screen: a name of its own in a directory of its own.
pub fn touch(dir: &Path, name: &str) -> std::path::PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, b"").unwrap();
    path
}

/// A screen for a log: without its empty lines and wide gaps.
fn dense(screen: &str) -> String {
    let lines = screen.lines().filter(|l| l.chars().any(char::is_alphanumeric));
    let words =
        |line: &str| line.split("  ").filter(|w| !w.is_empty()).collect::<Vec<_>>().join("  ");
    lines.map(words).collect::<Vec<_>>().join("\n")
}
