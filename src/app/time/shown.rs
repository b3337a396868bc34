//! The moment that the screen shows.

use std::rc::Rc;

use crate::app::data::{Data, ProbeState};
use crate::model::connections::Connections;
use crate::model::event::Watched;
use crate::model::opens::Opens;
use crate::model::time::Mono;
use crate::model::wire::Wire;

/// The states of probes that a moment stores beside the tables.
#[derive(Clone, Debug)]
pub(super) struct Probed {
    pub(super) watching: Rc<ProbeState<Vec<Watched>>>,
    pub(super) connections_known: bool,
}

impl Probed {
    pub(super) fn of(data: &Data) -> Self {
        let (watching, connections_known) = (data.watching.clone(), data.connections_known);
        Self { watching, connections_known }
    }
}

/// The tables that the screen shows: the present, or an earlier moment while it is paused.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub at: Mono,
    pub opens: &'a Opens,
    pub wire: &'a Wire,
    /// `None` where they are unknown: the probe has not run at that moment.
    pub owners: Option<&'a Connections>,
    pub watching: &'a ProbeState<Vec<Watched>>,
}

impl<'a> Shown<'a> {
    /// The interfaces that were watched at that moment.
    pub fn interfaces(&self) -> &'a [Watched] {
        self.watching.running().map_or(&[], Vec::as_slice)
    }
}
