//! Lines with hostile names of files, processes, cgroups and interfaces act on no terminal and no spreadsheet.

use super::csv::Csv;
use super::json::Json;
use super::lines::{Lines, OpenLine};
use super::text::Text;
use super::*;
use crate::cli::Kind;
use crate::model::cgroup::Cgroup;
use crate::model::escape::{escape, needs_escape};
use crate::model::open::{Comm, OpenBatch, ResolvedKind};

/// The fields of a row of CSV, as a spreadsheet reads them.
fn fields(row: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().unwrap();
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    assert!(!quoted, "{row}");
    fields
}

#[test]
fn lines_with_any_names_are_inert() {
    crate::testing::fuzz::check("lines", |bytes| {
        // Path, resolved path, thread, process, cgroup, interface.
        let mut parts = bytes.split(|b| *b == 0);
        let mut part = || parts.next().unwrap_or_default();
        let (path, resolved, comm, process, group, interface) =
            (part(), part(), part(), part(), part(), part());
        let mut batch = OpenBatch::default();
        for open in sample::opens().iter() {
            let mut meta = *open.meta;
            meta.comm = Comm::new(comm);
            meta.process = Comm::new(process);
            batch.push(meta, Some(path), Some((ResolvedKind::Opened, resolved)));
        }
        let cgroup = Cgroup::at(group);
        let mut talkers = sample::talkers();
        talkers.interface = interface.into();
        talkers.partial = Some(talkers.interface.to_string());

        let written = |lines: &mut dyn Lines, opens: bool| {
            let mut out = Vec::new();
            lines.header(&mut out);
            for open in batch.iter().filter(|_| opens) {
                let line = OpenLine { open, wall: batch.wall, cgroup: Some(&cgroup) };
                lines.open(&mut out, &line);
            }
            if !opens {
                lines.talkers(&mut out, &talkers);
            }
            let text = String::from_utf8(out).unwrap();
            assert!(text.ends_with('\n') && !text.chars().any(|c| c != '\n' && needs_escape(c)));
            text
        };
        for line in
            (written(&mut Json::default(), true) + &written(&mut Json::default(), false)).lines()
        {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["type"] == "talkers" || value["path"] == *escape(path));
        }
        for kind in [Kind::Opens, Kind::Talkers] {
            let text = written(&mut Csv::new(kind), kind == Kind::Opens);
            let rows: Vec<_> = text.lines().map(fields).collect();
            for row in &rows {
                assert_eq!(row.len(), rows[0].len(), "{text}");
                assert!(!row.iter().any(|field| field.starts_with(['=', '+', '-', '@'])), "{text}");
            }
        }
        assert_eq!(written(&mut Text::new(false, true), true).lines().count(), 2);
        written(&mut Text::new(true, false), false);
    });
}
