//! The terminal while the dashboard has it, and how it is given back on every path.

use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::signals::PANICKED;
use crate::settings::ScreenSettings;

/// Whether the screen is ours. Changed with stdout locked, so that nothing is drawn after the
/// terminal was given back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether any thread panicked.
static PANIC: AtomicBool = AtomicBool::new(false);

/// Alternate screen, no cursor, bracketed paste.
const ENTER: &str = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?2004h";

/// Button presses and the wheel, with coordinates of any size; no moves: they are many, and
/// slow lines have to carry them.
const MOUSE: &str = "\x1b[?1000h\x1b[?1006h";

/// All of it back, whatever was taken; the attributes first, for the shell that follows.
const LEAVE: &str = "\x1b[0m\x1b[?1006l\x1b[?1000l\x1b[?2004l\x1b[?25h\x1b[?1049l";

/// Collects a frame and writes it at once, between the marks of a synchronized update.
struct Out {
    frame: Vec<u8>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        if !TAKEN.load(Ordering::Relaxed) {
            self.frame.clear();
            return Ok(());
        }
        let done = stdout
            .write_all(b"\x1b[?2026h")
            .and_then(|()| stdout.write_all(&self.frame))
            .and_then(|()| stdout.write_all(b"\x1b[?2026l"))
            .and_then(|()| stdout.flush());
        self.frame.clear();
        done
    }
}

/// The terminal, taken. Given back when this goes, and by the panic hook.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Out>>,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn take(mouse: bool, size: (u16, u16)) -> io::Result<Self> {
        hook_panics();
        enter(mouse)?;
        blank(size).map(|terminal| Self { terminal, mouse }).inspect_err(|_| give_back())
    }

    /// Draws a frame: what differs from the last one is written.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(view)?;
        if TAKEN.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(io::Error::other("the terminal was given back"))
        }
    }

    /// Begins anew on a screen of another size, or one that somebody else wrote on.
    pub(super) fn resize(&mut self, size: (u16, u16)) -> io::Result<()> {
        self.terminal = blank(size)?;
        // Goes out with the next frame, so that nothing flickers.
        write!(self.terminal.backend_mut(), "\x1b[0m\x1b[2J")
    }

    /// Puts bytes into the terminal's clipboard, where the terminal lets programs do so.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        write!(out, "\x1b]52;c;{}\x07", base64(bytes))?;
        Write::flush(out)
    }

    /// Gives the terminal back, stops as SIGTSTP would, and takes it again afterwards.
    pub(super) fn stop(&mut self) -> io::Result<(u16, u16)> {
        give_back();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP)?;
        enter(self.mouse)?;
        let size = size();
        self.resize(size)?;
        Ok(size)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// The terminal's size now. This opens `/dev/tty`, so it is not asked for with each frame: a
/// program that shows who opens what should not be the busiest.
pub(super) fn size() -> (u16, u16) {
    crossterm::terminal::size().unwrap_or((80, 24))
}

/// A terminal of that size with nothing in it, like the screen. Clearing one that is there would
/// ask the terminal where its cursor is, and wait for the answer.
fn blank((width, height): (u16, u16)) -> io::Result<Terminal<CrosstermBackend<Out>>> {
    let backend = CrosstermBackend::new(Out { frame: Vec::with_capacity(1 << 14) });
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn enter(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    let mut stdout = io::stdout().lock();
    TAKEN.store(true, Ordering::Relaxed);
    stdout.write_all(ENTER.as_bytes())?;
    if mouse {
        stdout.write_all(MOUSE.as_bytes())?;
    }
    stdout.flush()
}

/// Gives the terminal back, once. Errors cannot be told to anybody any more.
fn give_back() {
    let mut stdout = io::stdout().lock();
    if TAKEN.swap(false, Ordering::Relaxed) {
        let _ = stdout.write_all(LEAVE.as_bytes());
        let _ = stdout.flush();
        let _ = disable_raw_mode();
    }
}

/// A panic on any thread gives the terminal back before it says anything, and ends the loop.
fn hook_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
            PANIC.store(true, Ordering::Relaxed);
            PANICKED.notify_one();
        }));
    });
}

/// Whether any thread panicked since the screen was taken.
pub(super) fn panicked() -> bool {
    PANIC.load(Ordering::Relaxed)
}

/// What the environment has to say about colours and signs.
pub(super) fn fit_to_environment(screen: &ScreenSettings) -> ScreenSettings {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    // The first that is set decides, as in setlocale(3).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    let utf8 = locale.contains("utf-8") || locale.contains("utf8");
    ScreenSettings {
        ascii: screen.ascii || !utf8,
        colour: screen.colour && set("NO_COLOR").is_none(),
        ..screen.clone()
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |n: u32| DIGITS.get((n & 63) as usize).map_or('=', |d| char::from(*d));
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| chunk.get(i).copied().map_or(0, u32::from);
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            out.push(if i > chunk.len() { '=' } else { digit(bits >> (18 - 6 * i)) });
        }
    }
    out
}

/// When the tests want a panic; never in a release build.
pub(super) fn forced_panic() -> Option<tokio::time::Instant> {
    if !cfg!(debug_assertions) {
        return None;
    }
    let wanted = std::env::var("EBPFTOP_PANIC_AFTER_MS").ok()?;
    let after = |ms: &str| ms.parse().ok().map(std::time::Duration::from_millis);
    if let Some(ms) = wanted.strip_prefix("thread:") {
        let wait = after(ms)?;
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            panic_as_asked::<()>();
        });
        return None;
    }
    Some(tokio::time::Instant::now() + after(&wanted)?)
}

/// The panic that the tests want.
#[allow(clippy::panic)]
pub(super) fn panic_as_asked<T>() -> T {
    panic!("a panic, as asked by EBPFTOP_PANIC_AFTER_MS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_everybody_writes_it() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
