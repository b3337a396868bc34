//! Takes the lines of `stream` and adds them up; the end of the run writes the rows.

use clap::ValueEnum as _;

use super::connections::{Conns, missing};
use super::listener_rows::{chosen, first};
use super::row::{Row, WithRecord, with_record};
use super::sums::Sums;
use super::table::Table;
use crate::cli::{By, Format, Kind};
use crate::model::connections::{Change, Connections, Net};
use crate::model::coverage::Attribution;
use crate::model::listener::KnownListeners;
use crate::model::talkers::TalkersSample;
use crate::model::time::{NS_PER_SEC, Stamp, WallOffset};
use crate::session::Choose;
use crate::stream::record::Record;
use crate::stream::{
    self, Csv, Documented, FileLine, IoLine, IoSummary, Json, Lines, ListenerLine, Note, OpenLine,
    ProcessLine, SlowLine, Summary, described,
};

/// The `type` of the lines.
const KIND: &str = "report";

/// The counts, and how they will be written.
#[derive(Debug)]
pub(super) struct Gather {
    by: By,
    top: usize,
    format: Format,
    choose: Choose,
    pub(super) sums: Sums,
    conns: Conns,
    listeners: Vec<Row>,
}

impl Gather {
    pub(super) fn new(by: By, top: usize, format: Format, choose: Choose) -> Self {
        let (sums, conns, listeners) = Default::default();
        Self { by, top, format, choose, sums, conns, listeners }
    }

    /// Writes the rows, largest first.
    fn write(&self, out: &mut Vec<u8>, summary: &Summary) {
        let (rows, more) = match self.by {
            By::Connection => (self.conns.rows(self.top), None),
            By::Listener => {
                let (rows, heading) = first(self.listeners.clone(), self.top);
                (rows, Some(heading))
            }
            by => (self.sums.rows(by, self.top), None),
        };
        if self.format == Format::Text {
            let more = more.map(|more| format!(" · {more}")).unwrap_or_default();
            out.extend_from_slice((self.heading(summary) + &more + "\n").as_bytes());
            if self.by == By::Listener && rows.is_empty() {
                return;
            }
        }
        write_rows(self.by, &rows, self.format, summary.at, out);
    }

    /// The line above a table.
    fn heading(&self, summary: &Summary) -> String {
        let seconds = summary.duration_ns as f64 / NS_PER_SEC as f64;
        let mut text = format!("by {} · {seconds:.1} s", self.by.name());
        if let Some(opens) = summary.opens {
            let (counted, failed) = self.sums.opens();
            text.push_str(&format!(" · {counted} opens · {failed} failed · lost {}", opens.lost));
        }
        if let Some(io) = summary.io {
            let IoSummary { counts, untimed, uncounted, .. } = io;
            text.push_str(&format!(
                " · read {} bytes · wrote {} bytes",
                counts.read_bytes, counts.written_bytes
            ));
            for (calls, which) in [
                (io.unknown_calls(), "calls on descriptors closed meanwhile"),
                (untimed, "calls without a duration"),
                (uncounted, "requests not counted (io_submit, io_uring)"),
            ] {
                if calls > 0 {
                    text.push_str(&format!(" · {calls} {which}"));
                }
            }
        }
        if let Some((rx, tx)) = summary.talkers {
            text.push_str(&format!(" · rx {} bytes · tx {} bytes", rx.bytes, tx.bytes));
        }
        match (summary.connections, summary.coverage.attribution) {
            (Some(_), Some(Attribution::Procfs)) => {
                text.push_str(" · connections: procfs, bytes unknown");
            }
            (Some(connections), _) => {
                text.push_str(&format!(" · connection events lost {}", connections.lost));
            }
            _ => {}
        }
        text
    }
}

/// Writes rows: as a table, or as lines of a moment.
pub(super) fn write_rows(by: By, rows: &[Row], format: Format, at: Stamp, out: &mut Vec<u8>) {
    match format {
        Format::Text => {
            let mut table = Table::default();
            with_record(by, rows, &mut table);
            out.append(&mut table.out);
        }
        Format::Json | Format::Csv => with_record(by, rows, &mut AsLines { out, at, format }),
    }
}

/// Writes the header line of a table in CSV.
pub(super) fn csv_header(by: By, out: &mut Vec<u8>) {
    with_record(by, &[], &mut Header(out));
}

impl Lines for Gather {
    fn header(&mut self, out: &mut Vec<u8>) {
        if self.format == Format::Csv {
            csv_header(self.by, out);
        }
    }

    fn open(&mut self, _out: &mut Vec<u8>, line: &OpenLine<'_>) {
        self.sums.open(&line.open, line.cgroup);
    }

    fn talkers(&mut self, _out: &mut Vec<u8>, sample: &TalkersSample) {
        self.sums.talkers(sample);
    }

    fn process(&mut self, _out: &mut Vec<u8>, _line: &ProcessLine<'_>) {}

    fn file(&mut self, _out: &mut Vec<u8>, _line: &FileLine<'_>) {}

    fn io(&mut self, _out: &mut Vec<u8>, line: &IoLine<'_>) {
        self.sums.io(line);
    }

    fn slow(&mut self, _out: &mut Vec<u8>, _line: &SlowLine<'_>) {}

    fn listener(&mut self, _out: &mut Vec<u8>, _line: &ListenerLine<'_>) {}

    fn last_listeners(&mut self, listeners: &KnownListeners) {
        // Not by the lines: one whose process is another may have no more of them.
        self.listeners = listeners.all().filter_map(|l| chosen(&self.choose, l.clone())).collect();
    }

    fn connection(&mut self, _out: &mut Vec<u8>, _wall: WallOffset, change: &Change) {
        if self.by == By::Connection {
            self.conns.take(change);
        }
    }

    fn owners(&mut self, _out: &mut Vec<u8>, _at: Stamp, owners: &Connections, processes: &[&Net]) {
        match self.by {
            // Those of the end have rows.
            By::Connection => {}
            _ => self.sums.connections(owners, processes),
        }
    }

    fn end(&mut self, connections: &Connections) -> Option<String> {
        if self.by != By::Connection {
            return None;
        }
        self.conns.take_living(connections, &self.choose);
        missing(connections)
    }

    /// The summary ends the run: it has the losses, too. `ready` stands on stderr.
    fn note(&mut self, out: &mut Vec<u8>, note: &Note<'_>) -> bool {
        let Note::Summary(summary) = note else { return !matches!(note, Note::Ready(_)) };
        self.write(out, summary);
        match self.format {
            Format::Text => true,
            Format::Json => Json::default().note(out, note),
            Format::Csv => false,
        }
    }
}

/// Writes rows as lines of JSON or CSV.
struct AsLines<'o> {
    out: &'o mut Vec<u8>,
    at: Stamp,
    format: Format,
}

impl WithRecord for AsLines<'_> {
    fn with<'a, R: Record>(&mut self, wrap: fn(&'a Row) -> R, rows: &'a [Row]) {
        let (mut json, mut csv) = (Json::default(), Csv::new(Kind::Opens));
        for row in rows {
            let record = wrap(row);
            match self.format {
                Format::Csv => csv.line(self.out, KIND, self.at.wall, self.at.mono, record),
                _ => json.line(self.out, KIND, self.at.wall, self.at.mono, record),
            }
        }
    }
}

/// Writes the header line of CSV.
struct Header<'o>(&'o mut Vec<u8>);

impl WithRecord for Header<'_> {
    fn with<'a, R: Record>(&mut self, _wrap: fn(&'a Row) -> R, _rows: &'a [Row]) {
        stream::csv_header::<R>(self.0);
    }
}

/// The tables with their keys and an example, for the documentation.
pub fn documented() -> Vec<Documented> {
    struct Keys(Vec<Documented>, &'static str);

    impl WithRecord for Keys {
        fn with<'a, R: Record>(&mut self, _wrap: fn(&'a Row) -> R, _rows: &'a [Row]) {
            self.0.push(described::<R>(self.1, Vec::new()));
        }
    }

    let mut keys = Keys(Vec::new(), "");
    for by in By::value_variants() {
        keys.1 = by.name();
        with_record(*by, &[], &mut keys);
    }
    keys.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ChooseArgs;
    use crate::settings::Settings;

    #[test]
    fn a_listener_whose_process_is_another_has_no_row_among_those_of_the_first() {
        let args = ChooseArgs { pid: Some(812), ..ChooseArgs::default() };
        let choose = Choose::new(&Settings::default(), &args).unwrap();
        let mut gather = Gather::new(By::Listener, 20, Format::Text, choose);
        let mut known = KnownListeners::default();
        let mut rows = |tgid| {
            let mut found = stream::sample::listeners();
            found.rows.truncate(1);
            found.rows[0].owner.as_mut().unwrap().key.tgid = tgid;
            known.follow(&mut found, |_, _| {});
            gather.last_listeners(&known);
            gather.listeners.iter().map(|row| row.pid).collect::<Vec<_>>()
        };
        assert_eq!(rows(812), [Some(812)]);
        assert_eq!(rows(813), []);
    }
}
