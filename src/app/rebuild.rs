//! Builds the rows of the panes again, for the room that they have.

use super::talkers::TalkersView;
use super::{App, Measured, Overlay, Pane, PaneRoom, conns, opens, related, talkers};

impl App {
    /// Takes over the room that the screen has now. Rows that depend on it are built again only
    /// when it changed.
    pub fn fit(&mut self, measured: Measured) {
        let before = std::mem::replace(&mut self.screen.measured, measured);
        if let Overlay::Help(help) = &mut self.screen.overlay {
            help.first = help.first.min(measured.help_last);
        }
        if before.opens != measured.opens {
            self.rebuild_opens();
        }
        if before.talkers != measured.talkers {
            self.rebuild_talkers();
        }
    }

    /// The room of a pane; none while it is not shown.
    pub(super) fn room(&self, pane: Pane) -> PaneRoom {
        let measured = &self.screen.measured;
        match pane {
            Pane::Opens => measured.opens,
            Pane::Talkers => measured.talkers,
        }
        .unwrap_or_default()
    }

    /// Builds the rows of both panes.
    pub(crate) fn rebuild(&mut self) {
        self.rebuild_opens();
        self.rebuild_talkers();
    }

    pub(crate) fn rebuild_opens(&mut self) {
        let room = self.room(Pane::Opens);
        let new_since = self.new_since();
        let shown = self.time.shown(&self.data);
        let pane = &mut self.opens_pane;
        let inside = pane.detail_process(shown.opens).map(|process| process.key);
        let descriptors = inside.and_then(|key| self.requests.descriptors(key));
        let logs = self.data.logs();
        pane.relate(shown, logs, &self.path_watchlist, descriptors);
        pane.related.list.scroll(pane.related.rows.len(), room.related);
        let filters = [Some(self.filter.filter()), self.filter.fixed()];
        let talking = related::talking(shown.owners, filters.into_iter().flatten());
        let lineage = &self.data.lineage;
        let both = filters.into_iter().flatten();
        let descended = related::descended(shown.opens, lineage, both);
        let choose = opens::Choose {
            opens: shown.opens,
            changes: &self.data.change_log,
            cgroups: &self.data.cgroups,
            lineage,
            descended: descended.as_ref(),
            owners: shown.owners,
            talking: talking.as_ref(),
            filters,
            failed_only: pane.failed_only,
            new_since,
            now: shown.at,
        };
        opens::build(pane, &choose, room.rows);
        let word = self.filter.bare_word().filter(|_| pane.has_no_process());
        pane.paths_match = word.and_then(|word| choose.paths_with(word));
        pane.settle(room.rows);
    }

    pub(crate) fn rebuild_talkers(&mut self) {
        let room = self.room(Pane::Talkers);
        let new_since = self.new_since();
        let shown = self.time.shown(&self.data);
        let names = shown.interfaces().iter().map(|watched| &watched.interface);
        let ports: Vec<usize> = names.filter_map(|name| shown.wire.port_named(name)).collect();
        let pane = &mut self.talkers_pane;
        pane.summed = self.data.summed(shown.wire, &ports);
        pane.ports.clone_from(&ports);
        let (wire, filter) = (shown.wire, self.filter.filter());
        let connections = shown.owners;
        let (now, at) = (shown.at, self.data.packet_points(shown.interfaces()));
        let ports = &ports;
        let choose = talkers::Choose { wire, ports, connections, at: &at, filter, new_since, now };
        pane.build(&choose);
        pane.settle(room.rows);
        pane.relate(shown.wire, shown.opens, shown.owners, &at);
        pane.related.list.scroll(pane.related.rows.len(), room.related);
        if pane.view == TalkersView::Listeners {
            if self.replay.is_some() {
                pane.listeners.forget_later(now);
            }
            pane.listeners.build(filter, room.rows);
        }
        let Some(connections) = shown.owners.filter(|_| pane.view == TalkersView::Connections)
        else {
            return pane.conns.clear();
        };
        let descended =
            related::descended(shown.opens, &self.data.lineage, std::iter::once(filter));
        pane.conns.build(&conns::Choose {
            connections,
            opens: shown.opens,
            cgroups: &self.data.cgroups,
            filter,
            descended: descended.as_ref(),
            new_since,
            now,
        });
        pane.conns.settle(room.rows);
    }
}
