//! Runs every test of its binary in a process of its own, within a time limit.
//!
//! libtest runs tests as threads of one process and waits for each without end. The tests here
//! change their process (working directory, limits, namespaces), fork it, and watch the opens of
//! its pid, so none may share it with another. An entry of `.init_array` takes over before
//! libtest begins: it lists the tests that the arguments choose, runs the binary once for each,
//! and prints what libtest would print. Tests run beside each other, one more than there are CPUs,
//! since they wait most of the time; those of the modules in [`APART`] have the machine to their
//! module. `--list` and `--help` are libtest's own.
//!
//! Other work of the machine is no part of a test: up to [`AGAIN`] tests that failed run again,
//! alone. One that passes then is named as unstable, with what it said the first time.
//!
//! `EBPFTOP_TEST_SECONDS` is the limit of a test (120; `EBPFTOP_SOAK_SECONDS` are added).

use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The most failed tests of one run that run again: more of them are no accident.
const AGAIN: usize = 3;

/// Modules whose tests look at all that is attached anywhere, or load the machine as far as it goes.
const APART: [&str; 7] =
    ["faults", "floor", "hostile", "speed", "switches", "talkers_links", "whole"];

/// Set in the process of a test.
const ONE: &str = "EBPFTOP_TEST_PROCESS";

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let libtests = |arg: &String| ["--list", "--help", "-h", "--bench"].contains(&arg.as_str());
    if std::env::var_os(ONE).is_none() && !args.iter().any(libtests) {
        std::process::exit(run(&args));
    }
}

/// How a test ended.
struct Outcome {
    name: String,
    passed: bool,
    ignored: bool,
    said: String,
}

fn run(args: &[String]) -> i32 {
    let begun = Instant::now();
    let Some(names) = chosen(args) else { return 101 };
    println!("\nrunning {} test{}", names.len(), if names.len() == 1 { "" } else { "s" });
    let mut outcomes = Vec::new();
    let module = |name: &String| name.split("::").next().unwrap_or_default().to_owned();
    let (apart, free): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| APART.contains(&&*module(name)));
    outcomes.extend(beside_each_other(&free, args));
    for together in apart.chunk_by(|a, b| module(a) == module(b)) {
        outcomes.extend(beside_each_other(together, args));
    }
    let unstable = run_again(&mut outcomes, args);
    for first in &unstable {
        println!("\n---- {}, unstable: it failed, and passed alone ----", first.name);
        println!("{}", first.said.trim_end());
    }
    let failed: Vec<_> = outcomes.iter().filter(|o| !o.passed).collect();
    if !failed.is_empty() {
        println!("\nfailures:");
        failed.iter().for_each(|o| println!("\n---- {} ----\n{}", o.name, o.said.trim_end()));
        println!("\nfailures:");
        failed.iter().for_each(|o| println!("    {}", o.name));
    }
    let ignored = outcomes.iter().filter(|o| o.ignored).count();
    println!(
        "\ntest result: {}. {} passed; {} failed; {ignored} ignored; 0 measured; \
         0 filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        outcomes.len() - failed.len() - ignored,
        failed.len(),
        begun.elapsed().as_secs_f64()
    );
    if failed.is_empty() { 0 } else { 101 }
}

/// Runs failed tests once more, alone, if there are few; the first outcomes of those that pass now.
fn run_again(outcomes: &mut [Outcome], args: &[String]) -> Vec<Outcome> {
    let failed: Vec<_> = outcomes.iter_mut().filter(|o| !o.passed).collect();
    if failed.len() > AGAIN {
        return Vec::new();
    }
    let mut unstable = Vec::new();
    for outcome in failed {
        let second = one(&outcome.name, args);
        if second.passed {
            unstable.push(std::mem::replace(outcome, second));
        }
    }
    unstable
}

/// The names of the tests that libtest would run with these arguments, by module.
fn chosen(args: &[String]) -> Option<Vec<String>> {
    let list = this().args(args).args(["--list", "--format", "terse"]).output().ok()?;
    let _ = std::io::stderr().write_all(&list.stderr);
    let text = String::from_utf8_lossy(&list.stdout);
    let mut names: Vec<_> =
        text.lines().filter_map(|l| l.strip_suffix(": test")).map(str::to_owned).collect();
    names.sort();
    list.status.success().then_some(names)
}

fn this() -> Command {
    // Not /proc/self/exe: the file's name becomes the name of the process, which tests look for.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ONE, "1");
    // Helpers name their caller; a trace would only push the message out of a short log.
    command.env("RUST_BACKTRACE", "0");
    // The caller of sudo for the tests must not change their results.
    for name in ["SUDO_USER", "SUDO_UID", "SUDO_GID"] {
        command.env_remove(name);
    }
    command
}

/// The value of `--test-threads`, or one more than there are CPUs.
fn at_once(args: &[String]) -> usize {
    let given = args.iter().enumerate().find_map(|(at, arg)| {
        let value = arg.strip_prefix("--test-threads")?;
        value.strip_prefix('=').or_else(|| args.get(at + 1).map(String::as_str))
    });
    let given = given.map(str::to_owned).or_else(|| std::env::var("RUST_TEST_THREADS").ok());
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    given.and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or_else(|| cpus() + 1)
}

fn beside_each_other(names: &[String], args: &[String]) -> Vec<Outcome> {
    let (left, done) = (Mutex::new(names.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once(args).min(names.len()) {
            scope.spawn(|| {
                while let Some(name) = { left.lock().unwrap().next() } {
                    let outcome = one(name, args);
                    done.lock().unwrap().push(outcome);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// Runs a test and prints how it ended.
fn one(name: &str, args: &[String]) -> Outcome {
    let mut command = this();
    command.args(["--exact", name, "--test-threads=1", "--nocapture"]);
    command.args(args.iter().filter(|arg| arg.ends_with("ignored")));
    command.stdin(Stdio::null()).process_group(0);
    // SAFETY: a system call on integers alone. The kernel takes the thread that forks as the
    // parent, and this one waits for the end.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let mut file = tempfile::tempfile().unwrap();
    if !args.iter().any(|arg| ["--nocapture", "--no-capture"].contains(&arg.as_str())) {
        command.stdout(file.try_clone().unwrap()).stderr(file.try_clone().unwrap());
    }
    let begun = Instant::now();
    let status = within_limit(&mut command);
    let took = begun.elapsed().as_secs_f64();
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).unwrap();
    let said = String::from_utf8_lossy(&bytes);
    let passed = status.is_some_and(|status| status.success());
    let ignored = passed && said.contains(" 1 ignored;");
    let mut said = without_frame(&said, name).to_owned();
    match status {
        None => said.push_str(&format!("\nkilled: it still ran after {took:.0} s")),
        Some(status) if status.code() != Some(101) => said.push_str(&format!("\n{status}")),
        Some(_) => {}
    }
    match (passed, ignored) {
        (true, true) => println!("test {name} ... ignored"),
        (true, false) if took > 1.0 => println!("test {name} ... ok <{took:.1}s>"),
        (true, false) => println!("test {name} ... ok"),
        (false, _) => println!("test {name} ... FAILED"),
    }
    Outcome { name: name.to_owned(), passed, ignored, said }
}

/// The output of a test without what libtest wrote around it.
fn without_frame<'a>(said: &'a str, name: &str) -> &'a str {
    let begin = format!("test {name} ... ");
    let said = said.split_once(&begin).map_or(said, |(_, rest)| rest);
    said.rsplit_once("FAILED\n\nfailures:\n\nfailures:").map_or(said, |(said, _)| said)
}

fn limit() -> Duration {
    let seconds = |name| std::env::var(name).ok().and_then(|s| s.parse().ok());
    let soak = seconds("EBPFTOP_SOAK_SECONDS").unwrap_or(0);
    Duration::from_secs(seconds("EBPFTOP_TEST_SECONDS").unwrap_or(120) + soak)
}

/// Waits for the test's end; nothing when it had to be killed. All that it started and left in its
/// process group goes with it.
fn within_limit(command: &mut Command) -> Option<ExitStatus> {
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + limit();
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    // SAFETY: a system call on integers; the group was made for the child alone.
    unsafe { libc::kill(-child.id().cast_signed(), libc::SIGKILL) };
    if ended.is_none() {
        child.wait().unwrap();
    }
    ended
}
