//! The cells of a timeline: the time of an event, and the event in words.

use super::look::Look;
use super::num;
use super::text::{Line, cut};
use crate::app::App;
use crate::model::conn::{Carried, TCP, UDP};
use crate::model::connections::{NetActivity, What};
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::model::file_change::{FileChange, Name};
use crate::model::file_io::IoCounts;
use crate::model::process_event::{ProcessAction, ProcessEvent};
use crate::model::slow_call::SlowCall;
use crate::model::time::clock_time;
use crate::model::timeline::{TimelineAction, TimelineEntry};

/// The time of day with milliseconds; where no wall clock is known, how long ago.
pub(super) fn time(app: &App, look: &Look, moment: &TimelineEntry, line: &mut Line<'_>) {
    let text = match app.data.wall {
        Some(wall) => {
            let ms = wall.unix_ns(moment.at).rem_euclid(1_000_000_000) / 1_000_000;
            format!("{}.{ms:03}", clock_time(wall, moment.at, &app.zone))
        }
        None => num::age(app.shown_at().since(moment.at)),
    };
    line.put(&text, look.theme.quiet);
}

pub(super) fn activity(app: &App, look: &Look, moment: &TimelineEntry, line: &mut Line<'_>) {
    let theme = look.theme;
    let sent = moment.watched.is_some() && matches!(moment.did, TimelineAction::OnTheWire(_));
    line.put(if sent { look.glyphs.lit } else { " " }, theme.note);
    if let Some((key, name)) = moment.by {
        let name = escape(name.as_bytes());
        let who = if key.tgid == 0 {
            format!("{name} (evicted) ")
        } else {
            format!("{name} {} ", key.tgid)
        };
        line.put(&who, theme.text);
    }
    match &moment.did {
        TimelineAction::Used { path, opens, ret, io } => {
            let (path, opens, ret) = (*path, *opens, *ret);
            let (word, style) = match ret {
                _ if opens == 0 => (String::new(), theme.quiet),
                ret if ret < 0 => (format!("{} ", errno_name(ret.saturating_neg())), theme.bad),
                _ => ("opened ".to_owned(), theme.quiet),
            };
            line.put(&word, style);
            if opens > 1 {
                line.put(&format!("({opens} times) "), theme.quiet);
            }
            line.put(&moved_words(io, app.screen.units.binary), theme.quiet);
            let bytes = app.opens().paths().get(path).map_or(&[][..], |p| &p.bytes);
            let style = if moment.watched.is_some() { theme.strong } else { theme.text };
            line.put_path(bytes, look.glyphs.cut, style);
        }
        TimelineAction::OnTheWire(did) => {
            let room = line.room();
            line.put(&cut(&words(did), room, look.glyphs.cut), theme.text);
        }
        TimelineAction::Changed(event) => {
            let room = line.room();
            let style = if event.errno.is_some() { theme.bad } else { theme.text };
            let words = change_words(event, look.glyphs.into);
            line.put(&cut(&words, room, look.glyphs.cut), style);
        }
        TimelineAction::Slow(call) => {
            let room = line.room();
            let style = if call.errno().is_some() { theme.bad } else { theme.text };
            let words = slow_words(call, look.glyphs.micro);
            line.put(&cut(&words, room, look.glyphs.cut), style);
        }
        TimelineAction::Process(event) => {
            let room = line.room();
            let style = match &event.action {
                ProcessAction::Exit(status) if status.0 != 0 => theme.bad,
                _ => theme.text,
            };
            line.put(&cut(&process_words(event), room, look.glyphs.cut), style);
        }
    }
}

/// Bytes read and written, in words.
fn moved_words(io: &IoCounts, binary: bool) -> String {
    let of = |word, calls, bytes: u64| match calls {
        0 => String::new(),
        _ => format!("{word} {} B ", num::scaled(bytes as f64, binary)),
    };
    of("read", io.read_calls, io.read_bytes) + &of("wrote", io.write_calls, io.written_bytes)
}

/// A change of a file, in words.
fn change_words(event: &FileChange, arrow: &str) -> String {
    let name = |name: &Name| escape(name.best().unwrap_or(b"?")).into_owned();
    let error = event.errno.map_or(String::new(), |errno| format!("{} ", errno_name(errno)));
    let mut text = format!("{error}{} {}", event.op.name(), name(&event.path));
    if event.has_to() {
        text.push_str(&format!(" {arrow} {}", name(&event.to)));
    }
    text
}

/// A call that took long, in words.
fn slow_words(call: &SlowCall, micro: &str) -> String {
    let error = call.errno().map_or(String::new(), |errno| format!("{} ", errno_name(errno)));
    let took = num::latency(call.took_ns, micro);
    let bytes = call.moved().map_or(String::new(), |bytes| format!(" {bytes} B"));
    let path = escape(call.path().unwrap_or(b"?"));
    format!("{error}{} took {}{bytes} {path}", call.call.name(), took.trim_start())
}

/// A start of a program or an end of a process, in words.
fn process_words(event: &ProcessEvent) -> String {
    match &event.action {
        ProcessAction::Exec { args: Some(args), .. } => {
            let text: Vec<_> = args.iter().map(escape).collect();
            format!("exec {}", text.join(" "))
        }
        ProcessAction::Exec { args: None, executable } => {
            let path = executable.as_deref().unwrap_or(event.comm.as_bytes());
            format!("exec {}", escape(path))
        }
        ProcessAction::Exit(status) => format!("exit {}", status.text()),
    }
}

/// An activity on the network, in words.
fn words(activity: &NetActivity) -> String {
    let bytes =
        |carried: &Carried| format!("rx {} tx {} bytes", carried.rx_bytes, carried.tx_bytes);
    match activity {
        NetActivity::Carried { ip, carried } => format!("{ip}  {}", bytes(carried)),
        NetActivity::Conn { what, protocol, local, remote, error, carried } => {
            let end = match (what, remote.port()) {
                (What::Accept, _) => format!("on port {local} from {remote}"),
                (_, 0) => format!("port {local}"),
                _ => remote.to_string(),
            };
            let protocol = match *protocol {
                TCP => "tcp".into(),
                UDP => "udp".into(),
                other => other.to_string(),
            };
            let error = match i32::try_from(*error) {
                Ok(0) | Err(_) => String::new(),
                Ok(error) => format!(" {}", errno_name(error)),
            };
            let carried = match what {
                What::Close => {
                    carried.as_ref().map_or(String::new(), |c| format!("  {}", bytes(c)))
                }
                _ => String::new(),
            };
            format!("{} {protocol} {end}{error}{carried}", what.name())
        }
    }
}
