//! The BPF programs' skeletons.

// Generated code; beside `crate::sys` the only module that may.
#![allow(unsafe_code)]

/// Skeleton of `cgroups.bpf.c`.
pub(crate) mod cgroups {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, unused_imports)]
    include!(concat!(env!("OUT_DIR"), "/cgroups.skel.rs"));
}

/// Skeleton of `connections.bpf.c`.
pub(crate) mod connections {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, unused_imports)]
    include!(concat!(env!("OUT_DIR"), "/connections.skel.rs"));
}

/// Skeleton of `held.bpf.c`.
pub(crate) mod held {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, unused_imports)]
    include!(concat!(env!("OUT_DIR"), "/held.skel.rs"));
}

/// Skeleton of `hostnames.bpf.c`.
pub(crate) mod hostnames {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, unused_imports)]
    include!(concat!(env!("OUT_DIR"), "/hostnames.skel.rs"));
}

/// Skeleton of `io.bpf.c`.
pub(crate) mod io {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, unused_imports)]
    include!(concat!(env!("OUT_DIR"), "/io.skel.rs"));
}

/// Skeleton of `listeners.bpf.c`.
pub(crate) mod listeners {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, unused_imports)]
    include!(concat!(env!("OUT_DIR"), "/listeners.skel.rs"));
}

/// Skeleton of `opens.bpf.c`.
pub(crate) mod opens {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, unused_imports)]
    include!(concat!(env!("OUT_DIR"), "/opens.skel.rs"));
}

/// Skeleton of `talkers.bpf.c`.
pub(crate) mod talkers {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, unused_imports)]
    include!(concat!(env!("OUT_DIR"), "/talkers.skel.rs"));
}

pub(crate) mod btf;
