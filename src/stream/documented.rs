//! Every kind of line with its keys and with examples, for the documentation.

use super::csv::Csv;
use super::json::Json;
use super::lines::{Lines, Note, OpenLine};
use super::record::{Described, Lost, Record, Type, describe, key};
use super::sample;
use super::tally::{Ready, Summary};
use crate::cli::Kind;
use crate::model::talkers::TalkersSample;

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

/// A kind of lines, by its record.
pub(crate) fn line<R: Record>(name: &'static str, examples: Vec<String>) -> Documented {
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

/// Every kind of line.
pub fn documented() -> Vec<Documented> {
    let (ready, summary) = (sample::ready(), sample::summary());
    let at = summary.at;
    vec![
        line::<&Ready>("ready", ready.iter().map(|r| note(&Note::Ready(r))).collect()),
        line::<&OpenLine<'_>>("open", opens()),
        line::<&TalkersSample>(
            "talkers",
            vec![written(|json, out| json.talkers(out, &sample::talkers()))],
        ),
        line::<Lost>(
            "lost",
            vec![
                note(&Note::Lost { at, opens: 512 }),
                note(&Note::LostConnections { at, connections: 20 }),
            ],
        ),
        line::<&Summary>("summary", vec![note(&Note::Summary(&summary))]),
    ]
}

/// The header line of CSV for each kind.
pub fn csv_headers() -> Vec<(&'static str, String)> {
    let header = |(name, kind)| {
        let mut out = Vec::new();
        Csv::new(kind).header(&mut out);
        (name, String::from_utf8(out).unwrap_or_default())
    };
    [("opens", Kind::Opens), ("talkers", Kind::Talkers), ("connections", Kind::Connections)]
        .map(header)
        .to_vec()
}
