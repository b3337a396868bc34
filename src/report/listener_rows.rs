//! Rows of listeners: the chosen ones, and their order.

use std::cmp::Reverse;

use super::row::{Row, RowPlace};
use crate::model::cgroup::Cgroup;
use crate::model::listener::{Counts, Listener, counts};
use crate::session::Choose;

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

/// The row of a listener; `None` where it is not chosen.
pub(super) fn chosen(choose: &Choose, listener: Listener) -> Option<Row> {
    let cgroup = listener.cgroup.as_deref().map(Cgroup::at);
    if !choose.listener(&listener, cgroup.as_ref()) {
        return None;
    }
    let owner = listener.owner.as_ref();
    Some(Row {
        pid: owner.map(|owner| owner.key.tgid),
        process: owner.map(|owner| owner.comm.as_bytes().into()),
        uid: owner.map(|owner| owner.uid),
        place: cgroup.as_ref().map(RowPlace::of).unwrap_or_default(),
        listener: Some(Box::new(listener)),
        ..Row::default()
    })
}
