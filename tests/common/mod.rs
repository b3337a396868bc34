//! Parts that the whole-program and real-kernel tests share.
#![allow(dead_code, unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

pub mod attached;
pub mod conns;
pub mod dns;
pub mod exporter;
pub mod fuse;
pub mod i386;
pub mod io_speed;
pub mod mmdb;
pub mod net;
pub mod opener;
pub mod opens;
pub mod patience;
pub mod program;
pub mod receiver;
pub mod spawn;
pub mod speed;
pub mod tty;
pub mod user;
pub mod user_fault;
