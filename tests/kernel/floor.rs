//! Coverage of the opens probe on this kernel, whichever it is: all that the kernel can show, and a
//! word on the rest.

use crate::common::conns::{Gate, done, process};
use crate::common::opens::{in_child, watch};
use crate::common::program::run;
use ebpftop::model::coverage::Missing;
use ebpftop::model::open::{ResolvedKind, Syscall};
use ebpftop::probes::{OpensConfig, programs};
use libbpf_rs::query::ProgInfoIter;

/// The running kernel's version.
pub(crate) fn kernel() -> (u32, u32) {
    let uname = nix::sys::utsname::uname().unwrap();
    let release = uname.release().to_str().unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Prints the programs that are loaded, and what a probe lacks and why, for the script that compares kernels.
pub(crate) fn print_coverage(missing: &[Missing]) {
    println!(); // from the harness's own line
    for program in ProgInfoIter::default() {
        // How long the verifier's way through the program was.
        println!("@@ insns {} {}", program.name.to_string_lossy(), program.verified_insns);
    }
    for one in missing {
        println!("@@ missing {}: {}", one.feature, one.error);
    }
}

#[test]
fn only_opens_that_this_kernel_cannot_show_are_missed() {
    // The log has the reason why programs were refused; it is shown when the test fails.
    tracing_subscriber::fmt().with_test_writer().with_ansi(false).without_time().init();
    let watch = watch(OpensConfig::default());
    print_coverage(&watch.info.missing);
    let mut missing: Vec<&str> = watch.info.missing.iter().map(|m| m.feature.as_str()).collect();
    // By the kernel's configuration: tests/kernel/compat.rs asks for what it does where it is there.
    if kernel() >= (5, 18) {
        missing.retain(|feature| *feature != programs::COMPAT_CALLS);
    }
    let expected: &[&str] = match kernel() {
        old if old < (5, 18) => &[programs::IO_URING, programs::COMPAT_CALLS],
        old if old < (6, 4) => &[programs::IO_URING],
        _ => &[],
    };
    assert_eq!(missing, expected);
    assert!(watch.info.missing.iter().all(|m| !m.error.is_empty()));
    for call in [Syscall::Openat, Syscall::Openat2, Syscall::OpenByHandleAt] {
        assert!(watch.info.seen.contains(&call), "{:?}", watch.info.seen);
    }
    let old = [Syscall::Open, Syscall::Creat];
    assert!(
        old.iter().all(|c| watch.info.seen.contains(c) == cfg!(target_arch = "x86_64")),
        "{:?}",
        watch.info.seen
    );
    watch.finish(|_| true);
}

/// However the walk is made on this kernel.
#[test]
fn a_deep_path_is_resolved() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let file_at = |depth: usize| {
        let at = root.join("d/".repeat(depth));
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("file"), "x").unwrap();
        at.join("file")
    };
    let (shallow, deep) = (file_at(40), file_at(200));
    for as_on_510 in [false, true] {
        let watch = watch(OpensConfig { as_on_510, ..OpensConfig::default() });
        let child = in_child(|| {
            std::fs::File::open(&shallow).unwrap();
            std::fs::File::open(&deep).unwrap();
        });
        let (seen, counts) = watch.finish(|m| m.tgid == child);
        assert_eq!(counts.lost, 0, "{counts:?}");
        let resolved = |path: &std::path::Path| {
            let open = seen.iter().find(|s| s.path_str() == path.to_str().unwrap()).unwrap();
            open.resolved.clone()
        };
        let whole = |path: &std::path::Path| {
            Some((ResolvedKind::Opened, path.as_os_str().as_encoded_bytes().to_vec()))
        };
        assert_eq!(resolved(&shallow), whole(&shallow), "{as_on_510}");
        assert_eq!(resolved(&deep), whole(&deep), "{as_on_510}");
    }
}

/// The features of kernel 5.10 are enough for calls, flags, paths, names and results, here as there.
#[test]
fn the_form_for_the_oldest_kernel_reports_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("sub")).unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    let reported = [false, true].map(|as_on_510| {
        let watch = watch(OpensConfig { as_on_510, ..OpensConfig::default() });
        let child = in_child(|| {
            std::env::set_current_dir(root.join("sub")).unwrap();
            for path in ["../file", "none/../x", "/", "."] {
                drop(std::fs::File::open(path));
            }
            drop(std::fs::File::create(root.join("made")));
        });
        let (seen, counts) = watch.finish(|m| m.tgid == child);
        assert_eq!((counts.malformed, counts.lost), (0, 0), "{counts:?}");
        let of = |s: &crate::common::opens::Seen| {
            let m = &s.meta;
            (
                m.syscall,
                m.flags,
                m.mode,
                m.errno(),
                m.comm,
                m.process,
                s.path.clone(),
                s.resolved.clone(),
            )
        };
        seen.iter().map(of).collect::<Vec<_>>()
    });
    assert_eq!(reported[0].len(), 5);
    assert_eq!(reported[0], reported[1]);
}

#[test]
fn holders_of_a_file_are_listed_with_as_much_as_this_kernel_shows() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let file = root.join("held");
    std::fs::write(&file, "x").unwrap();
    let (held, end) = (Gate::new(), Gate::new());
    let holder = process(|| {
        std::env::set_current_dir(&root).unwrap();
        let opened = std::fs::File::open("held").unwrap();
        held.open();
        end.wait();
        drop(opened);
    });
    held.wait();
    let has_paths = kernel() >= (5, 12);
    for (asked, held_as) in [(&file, "descriptor"), (&root, "cwd")] {
        let ended = run(&["report", "--by", "holder", asked.to_str().unwrap(), "--format", "json"]);
        assert_eq!(ended.code(), i32::from(!has_paths), "{}", ended.stderr);
        let rows = ended.of_type("report");
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((&row["pid"], &row["held_as"]), (&holder.as_raw().into(), &held_as.into()));
        let path = asked.to_str().filter(|_| has_paths && held_as == "descriptor");
        assert_eq!(row["resolved"], serde_json::json!(path), "{row}");
    }
    end.open();
    done(holder);
}
