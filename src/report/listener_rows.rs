//! Rows of listeners: their order, and those of a run that takes time.

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::row::{Row, RowPlace};
use crate::model::cgroup::Cgroup;
use crate::model::listener::{Counts, Identity, Listener, ListenerEvent, counts};
use crate::stream::ListenerLine;

/// The listeners of a run that takes time: those that were read last.
#[derive(Debug, Default)]
pub(super) struct Last(HashMap<Identity, Row>);

impl Last {
    pub(super) fn take(&mut self, line: &ListenerLine<'_>) {
        let id = line.row.identity();
        match line.event {
            ListenerEvent::Close => self.0.remove(&id),
            _ => self.0.insert(id, row(line.row.clone(), line.cgroup)),
        };
    }

    /// The first rows, and the heading of their table.
    pub(super) fn rows(&self, top: usize) -> (Vec<Row>, String) {
        first(self.0.values().cloned().collect(), top)
    }
}

/// Sorts the rows and takes the first; the heading counts them, and the others.
pub(super) fn first(mut rows: Vec<Row>, top: usize) -> (Vec<Row>, String) {
    rows.sort_by(|a, b| a.listener.as_deref().map(order).cmp(&b.listener.as_deref().map(order)));
    let all = rows.len();
    rows.truncate(top);
    let Counts { tcp, udp, unix } = counts(rows.iter().filter_map(|r| r.listener.as_deref()));
    let unix = if unix > 0 { format!(" · {unix} Unix") } else { String::new() };
    let more = all - rows.len();
    (rows, format!("{tcp} TCP · {udp} UDP{unix} · {more} more rows"))
}

/// The fullest queues and most drops first, then by port.
fn order(l: &Listener) -> impl Ord + '_ {
    (Reverse(l.drops), Reverse(l.waiting), l.place())
}

pub(super) fn row(listener: Listener, cgroup: Option<&Cgroup>) -> Row {
    let owner = listener.owner.as_ref();
    Row {
        pid: owner.map(|owner| owner.key.tgid),
        process: owner.map(|owner| owner.comm.as_bytes().into()),
        uid: owner.map(|owner| owner.uid),
        place: cgroup.map(RowPlace::of).unwrap_or_default(),
        listener: Some(Box::new(listener)),
        ..Row::default()
    }
}
