//! Dependencies of the program, compared with deny.toml: licences, sources, duplicates. `make deny`
//! (cargo-deny) checks advisories and licence texts, too.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{name}")).unwrap()
}

/// The packages that the program is built from on this target, as the build resolves them: name,
/// version, where from (nothing: crates.io), licence.
fn packages() -> Vec<[String; 4]> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| env!("CARGO").into());
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let out = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--edges=normal,build", "--prefix=none"])
        .args(["--no-dedupe", "--format={p}|{l}", "--target", &target])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines: BTreeSet<_> = str::from_utf8(&out.stdout).unwrap().lines().collect();
    let package = |line: &str| {
        let (package, licence) = line.split_once('|').unwrap();
        let mut words = package.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (name, version, from) = (word(), word(), word().replace("(proc-macro)", ""));
        [name, version, from, licence.to_owned()]
    };
    lines.into_iter().filter(|l| !l.is_empty()).map(package).collect()
}

/// Whether one may choose only what is allowed: SPDX's OR, AND and brackets.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    fn any<'a>(
        words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
        allowed: &BTreeSet<String>,
    ) -> bool {
        let (mut any_of, mut all_of) = (false, true);
        while let Some(word) = words.next() {
            match word {
                "(" => all_of &= any(words, allowed),
                ")" => break,
                "AND" => {}
                "OR" => any_of |= std::mem::replace(&mut all_of, true),
                // "X WITH exception" grants more than X.
                "WITH" => drop(words.next()),
                licence => all_of &= allowed.contains(licence),
            }
        }
        any_of || all_of
    }
    any(&mut words, allowed)
}

#[test]
fn dependencies_are_those_that_are_allowed() {
    let deny: toml::Table = file("deny.toml").parse().unwrap();
    let texts = |list: &toml::Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect()
    };
    let allowed = texts(&deny["licenses"]["allow"]);
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    let packages = packages();
    assert!(packages.len() > 50);
    for [name, version, from, licence] in packages {
        assert!(is_allowed(&licence, &allowed), "{name} {version} is under {licence}");
        assert!(name == "ebpftop" || from.trim().is_empty(), "{name} comes from {from}");
        versions.entry(name).or_default().insert(version);
    }
    let skipped: BTreeSet<String> = deny["bans"]["skip"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["crate"].as_str().unwrap().split('@').next().unwrap().to_owned())
        .collect();
    let twice = versions.into_iter().filter(|(_, v)| v.len() > 1).map(|(name, _)| name);
    assert_eq!(twice.collect::<BTreeSet<_>>(), skipped, "there in two versions, and allowed to be");
}

#[test]
fn expressions_are_read() {
    let allowed = ["MIT", "Zlib"].map(String::from).into();
    for (expression, is) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 OR MIT AND Zlib", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
        ("(MIT OR Apache-2.0) AND Zlib", true),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", true),
        ("none", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), is, "{expression}");
    }
}

#[test]
fn each_dependency_has_its_purpose_beside_it() {
    let manifest = file("Cargo.toml");
    let mut above = "";
    let mut of_dependencies = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            of_dependencies = line.ends_with("dependencies]");
        } else if of_dependencies && line.contains('=') {
            assert!(line.contains(" # ") || above.starts_with("# "), "{line}");
        }
        above = line;
    }
}

#[test]
fn the_oldest_rust_is_the_same_everywhere() {
    let manifest: toml::Table = file("Cargo.toml").parse().unwrap();
    let oldest = manifest["package"]["rust-version"].as_str().unwrap();
    assert!(file("README.md").contains(&format!("Rust {oldest}")));
}

#[test]
fn every_folder_of_packaging_is_in_the_packages() {
    let manifest = file("Cargo.toml");
    let folders = std::fs::read_dir(format!("{ROOT}/packaging")).unwrap().map(Result::unwrap);
    let folders = folders.filter(|entry| entry.file_type().unwrap().is_dir());
    for folder in folders.map(|entry| entry.file_name().into_string().unwrap()) {
        let of_folder = format!("\"packaging/{folder}/");
        assert_eq!(manifest.matches(&of_folder).count(), 2, "{folder}: in .deb and .rpm");
    }
}
