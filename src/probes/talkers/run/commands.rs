//! The commands of the dashboard: watch other interfaces, use another mode, show the details of an
//! address.

use super::super::target::{Target, resolve};
use super::super::watch::Watch;
use super::Run;
use crate::clock;
use crate::model::event::TalkersCommand;
use crate::model::link::{Choice, XdpMode};
use crate::probes::grace_period;

impl Run<'_> {
    pub(super) fn obey(&mut self, command: TalkersCommand) {
        match command {
            TalkersCommand::Detail(detail_of) => {
                self.detail_of = detail_of;
                self.apply_detail();
            }
            _ if self.locked => {}
            TalkersCommand::Watch(choice) => {
                self.read_present_state();
                self.target = resolve(&self.links, &choice).unwrap_or(match choice {
                    // Watched when it appears; until then the pane says that it is gone.
                    Choice::Named(name) => Target::One { ifindex: 0, name },
                    Choice::Default | Choice::All => Target::All,
                });
                self.reconcile();
            }
            TalkersCommand::Mode(mode) => {
                self.read_present_state();
                self.set_mode(mode);
                self.reconcile();
            }
        }
    }

    fn read_present_state(&mut self) {
        self.follow_changes();
        self.refresh();
    }

    /// Makes the programs count the detail of the address whose view is open, and of no other. It begins
    /// with a turn, so that its parts add up to the address's traffic from that turn on.
    pub(super) fn apply_detail(&mut self) {
        let detail_of = self.detail_of.clone();
        let wanted =
            |w: &Watch| detail_of.as_ref().filter(|of| of.interface == w.name).map(|of| of.ip);
        let mut closed = false;
        for watch in &mut self.watches {
            let ip = wanted(watch);
            closed |= !watch.has_detail_of(ip) && watch.close_detail();
        }
        if closed {
            grace_period();
        }
        let begins = |w: &&mut Watch| !w.has_detail_of(wanted(w));
        for watch in self.watches.iter_mut().filter(begins) {
            watch.drop_detail();
            let Some(ip) = wanted(watch) else { continue };
            watch.open_detail(ip, self.means.cpus);
            watch.turn();
            let at = clock::now();
            grace_period();
            watch.absorb(at, &mut self.means.batch);
        }
    }

    fn set_mode(&mut self, mode: XdpMode) {
        self.mode = mode;
        for mut watch in std::mem::take(&mut self.watches) {
            let Some(row) = self.links.by_index(watch.ifindex) else {
                self.end(watch, false);
                continue;
            };
            if watch.is_broken() {
                // `reconcile` starts it again, with the books as they are.
                self.end(watch, true);
            } else {
                let (batch, last) = (&mut self.means.batch, &mut self.last);
                watch.take_mode(row, mode, &self.links, batch, last);
                self.watches.push(watch);
            }
        }
    }
}
