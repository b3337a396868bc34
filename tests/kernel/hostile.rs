//! Names that act on a terminal, on the real screen and in the log: of a process, of the files that it
//! opens, of an interface.

use crate::common::net::*;
use crate::common::opener::opener;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;

/// Resets a terminal, turns what follows round, hides itself.
const NAME: &str = "h\x1bc\u{202e}\u{200b}x";
const SHOWN: &str = "h\\x1bc\\u{202e}\\u{200b}x";

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|w| w == what.as_bytes())
}

#[test]
fn hostile_names_are_shown_and_do_nothing() {
    own_namespace();
    ip("link set lo up");
    let interface = "e\u{202e}\u{200b}z";
    ip(&format!("link add {interface} type veth peer name vb"));
    ip(&format!("link set {interface} up"));
    let _opener = opener(NAME);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let args = ["-i", interface, "--log", log.to_str().unwrap()];
    let mut tty = Tty::start(ebpftop(), &args, &env, (200, 60));
    tty.wait_for(SHOWN);
    tty.wait_for("e\\u{202e}\\u{200b}z");
    // By file, by directory, failures, live feed.
    for _ in 0..4 {
        tty.send("t");
        tty.settle();
    }
    tty.send("/path:missing-h\r");
    tty.wait_for(&format!("missing-{SHOWN}"));
    tty.send("i");
    tty.wait_for("e\\u{202e}\\u{200b}z");
    tty.send("\x1b");
    tty.settle();
    tty.send("q");
    assert_eq!(tty.wait(), 0, "{}", tty.text());
    tty.assert_given_back();
    let log = std::fs::read(&log).unwrap();
    for bytes in [tty.bytes(), log] {
        for active in ["\x1bc", "\u{202e}", "\u{200b}"] {
            assert!(!holds(&bytes, active), "{active:?}");
        }
    }
}
