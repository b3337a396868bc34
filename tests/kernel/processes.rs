//! Starts of programs and ends of processes, on the real kernel. Needs root.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::common::conns::{done, process};
use crate::common::program::{Ended, Stream};
use crate::common::user::USER;

fn stream(args: &[&str]) -> Stream {
    Stream::json(&[&["processes"], args].concat())
}

/// The events of a process.
fn of(ended: &Ended, pid: u32) -> Vec<Value> {
    ended.of_type("process").into_iter().filter(|event| event["pid"] == pid).collect()
}

/// The program and its id, after its end.
fn run(command: &mut Command) -> u32 {
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn a_program_has_its_arguments_its_parent_and_its_status() {
    let stream = stream(&[]);
    let args = ["-c", "exit 3", "a b", "", "\x1b[31m", "é"].map(OsStr::new);
    let pid = run(Command::new("sh").args(args).arg(OsStr::from_bytes(b"\xff")).uid(USER));
    let ended = stream.interrupt();
    let events = of(&ended, pid);
    let [exec, exit] = &events[..] else { panic!("{events:?}") };
    assert_eq!(exec["event"], "exec");
    let args = json!(["sh", "-c", "exit 3", "a b", "", "\\x1b[31m", "é", "\\xff"]);
    assert_eq!((&exec["args"], &exec["args_bytes"]), (&args, &json!(29)));
    let sh = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(exec["executable"], sh.to_str().unwrap());
    assert_eq!(exit["event"], "exit");
    assert_eq!((&exit["status"], &exit["signal"]), (&json!(3), &Value::Null));
    assert!(exit["duration_s"].as_f64().unwrap() > 0.0);
    for event in [exec, exit] {
        assert_eq!((&event["ppid"], &event["uid"]), (&std::process::id().into(), &USER.into()));
        assert_eq!((&event["comm"], &event["process"]), (&"sh".into(), &"sh".into()));
        assert!(event["cgroup"].is_string(), "{event}");
    }
    assert!(exec["time"].as_str() < exit["time"].as_str());
    let summary = &ended.of_type("summary")[0];
    assert_eq!(summary["processes"], ended.of_type("process").len());
    assert_eq!((&summary["processes_lost"], &summary["opens"]), (&json!(0), &Value::Null));
}

#[test]
fn long_arguments_are_cut_and_their_length_is_exact() {
    let stream = stream(&[]);
    let long = "x".repeat(100_000);
    let pid = run(Command::new("true").arg(&long));
    let ended = stream.interrupt();
    let exec = &of(&ended, pid)[0];
    assert_eq!(exec["args_bytes"], "true".len() + 1 + long.len() + 1);
    assert_eq!(exec["args"], json!(["true", &long[..4_095 - 5]]));
}

/// A signal; threads of which another one than the first ends the process, and the first one ends before.
#[test]
fn the_status_is_that_of_the_process() {
    let stream = stream(&[]);
    let killed = run(Command::new("sh").args(["-c", "kill -9 $$"]));
    let forked = process(|| nix::sys::signal::raise(Signal::SIGTERM).unwrap());
    nix::sys::wait::waitpid(forked, None).unwrap();
    let by_thread = process(|| {
        std::thread::spawn(|| std::process::exit(7)).join().unwrap();
    });
    nix::sys::wait::waitpid(by_thread, None).unwrap();
    let leader_first = process(|| {
        std::thread::spawn(|| {
            let leader = Pid::this();
            crate::common::patience::until("the end of the first thread", || {
                let stat = fs::read_to_string(format!("/proc/self/task/{leader}/stat")).unwrap();
                stat.contains(") Z ").then_some(())
            });
            // SAFETY: ends this thread, the last one.
            unsafe { libc::syscall(libc::SYS_exit, 9) };
        });
        // SAFETY: ends this thread alone.
        unsafe { libc::syscall(libc::SYS_exit, 5) };
    });
    let Ok(WaitStatus::Exited(_, code)) = nix::sys::wait::waitpid(leader_first, None) else {
        panic!("it exits");
    };
    let ended = stream.interrupt();
    let exits = |pid: u32| {
        let mut events = of(&ended, pid);
        events.retain(|event| event["event"] == "exit");
        events.iter().map(|e| (e["status"].clone(), e["signal"].clone())).collect::<Vec<_>>()
    };
    let raw = |pid: Pid| pid.as_raw().unsigned_abs();
    assert_eq!(exits(killed), [(Value::Null, json!("SIGKILL"))]);
    assert_eq!(exits(raw(forked)), [(Value::Null, json!("SIGTERM"))]);
    assert_eq!(of(&ended, raw(forked)).len(), 1, "it started no program");
    assert_eq!(exits(raw(by_thread)), [(json!(7), Value::Null)]);
    // Which thread's status counts depends on the kernel.
    assert_eq!(exits(raw(leader_first)), [(json!(code), Value::Null)]);
}

/// Of a failed exec nothing is reported, and each exec of a process that starts one program after the other.
#[test]
fn each_exec_that_succeeds_is_reported() {
    let stream = stream(&[]);
    let child = process(|| {
        let missing = CString::new("/nonexistent/program").unwrap();
        assert!(nix::unistd::execv(&missing, &[&missing]).is_err());
    });
    done(child);
    let pid = run(Command::new("sh").args(["-c", "exec env sh -c 'exec true'"]));
    let ended = stream.interrupt();
    assert_eq!(of(&ended, child.as_raw().unsigned_abs()).len(), 1);
    let execs: Vec<_> = of(&ended, pid).iter().map(|e| e["args"][0].clone()).collect();
    // env starts sh in its own place.
    assert_eq!(execs, [json!("sh"), json!("env"), json!("sh"), json!("true"), Value::Null]);
    let names: Vec<_> = of(&ended, pid).iter().map(|e| e["comm"].clone()).collect();
    assert_eq!(names, ["sh", "env", "sh", "true", "true"]);
}

#[test]
fn many_are_exact() {
    const PROCESSES: usize = 600;
    let stream = stream(&["--filter", "sh"]);
    let script = format!("i=0; while [ $i -lt {PROCESSES} ]; do (exit 1); i=$((i+1)); done");
    let pid = run(Command::new("sh").args(["-c", &script]));
    let ended = stream.interrupt();
    let children = ended.of_type("process").into_iter().filter(|event| event["ppid"] == pid);
    let children: Vec<_> = children.collect();
    let lost = ended.of_type("summary")[0]["processes_lost"].as_u64().unwrap();
    assert_eq!((children.len(), lost), (PROCESSES, 0));
    assert!(children.iter().all(|e| e["event"] == "exit" && e["status"] == 1));
}

#[test]
fn processes_are_chosen_as_those_of_opens_are() {
    let pid = |args: &[&str], of: &mut dyn FnMut() -> u32| {
        let stream = stream(args);
        let pid = of();
        let ended = stream.interrupt();
        (pid, ended)
    };
    let mut as_user = || run(Command::new("true").uid(USER));
    for (args, there) in [
        (&["--uid", "65534"][..], true),
        (&["--uid", "65533"], false),
        (&["--process", "TRU"], true),
        (&["--process", "!true"], false),
        (&["--filter", "uid:65534 true"], true),
        (&["--failed"], true),
    ] {
        let (pid, ended) = pid(args, &mut as_user);
        // A name is that of the moment: before exec the process has the name of its parent.
        assert_eq!(of(&ended, pid).len(), if there { 2 } else { 0 }, "{args:?}");
        assert_eq!(ended.stderr.contains("--failed has no effect"), args == ["--failed"]);
    }
    assert_eq!(USER, 65_534);
}

#[test]
fn csv_and_text_have_a_line_each() {
    let csv = Stream::text(&["processes", "--format", "csv"]);
    let text = Stream::text(&["processes"]);
    let pid = run(Command::new("sh").args(["-c", "exit 4", "=1+1"]));
    let (csv, text) = (csv.interrupt().text(), text.interrupt().text());
    let mut lines = csv.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("type,time,event,pid,ppid,uid,comm,process,executable,args,")
    );
    let mut of_pid = lines.filter(|l| l.contains(&format!(",{pid},")));
    assert!(of_pid.next().unwrap().contains(",sh -c exit 4 =1+1,18,,,"));
    assert!(of_pid.next().unwrap().contains(",exit,"));
    let of_pid: Vec<_> = text.lines().filter(|l| l.contains(&format!(" {pid} sh"))).collect();
    assert!(of_pid[0].ends_with(" exec sh -c exit 4 =1+1"), "{of_pid:?}");
    assert!(of_pid[1].contains(" exit 4 after 0."), "{of_pid:?}");
}
