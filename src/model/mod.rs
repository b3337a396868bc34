//! The numbers and the words of the program, pure: no I/O, no clock, no terminal.
//!
//! Time is always an argument, and text from elsewhere stays bytes until it is shown.

pub mod cgroup;
pub mod common_files;
pub mod compare;
pub mod conn;
pub mod connections;
pub mod container;
pub mod container_path;
pub mod coverage;
pub mod duration;
pub mod errno;
pub mod escape;
pub mod event;
pub mod field;
pub mod filter;
pub mod flags;
pub mod history;
pub mod interface_name;
pub mod lag;
pub mod ledger;
pub mod lineage;
pub mod link;
pub mod marks;
pub mod mounts;
pub mod names;
pub mod open;
pub mod opens;
pub mod origin;
pub mod past;
pub mod problem;
pub mod process;
pub mod process_event;
pub mod process_info;
pub mod process_log;
pub mod services;
pub mod size;
pub mod slab;
pub mod table;
pub mod talkers;
pub mod time;
pub mod timeline;
pub mod traffic;
pub mod undo;
pub mod unit;
pub mod wire;
