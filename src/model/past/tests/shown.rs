//! All that a screen could show, as text.

use crate::model::connections::{ConnHistory, Connections};
use crate::model::history::History;
use crate::model::opens::Opens;
use crate::model::time::Mono;
use crate::model::wire::Wire;

/// All that a screen could show of connections.
pub(super) fn shown_of(connections: &Connections, now: Mono) -> String {
    let c = connections;
    let sums = (c.total, c.delta, c.other, c.evicted, c.limits, c.attribution, c.interval_ns);
    let turnover = (c.turnover, c.turnover_delta, c.closed_evicted);
    let mut text = format!("{sums:?} {turnover:?} {:?} {}\n", c.unattributed, c.live());
    let mut add = |what: &dyn std::fmt::Debug| text.push_str(&format!("{what:?}\n"));
    for net in c.processes() {
        add(&(net.owner, net.netns, net.total, net.delta));
        add(&(net.peers, net.live, net.begun, net.worst, net.shared, net.last));
        let found = c.process(net.owner.key).map(|net| net.total);
        let events: Vec<_> = c.events_of(net.owner.key).collect();
        add(&(found, events, c.peers_of(net.owner.key).len()));
    }
    for pair in c.pairs() {
        add(&(pair.key, pair.peer, pair.total, pair.delta, &pair.services));
        add(&(pair.more_services, pair.last, c.exchange(pair.key, pair.peer.ip)));
        add(&(c.between(pair.key, pair.peer).map(|p| p.total), c.behind(pair.peer.ip).len()));
    }
    c.conns().for_each(|(conn, owner)| add(&(conn, owner, c.parts_of(conn.cookie))));
    let lately = |h: &ConnHistory| {
        let bytes = [&h.rx, &h.tx].map(|h| h.last(now, 59).collect::<Vec<_>>());
        (bytes, h.srtt_us.gauge(now, 59))
    };
    for (slot, conn) in c.live_conns() {
        let history = c.history_of(slot).map(lately);
        add(&(c.conn_delta(slot), c.is_new_conn(slot), c.carried_by(conn), history));
    }
    for (number, closed) in c.closed_lately() {
        add(&(number, closed.what, closed.at, &closed.conn, closed.delta, closed.is_new));
        add(&(closed.history.as_deref().map(lately), c.ended_in_interval(number)));
    }
    text
}

/// All that a screen could show at `now`.
pub(super) fn shown(opens: &Opens, wire: &Wire, now: Mono) -> String {
    let histories = |h: &History| h.last(now, 59).collect::<Vec<_>>();
    let mut text = format!(
        "{:?} {:?} {:?} {} {} {:?} {:?} {} {} {:?}\n{:?}\n",
        opens.io(),
        opens.io_history(),
        opens.total(),
        opens.rate(),
        opens.fail_rate(),
        histories(opens.history()),
        histories(opens.fail_history()),
        opens.lost(),
        opens.left_out(),
        opens.evicted(),
        opens.live().collect::<Vec<_>>(),
    );
    let mut add = |what: &dyn std::fmt::Debug| text.push_str(&format!("{what:?}\n"));
    for (slot, p) in opens.processes().iter() {
        add(&(slot, p, opens.rate_of(&p.meter), opens.rate_of(&p.fail_meter)));
        add(&(p.part(), opens.part_rate(p), opens.program_of(p), opens.find(p.key)));
    }
    for (slot, p) in opens.programs().iter() {
        add(&(slot, p, opens.rate_of(&p.meter), opens.rate_of(&p.fail_meter)));
    }
    opens.paths().iter().for_each(|(slot, p)| add(&(slot, p, opens.rate_of(&p.meter))));
    for (slot, f) in opens.files().iter() {
        let held = opens.use_of(f.process, f.path).map(|f| f.tally.clone());
        add(&(slot, f, opens.rate_of(&f.meter), held));
    }
    opens.failures().iter().for_each(|(slot, f)| add(&(slot, f, opens.rate_of(&f.meter))));
    wire.ports().iter().for_each(|port| add(&(port, port.rx.other(), port.tx.other_delta())));
    for (slot, t) in wire.talkers().iter() {
        let (rx, tx) = (t.rx, t.tx);
        add(&(slot, t.port, t.ip, t.first, t.last, rx.held(), tx.held()));
        add(&(rx.total(), rx.delta(), tx.total(), tx.delta()));
        add(&(histories(&t.rx_history), histories(&t.tx_history)));
        add(&wire.talk(t).map(|talk| (talk.rx, talk.tx, talk.rows())));
    }
    add(&(opens.processes().len(), opens.process_count()));
    add(&(opens.files().len(), wire.talkers().len()));
    text
}

/// Compares what is shown line by line.
pub(super) fn assert_same(now: &str, then: &str, at: Mono) {
    for (now, then) in now.lines().zip(then.lines()) {
        assert_eq!(now, then, "at {at:?}");
    }
    assert_eq!(now.lines().count(), then.lines().count(), "at {at:?}");
}
