//! Helpers of tests in the crate.

pub(crate) mod fuzz;
