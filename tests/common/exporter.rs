//! A running `ebpftop export` and its metrics.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::patience::{Leash, until};
use super::program::program;

/// A running exporter.
#[derive(Debug)]
pub struct Exporter {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
}

/// The samples of a scrape: the value of each name with its labels.
pub type Scrape = BTreeMap<String, f64>;

impl Exporter {
    /// `export ARGS` on a free port.
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    /// `export ARGS` on a free port, with these variables.
    pub fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = program();
        command.args(["export", "--listen", "127.0.0.1:0"]).args(args);
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let _leash = Leash::on(child.id());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended: {said}");
            if let Some((_, rest)) = line.split_once("serving http://") {
                break rest.split('/').next().unwrap().to_owned();
            }
            said.push_str(&line);
        };
        Self { child, stderr, address }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The answer to a GET: head and body.
    pub fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let _leash = Leash::on(self.child.id());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.into(), body.into())
    }

    /// The samples of a scrape; `None` before the first snapshot.
    pub fn scrape(&self) -> Option<Scrape> {
        let (head, body) = self.get("/metrics");
        head.starts_with("HTTP/1.1 200 ").then(|| samples(&body))
    }

    /// The first scrape that is as asked for.
    pub fn until(&self, what: &str, asked: impl Fn(&Scrape) -> bool) -> Scrape {
        until(what, || self.scrape().filter(&asked))
    }

    /// Ends it by SIGTERM; the exit status, and what it wrote to stderr.
    pub fn end(mut self) -> (i32, String) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        let _leash = Leash::on(self.child.id());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), said)
    }
}

/// The samples of a text in Prometheus' format.
pub fn samples(text: &str) -> Scrape {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    let all: Scrape = lines.clone().map(sample).collect();
    assert_eq!(all.len(), lines.count(), "a series stands there twice");
    all
}

/// The sum of the samples of a name whose labels contain all of `labels`.
pub fn sum(scrape: &Scrape, name: &str, labels: &[&str]) -> f64 {
    let of_name = |key: &str| key == name || key.starts_with(&format!("{name}{{"));
    let chosen = scrape.iter().filter(|(key, _)| of_name(key));
    chosen.filter(|(key, _)| labels.iter().all(|l| key.contains(l))).map(|(_, n)| n).sum()
}
