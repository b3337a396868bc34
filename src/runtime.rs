//! The one loop: keys, events of the probes, the tick, signals. Owns the terminal while it runs.
//!
//! Nothing that can block runs here. The screen is drawn when something changed, at most once a
//! frame time, and never before waiting keys were taken in.

mod ahead;
#[cfg(feature = "bpf")]
mod alive;
#[cfg(feature = "bpf")]
mod asker;
mod cells;
mod input;
mod line;
#[cfg(feature = "bpf")]
mod live;
#[cfg(feature = "bpf")]
mod machine;
mod player;
mod recorder;
mod remote;
mod resolver;
mod saver;
mod signals;
mod source;
mod terminal;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::FutureExt;
use jiff::tz::TimeZone;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::{App, Effect, Msg};
use crate::clock;
use crate::console::say;
use crate::files;
use crate::model::escape::escape;
use crate::model::event::ProbeEvent;
use crate::model::origin::Origins;
use crate::privileges;
use crate::recording::Seen;
use crate::settings::{ScreenSettings, Settings};
use crate::ui::{self, Look};
use input::{Input, take};
#[cfg(feature = "bpf")]
pub use live::run;
use player::Player;
use recorder::Recorder;
use remote::Remote;
use resolver::Names;
use saver::Saver;
use signals::{Signal, Signals};
use source::{Arrival, Source};
use terminal::Screen;

/// Between frames that data asks for; a key is answered sooner.
const FRAME: Duration = Duration::from_millis(33);

/// Between frames that keys ask for.
const KEY_FRAME: Duration = Duration::from_millis(8);

/// Before the rest of a frame that the terminal has not taken whole is offered again; each time twice
/// that, up to [`FRAME`]. A pseudo-terminal takes a few KiB at once, and its reader takes them soon.
const RETRY: Duration = Duration::from_millis(1);

/// Why the loop ended.
#[derive(Debug)]
enum End {
    /// A key or a signal asked for it, or the terminal has gone.
    Requested,
    /// A thread panicked; its message is on stderr.
    Panicked,
}

/// Shows a recording; `-` is a live one on stdin. Without a file, the one that is built in.
pub fn replay(
    settings: &Settings,
    screen: &ScreenSettings,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let source = match file {
        Some(file) if file == "-" => Source::Remote(Box::new(Remote::open()?)),
        file => Source::Recording(Box::new(Player::open(file)?)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(settings, screen, source))
}

async fn play(
    settings: &Settings,
    screen: &ScreenSettings,
    mut source: Source,
) -> anyhow::Result<ExitCode> {
    let origins = origins(&screen.mmdb)?;
    // Nothing else is opened.
    privileges::keep(&[], false);
    let mut signals = Signals::new()?;
    let mut app = App::new(settings, source.host(), source.now());
    app.arrange(screen);
    app.origins = origins;
    let helpers = Helpers::start(settings, screen, Answers::new());
    if let Source::Remote(_) = source {
        app.remember(settings.interval);
    }
    let wants = Wants { settings, screen };
    let work = dashboard(wants, &mut app, &mut source, &mut signals, helpers);
    let end = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Ok(End::Panicked))?;
    match end {
        End::Requested if !terminal::panicked() => {}
        End::Requested | End::Panicked => return Ok(ExitCode::from(101)),
    }
    if let Some(damage) = source.damage() {
        // That of a file begins with its name.
        let name = if let Source::Remote(_) = source { "-: " } else { "" };
        say(&format!("replay {name}{damage}"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the databases that the user named.
fn origins(files: &[PathBuf]) -> anyhow::Result<Origins> {
    let mut origins = Origins::default();
    for file in files {
        let shown = || escape(file.as_os_str().as_encoded_bytes()).into_owned();
        let bytes = files::read(file).with_context(|| format!("read {}", shown()))?;
        origins.add(bytes).map_err(|why| {
            let why = escape(why.as_bytes()).into_owned();
            anyhow!("read {}: it is no MMDB file that can be used: {why}", shown())
        })?;
    }
    Ok(origins)
}

/// Answers of the threads that look things up, for the app.
struct Answers {
    sender: Sender<Msg>,
    receiver: Receiver<Msg>,
}

impl Answers {
    /// Answers that may wait.
    const WAITING: usize = 4;

    fn new() -> Self {
        let (sender, receiver) = channel(Self::WAITING);
        Self { sender, receiver }
    }
}

/// The threads that do for the loop what may block.
struct Helpers {
    saver: Saver,
    recorder: Recorder,
    names: Names,
    answers: Receiver<Msg>,
}

impl Helpers {
    /// Starts them. Each thread that needs privileges runs by then: this one drops its own.
    fn start(settings: &Settings, screen: &ScreenSettings, answers: Answers) -> Self {
        let (saver, recorder) = (Saver::start(screen.file.clone()), Recorder::start());
        let names = Names::new(answers.sender);
        let helpers = Self { saver, recorder, names, answers: answers.receiver };
        privileges::keep(&[], settings.locked);
        helpers
    }
}

/// The user's settings.
struct Wants<'a> {
    settings: &'a Settings,
    screen: &'a ScreenSettings,
}

async fn dashboard(
    wants: Wants<'_>,
    app: &mut App,
    source: &mut Source,
    signals: &mut Signals,
    helpers: Helpers,
) -> anyhow::Result<End> {
    let look = Look::new(&terminal::fit_to_environment(wants.screen));
    let Helpers { mut saver, mut recorder, names, mut answers } = helpers;
    let mut size = terminal::size();
    let mut drawn_size = size;
    let mut screen = Screen::take(wants.screen.mouse, size)?;
    app.zone = TimeZone::system();
    let mut input = Input::new()?;
    let mut tick = tokio::time::interval(source.tick_interval(wants.settings.interval));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let panic_at = terminal::forced_panic();

    let mut due = Some(Instant::now());
    let mut drawn = Instant::now();
    // A frame for data does not keep the answer to a key waiting: only the one to another key does.
    let (mut asked, mut answered) = (false, drawn);
    let mut retry = RETRY;
    loop {
        input::fit(app, &look, size);
        let mut key_came = false;
        let effects = tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Signal::End => return Ok(End::Requested),
                Signal::Panic => return Ok(End::Panicked),
                Signal::Stop => {
                    size = screen.stop()?;
                    drawn_size = size;
                    vec![Effect::Redraw]
                }
                Signal::Continue => {
                    size = screen.resume()?;
                    drawn_size = size;
                    vec![Effect::Redraw]
                }
                Signal::Resize => {
                    size = terminal::size();
                    vec![Effect::Redraw]
                }
            },
            () = sleep_until(due) => {
                // The terminal has not taken the last frame: skip frames until it has.
                match screen.behind() {
                    Ok(false) => {}
                    Ok(true) => {
                        due = Some(Instant::now() + retry);
                        retry = (retry * 2).min(FRAME);
                        continue;
                    }
                    Err(_) => return Ok(End::Requested),
                }
                // The terminal has gone, or a panic elsewhere has given it back.
                if drawn_size != size {
                    drawn_size = size;
                    screen.resize(size)?;
                }
                if screen.draw(|frame| ui::view(app, &look.themed(app.screen.theme), frame)).is_err() {
                    return Ok(End::Requested);
                }
                drawn = Instant::now();
                if std::mem::take(&mut asked) {
                    answered = drawn;
                }
                // Output that the terminal did not take goes out without waiting for an event.
                let Ok(behind) = screen.behind() else { return Ok(End::Requested) };
                retry = RETRY;
                due = behind.then(|| drawn + retry);
                continue;
            }
            key = input.next() => {
                key_came = true;
                let Ok(key) = key else { return Ok(End::Requested) };
                let mut effects = take(app, &look, &mut size, key, source.now());
                while let Some(Ok(key)) = input.waiting() {
                    input::fit(app, &look, size);
                    effects.extend(take(app, &look, &mut size, key, source.now()));
                }
                effects
            }
            _ = tick.tick() => source.tick(app, &mut recorder),
            arrival = source.next(app) => match arrival {
                #[cfg(feature = "bpf")]
                Arrival::Event(event) => {
                    let now = clock::mono();
                    if recorder.runs() {
                        let mut event = event.clone();
                        app.choose(&mut event);
                        recorder.take(now, Seen::Probe(event));
                    }
                    app.update(Msg::Probe(event), now)
                }
                Arrival::Played(effects) => effects,
            },
            Some(answer) = answers.recv() => {
                if recorder.runs() {
                    let seen = match &answer {
                        Msg::Cgroups(known) => Some(Seen::Cgroups(known.clone())),
                        Msg::Containers(known) => Some(Seen::Containers(known.clone())),
                        Msg::Listeners(found) => {
                            Some(Seen::Probe(ProbeEvent::Listeners(found.clone())))
                        }
                        _ => None,
                    };
                    seen.into_iter().for_each(|seen| recorder.take(clock::mono(), seen));
                }
                app.update(answer, source.now())
            }
            recorded = recorder.next() => app.update(Msg::Recorded(recorded), source.now()),
            saved = saver.done() => app.update(Msg::Saved(saved), source.now()),
            () = sleep_until(panic_at) => terminal::panic_as_asked(),
        };
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(End::Requested),
                // The signal that the terminal would send; this process takes it as a signal, too.
                Effect::Suspend => kill(Pid::from_raw(0), nix::sys::signal::Signal::SIGTSTP)?,
                Effect::Redraw => {
                    asked |= key_came;
                    let at = if key_came { answered + KEY_FRAME } else { drawn + FRAME };
                    due = Some(due.map_or(at, |d| d.min(at)));
                }
                Effect::Copy(text) => {
                    app.update(Msg::Copied(screen.copy(&text)?), source.now());
                }
                Effect::Save(changes) => saver.save(changes),
                Effect::Record(true) => recorder.begin(app.known_before(), clock::mono()),
                Effect::Record(false) => recorder.end(clock::mono()),
                Effect::Names(addresses) => names.ask(addresses),
                effect => {
                    if let Effect::Replay(_) = effect {
                        due = Some(Instant::now());
                    }
                    source.carry_out(effect, app);
                }
            }
        }
    }
}

/// Sleeps until then; for ever without a time.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
