//! `talkers`: one interval of one interface and direction, with its addresses.

use super::{Line, PerSecond, Record, Rows, Seconds, Text, Visitor, key};
use crate::model::talkers::{Source, TalkersSample};

/// An address of an interval: an object in JSON, a row in CSV.
#[derive(Clone, Copy, Debug)]
pub struct SourceRow<'a> {
    pub sample: &'a TalkersSample,
    pub source: &'a Source,
}

impl Line for &TalkersSample {
    const TYPE: &'static str = "talkers";
}

impl Record for &TalkersSample {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        sample(v);
        v.field(key!("sources", "the addresses, those with the most bytes first"), |s| {
            Rows(s.sources.iter().map(|source| SourceRow { sample: s, source }))
        });
    }
}

impl Record for SourceRow<'_> {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("ip", "source address for rx, destination address for tx (RFC 5952)"), |r| {
            r.source.ip
        });
        v.field(key!("since", "when the address entered the table; its counts begin there"), |r| {
            r.source.since
        });
        v.field(key!("packets" as "source_packets", "packets since then"), |r| {
            r.source.total.packets
        });
        v.field(
            key!("bytes" as "source_bytes", ["bytes"], "bytes since then, with Ethernet header"),
            |r| r.source.total.bytes,
        );
        v.field(key!("pps", ["packets/s"], "packets per second in the last interval"), |r| {
            PerSecond(r.source.delta.packets, r.sample.interval_ns)
        });
        v.field(key!("bps", ["bits/s"], "bits per second in the last interval"), |r| {
            PerSecond(r.source.delta.bytes.saturating_mul(8), r.sample.interval_ns)
        });
    }
}

/// The row of CSV: the interval, then the address.
#[derive(Clone, Copy, Debug)]
pub struct CsvRow<'a>(pub SourceRow<'a>);

impl Line for CsvRow<'_> {
    const TYPE: &'static str = <&TalkersSample>::TYPE;
}

impl Record for CsvRow<'_> {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        sample(&mut v.of(|row: Self| row.0.sample));
        SourceRow::fields(&mut v.of(|row: Self| row.0));
    }
}

/// The fields of the interval, without its addresses.
fn sample<'a, V: Visitor<&'a TalkersSample>>(v: &mut V) {
    v.field(key!("interface", "name of the interface"), |s| Text(s.interface.as_bytes()));
    v.field(key!("direction", "rx or tx"), |s| s.direction.name());
    v.field(key!("interval_s", ["s"], "length of the interval, as measured"), |s| {
        Seconds(s.interval_ns)
    });
    v.field(key!("packets", "packets of the interface since ready"), |s| s.total.packets);
    v.field(key!("bytes", ["bytes"], "bytes of the interface since ready"), |s| s.total.bytes);
    v.field(
        key!("other_packets", "packets of no listed address: evicted, not IP, or beyond --top"),
        |s| s.other.packets,
    );
    v.field(key!("other_bytes", ["bytes"], "bytes of no listed address"), |s| s.other.bytes);
    v.field(key!("partial", "why counts may be incomplete or inexact, reasons separated by `; `; null where they are whole"), |s| {
        s.partial.as_deref().map(|why| Text(why.as_bytes()))
    });
}
