//! Every kind of line with its keys and with examples, for the documentation.

use clap::ValueEnum;

use super::conns;
use super::csv::Csv;
use super::json::Json;
use super::lines::{
    FileLine, IoLine, Lines, ListenerLine, Loss, Lost, Note, OpenLine, ProcessLine, SlowLine,
    UnderWayLine,
};
use super::record::{Described, Line, Record, Type, describe, key};
use super::sample;
use super::summary::{Ready, Summary};
use crate::cli::Kind;
use crate::model::connections::Connections;
use crate::model::listener::{Listener, ListenerEvent};
use crate::model::talkers::TalkersSample;
use crate::model::time::Stamp;
use crate::model::under_way::Waiting;

/// A kind of JSON line.
#[derive(Clone, Debug)]
pub struct Documented {
    /// Its `type`.
    pub name: &'static str,
    /// Its keys, in their order.
    pub keys: Vec<Described>,
    /// Lines of made-up data that have every key.
    pub examples: Vec<String>,
}

/// Keys of every line.
fn common() -> [Described; 2] {
    let described = |key, of| Described { key, of, null: false, optional: false };
    [
        described(key!("type", "the kind of line"), Type::String),
        described(
            key!("time", "when it happened, or when the interval ended: RFC 3339, UTC, 9 digits"),
            Type::Time,
        ),
    ]
}

/// A kind of lines.
fn line<L: Line>(examples: Vec<String>) -> Documented {
    described::<L>(L::TYPE, examples)
}

/// Lines of this name, by their record.
pub(crate) fn described<R: Record>(name: &'static str, examples: Vec<String>) -> Documented {
    let keys = common().into_iter().chain(describe::<R>()).collect();
    Documented { name, keys, examples }
}

fn written(write: impl FnOnce(&mut Json, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut Json::default(), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn note(note: &Note<'_>) -> String {
    written(|json, out| {
        json.note(out, note);
    })
}

/// Opens of every kind.
fn opens() -> Vec<String> {
    let (batch, cgroup) = (sample::opens(), sample::cgroup());
    let direct = sample::direct();
    let lines = batch.iter().chain(direct.iter());
    let write = |open| {
        let line = OpenLine { open, wall: batch.wall, cgroup: Some(&cgroup) };
        written(|json, out| json.open(out, &line))
    };
    lines.map(write).collect()
}

/// A program that was started, and processes that have ended.
fn processes() -> Vec<String> {
    let (events, cgroup) = (sample::processes(), sample::cgroup());
    let write = |event| {
        let line = ProcessLine { event, wall: events.wall, cgroup: Some(&cgroup) };
        written(|json, out| json.process(out, &line))
    };
    events.events.iter().map(write).collect()
}

/// Changes of files.
fn files() -> Vec<String> {
    let (events, cgroup) = (sample::files(), sample::cgroup());
    let write = |event| {
        let line = FileLine { event, wall: events.wall, cgroup: Some(&cgroup) };
        written(|json, out| json.file(out, &line))
    };
    events.events.iter().map(write).collect()
}

/// A process and a file, and the rest of the interval.
fn io() -> Vec<String> {
    let (sample, cgroup) = (sample::io(), sample::cgroup());
    let rest = IoLine {
        at: sample.at,
        interval_ns: sample.interval_ns,
        of: None,
        counts: sample.other,
        other_slow: Some(0),
        cgroup: None,
    };
    let one = |of| IoLine { of: Some(of), counts: of.counts, cgroup: Some(&cgroup), ..rest };
    let lines = sample.uses.iter().map(one).chain([rest]);
    lines.map(|line| written(|json, out| json.io(out, &line))).collect()
}

/// A write that waited, and a read that failed.
fn slow() -> Vec<String> {
    let (slow, cgroup) = (sample::slow(), sample::cgroup());
    let write = |event| {
        let line = SlowLine { event, wall: slow.wall, cgroup: Some(&cgroup) };
        written(|json, out| json.slow(out, &line))
    };
    slow.calls.iter().map(write).collect()
}

/// A listener that is there at the start, one of another namespace that is new, and one that has gone.
fn listeners() -> Vec<String> {
    let (found, cgroup) = (sample::listeners(), sample::cgroup());
    let at = Stamp { mono: found.at, wall: found.wall };
    let events = [ListenerEvent::Seen, ListenerEvent::Listen, ListenerEvent::Close];
    let write = |(event, row): (ListenerEvent, &Listener)| {
        let (cgroup, problem) = (row.owner.map(|_| &cgroup), found.problem.as_deref());
        let line = ListenerLine { at, event, row, cgroup, problem };
        written(|json, out| json.listener(out, &line))
    };
    events.into_iter().zip(&found.rows).map(write).collect()
}

/// Every kind of line.
pub fn documented() -> Vec<Documented> {
    let (ready, summary) = (sample::ready(), sample::summary());
    let at = summary.at;
    let lost = [
        (Loss::Opens, 512),
        (Loss::Connections, 20),
        (Loss::Processes, 3),
        (Loss::Files, 7),
        (Loss::SlowCalls, 2),
        (Loss::Lines, 340),
    ];
    vec![
        line::<&Ready>(ready.iter().map(|r| note(&Note::Ready(r))).collect()),
        line::<&OpenLine<'_>>(opens()),
        line::<FileLine<'_>>(files()),
        line::<ProcessLine<'_>>(processes()),
        line::<IoLine<'_>>(io()),
        line::<SlowLine<'_>>(slow()),
        line::<ListenerLine<'_>>(listeners()),
        line::<&TalkersSample>(vec![written(|json, out| json.talkers(out, &sample::talkers()))]),
        line::<Lost>(
            lost.map(|(loss, count)| note(&Note::Lost(Lost { at, loss, count }))).to_vec(),
        ),
        line::<UnderWayLine<'_>>(under_way(at).to_vec()),
        line::<&Summary>(vec![note(&Note::Summary(&summary))]),
    ]
}

/// Lines of an open and of a read.
fn under_way(at: Stamp) -> [String; 2] {
    let (open, read) = (sample::under_way(at.mono), sample::file_call_under_way(at.mono));
    [Waiting::from(&open), Waiting::from(&read)]
        .map(|waiting| note(&Note::UnderWay(UnderWayLine { at, waiting })))
}

/// Every key that a line has at its top, and every column of CSV.
pub(super) fn own_names() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, header) in csv_headers() {
        names.extend(header.trim_end().split(',').map(str::to_owned));
    }
    for line in documented() {
        names.extend(line.keys.iter().map(|key| key.key.name.to_owned()));
    }
    let owners = conns::owners(&Connections::default(), &[]);
    names.extend(owners.iter().map(|(key, _)| (*key).to_owned()));
    names
}

/// The header line of CSV for each kind.
pub fn csv_headers() -> Vec<(&'static str, String)> {
    let header = |kind: Kind| {
        let mut out = Vec::new();
        Csv::new(kind).header(&mut out);
        (kind.name(), String::from_utf8(out).unwrap_or_default())
    };
    Kind::value_variants().iter().copied().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::own_names;

    #[test]
    fn the_keys_of_every_kind_are_taken() {
        let own = own_names();
        for name in ["type", "time", "pid", "host", "source_bytes", "remote_ip", "processes"] {
            assert!(own.iter().any(|own| own == name), "{name}");
        }
    }
}
