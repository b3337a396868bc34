//! Names that act on a terminal, on the real screen, in lines and in the log: of a process, of the files that it
//! opens, of an interface.

use crate::common::net::*;
use crate::common::opener::opener;
use crate::common::program::{Stream, ebpftop, program};
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
    // By process, by unit, by file, by directory, failures; alone, so that whole paths have room.
    for _ in 0..5 {
        tty.send("t");
        tty.settle();
    }
    tty.send("e");
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

/// In a locale without UTF-8 a terminal may read the second byte of `\u{db}` as the beginning of a control
/// sequence. Lines for people are ASCII there, JSON and CSV say the same everywhere.
#[test]
fn without_utf8_names_are_shown_in_ascii() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("\u{db}31mRED-\u{6f22}");
    std::fs::write(&path, "").unwrap();
    let shown = "\\u{00db}31mRED-\\u{6f22}";
    let lines = |format: &str| {
        let mut command = program();
        command.args(["stream", "opens", "--path", "31mRED", "--format", format]);
        command.env("LC_ALL", "C");
        command
    };
    let stream =
        Stream::json_by(program().env("LC_ALL", "C").args(["stream", "opens", "--path", "31mRED"]));
    drop(std::fs::File::open(&path).unwrap());
    let run = stream.interrupt();
    let open = &run.of_type("open")[0];
    assert_eq!(open["resolved"], path.to_str().unwrap());
    for (format, expected) in [("text", shown), ("csv", "\u{db}31mRED-\u{6f22}")] {
        let stream = Stream::text_by(&mut lines(format));
        drop(std::fs::File::open(&path).unwrap());
        let run = stream.interrupt();
        assert!(run.text().contains(expected), "{format}: {}", run.text());
        assert_eq!(run.text().is_ascii(), format == "text", "{}", run.text());
    }
    // On a terminal nothing is beyond ASCII, whatever the format; JSON says the same all the same.
    for (format, expected) in [("text", shown), ("csv", shown), ("json", "\\u00db31mRED-\\u6f22")] {
        let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("LC_ALL", "C")];
        let args = ["stream", "opens", "--path", "31mRED", "--format", format];
        let mut tty = Tty::start(ebpftop(), &args, &env, (250, 30));
        tty.wait_for("ready");
        drop(std::fs::File::open(&path).unwrap());
        tty.wait_for(expected);
        tty.send("\x03");
        assert_eq!(tty.wait(), 0);
        assert!(tty.bytes().is_ascii(), "{format}");
    }
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("LC_ALL", "C")];
    let mut tty = Tty::start(ebpftop(), &["-i", "lo", "-f", "path:31mRED"], &env, (200, 40));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    drop(std::fs::File::open(&path).unwrap());
    tty.send("t");
    tty.wait_for(shown);
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    assert!(tty.bytes().is_ascii());
}
