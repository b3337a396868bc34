//! What libbpf-rs does not wrap, each use with the reason why it is sound.
//!
//! One file a kernel interface: `src/bpf/sys/…`.
