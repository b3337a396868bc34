//! Runs the program's `stream` and reads what it writes.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::patience::Leash;
use super::spawn::{may_change_user, public_copy};
use super::user::USER;

/// The program's path: the one that was built with the tests, unless `EBPFTOP_PROGRAM` names
/// another, as where the tests run on other kernels.
pub fn ebpftop() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        std::env::var("EBPFTOP_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ebpftop").into())
    })
}

/// The program with no configuration of the user's.
pub fn program() -> Command {
    let mut command = Command::new(ebpftop());
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// The result of a run.
#[derive(Debug)]
pub struct Ended {
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub status: ExitStatus,
}

impl Ended {
    /// The exit status as a number.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("killed: {self:?}"))
    }

    /// Every line as JSON.
    pub fn lines(&self) -> Vec<Value> {
        String::from_utf8(self.stdout.clone())
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
            .collect()
    }

    /// The lines of a type.
    pub fn of_type(&self, kind: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|l| l["type"] == kind).collect()
    }

    /// stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }
}

/// Runs `ebpftop ARGS` to its end.
pub fn run(args: &[&str]) -> Ended {
    ended(program().args(args))
}

/// Runs `ebpftop ARGS` to its end as an unprivileged user, from a copy which that user can reach; as the
/// user that runs the tests if that is not root.
pub fn run_without_privileges(args: &[&str]) -> Ended {
    if !may_change_user() {
        return run(args);
    }
    let (_dir, copy) = public_copy();
    let mut command = Command::new(copy);
    command.env("XDG_CONFIG_HOME", "/nonexistent").current_dir("/");
    ended(command.args(args).stdin(Stdio::null()).uid(USER).gid(USER))
}

/// Runs a command to its end.
pub fn ended(command: &mut Command) -> Ended {
    ended_into(command, Stdio::piped())
}

/// Runs a command to its end that writes its lines into `stdout`.
pub fn ended_into(command: &mut Command, stdout: Stdio) -> Ended {
    let command = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let _leash = Leash::on(child.id());
    let out = child.wait_with_output().unwrap();
    Ended { stdout: out.stdout, stderr: String::from_utf8(out.stderr).unwrap(), status: out.status }
}

/// A running `ebpftop stream` after its `ready`.
#[derive(Debug)]
pub struct Stream {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    /// The lines that were read: up to `ready` at first.
    begin: Vec<u8>,
    said: String,
}

impl Stream {
    /// `stream ARGS --format json`.
    pub fn json(args: &[&str]) -> Self {
        Self::json_by(program().arg("stream").args(args))
    }

    /// The same by a command that ends with a `stream`.
    pub fn json_by(command: &mut Command) -> Self {
        let mut stream = Self::spawn_by(command.args(["--format", "json"]));
        let _leash = Leash::on(stream.child.id());
        let read = stream.stdout.read_until(b'\n', &mut stream.begin).unwrap();
        if read == 0 {
            let mut said = String::new();
            stream.stderr.read_to_string(&mut said).unwrap();
            panic!("stream must start here (the tests need root): {said}");
        }
        stream
    }

    /// `stream ARGS` in a format with `ready` on stderr.
    pub fn text(args: &[&str]) -> Self {
        Self::text_by(program().arg("stream").args(args))
    }

    /// The same by a command that ends with a `stream` in such a format.
    pub fn text_by(command: &mut Command) -> Self {
        let mut stream = Self::spawn_by(command);
        let _leash = Leash::on(stream.child.id());
        while !stream.said.contains("ready: ") {
            let read = stream.stderr.read_line(&mut stream.said).unwrap();
            assert!(read > 0, "stream must start here (the tests need root): {}", stream.said);
        }
        stream
    }

    fn spawn_by(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdout, stderr, begin: Vec::new(), said: String::new() }
    }

    /// Reads lines until one is as asked for.
    pub fn until(&mut self, what: &str, mut asked: impl FnMut(&Value) -> bool) {
        let _leash = Leash::on(self.child.id());
        loop {
            let from = self.begin.len();
            let read = self.stdout.read_until(b'\n', &mut self.begin).unwrap();
            assert!(read > 0, "it ended before {what}");
            if asked(&serde_json::from_slice(&self.begin[from..]).unwrap()) {
                return;
            }
        }
    }

    /// Reads as many tables of connections as make sure that a whole poll came after this call.
    pub fn until_polled(&mut self) {
        let mut tables = 0;
        self.until("three tables", |line| {
            tables += u32::from(line["type"] == "owners");
            tables == 3
        });
    }

    /// Reads stderr until a line contains `text`.
    pub fn until_said(&mut self, text: &str) {
        let _leash = Leash::on(self.child.id());
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let read = self.stderr.read_line(&mut line).unwrap();
            self.said.push_str(&line);
            assert!(read > 0, "it ended and did not say {text}: {}", self.said);
        }
    }

    /// The lines that were read so far.
    pub fn lines_so_far(&self) -> Vec<Value> {
        let lines = self.begin.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(self) -> Ended {
        self.signal(Signal::SIGINT);
        self.wait()
    }

    /// Reads all it writes until it ends.
    pub fn wait(mut self) -> Ended {
        let _leash = Leash::on(self.child.id());
        let mut stdout = self.begin;
        self.stdout.read_to_end(&mut stdout).unwrap();
        Self::rest(stdout, self.said, self.stderr, self.child)
    }

    /// Closes stdout and waits for the end.
    pub fn hang_up(self) -> Ended {
        drop(self.stdout);
        Self::rest(self.begin, self.said, self.stderr, self.child)
    }

    fn rest(
        stdout: Vec<u8>,
        mut said: String,
        mut stderr: BufReader<ChildStderr>,
        mut child: Child,
    ) -> Ended {
        let _leash = Leash::on(child.id());
        stderr.read_to_string(&mut said).unwrap();
        Ended { stdout, stderr: said, status: child.wait().unwrap() }
    }
}
