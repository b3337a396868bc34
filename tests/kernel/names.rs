//! Names that processes ask for, in `ebpftop stream connections --names`: real resolvers, real clients, and
//! hostile ones. Each test is in a network namespace of its own, where dnsmasq is the name server.

use std::io::Read;
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ebpftop::model::event::ProbeEvent;
use ebpftop::recording::{Item, Reader, Seen};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::common::conns::*;
use crate::common::dns::own_etc;
use crate::common::net::{ip, own_namespace};
use crate::common::patience::{exited, until};
use crate::common::program::{Stream, ebpftop, program, run};
use crate::common::spawn::ends_with_this_thread;
use crate::common::tty::Tty;

/// Names as the name server has them.
const RECORDS: &[&str] = &[
    "--host-record=one.example,127.0.0.11,77",
    "--host-record=also.example,127.0.0.11",
    "--host-record=peer.example,127.0.0.14",
    "--host-record=six.example,fd00::11",
    "--cname=www.example,cdn.example",
    "--cname=cdn.example,one.example",
];

/// A namespace with loopback and an own `/etc`, before the program starts.
pub(crate) fn prepare() {
    own_namespace();
    own_etc(b"127.0.0.12 hosts.example\n");
    std::fs::write("/etc/group", "root:x:0:\n").unwrap();
    lo_up();
    ip("addr add fd00::11/128 dev lo nodad");
}

pub(crate) fn names() -> Stream {
    let stream = Stream::json(&["connections", "--names", "--interval", "200ms"]);
    let missing = stream.lines_so_far()[0]["missing"].to_string();
    assert!(!missing.contains("names: "), "{missing}");
    stream
}

pub(crate) fn started(command: &mut Command) -> Child {
    ends_with_this_thread(command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until a UDP socket is bound to port 53.
fn until_served() {
    until("the name server", || {
        let table = std::fs::read_to_string("/proc/thread-self/net/udp").unwrap();
        table.contains(":0035 ").then_some(())
    });
}

pub(crate) struct NameServer(Child);

impl NameServer {
    pub(crate) fn start() -> Self {
        let options =
            ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null"];
        let user = ["--user=root", "--group=root", "--pid-file", "--local=/example/"];
        let at = ["--listen-address=127.0.0.1", "--bind-interfaces"];
        let mut command = Command::new("dnsmasq");
        let server = Self(started(command.args(options).args(user).args(at).args(RECORDS)));
        until_served();
        server
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        end_of(&mut self.0);
    }
}

pub(crate) fn end_of(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Listens at every address and closes what connects; returns the port.
pub(crate) fn closing_server() -> u16 {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for conn in listener.incoming() {
            let mut conn = conn.unwrap();
            let _ = conn.read_to_end(&mut Vec::new());
        }
    });
    port
}

/// Runs a program to its end.
pub(crate) fn client(program: &str, args: &[&str]) -> Pid {
    let mut child = started(Command::new(program).args(args));
    let pid = Pid::from_raw(child.id() as i32);
    exited(&mut child);
    pid
}

/// Has bash connect to each of these, one after the other; a name is resolved by the C library.
pub(crate) fn connects(to: &[&str], port: u16) -> Pid {
    let one = |to: &&str| format!("exec 3<>/dev/tcp/{to}/{port}; echo >&3");
    let script: Vec<_> = to.iter().map(one).collect();
    client("bash", &["-c", &script.join("; ")])
}

/// The keys of a line that are about the name.
pub(crate) fn said(line: &Value) -> Value {
    json!([line["name"], line["name_source"], line["name_others"]])
}

pub(crate) fn none() -> Value {
    json!([null, null, null])
}

/// The counts of what had no effect, in the last table.
pub(crate) fn counts(run: &Run) -> Value {
    run.ended.of_type("owners").pop().unwrap()["names"].clone()
}

/// The counts are those of the whole machine, other tests' packets included.
pub(crate) fn at_least(counts: &Value, least: &[(&str, u64)]) {
    for (key, least) in least {
        assert!(counts[*key].as_u64().unwrap() >= *least, "{key}: {counts}");
    }
}

/// The lines of a process's connections to a port, in order.
pub(crate) fn to_port(run: &Run, kind: &str, pid: Pid, port: u16) -> Vec<Value> {
    let mut lines = run.by(kind, pid);
    lines.retain(|line| line["remote_port"] == port);
    assert!(!lines.is_empty(), "{kind} {pid} {port}: {:?}", run.by(kind, pid));
    lines
}

#[test]
fn a_process_has_the_names_that_it_asked_for() {
    prepare();
    let _server = NameServer::start();
    let port = closing_server();
    let stream = names();
    let asks = connects(&["one.example"], port);
    let by_chain = connects(&["www.example"], port);
    let by_v6 = connects(&["six.example"], port);
    let by_hosts = connects(&["hosts.example"], port);
    let by_number = connects(&["127.0.0.11"], port);
    let of_several = connects(&["one.example", "also.example"], port);
    // The second query comes while the first connection lives.
    let again = connects(&["one.example", "one.example"], port);
    std::fs::write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions use-vc\n").unwrap();
    let by_tcp = connects(&["one.example"], port);
    let run = end(stream);
    for kind in ["connect", "close"] {
        let line = |pid| to_port(&run, kind, pid, port).remove(0);
        assert_eq!(said(&line(asks)), json!(["one.example", "dns", 0]), "{kind}");
        assert_eq!(line(asks)["name_ttl_s"], 77);
        assert!(line(asks)["name_age_s"].as_f64().unwrap() > 0.0);
        assert_eq!(line(asks)["remote_ip"], "127.0.0.11");
        assert_eq!(said(&line(by_chain)), json!(["www.example", "dns", 0]), "{kind}");
        assert_eq!(said(&line(by_v6)), json!(["six.example", "dns", 0]), "{kind}");
        assert_eq!(line(by_v6)["remote_ip"], "fd00::11");
        assert_eq!(said(&line(by_tcp)), json!(["one.example", "dns", 0]), "{kind}");
        // DNS was not asked for these, or by another process.
        for pid in [by_hosts, by_number] {
            assert_eq!(said(&line(pid)), none(), "{kind}");
        }
        let twice = to_port(&run, kind, again, port);
        assert_eq!(
            twice.iter().map(said).collect::<Vec<_>>(),
            vec![json!(["one.example", "dns", 0]); 2]
        );
        let several = to_port(&run, kind, of_several, port);
        assert_eq!(said(&several[0]), json!(["one.example", "dns", 0]), "{kind}");
        assert_eq!(said(&several[1]), json!(["also.example", "dns", 1]), "{kind}");
    }
    // The server's ends of them have no name, and nothing was skipped.
    assert!(run.of("accept").iter().all(|line| line["name"].is_null()));
    let counts = counts(&run);
    for key in ["skipped", "lost", "unattributed", "evicted", "forgotten"] {
        assert_eq!(counts[key], 0, "{key}: {counts}");
    }
}

#[test]
fn without_the_option_there_are_no_names() {
    prepare();
    let _server = NameServer::start();
    let port = closing_server();
    let stream = here_again();
    let asks = connects(&["one.example"], port);
    let run = end(stream);
    assert_eq!(said(&to_port(&run, "close", asks, port)[0]), none());
    assert_eq!(counts(&run), Value::Null);
}

fn here_again() -> Stream {
    Stream::json(&["connections", "--interval", "200ms"])
}

/// `openssl s_server` with a certificate of its own; returns its port.
fn tls_server(folder: &std::path::Path) -> (Child, u16) {
    let made = rcgen::generate_simple_self_signed(vec!["one.example".into()]).unwrap();
    let (cert, key) = (folder.join("cert"), folder.join("key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let free = TcpListener::bind(local("127.0.0.1")).unwrap().local_addr().unwrap().port();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-www", "-accept", &free.to_string()]);
    let server = started(command.arg("-cert").arg(cert).arg("-key").arg(key));
    until("the TLS server", || TcpStream::connect(("127.0.0.1", free)).ok());
    (server, free)
}

#[test]
fn names_of_tls_servers_belong_to_their_connections() {
    prepare();
    let folder = tempfile::tempdir().unwrap();
    let (mut server, port) = tls_server(folder.path());
    let mut stream = names();
    let at = format!("127.0.0.1:{port}");
    let openssl = |args: &[&str]| {
        let all = [&["s_client", "-connect", &at], args].concat();
        client("openssl", &all)
    };
    let one = openssl(&["-servername", "One.Example"]);
    let two = openssl(&["-servername", "two.example"]);
    let old = openssl(&["-servername", "old.example", "-tls1_2"]);
    let nameless = openssl(&["-noservername"]);
    let resolve = format!("three.example:{port}:127.0.0.1");
    let url = format!("https://three.example:{port}/");
    let curl = client("curl", &["-ks", "--resolve", &resolve, &url]);
    let script = format!(
        "import socket, ssl\n\
         context = ssl._create_unverified_context()\n\
         for name in 'four.example', 'five.example':\n\
         \x20 with socket.create_connection(('127.0.0.1', {port})) as plain:\n\
         \x20   context.wrap_socket(plain, server_hostname=name).close()"
    );
    let python = client("python3", &["-c", &script]);
    stream.until_polled();
    server.kill().unwrap();
    server.wait().unwrap();
    let run = end(stream);
    let of = |pid| -> Vec<Value> { to_port(&run, "close", pid, port).iter().map(said).collect() };
    for (pid, names) in [
        (one, vec!["one.example"]),
        (two, vec!["two.example"]),
        (old, vec!["old.example"]),
        (curl, vec!["three.example"]),
        (python, vec!["four.example", "five.example"]),
    ] {
        let names: Vec<_> = names.iter().map(|name| json!([name, "sni", 0])).collect();
        assert_eq!(of(pid), names);
    }
    assert_eq!(of(nameless), [none()]);
}

#[test]
fn lines_are_chosen_by_name() {
    prepare();
    let _server = NameServer::start();
    let port = closing_server();
    let args = ["connections", "--names", "--interval", "200ms", "-f", "name:~^one\\. !name:also"];
    let stream = Stream::json(&args);
    let asks = connects(&["one.example", "also.example", "six.example", "127.0.0.11"], port);
    let run = end_filtered(stream);
    let closes = run.by("close", asks);
    assert_eq!(closes.iter().map(said).collect::<Vec<_>>(), [json!(["one.example", "dns", 0])]);
}

/// The names in a recording.
fn recorded(file: &Path) -> Vec<String> {
    let mut reader = Reader::new(std::io::Cursor::new(std::fs::read(file).unwrap())).unwrap();
    let mut names = Vec::new();
    while let Ok(item) = reader.read() {
        match item {
            Item::Seen(_, Seen::Probe(ProbeEvent::Hostnames(batch))) => {
                let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
                names.extend(batch.answers.iter().map(|answer| text(&answer.name)));
            }
            Item::End(_) => break,
            _ => {}
        }
    }
    names
}

#[test]
fn a_recording_has_names_on_request() {
    prepare();
    let _server = NameServer::start();
    let port = closing_server();
    let folder = tempfile::tempdir().unwrap();
    for asked in [false, true] {
        let file = folder.path().join(format!("{asked}.rec"));
        let mut command = program();
        command.arg("record").arg(&file).args(["-i", "lo", "--interval", "200ms"]);
        command.args(asked.then_some("--names"));
        let mut child = started(&mut command);
        // The file is made when everything is attached.
        until("the recording", || file.exists().then_some(()));
        connects(&["one.example"], port);
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        assert!(exited(&mut child).success());
        let names = recorded(&file);
        assert_eq!(names.iter().any(|name| name == "one.example"), asked, "{names:?}");
    }
    let file = folder.path().join("true.rec");
    let file = file.to_str().unwrap();
    let filter = format!("name:one.example port:{port}");
    let report =
        run(&["report", file, "--by", "connection", "--format", "json", "--filter", &filter]);
    let rows = report.of_type("report");
    assert!(!rows.is_empty(), "{}", report.stderr);
    assert!(rows.iter().all(|row| row["name"] == "one.example"), "{rows:?}");
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let mut tty = Tty::start(ebpftop(), &["replay", file], &env, (200, 50));
    tty.send("ce");
    tty.wait_for("one.example dns");
    tty.send("D");
    tty.wait_for("it shows the recorded names");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

#[test]
fn a_key_switches_names_on_and_off() {
    prepare();
    let _server = NameServer::start();
    let port = closing_server();
    let args = ["--interval", "200ms", "-i", "lo"];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let mut tty = Tty::start(ebpftop(), &args, &env, (200, 50));
    // Connections of other tests are on the screen, too: without these.
    let own = format!("/\x15port:{port}\r");
    tty.send("ce");
    tty.wait_for("new/s");
    tty.send(&own);
    assert!(!tty.text().contains("NAME"), "off at the start");
    connects(&["one.example"], port);
    tty.wait_for(&format!("127.0.0.11:{port}"));
    tty.send("D");
    tty.wait_for("0 names missed");
    connects(&["www.example"], port);
    tty.wait_for("www.example dns");
    assert!(!tty.text().contains("one.example"), "{}", tty.text());
    tty.send(&format!("/\x15name:www port:{port}\r"));
    tty.wait_until("that one alone", |s| s.contains("1 of ") && s.contains("www.example dns"));
    tty.send("g\r");
    tty.wait_for("www.example (dns, ");
    tty.wait_for("valid for 0 s");
    tty.send("\x7f\x7f");
    tty.wait_until("no filter", |s| !s.contains("filter name:"));
    // Beside the address, too, as its process has it.
    connects(&["peer.example"], port);
    tty.send("tt");
    tty.wait_for("127.0.0.14 peer.example dns");
    tty.send("c");
    tty.send(&own);
    tty.send("D");
    tty.wait_until("names off", |s| !s.contains("names missed"));
    connects(&["also.example"], port);
    tty.wait_for("www.example dns");
    tty.wait_until("its end", |s| s.matches(&format!("127.0.0.11:{port}")).count() >= 3);
    assert!(!tty.text().contains("also.example"), "{}", tty.text());
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}
