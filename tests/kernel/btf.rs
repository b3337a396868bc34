//! A kernel without BTF, imitated by a mount namespace: the errors, and the features that work with
//! `--btf`.

use std::collections::BTreeMap;
use std::process::Command;

use crate::common::net::{Sender, ethernet, ip, ipv4, own_namespace, v4, veth};
use crate::common::opens::in_child;
use crate::common::program::{Stream, ebpftop, ended, program, run};
use crate::common::tty::Tty;
use serde_json::{Value, json};

const OF_KERNEL: &str = "/sys/kernel/btf/vmlinux";
const HIDE: &str = "mount -t tmpfs tmpfs /sys/kernel/btf && exec \"$@\"";

/// The program with an empty file system over /sys/kernel/btf.
fn without_btf(args: &[&str]) -> Command {
    let program = program();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", HIDE, "sh"]).arg(program.get_program()).args(args);
    command.env("XDG_CONFIG_HOME", "/nonexistent").env_remove("SUDO_USER");
    command
}

/// A copy of the types, made before they are hidden.
fn copy() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("btf");
    std::fs::copy(OF_KERNEL, &path).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

#[test]
fn without_the_types_of_the_kernel_the_error_has_the_fix() {
    own_namespace();
    ip("link set lo up");
    let run = ended(&mut without_btf(&["stream", "opens", "talkers", "-i", "lo"]));
    assert_eq!(run.code(), 1);
    assert_eq!(run.text(), "");
    let reported = "the kernel has no BTF at /sys/kernel/btf/vmlinux; use a kernel built with \
                CONFIG_DEBUG_INFO_BTF=y, or give its BTF with --btf FILE";
    assert_eq!(run.stderr.matches(reported).count(), 2, "{}", run.stderr);
    let doctor = ended(&mut without_btf(&["doctor"]));
    assert_eq!(doctor.code(), 1);
    assert!(doctor.text().contains("fix  BTF"), "{}", doctor.text());
    assert!(doctor.text().contains("--btf FILE"), "{}", doctor.text());
}

#[test]
fn with_them_from_a_file_opens_and_talkers_are_exact() {
    const TIMES: usize = 50;
    let (dir, btf) = copy();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("sub")).unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    let frames = vec![ethernet(0x0800, &ipv4(v4(1), v4(99), 500)); 60];
    own_namespace();
    veth("vt0", "vt1");
    for mode in ["generic", "native", "off"] {
        let args = ["stream", "opens", "talkers", "-i", "vt0", "--interval", "200ms"];
        let args = [&args[..], &["--xdp-mode", mode, "--process", "btf-opener", "--btf", &btf]];
        let stream = Stream::json_by(&mut without_btf(&args.concat()));
        Sender::on("vt1").send(&frames);
        Sender::on("vt0").send(&frames);
        in_child(|| {
            nix::sys::prctl::set_name(c"btf-opener").unwrap();
            std::env::set_current_dir(root.join("sub")).unwrap();
            for _ in 0..TIMES {
                std::fs::File::open("../file").unwrap();
                std::fs::File::open("none").unwrap_err();
            }
        });
        let run = stream.interrupt();
        assert_eq!(run.code(), 0, "{mode}: {}", run.stderr);
        let opens = run.of_type("open");
        for (path, resolved, errno) in [
            ("../file", root.join("file"), Value::Null),
            ("none", root.join("sub/none"), json!("ENOENT")),
        ] {
            let ours: Vec<_> = opens.iter().filter(|o| o["path"] == path).collect();
            assert_eq!(ours.len(), TIMES, "{path}");
            for open in ours {
                let reported = (&open["resolved"], &open["errno"]);
                assert_eq!(reported, (&json!(resolved.to_str().unwrap()), &errno), "{open}");
            }
        }
        for (direction, address) in [("rx", v4(1)), ("tx", v4(99))] {
            let lines = run.of_type("talkers");
            let line = lines.into_iter().rfind(|l| l["direction"] == direction).unwrap();
            let of = |s: &Value| (s["ip"].as_str().unwrap().to_owned(), s["bytes"].as_u64());
            let reported: BTreeMap<_, _> =
                line["sources"].as_array().unwrap().iter().map(of).collect();
            let expected = BTreeMap::from([(address.to_string(), Some(60 * 514))]);
            assert_eq!(reported, expected, "{mode}, {direction}");
        }
    }
    let doctor = ended(&mut without_btf(&["doctor", "--btf", &btf]));
    assert_eq!(doctor.code(), 0, "{}", doctor.text());
    assert!(doctor.text().contains("from the file of --btf"), "{}", doctor.text());
    let recorded = dir.path().join("rec");
    let args = ["record", recorded.to_str().unwrap(), "--duration", "1s", "--btf", &btf];
    let run = ended(&mut without_btf(&args));
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert!(run.stderr.contains("opens"), "{}", run.stderr);
}

#[test]
fn the_dashboard_takes_them_too() {
    let (_dir, btf) = copy();
    own_namespace();
    veth("vt0", "vt1");
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let program = ebpftop();
    let args = ["--mount", "sh", "-c", HIDE, "sh", program, "-i", "vt0", "--btf", &btf];
    let mut tty = Tty::start("unshare", &args, &env, (80, 24));
    tty.wait_until("the first screen", |s| {
        ["ebpftop", "vt0", "lost 0", "Files", "Talkers", "PROGRAM"].iter().all(|t| s.contains(t))
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

#[test]
fn a_file_without_types_of_a_kernel_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none");
    let text = dir.path().join("text");
    std::fs::write(&text, "no BTF").unwrap();
    for (path, why) in [(&missing, "No such file"), (&text, "not BTF")] {
        let path = path.to_str().unwrap();
        for command in [&["stream"][..], &["doctor"], &["record", "/nonexistent/rec"]] {
            let run = run(&[command, &["--btf", path]].concat());
            assert_eq!(run.code(), 1);
            let reported = format!("read the kernel's types from {path}: ");
            assert!(run.stderr.contains(&reported) && run.stderr.contains(why), "{}", run.stderr);
        }
    }
}
