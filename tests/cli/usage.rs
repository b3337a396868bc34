//! The command line of the whole program: usage, configuration, documents, and `doctor` and
//! `stream` without privileges.

use crate::common::program::{ebpftop, ended, program, run, run_without_privileges};
use crate::common::tty::Tty;

#[test]
fn wrong_usage_is_exit_2() {
    for (args, says) in [
        (&["stream", "sockets"][..], "opens"),
        (&["stream", "--interval", "99ms"], "100ms to 60s"),
        (&["stream", "--interval", "61s"], "100ms to 60s"),
        (&["stream", "--duration", "5"], "unit"),
        (&["stream", "-f", "err:ENOSUCH"], "as in `err:ENOENT`"),
        (&["stream", "-p", "~("], "unclosed group"),
        (&["stream", "--path", ""], "a term without text"),
        (&["stream", "--format", "csv"], "stream opens"),
        (&["stream", "opens", "talkers", "--format", "csv"], "`talkers`"),
        (&["stream", "--xdp-mode", "fast"], "generic"),
        (&["stream", "--pid", "x"], "invalid"),
        (&["--no-such"], "--no-such"),
        (&["nothing"], "nothing"),
    ] {
        let run = run(args);
        assert_eq!(run.code(), 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{args:?}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn the_dashboard_needs_a_terminal() {
    let run = run(&[]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr.contains("ebpftop stream"), "{}", run.stderr);
    assert!(run.stdout.is_empty());
}

/// Whatever a path or an argument has in it, messages do not act on the terminal; in a locale without UTF-8
/// neither does the second byte of `\u{db}`, which begins a control sequence there.
#[test]
fn messages_do_not_act_on_the_terminal() {
    let hostile = "/no\x1b[31msuch/\x1b]0;x\x07\u{9b}\u{202e}\u{db}31m";
    for args in [
        &["replay", "--log", hostile][..],
        &["replay", "--config", hostile],
        &["replay", "--mmdb", hostile],
        &["replay", hostile],
        &["doctor", "--btf", hostile],
        &["stream", "--interval", hostile],
        &["stream", "--pid", hostile],
        &[hostile],
    ] {
        for (locale, shown) in [("C.UTF-8", "\u{db}31m"), ("C", "\\u{00db}31m")] {
            let mut tty = Tty::start(
                ebpftop(),
                args,
                &[("XDG_CONFIG_HOME", "/nonexistent"), ("LC_ALL", locale)],
                (200, 30),
            );
            assert_ne!(tty.wait(), 0, "{args:?}: {}", tty.text());
            let said = String::from_utf8(tty.bytes()).unwrap();
            assert!(said.contains(shown), "{args:?}: {said:?}");
            for active in ["\x1b[31m", "\x1b]0", "\x07", "\u{9b}", "\u{202e}"] {
                assert!(!said.contains(active), "{args:?}: {said:?}");
            }
            assert!(locale != "C" || said.is_ascii(), "{args:?}: {said:?}");
        }
    }
}

#[test]
fn documents_are_printed() {
    for (args, holds) in [
        (&["config"][..], "#interval = \"1s\""),
        (&["man"], "EXIT STATUS"),
        (&["man"], "OPTIONS OF RECORD"),
        (&["record", "--help"], "--max-size"),
        (&["replay", "--help"], "demo"),
        (&["completions", "bash"], "_ebpftop"),
        (&["completions", "zsh"], "#compdef ebpftop"),
        (&["completions", "fish"], "complete -c ebpftop"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["--help"], "stream"),
        (&["stream", "--help"], "--duration"),
    ] {
        let run = run(args);
        assert_eq!(run.code(), 0, "{args:?}: {}", run.stderr);
        assert!(run.text().contains(holds), "{args:?}");
    }
}

#[test]
fn a_mistake_in_the_configuration_names_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ebpftop/config.toml");
    std::fs::create_dir(dir.path().join("ebpftop")).unwrap();
    for (text, says) in [
        ("\ninterva = '1s'\n", ":2: unknown key `interva`; did you mean `interval`?"),
        ("mouse = 'yes'", ":1: invalid `mouse`: use true or false"),
        ("mouse = \n", ":1: string values must be quoted"),
        ("filter = 'pid:x'", ":1: invalid `filter` \"pid:x\": `pid:` needs a number"),
    ] {
        std::fs::write(&file, text).unwrap();
        let run = ended(program().args(["stream", "opens"]).env("XDG_CONFIG_HOME", dir.path()));
        assert_eq!(run.code(), 2, "{}", run.stderr);
        let says = format!("{}{says}", file.display());
        assert!(run.stderr.contains(&says), "{says}: {}", run.stderr);
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let run = ended(program().args(["stream", "opens"]).env("XDG_CONFIG_HOME", dir.path()));
    assert_eq!(run.code(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("not a regular file"), "{}", run.stderr);
}

#[test]
fn doctor_names_missing_capabilities() {
    let run = run_without_privileges(&["doctor", "--format", "json"]);
    assert_eq!(run.code(), 1);
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&run.stdout).unwrap();
    let find = |name: &str| checks.iter().find(|c| c["check"] == name).unwrap();
    for name in ["CAP_BPF", "CAP_NET_ADMIN", "opens"] {
        assert_eq!(find(name)["ok"], false, "{name}");
        assert!(find(name)["fix"].as_str().unwrap().contains("sudo"), "{name}");
    }
}

#[test]
fn without_capabilities_stream_names_the_remedy() {
    let run = run_without_privileges(&["stream", "opens", "--format", "json"]);
    assert_eq!(run.code(), 1);
    assert_eq!(run.text(), "");
    assert!(run.stderr.contains("watch opens") && run.stderr.contains("sudo"), "{}", run.stderr);
}
