//! Stepping through the last minutes of the dashboard while it is paused.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::common::net::{ip, own_namespace};
use crate::common::program::ebpftop;
use crate::common::tty::{Tty, touch};

/// Presses until the screen is so: the number of moments in between depends on the machine. The next
/// key waits for the effect of the last one, so that no moment is skipped.
fn press(tty: &mut Tty, key: &str, what: &str, wanted: &dyn Fn(&str) -> bool) {
    let moment = |s: &str| s.lines().next().map(|l| l.to_owned());
    for _ in 0..1_000 {
        let before = moment(&tty.text());
        tty.send(key);
        let mut until = Instant::now() + Duration::from_secs(5);
        let mut moved = false;
        while Instant::now() < until {
            let text = tty.text();
            if wanted(&text) {
                return;
            }
            if !moved && moment(&text) != before {
                // The rest of the frame follows.
                (moved, until) = (true, Instant::now() + Duration::from_millis(200));
            }
            if text.contains("no older moment") || text.contains("moment of the pause") {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    panic!("{key} did not lead to {what}; the screen:\n{}", tty.text());
}

/// The age at the end of a row, seconds.
fn age_s(row: &str) -> Option<f64> {
    let age = row.trim_end_matches(['│', ' ']).rsplit(' ').next()?;
    age.strip_suffix('s')?.parse().ok()
}

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
    open(137);
    // Within two seconds there is a tick that stores this moment.
    tty.wait_until("137 opens, two seconds ago", |s| {
        let row = s.lines().find(|l| l.contains(name)).unwrap_or("");
        shows(s, 137) && age_s(row).is_some_and(|s| s >= 2.0)
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

/// Sends known numbers of bytes over a second connection, goes back to the first, and returns.
#[test]
fn the_traffic_of_a_process_is_that_of_the_moment() {
    own_namespace();
    ip("link set lo up");
    let filter = format!("pid:{}", std::process::id());
    let args = ["--interval", "200ms", "-i", "lo", "--xdp-mode", "off", "-f", &filter];
    let mut tty = Tty::start(ebpftop(), &args, &[], (140, 40));
    tty.wait_until("all probes", |s| s.contains("payload rx") && !s.contains("starting"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut first = connect();
    first.write_all(&[0; 5_000]).unwrap();
    tty.send("te");
    tty.wait_for("by process");
    tty.wait_until("the process", |s| s.contains("1 of "));
    tty.send("\r");
    let shows = |s: &str, sent: &str, live: &str| {
        let line = s.lines().find(|l| l.contains("traffic  "));
        line.is_some_and(|l| l.contains(&format!("tx {sent}  ")) && l.contains(live))
    };
    // Within two seconds there is a tick that stores this moment.
    tty.wait_until("one connection, two seconds ago", |s| {
        let peer = s.lines().find(|l| l.contains("127.0.0.1 ")).unwrap_or("");
        shows(s, "5000", " live of 1 connection") && age_s(peer).is_some_and(|s| s >= 2.0)
    });
    let mut second = connect();
    second.write_all(&[0; 3_000]).unwrap();
    tty.wait_until("two connections", |s| shows(s, "8000", " live of 2 connections"));
    tty.send("p");
    tty.wait_for("PAUSED");
    second.write_all(&[0; 1_000]).unwrap();
    press(&mut tty, "[", "one connection", &|s| shows(s, "5000", " live of 1 connection"));
    press(&mut tty, "]", "two connections", &|s| shows(s, "8000", " live of 2 connections"));
    tty.send("p");
    tty.wait_until("all bytes", |s| shows(s, "9000", " live of 2 connections"));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}
