//! `doctor` and the configuration file where everything may be watched.

use crate::common::opener::opener;
use crate::common::program::{ended, program, run};
use ebpftop::probes::programs::{CHANGE_COMPAT, IO_COMPAT};

#[test]
fn the_file_applies_and_the_command_line_wins() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("ebpftop")).unwrap();
    std::fs::write(dir.path().join("ebpftop/config.toml"), "filter = 'path:/no/such'").unwrap();
    let stream = |filter: &[&str]| {
        let mut command = program();
        command.args(["stream", "opens", "--format", "json", "--duration", "300ms"]);
        let run = ended(command.args(filter).env("XDG_CONFIG_HOME", dir.path()));
        assert_eq!(run.code(), 0, "{}", run.stderr);
        run.of_type("open").len()
    };
    assert_eq!(stream(&[]), 0);
    let _opener = opener("opn-file");
    assert!(stream(&["-f", "path:file-of-opn-file"]) > 0);
}

#[test]
fn doctor_says_that_root_can_run_it() {
    let text = run(&["doctor"]);
    assert_eq!(text.code(), 0, "{}", text.text());
    let json = run(&["doctor", "--format", "json"]);
    assert_eq!(json.code(), 0);
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert!(checks.len() > 15);
    for check in &checks {
        let keys: Vec<_> = check.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["check", "detail", "fix", "ok"]);
        assert!(check["ok"].is_boolean() && check["detail"].is_string());
        assert!(text.text().contains(check["check"].as_str().unwrap()));
    }
    let ok = |name: &str| checks.iter().any(|c| c["check"] == name && c["ok"] == true);
    assert!(ok("opens") && ok("opens: openat") && ok("ring buffer") && ok("BTF"));
    // Where the kernel was built with 32-bit calls, what does not see them is said.
    let without = |name: &str| checks.iter().any(|c| c["check"] == name && c["ok"] == false);
    let built = ebpftop::probes::preflight::unseen_changes().is_some();
    assert_eq!((without(CHANGE_COMPAT), without(IO_COMPAT)), (built, built));
}
