//! The one loop: keys, what the probes tell, the tick, signals. Owns the terminal while it runs.
//!
//! Nothing that can block runs here. The screen is drawn when something changed, at most once a
//! frame time, and never before waiting keys were taken in.

mod alive;
mod asker;
mod cells;
mod input;
mod line;
mod player;
mod recorder;
mod resolver;
mod saver;
mod signals;
mod terminal;

use std::io::IsTerminal;
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
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::{App, Effect, Msg};
use crate::console::say;
use crate::files;
use crate::model::escape::escape;
use crate::model::event::ProbeId;
use crate::model::origin::Origins;
use crate::model::process_info::ProcessInfo;
use crate::privileges;
use crate::probes::connections::ConnectionsConfig;
use crate::probes::{OpensConfig, Order, ProbeSet, ProbesConfig, TalkersConfig, clock};
use crate::recording::Seen;
use crate::settings::{ScreenSettings, Settings};
use crate::ui::{self, Look};
use asker::Asker;
use input::{Input, take};
use player::Player;
use recorder::Recorder;
use saver::Saver;
use signals::{Signal, Signals};
use terminal::Screen;

/// Between frames that data asks for; a key is answered sooner.
const FRAME: Duration = Duration::from_millis(33);

/// Between two looks at the time of a recording.
const REPLAY_FRAME: Duration = Duration::from_millis(200);

/// Between frames that keys ask for.
const KEY_FRAME: Duration = Duration::from_millis(8);

/// Before the rest of a frame that the terminal has not taken whole is offered again; each time twice
/// that, up to [`FRAME`]. A pseudo-terminal takes a few KiB at once, and its reader takes them soon.
const RETRY: Duration = Duration::from_millis(1);

/// How long probes may take to detach when the program ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// Why the loop ended.
#[derive(Debug)]
enum End {
    /// As asked, by a key or a signal, or because the terminal has gone.
    Requested,
    /// A thread panicked; what it said is on stderr.
    Panicked,
}

/// Runs the dashboard with the real probes until the user has seen enough.
pub fn run(settings: &Settings, screen: &ScreenSettings) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() {
        say("stdout is not a terminal: use `ebpftop stream` to write lines");
        return Ok(ExitCode::from(2));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(session(settings, screen))
}

/// Shows a recording; without a file, the one that is built in.
pub fn replay(
    settings: &Settings,
    screen: &ScreenSettings,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let player = Player::open(file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(settings, screen, player))
}

async fn play(
    settings: &Settings,
    screen: &ScreenSettings,
    player: Player,
) -> anyhow::Result<ExitCode> {
    let origins = origins(&screen.mmdb)?;
    // Nothing else is opened.
    privileges::keep(&[], false);
    let mut signals = Signals::new()?;
    let mut app = App::new(settings, &player.head().host, player.now());
    app.arrange(screen);
    app.origins = origins;
    let mut probes = ProbeSet::start(ProbesConfig::default(), Order::AtOnce);
    let helpers = Helpers::start(settings, screen);
    let mut player = Some(player);
    let watch = Wants { settings, screen };
    let work = dashboard(watch, &mut app, &mut probes, &mut signals, helpers, &mut player);
    let end = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Ok(End::Panicked))?;
    match end {
        End::Requested if !terminal::panicked() => {}
        End::Requested | End::Panicked => return Ok(ExitCode::from(101)),
    }
    if let Some(damage) = player.as_ref().and_then(Player::damage) {
        say(&format!("replay {damage}"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn session(settings: &Settings, screen: &ScreenSettings) -> anyhow::Result<ExitCode> {
    let origins = origins(&screen.mmdb)?;
    // Before anything is started: a signal that comes meanwhile is not lost.
    let mut signals = Signals::new()?;
    // Before the helpers start: this thread then gives up its own.
    let missing = privileges::missing();
    let config = ProbesConfig {
        opens: Some(OpensConfig::for_dashboard(settings)),
        talkers: Some(TalkersConfig::new(settings)),
        connections: settings.owners.then(|| ConnectionsConfig::new(settings)),
    };
    let mut probes = ProbeSet::start(config, Order::AtOnce);
    let helpers = Helpers::start(settings, screen);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut app = App::new(settings, host.trim(), clock::mono());
    app.arrange(screen);
    app.origins = origins;
    app.remember(settings.interval);

    let result = match first_events(&mut app, &mut probes, &mut signals).await {
        First::Running => {
            let watch = Wants { settings, screen };
            let (signals, mut live) = (&mut signals, None);
            let work = dashboard(watch, &mut app, &mut probes, signals, helpers, &mut live);
            // A panic ends the dashboard, not the program: the probes still have to detach.
            AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Ok(End::Panicked))
        }
        First::Requested => Ok(End::Requested),
        First::None => {
            // Connections alone are no dashboard, and why they are not known is no help here.
            for (_, problem) in probes.failures().filter(|(id, _)| *id != ProbeId::Connections) {
                say(&format!("{problem}"));
            }
            explain(&missing);
            probes.join_within(FAREWELL).await;
            return Ok(ExitCode::from(1));
        }
    };
    probes.join_within(FAREWELL).await;
    match result? {
        // Done only in part: on the screen it is gone now.
        End::Requested if !terminal::panicked() && !app.data.problems().is_empty() => {
            for problem in app.data.problems() {
                say(&format!("{problem}"));
            }
            Ok(ExitCode::FAILURE)
        }
        End::Requested if !terminal::panicked() => Ok(ExitCode::SUCCESS),
        End::Requested | End::Panicked => Ok(ExitCode::from(101)),
    }
}

/// Says which privileges are missing, and what works without them.
fn explain(missing: &[&privileges::Need]) {
    if !missing.is_empty() {
        let named = missing.iter().map(|need| format!("{} ({})", need.capability, need.why));
        let named = named.collect::<Vec<_>>().join(", ");
        say(&format!("missing privileges: {named}"));
        if nix::unistd::geteuid().is_root() {
            say("root lacks them here, as in a container: run it on the host, or start the \
                 container with --privileged");
        }
    }
    say("to see the dashboard without privileges: ebpftop replay");
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

/// How the start went.
enum First {
    /// The opens or the talkers probe runs.
    Running,
    /// Neither does.
    None,
    /// A signal came first.
    Requested,
}

/// Waits until the opens or the talkers probe runs, or each probe has answered.
async fn first_events(app: &mut App, probes: &mut ProbeSet, signals: &mut Signals) -> First {
    while probes.is_starting() {
        let event = tokio::select! {
            event = probes.next() => event,
            signal = signals.next() => match signal {
                Signal::End => return First::Requested,
                Signal::Stop | Signal::Continue | Signal::Resize | Signal::Panic => continue,
            },
        };
        let Some(event) = event else { break };
        app.update(Msg::Probe(event), clock::mono());
        if probes.runs(ProbeId::Opens) || probes.runs(ProbeId::Talkers) {
            return First::Running;
        }
    }
    First::None
}

/// The threads that do for the loop what may block.
struct Helpers {
    saver: Saver,
    recorder: Recorder,
    asker: Asker,
    answers: Receiver<Msg>,
}

impl Helpers {
    /// Starts them. All that takes rights has a thread of its own then: this one gives up its own.
    fn start(settings: &Settings, screen: &ScreenSettings) -> Self {
        let (asker, answers) = Asker::start(settings.locked);
        let (saver, recorder) = (Saver::start(screen.file.clone()), Recorder::start());
        let helpers = Self { saver, recorder, asker, answers };
        privileges::keep(&[], settings.locked);
        helpers
    }
}

/// What the user asked for.
struct Wants<'a> {
    settings: &'a Settings,
    screen: &'a ScreenSettings,
}

async fn dashboard(
    wants: Wants<'_>,
    app: &mut App,
    probes: &mut ProbeSet,
    signals: &mut Signals,
    helpers: Helpers,
    player: &mut Option<Player>,
) -> anyhow::Result<End> {
    let time = |player: &Option<Player>| player.as_ref().map_or_else(clock::mono, Player::now);
    let look = Look::new(&terminal::fit_to_environment(wants.screen));
    let Helpers { mut saver, mut recorder, asker, mut answers } = helpers;
    // The processes are those of this machine, now, and their ids mean the same here.
    let can_ask = player.is_none() && alive::is_initial_namespace();
    let mut size = terminal::size();
    let mut drawn_size = size;
    let mut screen = Screen::take(wants.screen.mouse, size)?;
    app.zone = TimeZone::system();
    let mut input = Input::new()?;
    // A recording has ticks of its own; the time that it shows goes on between them.
    let between = if player.is_some() { REPLAY_FRAME } else { wants.settings.interval };
    let mut tick = tokio::time::interval(between);
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
                // What was not taken goes out without waiting for something to happen.
                let Ok(behind) = screen.behind() else { return Ok(End::Requested) };
                retry = RETRY;
                due = behind.then(|| drawn + retry);
                continue;
            }
            key = input.next() => {
                key_came = true;
                let Ok(key) = key else { return Ok(End::Requested) };
                let mut effects = take(app, &look, &mut size, key, time(player));
                while let Some(Ok(key)) = input.waiting() {
                    input::fit(app, &look, size);
                    effects.extend(take(app, &look, &mut size, key, time(player)));
                }
                effects
            }
            _ = tick.tick() => match player {
                Some(player) => app.update(Msg::Replay(player.state()), player.now()),
                None => {
                    let now = clock::mono();
                    if recorder.runs() {
                        recorder.take(now, Seen::Tick);
                        app.update(Msg::Recorded(recorder.grown()), now);
                    }
                    app.update(Msg::Tick, now)
                }
            },
            effects = play_on(player, app) => effects,
            Some(event) = probes.next() => {
                let now = clock::mono();
                if recorder.runs() {
                    let mut event = event.clone();
                    app.choose(&mut event);
                    recorder.take(now, Seen::Probe(event));
                }
                app.update(Msg::Probe(event), now)
            }
            Some(answer) = answers.recv() => {
                if let (Msg::Cgroups(known), true) = (&answer, recorder.runs()) {
                    recorder.take(clock::mono(), Seen::Cgroups(known.clone()));
                }
                app.update(answer, time(player))
            }
            told = recorder.told() => app.update(Msg::Recorded(told), time(player)),
            saved = saver.done() => app.update(Msg::Saved(saved), time(player)),
            () = sleep_until(panic_at) => terminal::panic_as_asked(),
        };
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(End::Requested),
                // What the terminal would send; this process takes it as a signal, too.
                Effect::Suspend => kill(Pid::from_raw(0), nix::sys::signal::Signal::SIGTSTP)?,
                Effect::Redraw => {
                    asked |= key_came;
                    let at = if key_came { answered + KEY_FRAME } else { drawn + FRAME };
                    due = Some(due.map_or(at, |d| d.min(at)));
                }
                Effect::Talkers(command) => probes.send(command),
                Effect::Copy(text) => {
                    app.update(Msg::Copied(screen.copy(&text)?), time(player));
                }
                Effect::AskAfter(keys) if can_ask => {
                    app.update(Msg::Ended(alive::gone(&keys)), clock::mono());
                }
                Effect::Describe(asked) if can_ask => asker.who(asked),
                Effect::Describe(asked) => {
                    app.update(
                        Msg::Described(asked.key, Box::new(ProcessInfo::ELSEWHERE)),
                        time(player),
                    );
                }
                Effect::Save(changes) => saver.save(changes),
                Effect::Record(true) => recorder.begin(app.known_before(), clock::mono()),
                Effect::Record(false) => recorder.end(clock::mono()),
                Effect::Cgroups(ids) if can_ask => asker.cgroups(ids),
                Effect::Parents(pids) if can_ask => asker.parents(pids),
                Effect::Names(addresses) => asker.names(addresses),
                Effect::Replay(command) => {
                    if let Some(player) = player {
                        player.obey(command, app);
                        due = Some(Instant::now());
                    }
                }
                Effect::AskAfter(_) | Effect::Cgroups(_) | Effect::Parents(_) => {}
            }
        }
    }
}

/// Waits until a recording tells something, and takes it in; for ever without one.
async fn play_on(player: &mut Option<Player>, app: &mut App) -> Vec<Effect> {
    match player {
        Some(player) => {
            player.due().await;
            player.advance(app)
        }
        None => std::future::pending().await,
    }
}

/// Sleeps until then; for ever without a time.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
