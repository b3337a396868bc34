//! The opens pane: rows, state, filter, order, and the builder of each view's rows.

mod build;
mod filter;
mod lookup;
mod pane;
mod rank;
mod row;
mod table;
mod top_peer;

pub use crate::model::field::opens::OpensSort;
pub use crate::model::field::opens_view::OpensView;
pub use build::{build, sum_up};
pub use filter::Choose;
pub use pane::{Crumb, OpensPane};
pub use row::{
    About, BUSY_SECONDS, CommonRow, Counted, Detail, DirRow, FailGroup, FailRow, GroupFile,
    ProgramRow, Row, Share, UnitRow, is_active, label_of,
};
pub(super) use row::{fingerprint, id_of};
pub use top_peer::TopPeer;
