//! What is no process's, and why.

use crate::model::conn::{Carried, Conn};

/// Why nobody is told to be the owner of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the kernel's own.
    Kernel,
    /// It was there before, and in no process's hands when it was looked.
    Older,
    /// A connection from outside that nobody has accepted.
    Waiting,
}

impl Why {
    /// Why nobody has `conn`.
    pub fn of(conn: &Conn) -> Self {
        match (conn.kernels, conn.passive) {
            (true, _) => Why::Kernel,
            (false, true) => Why::Waiting,
            (false, false) => Why::Older,
        }
    }

    /// The key in lines.
    pub fn name(self) -> &'static str {
        match self {
            Why::Kernel => "kernel",
            Why::Older => "older",
            Why::Waiting => "waiting",
        }
    }
}

/// What is nobody's, for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoOwner {
    kernel: Carried,
    older: Carried,
    waiting: Carried,
}

impl NoOwner {
    /// All of it.
    pub fn total(&self) -> Carried {
        self.kernel + self.older + self.waiting
    }

    /// Each part with its reason.
    pub fn parts(&self) -> [(Why, Carried); 3] {
        [(Why::Kernel, self.kernel), (Why::Older, self.older), (Why::Waiting, self.waiting)]
    }

    /// A process accepted connections that carried this while they waited.
    pub(super) fn accepted(&mut self, carried: Carried) {
        self.waiting = self.waiting.minus(carried);
    }

    /// Counts what a connection carried while it was nobody's.
    pub fn add(&mut self, conn: &Conn, carried: Carried) {
        *match Why::of(conn) {
            Why::Kernel => &mut self.kernel,
            Why::Older => &mut self.older,
            Why::Waiting => &mut self.waiting,
        } += carried;
    }
}
