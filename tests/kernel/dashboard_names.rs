//! The whole program in a pseudo-terminal, in namespaces of its own: addresses with names, from a
//! real resolver and a real server.

use std::collections::HashMap;

use crate::common::dns::{Says, Server, own_etc};
use crate::common::mmdb::{Value, database};
use crate::common::net::*;
use crate::common::patience::until;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;

fn dashboard(size: (u16, u16)) -> Tty {
    let args = ["--interval", "200ms", "-i", "va"];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let tty = Tty::start(ebpftop(), &args, &env, size);
    tty.wait_for("va generic");
    tty
}

/// 60 bytes from each of these.
fn frames(from: impl Iterator<Item = u32>) -> Vec<Vec<u8>> {
    from.map(|n| ethernet(0x0800, &ipv4(v4(n), v4(99), 46))).collect()
}

/// Opens the details of one address.
fn enter(tty: &mut Tty, ip: &str) {
    tty.send(&format!("2/\x15ip:{ip}\r"));
    tty.wait_for(&format!("filter ip:{ip}"));
    tty.send("g\r");
    tty.wait_for("first seen");
}

fn leave(tty: &mut Tty) {
    tty.send("\x7f");
    tty.wait_until("the way back", |s| !s.contains("first seen"));
    tty.send("\x7f");
    tty.wait_until("no filter", |s| !s.contains("filter ip:"));
}

#[test]
fn names_come_and_go_by_a_key_without_waiting() {
    own_namespace();
    // A file may have names that no server may answer.
    own_etc(b"10.0.0.4 ev\x1b[31mil\n10.0.0.5 a\xe2\x80\xaeb\n10.0.0.7 10.0.0.1\n");
    ip("link set lo up");
    veth("va", "vb");
    let says = [
        (v4(1), Says::Name(b"web-1.example.net".to_vec())),
        (v4(2), Says::Nothing),
        (v4(3), Says::Name(b"a\x1b]0;x\x07\nb.example".to_vec())),
    ];
    let server = Server::start(HashMap::from(says));
    let there = Sender::on("vb");
    let mut tty = dashboard((160, 45));
    there.send(&frames(1..8));
    tty.wait_until("all rows", |s| (1..8).all(|n| s.contains(&format!("10.0.0.{n} "))));
    assert!(!tty.text().contains("web-1"), "names are off at the start");
    assert!(server.asked().is_empty(), "and no server is asked");

    tty.send("r");
    tty.wait_for("10.0.0.1 web-1.example.net");
    tty.wait_for("10.0.0.4 ev\\x1b[31mil");
    tty.wait_for("10.0.0.5 a\\u{202e}b");
    tty.wait_for("· names");
    // Without an answer the program goes on, and shows that it waits.
    enter(&mut tty, "10.0.0.2");
    tty.wait_for("(resolving)");
    tty.send("?");
    tty.wait_for(" Help ");
    tty.send("?");
    tty.wait_for("(no answer)");
    leave(&mut tty);
    // A name that no host may have (the resolver's own word), one that is an address, none.
    for address in ["10.0.0.3", "10.0.0.7", "10.0.0.6"] {
        enter(&mut tty, address);
        let screen = tty.wait_until("an answer", |s| !s.contains("(resolving"));
        let line = screen.lines().find(|l| l.contains("private")).unwrap();
        assert!(address == "10.0.0.3" || line.contains("(no name)"), "{line}");
        assert!(!line.contains(['\x1b', '\x07']), "{line}");
        leave(&mut tty);
    }

    tty.send("r");
    tty.wait_until("no names", |s| !s.contains("web-1") && s.contains("10.0.0.1 "));
    tty.wait_until("no word of it", |s| !s.contains("· names"));
    // Off is off: no server is asked for new addresses.
    there.send(&frames(20..21));
    tty.wait_for("10.0.0.20 ");
    assert!(!server.asked().contains(&v4(20)));
    // And on again: known names are there at once.
    let asked = server.asked().iter().filter(|ip| **ip == v4(1)).count();
    tty.send("r");
    tty.wait_for("10.0.0.1 web-1.example.net");
    assert_eq!(server.asked().iter().filter(|ip| **ip == v4(1)).count(), asked);
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

/// Far more talkers than rows: only those on the screen are asked for.
#[test]
fn only_addresses_on_the_screen_are_asked_for() {
    own_namespace();
    own_etc(b"");
    ip("link set lo up");
    veth("va", "vb");
    let server = Server::start(HashMap::from([(v4(200), Says::Name(b"last.example".to_vec()))]));
    let mut tty = dashboard((160, 24));
    Sender::on("vb").send(&frames(1..201));
    tty.wait_for("of 200");
    // By address, and so the last one is far below.
    tty.send("2ssssss");
    tty.wait_for("address ▼");
    tty.send("r");
    tty.wait_until("names", |s| s.contains("· names"));
    until("ten questions", || (server.asked().len() >= 10).then_some(()));
    assert!(server.asked().iter().all(|ip| *ip < v4(60)), "{:?}", server.asked());
    tty.send("G");
    tty.wait_for("10.0.0.200 last.example");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// Own addresses, the gateway and private ones have a word beside them, as the namespace has it now.
#[test]
fn addresses_have_their_marks() {
    own_namespace();
    veth("va", "vb");
    ip("addr add 10.0.0.5/24 dev va");
    ip("route add default via 10.0.0.1");
    let there = Sender::on("vb");
    let mut tty = dashboard((160, 45));
    there.send(&frames([1, 2, 5, 9, 10].into_iter()));
    there.send(&[ethernet(0x0800, &ipv4([198, 51, 100, 7].into(), v4(99), 46))]);
    let marked = |screen: &str, ip: &str, mark: &str| {
        screen
            .lines()
            .filter_map(|l| l.split_once(&format!("│ {ip} ")))
            .any(|(_, rest)| rest.split_whitespace().next().is_some_and(|word| word == mark))
    };
    tty.wait_until("the marks", |s| {
        marked(s, "10.0.0.1", "gw") && marked(s, "10.0.0.2", "lan") && marked(s, "10.0.0.5", "self")
    });
    // The process comes next.
    tty.wait_until("no mark", |s| marked(s, "198.51.100.7", "unattributed"));
    ip("route replace default via 10.0.0.9");
    ip("addr add 10.0.0.10/24 dev va");
    tty.wait_until("the new marks", |s| {
        marked(s, "10.0.0.1", "lan")
            && marked(s, "10.0.0.9", "gw")
            && marked(s, "10.0.0.10", "self")
    });
    enter(&mut tty, "10.0.0.9");
    tty.wait_for(" gateway ");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

fn iso(code: &'static str) -> Value {
    Value::Map(vec![("iso_code", Value::Text(code))])
}

#[test]
fn country_and_network_come_from_files_that_are_named() {
    own_namespace();
    veth("va", "vb");
    let dir = tempfile::tempdir().unwrap();
    let countries = dir.path().join("countries.mmdb");
    let text = "Bad\x1b[31m Net";
    let networks = dir.path().join("networks.mmdb");
    std::fs::write(
        &countries,
        database(&[
            ([198, 51, 100, 0].into(), 24, Value::Map(vec![("country", iso("DE"))])),
            ([203, 0, 113, 7].into(), 32, Value::Map(vec![("registered_country", iso("FR"))])),
        ]),
    )
    .unwrap();
    let network = vec![
        ("autonomous_system_number", Value::Number(64_500)),
        ("autonomous_system_organization", Value::Text(text)),
    ];
    std::fs::write(&networks, database(&[([198, 51, 100, 0].into(), 25, Value::Map(network))]))
        .unwrap();
    let files = [countries.to_str().unwrap(), networks.to_str().unwrap()];
    let args = ["--interval", "200ms", "-i", "va", "--mmdb", files[0], "--mmdb", files[1]];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let mut tty = Tty::start(ebpftop(), &args, &env, (200, 45));
    tty.wait_for("va generic");
    let there = Sender::on("vb");
    for from in [[198, 51, 100, 7], [198, 51, 100, 200], [203, 0, 113, 7], [192, 0, 2, 1]] {
        there.send(&[ethernet(0x0800, &ipv4(from.into(), v4(99), 46))]);
    }
    there.send(&[ethernet(
        0x86dd,
        &ipv6("2001:db8::1".parse().unwrap(), "::2".parse().unwrap(), 17, 60),
    )]);
    let row = |s: &str, ip: &str| {
        s.lines()
            .find_map(|l| Some(l.split_once(ip)?.1.trim_start().to_owned()))
            .map(|rest| rest.trim_start_matches("unattributed").trim_start().to_owned())
            .unwrap_or_default()
    };
    tty.wait_until("what the files say", |s| {
        row(s, "198.51.100.7 ").starts_with("DE AS64500")
            && row(s, "198.51.100.200 ").starts_with("DE ")
            && row(s, "203.0.113.7 ").starts_with("FR ")
            && row(s, "192.0.2.1 ").starts_with('0')
            && row(s, "2001:db8::1 ").starts_with('0')
    });
    enter(&mut tty, "198.51.100.7");
    tty.wait_for("DE AS64500 Bad\\x1b[31m Net");
    tty.send("q");
    assert_eq!(tty.wait(), 0);

    // A file that cannot be read is reported before the screen is taken.
    for (file, bytes, error) in [
        ("none.mmdb", None, "No such file"),
        ("bad.mmdb", Some(&b"nothing"[..]), "it is no MMDB file that can be used"),
    ] {
        let file = dir.path().join(file);
        if let Some(bytes) = bytes {
            std::fs::write(&file, bytes).unwrap();
        }
        let args = ["--mmdb", file.to_str().unwrap()];
        let mut tty = Tty::start(ebpftop(), &args, &env, (200, 24));
        assert_eq!(tty.wait(), 1);
        assert!(tty.text().contains(error), "{}", tty.text());
        tty.assert_given_back();
    }
}
