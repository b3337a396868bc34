//! The data that the cells of the talkers pane read.

use super::look::Look;
use super::text::Line;
use crate::app::App;
use crate::app::talkers::{DirectionFilter, TalkerRow};
use crate::model::slab::Slot;
use crate::model::talkers::{Direction, Traffic};
use crate::model::wire::{Interface, Rate, Talker};

/// The pane's rows and sums, at the moment that is shown.
pub struct Ctx<'a> {
    pub app: &'a App,
    pub look: &'a Look,
    pub ways: DirectionFilter,
    /// Rate of the interfaces whose frames add up, in the directions that are shown.
    pub all: Rate,
    pub all_bytes: u64,
    /// The most bytes in any of the last seconds, all addresses together.
    pub most: u64,
}

impl<'a> Ctx<'a> {
    /// Computed once a frame for all cells.
    pub fn new(app: &'a App, look: &'a Look) -> Self {
        let mut ctx = Self {
            app,
            look,
            ways: app.talkers_pane.ways(app.wire()),
            all: Rate::default(),
            all_bytes: 0,
            most: 0,
        };
        for port in ctx.summed() {
            for direction in ctx.ways.directions() {
                let side = port.side(*direction);
                ctx.all = ctx.all + side.rate(side.side.delta(), app.shown_at());
                ctx.all_bytes = ctx.all_bytes.saturating_add(side.side.total().bytes);
                ctx.most = side.history.last(app.shown_at(), 59).fold(ctx.most, u64::max);
            }
        }
        ctx
    }

    /// The interfaces that are watched.
    pub fn ports(&self) -> impl Iterator<Item = &'a Interface> + use<'a> {
        let app = self.app;
        app.talkers_pane.ports.iter().filter_map(move |p| app.wire().ports().get(*p))
    }

    /// The interfaces whose frames add up.
    pub(super) fn summed(&self) -> impl Iterator<Item = &'a Interface> + use<'a> {
        let app = self.app;
        app.talkers_pane.summed.iter().filter_map(move |p| app.wire().ports().get(*p))
    }

    pub(super) fn talker(&self, slot: Slot) -> Option<&'a Talker> {
        self.app.wire().talkers().get(slot)
    }

    /// A row's traffic per second, in one direction.
    pub(super) fn rate(&self, row: TalkerRow, direction: Direction) -> Rate {
        let now = self.app.shown_at();
        match row {
            TalkerRow::Talker(slot) => self
                .talker(slot)
                .map_or(Rate::default(), |t| self.app.wire().rate(t, direction, now)),
            TalkerRow::Other => self.summed().fold(Rate::default(), |sum, port| {
                let side = port.side(direction);
                sum + side.rate(side.other_delta(), now)
            }),
        }
    }

    pub(super) fn rates(&self, row: TalkerRow) -> Rate {
        let ways = self.ways.directions().iter();
        ways.map(|d| self.rate(row, *d)).fold(Rate::default(), |a, b| a + b)
    }

    pub(super) fn total(&self, row: TalkerRow) -> Traffic {
        let one = |direction: &Direction| match row {
            TalkerRow::Talker(slot) => {
                self.talker(slot).map_or(Traffic::default(), |t| t.side(*direction).total())
            }
            TalkerRow::Other => self
                .summed()
                .fold(Traffic::default(), |sum, port| sum + port.side(*direction).other()),
        };
        self.ways.directions().iter().map(one).fold(Traffic::default(), |a, b| a + b)
    }

    pub(super) fn number(&self, line: &mut Line<'_>, text: &str, nothing: bool) {
        let style = if nothing { self.look.theme.quiet } else { self.look.theme.text };
        line.put_right(text, style);
    }
}
