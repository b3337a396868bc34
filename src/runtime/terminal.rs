//! The terminal while the dashboard has it, and how it is given back on every path.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::buffer::Cell;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::cells::Cells;
use super::line::{self, Line};
use super::signals::PANICKED;
use crate::console::reads_utf8;
use crate::settings::ScreenSettings;

/// Whether the screen is ours. Changed with stdout locked, and nothing is written without, so that
/// nothing is drawn after the terminal was given back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether any thread panicked.
static PANIC: AtomicBool = AtomicBool::new(false);

/// Alternate screen, no cursor, bracketed paste, and no wrapping: a text that the terminal takes for
/// wider than we do must not reach the next row.
const ENTER: &str = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?7l\x1b[?2004h";

/// Button presses and the wheel, with coordinates of any size, and moves while a button is held; no
/// others: they are many, and slow lines have to carry them.
const MOUSE: &str = "\x1b[?1002h\x1b[?1006h";

/// All of it back, whatever was taken, in the middle of a frame too; the attributes first, for the
/// shell that follows.
const LEAVE: &str =
    "\x1b[?2026l\x1b[0m\x1b[?1006l\x1b[?1002l\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How long a terminal that is slow is waited for in the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Collects a frame and hands it on whole, between the marks of a synchronized update.
struct Out {
    frame: Vec<u8>,
    line: Rc<RefCell<Line>>,
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
        let mut line = self.line.borrow_mut();
        line.put(&[b"\x1b[?2026h", &self.frame, b"\x1b[?2026l"]);
        self.frame.clear();
        push(&mut line)
    }
}

/// Writes what the terminal takes now, as long as it is ours.
fn push(line: &mut Line) -> io::Result<()> {
    let _locked = io::stdout().lock();
    if TAKEN.load(Ordering::Relaxed) {
        return line.push();
    }
    line.forget();
    Ok(())
}

/// The terminal, taken. Given back when this goes, and by the panic hook.
pub(super) struct Screen {
    terminal: Terminal<Cells<Out>>,
    line: Rc<RefCell<Line>>,
    mouse: bool,
    /// The terminal reads UTF-8.
    utf8: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn take(mouse: bool, size: (u16, u16)) -> io::Result<Self> {
        hook_panics();
        let line = Rc::new(RefCell::new(Line::new(line::terminal()?)));
        enter(&line, mouse)
            .and_then(|()| blank(&line, size))
            .map(|terminal| Self { terminal, line: line.clone(), mouse, utf8: reads_utf8() })
            .inspect_err(|_| give_back())
    }

    /// Whether the terminal has not yet taken the whole last frame; no other is drawn then.
    pub(super) fn behind(&mut self) -> io::Result<bool> {
        let mut line = self.line.borrow_mut();
        push(&mut line)?;
        Ok(line.behind())
    }

    /// Draws a frame: what differs from the last one is written.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let utf8 = self.utf8;
        self.terminal.draw(|frame| {
            view(frame);
            // Names are escaped. This is what was typed, and a dash in a message.
            let foreign = |cell: &&mut Cell| !utf8 && !cell.symbol().is_ascii();
            for cell in frame.buffer_mut().content.iter_mut().filter(foreign) {
                cell.set_symbol("?");
            }
        })?;
        if TAKEN.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(io::Error::other("the terminal was given back"))
        }
    }

    /// Begins again on a screen of another size, or one that another program wrote on.
    pub(super) fn resize(&mut self, size: (u16, u16)) -> io::Result<()> {
        self.terminal = blank(&self.line, size)?;
        // Goes out with the next frame, so that nothing flickers.
        write!(self.terminal.backend_mut().out(), "\x1b[0m\x1b[2J")
    }

    /// Sends `text` to the terminal's clipboard (OSC 52); in words what came of it, as far as can be
    /// known: no terminal answers.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<String> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let term = std::env::var("TERM").unwrap_or_default();
        let words = if set("TMUX") {
            "sent to tmux, which takes it with `set-clipboard on`"
        } else if set("STY") {
            return Ok(format!("not copied, GNU screen passes nothing on: {text}"));
        } else if lacks_signs(&term) {
            return Ok(format!("not copied, this terminal has no clipboard: {text}"));
        } else {
            "sent to the terminal's clipboard"
        };
        let out = self.terminal.backend_mut().out();
        write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
        Write::flush(out)?;
        Ok(format!("{words}: {text}"))
    }

    /// Gives the terminal back, stops as SIGTSTP would, and takes it again afterwards; its size.
    pub(super) fn stop(&mut self) -> io::Result<(u16, u16)> {
        give_back();
        crate::sys::stop::stop()?;
        self.resume()
    }

    /// Takes the terminal again after a stop; its size. A shell has set its own modes meanwhile.
    pub(super) fn resume(&mut self) -> io::Result<(u16, u16)> {
        // crossterm sets no modes while it believes that they are set.
        if TAKEN.load(Ordering::Relaxed) {
            disable_raw_mode()?;
        }
        // The rest of a frame that was cut off.
        self.line.borrow_mut().forget();
        enter(&self.line, self.mouse)?;
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
/// program that shows the opens of others should not be the busiest.
pub(super) fn size() -> (u16, u16) {
    or_usual(crossterm::terminal::size().unwrap_or_default())
}

/// `size`, with 80 columns or 24 lines where the terminal says 0: a serial line, or a
/// pseudo-terminal whose size was not set.
pub(super) fn or_usual(size: (u16, u16)) -> (u16, u16) {
    let or = |n: u16, usual| if n == 0 { usual } else { n };
    (or(size.0, 80), or(size.1, 24))
}

/// A terminal of that size with nothing in it, like the screen. Clearing one that is there would
/// ask the terminal where its cursor is, and wait for the answer.
fn blank(
    line: &Rc<RefCell<Line>>,
    (width, height): (u16, u16),
) -> io::Result<Terminal<Cells<Out>>> {
    let out = Out { frame: Vec::with_capacity(1 << 14), line: line.clone() };
    let backend = Cells::new(out, (width, height));
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn enter(line: &RefCell<Line>, mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::Relaxed);
    let mut line = line.borrow_mut();
    line.put(&[ENTER.as_bytes(), if mouse { MOUSE.as_bytes() } else { b"" }]);
    push(&mut line)
}

/// Gives the terminal back, once. Errors cannot be reported any more.
fn give_back() {
    let _locked = io::stdout().lock();
    if TAKEN.swap(false, Ordering::Relaxed) {
        if let Ok(terminal) = line::terminal() {
            line::last_words(&terminal, LEAVE.as_bytes(), LAST_WORDS);
        }
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

/// Applies the environment's settings for colours and signs.
pub(super) fn fit_to_environment(screen: &ScreenSettings) -> ScreenSettings {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let term = set("TERM").unwrap_or_default().to_string_lossy().into_owned();
    ScreenSettings {
        ascii: screen.ascii || !reads_utf8() || lacks_signs(&term),
        colour: screen.colour && set("NO_COLOR").is_none() && !lacks_colours(&term),
        ..screen.clone()
    }
}

/// Whether a terminal of this type (`TERM`) has no braille and no round corners: the kernel's console,
/// hardware terminals and their emulators, and one without a name.
fn lacks_signs(term: &str) -> bool {
    let is =
        |kind: &str| term == kind || term.strip_prefix(kind).is_some_and(|t| t.starts_with('-'));
    // In `screen` on the console it is `screen.linux`.
    is("linux") || term.ends_with(".linux") || is("cons25") || is("ansi") || lacks_colours(term)
}

/// Whether a terminal of this type has no colours.
fn lacks_colours(term: &str) -> bool {
    let vt = term.strip_prefix("vt").is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
    vt || ["", "dumb", "unknown"].contains(&term)
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
    let after = |ms: &str| ms.parse().ok().map(Duration::from_millis);
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
    fn signs_and_colours_by_the_type_of_the_terminal() {
        for term in ["xterm-256color", "tmux-256color", "screen", "vte-256color", "foot", "linuxy"]
        {
            assert!(!lacks_signs(term) && !lacks_colours(term), "{term}");
        }
        for term in ["linux", "linux-16color", "screen.linux", "ansi", "cons25"] {
            assert!(lacks_signs(term) && !lacks_colours(term), "{term}");
        }
        for term in ["vt100", "vt220-am", "dumb", "unknown", ""] {
            assert!(lacks_signs(term) && lacks_colours(term), "{term}");
        }
    }

    #[test]
    fn base64_as_everybody_writes_it() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
