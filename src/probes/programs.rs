//! Every BPF program: the feature that needs it, and what takes its place where the kernel refuses it.
//!
//! A kernel may refuse any program: it is too old for it, or a policy (an LSM, lockdown, a vendor's
//! kernel) forbids its type. A refused program costs its feature and no other. `load` finds out by
//! loading: nothing here compares versions.

use std::mem::MaybeUninit;

use libbpf_rs::OpenObject;

use super::refusal::{LoadError, Refusal};
use crate::model::coverage::Missing;
use crate::model::open::Syscall;

/// A BPF object, one file `src/bpf/NAME.bpf.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Opens of files.
    Opens,
    /// Connections and their processes.
    Connections,
    /// Addresses on the wire.
    Talkers,
    /// Names of cgroups.
    Cgroups,
    /// Files that processes hold.
    Held,
    /// Names that processes ask for.
    Hostnames,
    /// Bytes read and written.
    Io,
    /// Listeners of all network namespaces.
    Listeners,
}

/// A feature that is missing if none of its forms can be loaded and attached.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// The object that has the programs.
    pub object: Object,
    /// The feature's name in `ready`, `doctor` and on the screen.
    pub name: &'static str,
    /// The ways to have it, the best first: each is the programs that it needs, all of them.
    pub forms: &'static [&'static [&'static str]],
}

const fn feature(
    object: Object,
    name: &'static str,
    forms: &'static [&'static [&'static str]],
) -> Feature {
    Feature { object, name, forms }
}

/// The calls that open files; without it the others below are all that is seen.
pub const OPEN_CALLS: &str = "opens: system calls";
/// Arguments read at the call's entry: latency and, below kernel 5.15, flags and requested paths.
pub const OPEN_ENTRY: &str = "opens: latency";
/// Opens that have not returned, with their age.
pub const UNDER_WAY: &str = "opens: those under way";
/// Opens through io_uring.
pub const IO_URING: &str = "opens: io_uring";
/// Opens by 32-bit programs.
pub const COMPAT: &str = "opens: 32-bit tasks";
/// Opens by 32-bit calls (`int $0x80`) of 64-bit programs.
pub const COMPAT_CALLS: &str = "opens: 32-bit calls of 64-bit programs";
/// Ends of processes.
pub const PROCESS_EXIT: &str = "opens: ends of processes";
/// Starts of programs, with their arguments.
pub const PROCESS_EXEC: &str = "processes: starts of programs";
/// Calls that change a file or a directory; files that an open makes are seen with the opens.
pub const CHANGE_CALLS: &str = "files: system calls";
/// Changes by 32-bit calls, which no program sees; files that 32-bit opens make are seen with the opens.
pub const CHANGE_COMPAT: &str = "files: 32-bit calls";
/// Their arguments read at entry, below kernel 5.15.
pub const CHANGE_ENTRY: &str = "files: arguments";
/// Changes through io_uring.
pub const CHANGE_RING: &str = "files: io_uring";
/// The names of cgroups that are gone before the hierarchy is walked.
pub const BRIEF_CGROUPS: &str = "opens: cgroups that live briefly";
/// Connections of TCP: all else about connections depends on it.
pub const TCP: &str = "connections: TCP";
/// Bytes counted where a process calls (kernel 6.3); without it they are TCP's counters, attributed to
/// the connection's process, and datagrams are not counted.
pub const CALLS: &str = "connections: bytes by calling process, datagrams";
/// Peers of IPv4 datagram sockets that are not connected.
pub const PEERS_V4: &str = "connections: peers of datagrams, IPv4";
/// Peers of IPv6 datagram sockets that are not connected.
pub const PEERS_V6: &str = "connections: peers of datagrams, IPv6";
/// The end of a datagram socket when it happens; without it, at the end of the interval.
pub const SOCKET_END: &str = "connections: ends of datagram sockets at once";
/// The process that accepts over IPv4, before it uses or is found to hold the socket.
pub const ACCEPTS_V4: &str = "connections: accepting process, IPv4";
/// The process that accepts over IPv6, before it uses or is found to hold the socket.
pub const ACCEPTS_V6: &str = "connections: accepting process, IPv6";
/// Processes of connections older than the start, and others that hold a socket.
pub const HOLDERS: &str = "connections: older ones, other holders";
/// Traffic of connections before they end.
pub const WALK: &str = "connections: counts while they live";
/// The files behind the descriptors of processes.
pub const HELD_DESCRIPTORS: &str = "held files: descriptors";
/// The paths that these were opened by.
pub const HELD_PATHS: &str = "held files: paths of descriptors";
/// Working directories, roots and executables of processes.
pub const HELD_PLACES: &str = "held files: working directories, roots, executables";
/// Files in the memory of processes.
pub const HELD_MAPPINGS: &str = "held files: mappings";
/// Names from answers of DNS.
pub const HOSTNAMES_DNS: &str = "names: DNS";
/// Names of servers from the ClientHello of TLS.
pub const HOSTNAMES_SNI: &str = "names: SNI";
/// Queue limits and drops of TCP listeners in other network namespaces, Unix sockets there, and processes of
/// listeners without a scan of /proc.
pub const LISTENING_FILES: &str = "listeners: limits, drops and Unix sockets of other namespaces";
/// Bytes read and written by system calls: all else about bytes of files depends on it.
pub const IO_CALLS: &str = "io: system calls";
/// Bytes read and written by 32-bit calls, which no program counts.
pub const IO_COMPAT: &str = "io: 32-bit calls";
/// How long these calls take.
pub const IO_TIMES: &str = "io: durations of calls";
/// Reads and writes that have not returned.
pub const IO_UNDER_WAY: &str = "io: those under way";
/// Bytes read and written through io_uring.
pub const IO_URING_IO: &str = "io: io_uring";
/// How long these take.
pub const IO_URING_TIMES: &str = "io: durations through io_uring";
/// XDP.
pub const XDP: &str = "talkers: XDP";
/// TCX, arriving.
pub const TCX_RX: &str = "talkers: TCX ingress";
/// TCX, leaving.
pub const TCX_TX: &str = "talkers: TCX egress";
/// A filter of a packet socket.
pub const PACKET_SOCKET: &str = "talkers: packet socket";

/// The name of the feature to see one call.
pub fn of_call(call: Syscall) -> String {
    format!("opens: {}", call.name())
}

/// Forms of features that need the programs that count calls. With them TCP lives on at CLOSE until its
/// process closes it: `sock_released` sees that, and the walk the few sockets that have none; else
/// `tcp_gone`, which costs each connection more.
macro_rules! with_calls {
    ($($program:literal),*) => {
        &[
            &[$($program,)* "sent", "received", "sock_released", "walk"],
            &[$($program,)* "sent", "received", "tcp_gone"],
        ]
    };
}

/// All features of all objects. A feature that needs another one's programs names these too.
pub const FEATURES: [Feature; 37] = [
    feature(Object::Opens, OPEN_CALLS, &[&["open_exit"], &["open_exit_516"]]),
    feature(Object::Opens, OPEN_ENTRY, &[&["open_enter"]]),
    feature(Object::Opens, UNDER_WAY, &[&["opens_under_way", "open_enter"]]),
    feature(Object::Opens, IO_URING, &[&["uring_submit", "uring_complete"]]),
    feature(
        Object::Opens,
        COMPAT,
        &[
            &["compat_return"],
            &["compat_exec", "compat_tasks", "compat_exit"],
            &["compat_exec", "compat_tasks", "compat_exit_516"],
        ],
    ),
    feature(Object::Opens, COMPAT_CALLS, &[&["compat_return"]]),
    feature(Object::Opens, PROCESS_EXIT, &[&["process_exit"]]),
    feature(Object::Opens, PROCESS_EXEC, &[&["process_exec"], &["process_exec_516"]]),
    feature(Object::Opens, CHANGE_CALLS, &[&["change_exit"], &["change_exit_516"]]),
    feature(Object::Opens, CHANGE_ENTRY, &[&["change_enter"]]),
    feature(Object::Opens, CHANGE_RING, &[&["ring_submit", "ring_complete"]]),
    feature(Object::Cgroups, BRIEF_CGROUPS, &[&["cgroup_made"]]),
    feature(Object::Connections, TCP, &[&["tcp_state"], &["tcp_state_raw"]]),
    feature(Object::Connections, CALLS, with_calls!()),
    feature(Object::Connections, PEERS_V4, with_calls!("sends_to_v4", "receives_from_v4")),
    feature(Object::Connections, PEERS_V6, with_calls!("sends_to_v6", "receives_from_v6")),
    feature(
        Object::Connections,
        SOCKET_END,
        &[
            &["sock_released", "sent", "received", "walk"],
            &["sock_released", "sent", "received", "tcp_gone"],
        ],
    ),
    feature(Object::Connections, ACCEPTS_V4, &[&["accepts_v4"]]),
    feature(Object::Connections, ACCEPTS_V6, &[&["accepts_v6"]]),
    feature(Object::Connections, HOLDERS, &[&["holders"]]),
    feature(Object::Connections, WALK, &[&["walk"], &["walk_raw"]]),
    feature(Object::Held, HELD_DESCRIPTORS, &[&["held_descriptors"], &["held_fds"]]),
    feature(Object::Held, HELD_PATHS, &[&["held_descriptors"]]),
    feature(Object::Held, HELD_PLACES, &[&["held_places"]]),
    feature(Object::Held, HELD_MAPPINGS, &[&["held_mappings"]]),
    feature(Object::Hostnames, HOSTNAMES_DNS, &[&["names_arrive", "names_leave"]]),
    feature(Object::Hostnames, HOSTNAMES_SNI, &[&["names_leave"]]),
    feature(Object::Listeners, LISTENING_FILES, &[&["listening_files"]]),
    feature(Object::Io, IO_CALLS, &[&["io_exit"], &["io_exit_516"]]),
    feature(Object::Io, IO_TIMES, &[&["io_enter", "io_exit"], &["io_enter_516", "io_exit_516"]]),
    feature(Object::Io, IO_UNDER_WAY, &[&["io_under_way", "io_enter", "io_exit"]]),
    feature(Object::Io, IO_URING_IO, &[&["io_uring_done", "io_uring_overflowed"]]),
    feature(
        Object::Io,
        IO_URING_TIMES,
        &[
            &["io_uring_begun", "io_uring_done", "io_enter", "io_exit"],
            &["io_uring_begun", "io_uring_done", "io_enter_516", "io_exit_516"],
        ],
    ),
    feature(Object::Talkers, XDP, &[&["xdp_frags"], &["xdp_plain"]]),
    feature(Object::Talkers, TCX_RX, &[&["tcx_ingress"]]),
    feature(Object::Talkers, TCX_TX, &[&["tcx_egress"]]),
    feature(Object::Talkers, PACKET_SOCKET, &[&["socket_filter"]]),
];

/// The form of each feature of an object that is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    chosen: Vec<(Feature, Chosen)>,
    /// The programs that were refused on the way here.
    refused: Vec<Refusal>,
}

#[derive(Clone, Debug)]
enum Chosen {
    /// The number of a form.
    Form(usize),
    /// It was not asked for.
    Unwanted,
    /// All its forms were refused: the last one's refusal.
    Missing(Missing),
}

impl Choice {
    /// The best form of each feature.
    pub(crate) fn of(object: Object) -> Self {
        let own = FEATURES.into_iter().filter(|f| f.object == object);
        Self {
            chosen: own.map(|feature| (feature, Chosen::Form(0))).collect(),
            refused: Vec::new(),
        }
    }

    /// Does without a feature that is not asked for.
    pub(crate) fn without(mut self, name: &str) -> Self {
        for (feature, chosen) in &mut self.chosen {
            if feature.name == name {
                *chosen = Chosen::Unwanted;
            }
        }
        self
    }

    /// Begins at the next form of each feature that has one without this program: the kernel is known
    /// to lack what the program needs.
    pub(crate) fn skip(mut self, program: &str) -> Self {
        for (feature, chosen) in &mut self.chosen {
            if let Some(next) = next_form(feature, chosen, program) {
                *chosen = Chosen::Form(next);
            }
        }
        self
    }

    /// Continues without a program; false where no feature used it.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) -> bool {
        let mut used = false;
        for (feature, chosen) in &mut self.chosen {
            if !uses(feature, chosen, &refusal.program) {
                continue;
            }
            used = true;
            *chosen = match next_form(feature, chosen, &refusal.program) {
                Some(next) => Chosen::Form(next),
                None => Chosen::Missing(Missing {
                    feature: feature.name.into(),
                    program: refusal.program.clone(),
                    error: refusal.to_string(),
                }),
            };
        }
        if used {
            self.refused.push(refusal.clone());
        }
        used
    }

    /// The programs that were refused.
    pub(crate) fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// Drops the features of these programs, whose attach points do not exist.
    pub(crate) fn unavailable(mut self, programs: &[&str], why: &str) -> Self {
        for program in programs {
            self.refuse(&Refusal::unavailable(program, why));
        }
        self
    }

    /// Whether a program is loaded.
    pub(crate) fn uses(&self, program: &str) -> bool {
        self.chosen.iter().any(|(feature, chosen)| uses(feature, chosen, program))
    }

    /// Whether a feature is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.chosen
            .iter()
            .any(|(feature, chosen)| feature.name == name && matches!(chosen, Chosen::Form(_)))
    }

    /// The features that were refused.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        let missing = |chosen: &Chosen| match chosen {
            Chosen::Missing(missing) => Some(missing.clone()),
            _ => None,
        };
        self.chosen.iter().filter_map(|(_, chosen)| missing(chosen)).collect()
    }

    /// Marks the programs that are to be loaded. To be called for an object before it is.
    pub(crate) fn prepare(&self, open: &mut OpenObject) {
        for mut program in open.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            program.set_autoload(self.uses(&name));
            if super::refusal::is_injected(&name) {
                // No kernel knows this flag.
                program.set_flags(1 << 31);
            }
        }
    }
}

fn form(feature: &Feature, chosen: &Chosen) -> Option<&'static [&'static str]> {
    match chosen {
        Chosen::Form(n) => feature.forms.get(*n).copied(),
        _ => None,
    }
}

fn uses(feature: &Feature, chosen: &Chosen, program: &str) -> bool {
    form(feature, chosen).is_some_and(|programs| programs.contains(&program))
}

fn next_form(feature: &Feature, chosen: &Chosen, without: &str) -> Option<usize> {
    let Chosen::Form(now) = chosen else { return None };
    let after = feature.forms.iter().enumerate().skip(now + 1);
    let fits = |programs: &&'static [&'static str]| !programs.contains(&without);
    if !uses(feature, chosen, without) {
        return None;
    }
    after.into_iter().find(|(_, programs)| fits(programs)).map(|(n, _)| n)
}

/// Loads an object with the programs of a choice, and attaches those that it needs at once.
pub(crate) trait Load {
    /// The loaded object.
    type Loaded<'obj>;

    /// Loads it. [`Choice::prepare`] is to be called in between.
    fn load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<Self::Loaded<'obj>, LoadError>;
}

/// Memory of the loaded object: a place for each attempt, since each refuses one program more.
pub(crate) type Storage = [MaybeUninit<OpenObject>; 32];

/// Places for [`load`].
pub(crate) fn storage() -> Storage {
    [const { MaybeUninit::uninit() }; 32]
}

/// Loads as much of an object as the kernel takes: after each refusal once more, without the program
/// that was refused.
pub(crate) fn load<'obj, L: Load>(
    what: &L,
    storage: &'obj mut Storage,
    mut choice: Choice,
) -> Result<(L::Loaded<'obj>, Choice), LoadError> {
    let mut last = None;
    for place in storage {
        match what.load(place, &choice) {
            Ok(loaded) => return Ok((loaded, choice)),
            Err(LoadError::Refused(refusal)) => {
                tracing::info!("{refusal}");
                if !choice.refuse(&refusal) {
                    return Err(LoadError::Refused(refusal));
                }
                last = Some(refusal);
            }
            Err(e) => return Err(e),
        }
    }
    Err(last.map_or(LoadError::NoRoom, LoadError::Refused))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use libbpf_rs::OpenObject;
    use libbpf_rs::skel::{OpenSkel, SkelBuilder};

    use super::*;
    use crate::bpf::{cgroups, connections, held, hostnames, io, listeners, opens, talkers};

    fn programs(open: &OpenObject) -> BTreeSet<String> {
        open.progs().map(|program| program.name().to_string_lossy().into_owned()).collect()
    }

    fn in_table(object: Object) -> BTreeSet<String> {
        let features = FEATURES.iter().filter(|feature| feature.object == object);
        features.flat_map(|f| f.forms.iter().copied().flatten()).map(|p| (*p).to_owned()).collect()
    }

    #[test]
    fn the_table_names_each_program() {
        let mut storage = MaybeUninit::uninit();
        let open = opens::OpensSkelBuilder::default().open(&mut storage).unwrap();
        assert_eq!(in_table(Object::Opens), programs(open.open_object()));
        let mut storage = MaybeUninit::uninit();
        let open = connections::ConnectionsSkelBuilder::default().open(&mut storage).unwrap();
        assert_eq!(in_table(Object::Connections), programs(open.open_object()));
        let mut storage = MaybeUninit::uninit();
        let open = cgroups::CgroupsSkelBuilder::default().open(&mut storage).unwrap();
        assert_eq!(in_table(Object::Cgroups), programs(open.open_object()));
        let mut storage = MaybeUninit::uninit();
        let open = held::HeldSkelBuilder::default().open(&mut storage).unwrap();
        assert_eq!(in_table(Object::Held), programs(open.open_object()));
        let mut storage = MaybeUninit::uninit();
        let open = hostnames::HostnamesSkelBuilder::default().open(&mut storage).unwrap();
        assert_eq!(in_table(Object::Hostnames), programs(open.open_object()));
        let mut storage = MaybeUninit::uninit();
        let open = io::IoSkelBuilder::default().open(&mut storage).unwrap();
        assert_eq!(in_table(Object::Io), programs(open.open_object()));
        let mut storage = MaybeUninit::uninit();
        let open = listeners::ListenersSkelBuilder::default().open(&mut storage).unwrap();
        assert_eq!(in_table(Object::Listeners), programs(open.open_object()));
        let mut storage = MaybeUninit::uninit();
        let open = talkers::TalkersSkelBuilder::default().open(&mut storage).unwrap();
        assert_eq!(in_table(Object::Talkers), programs(open.open_object()));
    }

    #[test]
    fn there_is_a_place_for_each_attempt() {
        for object in [Object::Opens, Object::Connections, Object::Talkers] {
            assert!(in_table(object).len() < size_of::<Storage>() / size_of::<OpenObject>());
        }
    }

    #[test]
    fn a_refused_program_costs_its_feature_or_takes_the_next_form() {
        let refusal = |program| Refusal::attach(program, Some(libc::EPERM), String::new());
        let mut choice = Choice::of(Object::Connections);
        assert!(choice.refuse(&refusal("walk")));
        assert!(choice.has(WALK) && choice.uses("walk_raw") && !choice.uses("walk"));
        assert_eq!(choice.missing(), []);
        assert!(choice.refuse(&refusal("walk_raw")));
        assert!(!choice.has(WALK));
        assert!(!choice.refuse(&refusal("walk_raw")), "no feature uses it any more");
        // A program that several features need.
        assert!(choice.refuse(&refusal("received")));
        assert!(!choice.has(CALLS) && !choice.has(PEERS_V4) && choice.has(ACCEPTS_V4));
        assert!(!choice.uses("sent") && choice.uses("tcp_state"));
        let missing = choice.missing();
        let missing: Vec<_> = missing.iter().map(|m| (&*m.feature, &*m.program)).collect();
        assert_eq!(
            missing,
            [
                (CALLS, "received"),
                (PEERS_V4, "received"),
                (PEERS_V6, "received"),
                (SOCKET_END, "received"),
                (WALK, "walk_raw")
            ]
        );
        let choice = Choice::of(Object::Opens)
            .skip("open_exit")
            .without(COMPAT_CALLS)
            .skip("compat_return")
            .skip("compat_exit");
        assert!(choice.uses("open_exit_516") && choice.uses("compat_exit_516"));
        assert_eq!(choice.missing(), [], "what is known beforehand is no refusal");
    }
}
