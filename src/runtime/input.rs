//! Input of the terminal, as messages to the app.

use std::fs::File;
use std::io::{self, IsTerminal, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::time::Duration;

use crossterm::event::{self, Event, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::layout::Rect;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::terminal;
use crate::app::{App, Effect, Msg};
use crate::model::time::Mono;
use crate::ui::{self, Look};

/// Events that wait for the loop; further ones wait in the terminal.
const WAITING: usize = 64;

/// How long crossterm waits for more after an event. It spins for less than a millisecond instead.
const MORE: Duration = Duration::from_millis(20);

/// How often crossterm is asked for more before the thread waits for the terminal alone. Events of one read
/// wait in crossterm's parser, and its `poll` does not get to them where the thread was off the CPU for
/// longer than [`MORE`] (0.29, `event/source/unix/tty.rs`).
const TIMES: u32 = 3;

/// The events of the terminal, read by a thread of its own.
///
/// A read blocks in the middle of an escape sequence until its next byte, so it must not run on the
/// loop. crossterm's own stream reads on a thread, too, but both sides take one lock: each turn of the
/// loop yielded the CPU several times, and on a busy machine the dashboard stood still.
#[derive(Debug)]
pub(super) struct Input {
    events: Receiver<io::Result<Event>>,
    /// Ends the thread when it is closed: keys from then on are for the shell.
    _end: PipeWriter,
}

impl Input {
    /// A reader of the terminal that crossterm reads: stdin, else the controlling one.
    pub(super) fn new() -> io::Result<Self> {
        let stdin = io::stdin();
        let terminal = match stdin.is_terminal() {
            true => File::from(stdin.as_fd().try_clone_to_owned()?),
            false => File::open("/dev/tty")?,
        };
        let (ended, end) = io::pipe()?;
        let (sender, events) = channel(WAITING);
        std::thread::Builder::new().name("input".into()).spawn(move || {
            if let Err(why) = read(&terminal, &ended, &sender) {
                let _ = sender.blocking_send(Err(why));
            }
        })?;
        Ok(Self { events, _end: end })
    }

    /// The next event; an error when the terminal has gone. Cancelling it loses no event.
    pub(super) async fn next(&mut self) -> io::Result<Event> {
        self.events.recv().await.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    /// An event that is there already.
    pub(super) fn waiting(&mut self) -> Option<io::Result<Event>> {
        self.events.try_recv().ok()
    }
}

/// Reads events until the other end of `ended` is closed.
fn read(terminal: &File, ended: &PipeReader, events: &Sender<io::Result<Event>>) -> io::Result<()> {
    let mut asked = 0;
    loop {
        let mut fds =
            [terminal.as_fd(), ended.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let wait = if asked < TIMES { PollTimeout::ZERO } else { PollTimeout::NONE };
        match poll(&mut fds, wait) {
            Err(nix::errno::Errno::EINTR) => continue,
            done => done?,
        };
        let [terminal, ended] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if !ended.is_empty() {
            return Ok(());
        }
        asked = asked.saturating_add(1);
        while event::poll(MORE)? {
            asked = 0;
            if events.blocking_send(event::read()).is_err() {
                return Ok(());
            }
        }
        if terminal.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Informs the app of the room that a screen of this size has for its rows.
pub(super) fn fit(app: &mut App, look: &Look, (width, height): (u16, u16)) {
    let measured = ui::measure(app, look, Rect::new(0, 0, width, height));
    app.fit(measured);
}

/// Hands what the terminal sent to the app; a new size goes to `size`.
pub(super) fn take(
    app: &mut App,
    look: &Look,
    size: &mut (u16, u16),
    event: Event,
    now: Mono,
) -> Vec<Effect> {
    let area = Rect::new(0, 0, size.0, size.1);
    let msg = match event {
        Event::Key(key) => Msg::Key(key),
        Event::Paste(text) => Msg::Paste(text),
        Event::Resize(width, height) => {
            *size = terminal::or_usual((width, height));
            return vec![Effect::Redraw];
        }
        Event::Mouse(mouse) => match pointed(app, look, area, mouse) {
            Some(msg) => msg,
            None => return Vec::new(),
        },
        Event::FocusGained | Event::FocusLost => return Vec::new(),
    };
    app.update(msg, now)
}

fn pointed(app: &App, look: &Look, area: Rect, mouse: MouseEvent) -> Option<Msg> {
    let (x, y) = (mouse.column, mouse.row);
    // Selecting text is the terminal's, also where it reports it.
    if mouse.modifiers.contains(KeyModifiers::SHIFT) {
        return None;
    }
    let pane = || ui::pane_at(app, area, x, y).unwrap_or(app.screen.focus);
    match mouse.kind {
        MouseEventKind::Down(MouseButton::Left) => ui::hit(app, look, area, x, y).map(Msg::Click),
        MouseEventKind::Drag(MouseButton::Left) => ui::split_for(app, area, x, y).map(Msg::Drag),
        MouseEventKind::Up(MouseButton::Left) => Some(Msg::Drop),
        MouseEventKind::ScrollUp => Some(Msg::Wheel(pane(), -3)),
        MouseEventKind::ScrollDown => Some(Msg::Wheel(pane(), 3)),
        _ => None,
    }
}
