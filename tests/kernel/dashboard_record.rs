//! `R` in the dashboard, on the real kernel, and `replay` of what it wrote.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::common::patience::until;
use crate::common::program::ebpftop;
use crate::common::tty::{Tty, touch};
use crate::common::user::CALLS_SUDO;
use crate::fake::at;
use ebpftop::app::App;
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::open::OpenCounts;
use ebpftop::recording::{Damage, Item, Reader, Seen, Totals};
use ebpftop::settings::Settings;
use nix::sys::signal::Signal;

/// The dashboard in a directory, with opens of files of this name alone, by file.
fn dashboard(dir: &Path, name: &str, env: &[(&str, &str)]) -> Tty {
    let dir = dir.to_str().unwrap();
    let args = ["-C", dir, ebpftop(), "--interval", "200ms", "-i", "lo", "--xdp-mode", "off"];
    let filter = ["-f", &format!("path:{}", &name[1..])];
    let mut all = vec![("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    all.extend(env);
    let mut tty = Tty::start("env", &[&args[..], &filter].concat(), &all, (160, 40));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    tty.send("ttte");
    tty.wait_for("by file");
    tty
}

/// Whether the row of the file has this count; the header has the filter without the stroke.
fn has_count(screen: &str, name: &str, n: u32) -> bool {
    let row = screen.lines().find(|l| l.contains(name));
    row.is_some_and(|row| row.split_whitespace().any(|w| w == n.to_string()))
}

/// The recordings in a directory.
fn recordings(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "rec"));
    // The second one of the same second is `…-2.rec`.
    files.sort_by_key(|f| (f.as_os_str().len(), f.clone()));
    files
}

/// How many opens of the file a recording has, and how it ends.
fn opens_in(file: &Path, name: &str) -> (u32, Result<Totals, Damage>) {
    let mut reader = Reader::new(std::io::Cursor::new(std::fs::read(file).unwrap())).unwrap();
    let mut opens = 0;
    loop {
        match reader.read() {
            Ok(Item::Seen(_, Seen::Probe(ProbeEvent::Opens(batch)))) => {
                let mine = |p: Option<&[u8]>| p.is_some_and(|p| p.ends_with(name.as_bytes()));
                opens += batch.iter().filter(|o| mine(o.best_path())).count() as u32;
            }
            Ok(Item::End(totals)) => return (opens, Ok(totals)),
            Ok(_) => {}
            Err(damage) => return (opens, Err(damage)),
        }
    }
}

/// A recording that begins amid a run has first the known state, and counts from there.
#[test]
fn earlier_state_is_known_and_not_counted_again() {
    let mut live = crate::fake::busy((120, 40));
    let lost = |lost| {
        let mut batch = crate::fake::batch(at(31.0), &[(1, "a", b"/b", 3, 2)]);
        batch.counts = OpenCounts { seen: 900 + lost, lost, ..OpenCounts::default() };
        Seen::Probe(ProbeEvent::Opens(batch))
    };
    live.recorded(lost(512), at(31.0));
    assert_eq!(live.opens().lost(), 512);
    let mut shown = App::new(&Settings::default(), "elsewhere", at(31.0));
    for seen in live.known_before() {
        shown.recorded(seen, at(31.0));
    }
    assert_eq!(shown.interfaces(), live.interfaces());
    assert_eq!(shown.data.links, live.data.links);
    assert!(shown.data.opens_state.running().is_some());
    assert_eq!((shown.opens().lost(), shown.opens().total().opens), (0, 0));
    shown.recorded(lost(515), at(32.0));
    assert_eq!((shown.opens().lost(), shown.opens().total().opens), (3, 2));
    // Events that could not be written are among the lost ones.
    shown.recorded(Seen::Missing { opens: 40, events: 2 }, at(33.0));
    assert_eq!(shown.opens().lost(), 43);
    assert!(shown.notice().unwrap().0.contains("40 opens are missing here"));
}

#[test]
fn a_recording_is_exact_and_can_be_replayed() {
    const NAME: &str = "/opened-for-exact";
    let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = touch(files.path(), &NAME[1..]);
    let open = |n: u32| (0..n).for_each(|_| drop(std::fs::File::open(&file).unwrap()));
    let mut tty = dashboard(dir.path(), NAME, &[]);
    open(50);
    tty.wait_until("50 opens", |s| has_count(s, NAME, 50));
    tty.send("R");
    tty.wait_for("recording to ");
    open(137);
    let screen = tty.wait_until("187 opens", |s| has_count(s, NAME, 187));
    assert!(screen.lines().next().unwrap().contains(" REC 0:0"), "{screen}");
    // It goes on while the screen stands still.
    tty.send("p");
    tty.wait_for("PAUSED");
    open(46);
    tty.send("p");
    tty.wait_until("233 opens", |s| has_count(s, NAME, 233));
    tty.send("R");
    let screen = tty.wait_for("recorded ");
    assert!(!screen.lines().next().unwrap().contains("REC"), "{screen}");
    open(9);
    tty.wait_until("242 opens", |s| has_count(s, NAME, 242));
    // One more in the same second, ended by leaving.
    tty.send("R");
    tty.wait_for("recording to ");
    open(5);
    tty.wait_until("247 opens", |s| has_count(s, NAME, 247));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
    let said = tty.text();
    assert!(said.contains("ebpftop: recorded "), "{said}");
    let made = recordings(dir.path());
    assert_eq!(made.len(), 2, "{made:?}");
    assert_eq!(made[0].metadata().unwrap().mode() & 0o777, 0o600);
    let (opens, end) = opens_in(&made[0], NAME);
    assert_eq!((opens, end.unwrap().unwritten), (183, 0));
    let (opens, end) = opens_in(&made[1], NAME);
    assert_eq!((opens, end.unwrap().unwritten), (5, 0));

    // From its first moment: what is watched, and no losses of before.
    let args = ["replay", made[0].to_str().unwrap()];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let mut tty = Tty::start(ebpftop(), &args, &env, (160, 40));
    tty.wait_for("Files");
    tty.send("/path:opened-for-exact\rtte");
    let screen = tty.wait_until("the end", |s| s.contains(" END ") && has_count(s, NAME, 183));
    let header = screen.lines().next().unwrap();
    assert!(header.contains("lost 0") && header.contains(" lo "), "{screen}");
    tty.send("R");
    tty.wait_for("a replay cannot be recorded");
    tty.send("{");
    tty.wait_until("the first moment", |s| !s.contains(NAME) && s.contains(" lo "));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

#[test]
fn events_from_before_a_kill_are_read_back() {
    const NAME: &str = "/opened-for-kill";
    let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = touch(files.path(), &NAME[1..]);
    let mut tty = dashboard(dir.path(), NAME, &[]);
    tty.send("R");
    tty.wait_for("recording to ");
    (0..10).for_each(|_| drop(std::fs::File::open(&file).unwrap()));
    until("a block, one a second", || {
        (opens_in(&recordings(dir.path())[0], NAME).0 >= 10).then_some(())
    });
    tty.kill(Signal::SIGKILL);
    tty.wait();
    let (opens, end) = opens_in(&recordings(dir.path())[0], NAME);
    assert_eq!(opens, 10);
    assert!(matches!(end, Err(Damage::Cut)), "{end:?}");
}

#[test]
fn a_full_disk_and_a_directory_of_others_are_reported_and_the_dashboard_goes_on() {
    const NAME: &str = "/opened-for-full";
    let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = touch(files.path(), &NAME[1..]);
    let open = |n: u32| (0..n).for_each(|_| drop(std::fs::File::open(&file).unwrap()));
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let (size, flags) = (Some("size=64k"), nix::mount::MsFlags::empty());
    nix::mount::mount(Some("none"), &disk, Some("tmpfs"), flags, size).unwrap();
    std::fs::write(disk.join("fills"), vec![0; 40 << 10]).unwrap();
    let mut tty = dashboard(&disk, NAME, &[]);
    open(7);
    tty.wait_until("7 opens", |s| has_count(s, NAME, 7));
    tty.send("R");
    tty.wait_for("recording to ");
    // Names that do not pack.
    let mut seed = 1u64;
    for _ in 0..4_000 {
        let mut name = String::from("opened-to-fail-");
        for _ in 0..4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            name.push_str(&format!("{seed:016x}"));
        }
        std::fs::File::open(files.path().join(name)).unwrap_err();
    }
    let screen = tty.wait_for("recording stopped: ");
    assert!(screen.contains("No space left") && screen.contains("saved: "), "{screen}");
    assert!(!screen.lines().next().unwrap().contains("REC"), "{screen}");
    tty.send("/\x15path:opened-for-full\r");
    open(4);
    tty.wait_until("11 opens", |s| has_count(s, NAME, 11));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    let (_, end) = opens_in(&recordings(&disk)[0], NAME);
    nix::mount::umount(&disk).unwrap();
    assert!(matches!(end, Ok(_) | Err(Damage::Cut)), "whole blocks: {end:?}");

    // Of root alone, and the user behind sudo is another.
    std::fs::set_permissions(&disk, PermissionsExt::from_mode(0o700)).unwrap();
    let mut tty = dashboard(&disk, NAME, &CALLS_SUDO);
    tty.send("R");
    let screen = tty.wait_for("not recorded: ");
    assert!(screen.contains("Permission denied"), "{screen}");
    assert!(!screen.lines().next().unwrap().contains("REC"), "{screen}");
    open(3);
    tty.wait_until("3 opens", |s| has_count(s, NAME, 3));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    assert!(recordings(&disk).is_empty());
}
