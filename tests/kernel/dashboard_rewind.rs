//! Stepping through the last minutes of the dashboard while it is paused.

use std::time::{Duration, Instant};

use crate::common::program::ebpftop;
use crate::common::tty::{Tty, touch};

/// Opens a file in known numbers, goes back to each of them, and returns to the present with all
/// opens meanwhile.
#[test]
fn known_numbers_are_found_again_and_nothing_is_lost_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let name = "/numbers-of-opens"; // of the row: the header has the filter without the slash
    let file = touch(dir.path(), &name[1..]);
    let open = |n: u32| (0..n).for_each(|_| drop(std::fs::File::open(&file).unwrap()));
    let args =
        ["--interval", "200ms", "-i", "lo", "--xdp-mode", "off", "-f", "path:numbers-of-opens"];
    let mut tty = Tty::start(ebpftop(), &args, &[], (140, 40));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    tty.send("ttte");
    tty.wait_for("by file");
    let shows = |s: &str, n: u32| {
        let row = s.lines().find(|l| l.contains(name));
        row.is_some_and(|row| row.split_whitespace().any(|w| w == n.to_string()))
    };
    let paused = |s: &str| s.contains("PAUSED");
    // Press until the screen is so: the number of moments in between depends on the machine.
    let press = |tty: &mut Tty, key: &str, what: &str, wanted: &dyn Fn(&str) -> bool| {
        for _ in 0..1_000 {
            tty.send(key);
            let until = Instant::now() + Duration::from_millis(60);
            while Instant::now() < until {
                if wanted(&tty.text()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("{key} did not lead to {what}; the screen:\n{}", tty.text());
    };
    open(137);
    // Within two seconds there is a tick that stores this moment.
    tty.wait_until("137 opens, two seconds ago", |s| {
        let row = s.lines().find(|l| l.contains(name)).unwrap_or("");
        let age = row.trim_end_matches(['│', ' ']).rsplit(' ').next().unwrap_or("");
        shows(s, 137)
            && age.strip_suffix('s').and_then(|s| s.parse().ok()).is_some_and(|s: f64| s >= 2.0)
    });
    open(117);
    tty.wait_until("254 opens", |s| shows(s, 254));
    tty.send("p");
    tty.wait_until("a pause", |s| paused(s) && shows(s, 254));
    open(46);
    press(&mut tty, "[", "137 opens", &|s| shows(s, 137));
    assert!(tty.text().lines().next().unwrap().contains(" -0:"), "{}", tty.text());
    press(&mut tty, "[", "none yet", &|s| !s.contains(name));
    press(&mut tty, "]", "137 opens again", &|s| shows(s, 137));
    press(&mut tty, "]", "254 opens again", &|s| shows(s, 254));
    tty.send("p");
    tty.wait_until("all of them", |s| !paused(s) && shows(s, 300));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}
