//! The kernel's answer when it refuses a program, and its meaning.

use std::cell::RefCell;
use std::fmt;
use std::io;

use caps::{CapSet, Capability};

use crate::bpf::btf;
use crate::model::coverage::Missing;
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::sys::errno_of;

/// Why an object was not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The kernel refused one of its programs.
    #[error("{0}")]
    Refused(Refusal),
    /// This user may not load programs at all.
    #[error("this needs root or the capabilities CAP_BPF and CAP_PERFMON")]
    Privileges,
    /// Capabilities in a user namespace do not apply to the kernel.
    #[error(
        "this container's capabilities do not apply to the host kernel (it has a user namespace of its own)"
    )]
    UserNamespace,
    /// The kernel's types are not known.
    #[error("{}", btf::unknown().0)]
    NoBtf,
    /// It was not about a program: maps, memory, the kernel's types.
    #[error("{0}")]
    Other(#[source] libbpf_rs::Error),
    /// More programs were refused than there are.
    #[error("the kernel refused every form of the programs")]
    NoRoom,
}

impl LoadError {
    /// The error of an object's `load`, with libbpf's message on this thread.
    pub(crate) fn of_load(error: libbpf_rs::Error) -> Self {
        let errno = errno_of(&error);
        match take_said() {
            _ if errno == Some(libc::EPERM) && !may_load() => Self::Privileges,
            _ if errno == Some(libc::EPERM) && in_user_namespace() => Self::UserNamespace,
            Some(said) => Self::Refused(Refusal {
                program: said.program,
                stage: Stage::Load,
                errno,
                verifier: said.verifier,
                text: error.to_string(),
            }),
            None => Self::Other(error),
        }
    }

    /// Attaching a program failed.
    pub(crate) fn of_attach(program: &str, error: &libbpf_rs::Error) -> Self {
        Self::Refused(Refusal::attach(program, errno_of(error), error.to_string()))
    }

    /// The remedy, where the user has one.
    pub(crate) fn fix(&self) -> Option<&'static str> {
        match self {
            Self::Privileges => Some("run it with sudo"),
            Self::UserNamespace => Some(
                "run it on the host, or in a container of the host's user namespace (--privileged)",
            ),
            Self::NoBtf => Some(btf::unknown().1),
            Self::Refused(_) | Self::Other(_) | Self::NoRoom => None,
        }
    }

    /// Whether memory was short.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.errno == Some(libc::ENOMEM),
            Self::Other(e) => e.kind() == libbpf_rs::ErrorKind::OutOfMemory,
            Self::Privileges | Self::UserNamespace | Self::NoBtf | Self::NoRoom => false,
        }
    }
}

/// The step at which the kernel refused a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Load,
    Attach,
    /// Nothing: its attach point does not exist.
    Unavailable,
}

/// A program that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) program: String,
    stage: Stage,
    errno: Option<i32>,
    /// The last line of the verifier's log, escaped.
    verifier: Option<String>,
    /// The error in other words, where there is no errno.
    text: String,
}

impl Refusal {
    /// Attaching a program failed.
    pub(crate) fn attach(program: &str, errno: Option<i32>, text: String) -> Self {
        let program = program.to_owned();
        Self { program, stage: Stage::Attach, errno, verifier: None, text }
    }

    /// A program has nothing to attach to.
    pub(crate) fn unavailable(program: &str, why: &str) -> Self {
        Self {
            program: program.to_owned(),
            stage: Stage::Unavailable,
            errno: None,
            verifier: None,
            text: why.to_owned(),
        }
    }

    /// The meaning of errno and log together (kernel/bpf/syscall.c, kernel/bpf/verifier.c).
    fn meaning(&self) -> Option<&'static str> {
        match (self.errno?, self.stage, &self.verifier) {
            (_, Stage::Load, Some(_)) => None,
            (libc::EACCES, Stage::Attach, _) if perf_events_are_restricted() => {
                Some("kernel.perf_event_paranoid above 2 refuses tracepoints without CAP_SYS_ADMIN")
            }
            (libc::EPERM | libc::EACCES, ..) => Some(
                "a policy of this kernel forbids this kind of program (an LSM, lockdown or the vendor's kernel)",
            ),
            (libc::EINVAL, Stage::Load, None) => {
                Some("this kernel does not know this kind of program")
            }
            (ENOTSUPP | libc::EOPNOTSUPP | libc::ENOSYS, ..) => {
                Some("this kernel was built without it")
            }
            (libc::ESRCH, Stage::Load, _) => {
                Some("the kernel's types (BTF) do not have what it attaches to")
            }
            (libc::ENOENT | libc::ESRCH, ..) => Some("this kernel has no such hook"),
            (libc::ENOMEM, ..) => Some("memory is short"),
            (libc::EBUSY, ..) => Some("another program has the hook to itself"),
            _ => None,
        }
    }
}

/// Internal to the kernel, but BPF hands it on (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.stage {
            Stage::Load => "load",
            Stage::Attach => "attach",
            Stage::Unavailable => return write!(f, "{}: {}", self.program, self.text),
        };
        write!(f, "the kernel refused to {verb} {}: ", self.program)?;
        match self.errno {
            Some(errno) => write!(f, "{}", errno_name(errno))?,
            None => write!(f, "{}", escape(self.text.as_bytes()))?,
        }
        if let Some(line) = &self.verifier {
            write!(f, ", the verifier: {line}")?;
        }
        if let Some(meaning) = self.meaning() {
            write!(f, ", {meaning}")?;
        }
        Ok(())
    }
}

/// The feature that a program which could not be attached leaves out.
pub(super) fn not_attached(feature: &str, program: &str, e: &io::Error) -> Missing {
    let refusal = Refusal::attach(program, e.raw_os_error(), e.to_string());
    Missing { feature: feature.into(), program: program.into(), error: refusal.to_string() }
}

/// Whether this thread may load programs: CAP_SYS_ADMIN stands for both (include/linux/capability.h).
fn may_load() -> bool {
    let has = |c| caps::has_cap(None, CapSet::Effective, c).unwrap_or(false);
    has(Capability::CAP_SYS_ADMIN) || (has(Capability::CAP_BPF) && has(Capability::CAP_PERFMON))
}

/// The remedy where [`perf_events_are_restricted`].
pub(crate) const ALLOW_PERF_EVENTS: &str =
    "sysctl kernel.perf_event_paranoid=2, or run it with sudo";

/// Whether this thread may not open perf events, and so attach to no tracepoint. Debian's kernels
/// have `kernel.perf_event_paranoid` at 3, which asks for CAP_SYS_ADMIN; kernel.org's know no value
/// above 2, and ask for CAP_PERFMON there.
pub(crate) fn perf_events_are_restricted() -> bool {
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let level = level.ok().and_then(|text| text.trim().parse::<i32>().ok());
    let is_admin = caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN);
    level.is_some_and(|level| level > 2) && !is_admin.unwrap_or(false)
}

/// Whether this is a user namespace other than the machine's. /proc/self/uid_map shows it: only the initial one maps all
/// ids to themselves (kernel/user.c, init_user_ns).
fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| !map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// Libbpf's message about a program that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    program: String,
    verifier: Option<String>,
}

thread_local! {
    static SAID: RefCell<Option<Said>> = const { RefCell::new(None) };
}

/// Bytes of a verifier's line that are kept.
const MOST_LINE: usize = 200;

/// Notes a warning of libbpf's: `prog 'NAME': BPF program load failed: …`, then, where there is one,
/// the verifier's log; or that libbpf itself finds no type of the kernel to attach the program to
/// (`bpf_object_load_prog` of libbpf.c).
pub(super) fn listen(warning: &str) {
    let Some((program, text)) =
        warning.trim_start().strip_prefix("libbpf: prog '").and_then(|rest| rest.split_once("': "))
    else {
        return;
    };
    let refused = ["BPF program load failed", "failed to prepare load attributes"];
    if refused.iter().any(|text_of| text.starts_with(text_of)) {
        SAID.set(Some(Said { program: program.to_owned(), verifier: None }));
    } else if let Some(log) = text.strip_prefix("-- BEGIN PROG LOAD LOG --") {
        let line = last_line(log.split("-- END PROG LOAD LOG --").next().unwrap_or_default());
        SAID.with_borrow_mut(|said| {
            if let Some(said) = said.as_mut().filter(|said| said.program == program) {
                said.verifier = line;
            }
        });
    }
}

/// The line of a verifier's log with the reason: the last one that is not about its own work.
fn last_line(log: &str) -> Option<String> {
    let about_itself = |line: &&str| {
        let first = line.split(' ').next().unwrap_or_default();
        line.is_empty()
            || matches!(first, "processed" | "verification" | "stack" | "insns" | "(")
            || line.starts_with("peak_states")
    };
    let line = log.lines().map(str::trim).rev().find(|line| !about_itself(line))?;
    let mut end = line.len().min(MOST_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).map(|line| escape(line.as_bytes()).into_owned())
}

/// Takes the message that was noted on this thread since the last call.
fn take_said() -> Option<Said> {
    SAID.take()
}

/// Whether a test wants this program refused: `EBPFTOP_REFUSE=NAME,NAME`. Release builds know nothing
/// of it.
pub(crate) fn is_injected(program: &str) -> bool {
    cfg!(debug_assertions)
        && std::env::var("EBPFTOP_REFUSE").is_ok_and(|list| list.split(',').any(|p| p == program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_libbpf_are_parsed() {
        listen("libbpf: prog 'walk': BPF program load failed: -EINVAL\n");
        listen(
            "libbpf: prog 'walk': -- BEGIN PROG LOAD LOG --\n0: R1=ctx()\n0: (85) call bpf_loop#181\n\
             unknown func bpf_loop#181\nprocessed 1 insns (limit 1000000) max_states_per_insn 0 \
             total_states 0 peak_states 0 mark_read 0\n-- END PROG LOAD LOG --\n",
        );
        let said = take_said().unwrap();
        assert_eq!(said.program, "walk");
        assert_eq!(said.verifier.as_deref(), Some("unknown func bpf_loop#181"));
        assert_eq!(take_said(), None);
        listen("libbpf: map 'x': failed to create: -ENOMEM\n");
        assert_eq!(take_said(), None);
        listen("libbpf: prog 'a': BPF program load failed: -EPERM\n");
        assert_eq!(take_said().unwrap().verifier, None);
    }

    #[test]
    fn errno_and_log_together_have_a_meaning() {
        let refusal = |stage, errno, verifier: Option<&str>| {
            Refusal {
                program: "walk".into(),
                stage,
                errno: Some(errno),
                verifier: verifier.map(Into::into),
                text: String::new(),
            }
            .to_string()
        };
        for (stage, errno, verifier, said) in [
            (
                Stage::Load,
                libc::EPERM,
                None,
                "the kernel refused to load walk: EPERM, a policy of this kernel",
            ),
            (
                Stage::Load,
                libc::EINVAL,
                Some("unknown func"),
                "the kernel refused to load walk: EINVAL, the verifier: unknown func",
            ),
            (
                Stage::Load,
                libc::EINVAL,
                None,
                "the kernel refused to load walk: EINVAL, this kernel does not know this kind",
            ),
            (
                Stage::Attach,
                524,
                None,
                "the kernel refused to attach walk: ENOTSUPP, this kernel was built without it",
            ),
        ] {
            let text = refusal(stage, errno, verifier);
            assert!(text.starts_with(said), "{text}");
            assert!(!text.contains("5."), "no version is named: {text}");
        }
    }
}
