//! The lines above the rows of a process's detail view.

use std::borrow::Cow;

use super::detail_lines::{Field, Fit, directories, failures, field, path, tally};
use super::look::Look;
use super::num;
use crate::app::App;
use crate::model::connections::{Connections, Net};
use crate::model::escape::escape;
use crate::model::opens::Process;
use crate::model::process::ProcessKey;
use crate::model::process_event::{ExitStatus, LastEvents, ProcessEvent};
use crate::model::process_info::{Descriptors, ProcessDetails, ProcessInfo, Unread};
use crate::model::time::{Mono, NS_PER_SEC, date_time};
use crate::model::under_way::Waiting;

/// The lines of a process. Of one that ended before /proc was read, its events have what they say.
pub(super) fn process<'a>(app: &'a App, look: &Look, p: &Process) -> Vec<Field<'a>> {
    let last = LastEvents::of(&app.data.process_log, p.key, app.shown_at());
    let answer = app.process_info(p.key);
    let facts = answer.map(|(who, at)| (who.facts.as_ref(), *at));
    let unread = match facts {
        None => "reading",
        Some((Err(Unread::Gone), _)) => "exited before it could be read",
        Some((Err(Unread::Elsewhere), _)) => "not recorded",
        Some((Ok(_), _)) => "?",
    };
    let known = facts.and_then(|(f, at)| f.ok().map(|f| (f, at)));
    let none = look.glyphs.none;
    let who = answer.map(|(who, _)| who);
    let or_none =
        |texts: Vec<String>| if texts.is_empty() { none.into() } else { texts.join("  ") };
    let exe = match known {
        Some((facts, _)) => exe(facts, none),
        None => last.executable().map_or(unread.into(), |path| escape(path).into_owned()),
    };
    let cut = look.glyphs.cut;
    let command = match (known, last.args()) {
        (Some((facts, _)), _) => command(facts.args.iter().map(Vec::as_slice), facts.args_cut, cut),
        (None, Some(args)) => command(args.iter(), args.is_cut(), cut),
        (None, None) => "?".into(),
    };
    let started = match known {
        Some((facts, at)) => started(app, facts, at),
        None => last.any().map_or("?".into(), |event| made(app, event)),
    };
    let cgroup = who.and_then(|w| w.cgroup.as_ref()).or_else(|| app.cgroup_of(p));
    let container = cgroup.and_then(|c| c.owner.container());
    let pod = cgroup.and_then(|c| c.owner.pod()).map(|pod| format!("pod {pod}"));
    // Beside a pod's uid, the container's first twelve digits; the cgroup's path has all.
    let digits = if pod.is_some() { 12 } else { 64 };
    let container = container.map(|id| id.get(..digits).unwrap_or(id).to_owned());
    let names = app.cgroup_of(p).and_then(|c| c.names.as_deref());
    let names = names.map(|names| escape(names.label().as_bytes()).into_owned());
    let owner: Vec<String> = names.into_iter().chain(container).chain(pod).collect();
    let cgroup = cgroup.map_or(Cow::Borrowed("?"), |c| escape(&c.path));
    let mut lines = vec![
        field(0, "process", identity(app, p, who, last.any())),
        field(3, "opens", tally(app, look, &p.tally, app.opens().rate_of(&p.meter))),
        field(4, "failed", failures(app, look, p.tally.failed)),
        field(9, "dirs", directories(app, look)),
        field(5, "started", started),
        path(1, "exe", exe),
        Field { fit: Fit::Wrap, ..field(2, "command", command) },
        field(6, "parents", known_parents(app, look, known.map(|(f, _)| f))),
        path(7, "cgroup", cgroup),
        field(8, "container", or_none(owner)),
    ];
    let threads = match known {
        Some((f, _)) => threads(f, look.glyphs.times),
        None => or_none(p.threads.iter().map(|t| escape(t.as_bytes()).into_owned()).collect()),
    };
    lines.push(field(10, "threads", threads));
    let waits = app.under_way().and_then(|found| found.of(p.key));
    let waits = waits.map(|waiting| field(1, "waits", waits_in(app, &waiting)));
    let exit = last.exit.map(|(event, status)| field(1, "exit", exit(look, event, status)));
    for urgent in waits.into_iter().chain(exit) {
        lines.iter_mut().filter(|line| line.rank >= 1).for_each(|line| line.rank += 1);
        lines.insert(1, urgent);
    }
    let held = known.and_then(|(f, _)| f.descriptors.as_ref());
    let held = held.map(|open| descriptors(app, look.glyphs.times, p.key, open));
    lines.push(field(11, "holds", held.unwrap_or("?".into())));
    if let Some(net) = app.owners().and_then(|owners| owners.process(p.key)) {
        for line in lines.iter_mut().filter(|line| line.rank >= 3) {
            line.rank += 1;
        }
        let polled = app.owners().is_some_and(Connections::polled);
        lines.insert(3, field(3, "traffic", traffic(look, net, polled)));
    }
    lines
}

/// A call that has not returned.
fn waits_in(app: &App, waiting: &Waiting<'_>) -> String {
    let age = num::age(app.shown_at().since(waiting.since));
    let path = waiting.path.map_or(Cow::Borrowed("?"), escape);
    format!("{age} in {}: {path}, thread {}", waiting.call.name(), waiting.tid)
}

/// The status that a process ended with, and how long it lived.
fn exit(look: &Look, event: &ProcessEvent, status: ExitStatus) -> String {
    let lived = match event.age_ns {
        ns if ns < NS_PER_SEC => num::latency(ns, look.glyphs.micro),
        ns => num::age(ns),
    };
    format!("{} after {lived}", status.text())
}

/// The number of descriptors, their growth, and their kinds.
fn descriptors(app: &App, times: &str, key: ProcessKey, open: &Descriptors) -> String {
    let count = open.count as u64;
    let mut text =
        format!("{} descriptor{}", num::grouped(count), if count == 1 { "" } else { "s" });
    if let Some((more, since)) = app.descriptors_more(key).filter(|(more, _)| *more != 0) {
        text.push_str(&format!(
            " ({}{} in {})",
            if more < 0 { "-" } else { "+" },
            num::grouped(more.unsigned_abs()),
            num::age(app.shown_at().since(since))
        ));
    }
    let cut = open.count > open.listed.len();
    text.push_str(if cut { "  of the first:" } else { " " });
    for (kind, n) in open.kinds() {
        text.push_str(&format!(" {} {times}{}", escape(&kind), num::grouped(n as u64)));
    }
    text
}

fn traffic(look: &Look, net: &Net, polled: bool) -> String {
    let n =
        |n: u64, what: &str| format!("{} {what}{}", num::grouped(n), if n == 1 { "" } else { "s" });
    let bytes = |bytes: u64| match polled {
        true => look.glyphs.none.to_owned(),
        false => num::grouped(bytes),
    };
    format!(
        "rx {} bytes  tx {}  {}  {} live of {}{}",
        bytes(net.total.rx_bytes),
        bytes(net.total.tx_bytes),
        n(net.peers.into(), "peer"),
        net.live,
        n(net.begun, "connection"),
        if polled { "  (procfs)" } else { "" },
    )
}

fn identity(
    app: &App,
    p: &Process,
    who: Option<&ProcessInfo>,
    event: Option<&ProcessEvent>,
) -> String {
    let mut text = String::new();
    if let Some(at) = p.ended {
        text = format!("ended {} ago  ", num::age(app.shown_at().since(at)));
    }
    // Only the first two processes have none; of others it is unknown before they open something, or an event.
    let parent = match (p.ppid, event) {
        (0, Some(event)) => event.ppid.to_string(),
        (0, None) if p.key.tgid > 2 => "?".into(),
        (ppid, _) => ppid.to_string(),
    };
    text.push_str(&format!("pid {}  parent {parent}  uid {}", p.key.tgid, p.uid));
    if let Some(user) = who.and_then(|w| w.user.as_ref()) {
        text.push_str(&format!(" {}", escape(user.as_bytes())));
    }
    text
}

fn exe(facts: &ProcessDetails, none: &str) -> String {
    facts.exe.as_ref().map_or(none.into(), |path| escape(path).into_owned())
}

/// The command line, with quotes around arguments that are empty or have spaces.
fn command<'a>(args: impl Iterator<Item = &'a [u8]>, is_cut: bool, sign: &str) -> String {
    let mut text = String::new();
    for arg in args {
        if !text.is_empty() {
            text.push(' ');
        }
        let quote = if arg.is_empty() || arg.contains(&b' ') { "'" } else { "" };
        text.push_str(&format!("{quote}{}{quote}", escape(arg)));
    }
    if is_cut {
        text.push_str(sign);
    }
    if text.is_empty() { "(none)".into() } else { text }
}

fn started(app: &App, facts: &ProcessDetails, read: Mono) -> String {
    let ns = facts.started_ns.saturating_add(app.shown_at().since(read));
    format!("{}, {} ago", facts.started, num::age(ns))
}

/// The same by an event of the process, which has its age.
fn made(app: &App, event: &ProcessEvent) -> String {
    let ago = num::age(app.shown_at().since(event.at).saturating_add(event.age_ns));
    let began = Mono(event.at.0.saturating_sub(event.age_ns));
    match app.data.wall {
        Some(wall) => format!("{}, {ago} ago", date_time(wall, began, &app.zone)),
        None => format!("{ago} ago"),
    }
}

/// The ancestors as /proc has them, or, where the process has ended, as far as they were seen.
fn known_parents(app: &App, look: &Look, facts: Option<&ProcessDetails>) -> String {
    let (sign, none) = (look.glyphs.into, look.glyphs.none);
    let seen = &app.opens_pane.ancestors;
    match facts {
        Some(facts) if !facts.parents.is_empty() || seen.is_empty() => parents(facts, sign, none),
        None if seen.is_empty() => "?".into(),
        _ => {
            let names = seen.iter().map(|a| format!("{} {}", a.pid, escape(a.name.as_bytes())));
            names.collect::<Vec<_>>().join(&format!(" {sign} "))
        }
    }
}

fn parents(facts: &ProcessDetails, sign: &str, none: &str) -> String {
    let names = facts.parents.iter().map(|p| format!("{} {}", p.pid, escape(&p.name)));
    let names: Vec<_> = names.collect();
    if names.is_empty() { none.into() } else { names.join(&format!(" {sign} ")) }
}

fn threads(facts: &ProcessDetails, times: &str) -> String {
    let mut text = facts.thread_count.to_string();
    for (name, n) in &facts.threads {
        text.push_str(&format!("  {}", escape(name)));
        if *n > 1 {
            text.push_str(&format!(" {times}{n}"));
        }
    }
    text
}
