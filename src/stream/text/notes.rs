//! Lines about the run, for stderr.

use std::fmt::Write as _;

use crate::cli::Kind;
use crate::model::coverage::Attribution;
use crate::model::escape::escape;
use crate::model::talkers::Direction;
use crate::model::time::NS_PER_SEC;
use crate::stream::lines::{Loss, Lost, Note, UnderWayLine};
use crate::stream::summary::{Coverage, IoSummary, Ready, Summary, hook};

/// A line about the run, for stderr.
pub fn note(note: &Note<'_>) -> String {
    match note {
        Note::Ready(ready) => self::ready(ready),
        Note::Lost(lost) => self::lost(*lost),
        Note::UnderWay(UnderWayLine { at, waiting }) => {
            let path = waiting.path.map_or("?".into(), |path| escape(path));
            format!(
                "{} {} {}: {path}: under way for {:.1} s",
                escape(waiting.comm.as_bytes()),
                waiting.key.tgid,
                waiting.call.name(),
                at.mono.since(waiting.since) as f64 / 1e9
            )
        }
        Note::Summary(summary) => self::summary(summary),
    }
}

fn lost(lost: Lost) -> String {
    let Lost { loss, count, .. } = lost;
    let (verb, what, why) = match loss {
        Loss::Opens => ("lost", "opens", "the output is too slow, or opens come too fast"),
        Loss::Connections => ("lost", "connection events", "the output is too slow"),
        Loss::Processes => ("lost", "starts and ends of processes", "the output is too slow"),
        Loss::Files => {
            ("lost", "changes of files", "the output is too slow, or changes come too fast")
        }
        Loss::SlowCalls => ("lost", "slow calls", "the output is too slow, or --slow too low"),
        Loss::Lines => ("dropped", "lines", "the output is too slow"),
    };
    format!("{verb} {count} {what}: {why}")
}

fn ready(ready: &Ready) -> String {
    let kinds = ready.kinds;
    let has_own_words = |kind| matches!(kind, Kind::Talkers | Kind::Connections);
    let plain = kinds.iter().filter(|kind| !has_own_words(*kind));
    let mut parts: Vec<String> = plain.map(|kind| kind.name().to_owned()).collect();
    if kinds.has(Kind::Talkers) {
        let mode = |d| match ready.hook(d) {
            Some(hook) => hook.name(),
            None if ready.watched.iter().any(|w| hook(w, d).is_some()) => "mixed",
            None => "-",
        };
        let netns = ready
            .netns
            .as_ref()
            .map_or(String::new(), |name| format!(" in netns {}", escape(name.as_bytes())));
        parts.push(format!(
            "talkers on {}{netns} (rx {}, tx {})",
            escape(ready.interface().unwrap_or(b"nothing")),
            mode(Direction::Rx),
            mode(Direction::Tx)
        ));
    }
    if kinds.has(Kind::Connections) {
        parts.push(match ready.coverage.attribution {
            Some(Attribution::Procfs) => "connections (procfs)".to_owned(),
            _ => "connections".to_owned(),
        });
    }
    format!("ready: {}{}", parts.join(", "), missing(&ready.coverage))
}

fn summary(summary: &Summary) -> String {
    let mut out = format!("summary: {:.3} s", summary.duration_ns as f64 / NS_PER_SEC as f64);
    if let Some(opens) = summary.opens {
        let _ = write!(
            out,
            "; {} opens written of {} seen, {} lost, {} unfinished",
            opens.written, opens.seen, opens.lost, opens.unfinished
        );
        if opens.unnamed > 0 {
            let _ = write!(out, ", {} without a path", opens.unnamed);
        }
    }
    if let Some(files) = summary.files {
        let _ = write!(
            out,
            "; {} changes of files written of {} seen, {} lost",
            files.written, files.seen, files.lost
        );
    }
    if let Some(processes) = summary.processes {
        let _ = write!(
            out,
            "; {} starts and ends of processes written, {} lost",
            processes.written, processes.lost
        );
    }
    if let Some(listeners) = summary.listeners {
        let _ = write!(out, "; {} lines of listeners written", listeners.written);
        if listeners.left_out > 0 {
            let _ = write!(out, ", up to {} listeners left out", listeners.left_out);
        }
        if listeners.accepted_left_out > 0 {
            let n = listeners.accepted_left_out;
            let _ = write!(out, ", {n} accepted connections to further addresses not counted");
        }
    }
    if let Some(io) = summary.io {
        let IoSummary { counts, untimed, uncounted, .. } = io;
        let _ = write!(
            out,
            "; read {} B in {} calls, wrote {} B in {} calls",
            counts.read_bytes, counts.read_calls, counts.written_bytes, counts.write_calls
        );
        let calls = io.unknown_calls();
        if calls > 0 {
            let _ = write!(out, ", {calls} calls on descriptors closed meanwhile");
        }
        if untimed > 0 {
            let _ = write!(out, ", {untimed} calls without a duration");
        }
        if uncounted > 0 {
            let _ = write!(out, ", {uncounted} requests not counted (io_submit, io_uring)");
        }
    }
    if let Some(slow) = summary.slow {
        let _ = write!(out, "; {} slow calls written, {} lost", slow.written, slow.lost);
    }
    if let Some(calls) = summary.under_way_left_out {
        let _ = write!(out, "; up to {calls} calls under way left out");
    }
    if let Some((rx, tx)) = summary.talkers {
        let _ = write!(
            out,
            "; rx {} packets, {} bytes; tx {} packets, {} bytes",
            rx.packets, rx.bytes, tx.packets, tx.bytes
        );
    }
    if let Some(c) = summary.connections {
        let _ = write!(
            out,
            "; {} connects, {} accepts, {} closes, {} lost",
            c.connects, c.accepts, c.closes, c.lost
        );
        if let Some(seen) = c.seen {
            let _ = write!(out, ", {seen} seen by polling (procfs)");
        }
    }
    out.push_str(&missing(&summary.coverage));
    out
}

/// The features that the kernel refused, by name.
fn missing(coverage: &Coverage) -> String {
    if coverage.missing.is_empty() {
        return String::new();
    }
    let features: Vec<&str> = coverage.missing.iter().map(|m| m.feature.as_str()).collect();
    format!("; missing: {}", features.join(", "))
}
