//! Names by the responders that machines have: avahi-daemon (multicast DNS) and systemd-resolved (LLMNR, and a
//! forwarder). They run in a network namespace at the other end of a veth pair, or beside their client, without
//! D-Bus and systemd.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::Pid;
use serde_json::json;

use crate::common::conns::*;
use crate::common::net::{ip, own_namespace, run};
use crate::common::patience::until;
use crate::common::program::{Stream, ebpftop};
use crate::names::{
    NameServer, client, connects, end_of, names, none, prepare, said, started, to_port,
};

const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";

/// A namespace at the other end of a veth pair, and the responder in it.
struct There {
    netns: OwnedFd,
    responder: Option<Child>,
}

impl There {
    fn new() -> Self {
        let made = std::thread::spawn(|| {
            own_namespace();
            OwnedFd::from(File::open("/proc/thread-self/ns/net").unwrap())
        });
        let netns = made.join().unwrap();
        let there = format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd());
        ip(&format!("link add here type veth peer name there netns {there}"));
        let enter = format!("--net={there}");
        let links = [("here", HERE, ""), ("there", THERE, "nsenter")];
        for (link, address, enters) in links {
            for args in [
                format!("addr add {address}/24 dev {link}"),
                format!("link set {link} up multicast on"),
                format!("route add 224.0.0.0/4 dev {link}"),
                "link set lo up".to_owned(),
            ] {
                match enters {
                    "" => ip(&args),
                    nsenter => run(nsenter, &format!("{enter} ip {args}")),
                };
            }
        }
        Self { netns, responder: None }
    }

    /// Starts the responder there, on a machine that is called `printer`.
    fn respond(&mut self, command: &mut Command) {
        let netns = self.netns.try_clone().unwrap();
        let enter = move || {
            setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?;
            unshare(CloneFlags::CLONE_NEWUTS)?;
            let name = b"printer";
            // SAFETY: bytes of this length.
            match unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: system calls on a descriptor and a constant alone.
        unsafe { command.pre_exec(enter) };
        self.responder = Some(started(command));
    }

    /// Accepts connections there; returns the port.
    fn listen(&self) -> u16 {
        let netns = self.netns.try_clone().unwrap();
        let (bound, port) = mpsc::channel();
        std::thread::spawn(move || {
            setns(netns.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            bound.send(listener.local_addr().unwrap().port()).unwrap();
            listener.incoming().for_each(drop);
        });
        port.recv().unwrap()
    }
}

impl Drop for There {
    fn drop(&mut self) {
        self.responder.iter_mut().for_each(end_of);
    }
}

/// A namespace of the test's own, with users and directories for responders.
fn prepare_for_responders() {
    prepare();
    let users = [("root", 0), ("avahi", 990), ("systemd-resolve", 991)];
    let passwd = users.map(|(name, id)| format!("{name}:x:{id}:{id}::/:/bin/sh\n"));
    let group = users.map(|(name, id)| format!("{name}:x:{id}:\n"));
    std::fs::write("/etc/passwd", passwd.concat()).unwrap();
    std::fs::write("/etc/group", group.concat()).unwrap();
    mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    for dir in ["/run/avahi-daemon", "/run/systemd", "/etc/systemd", "/etc/avahi/services"] {
        std::fs::create_dir_all(dir).unwrap();
    }
}

/// A responder: the installed one, else Debian's package as scripts/responders.sh has unpacked it.
fn responder(name: &str) -> Command {
    let target = Path::new(ebpftop()).ancestors().nth(2).unwrap();
    let unpacked = target.join("responders");
    let folders = ["usr/sbin", "usr/bin", "usr/lib/systemd", "lib/systemd"];
    let roots = [Path::new("/"), &unpacked];
    let mut places = roots.iter().flat_map(|root| folders.map(|folder| (*root, root.join(folder))));
    let found = places.find_map(|(root, folder)| {
        let program: PathBuf = folder.join(name);
        program.exists().then_some((root, program))
    });
    let Some((root, program)) = found else {
        panic!("{name} is neither installed nor in {}: run make setup-test", unpacked.display());
    };
    let mut command = Command::new(program);
    if root == unpacked {
        command.env("LD_LIBRARY_PATH", root.join("lib"));
    }
    command
}

fn avahi() -> Command {
    let config = "[server]\nhost-name=printer\nenable-dbus=no\nuse-ipv6=no\n\
                  [publish]\npublish-workstation=no\n[wide-area]\nenable-wide-area=no\n";
    std::fs::write("/run/avahi.conf", config).unwrap();
    let mut command = responder("avahi-daemon");
    command.args(["-f", "/run/avahi.conf", "--no-drop-root", "--no-chroot", "--no-rlimits"]);
    command
}

/// systemd-resolved, which asks the name server on 127.0.0.1.
fn resolved() -> Command {
    let config = "[Resolve]\nDNS=127.0.0.1\nLLMNR=yes\nMulticastDNS=no\nDNSSEC=no\n";
    std::fs::write("/etc/systemd/resolved.conf", config).unwrap();
    responder("systemd-resolved")
}

/// Asks a multicast group for a name until it has an answer, then connects to the address in it.
fn asks_group(name: &str, group: (&str, u16), port: u16) -> Pid {
    let script = format!(
        "import socket, struct\n\
         labels = b''.join(bytes([len(part)]) + part.encode() for part in '{name}'.split('.'))\n\
         query = struct.pack('>6H', 7, 0, 1, 0, 0, 0) + labels + b'\\0\\0\\1\\0\\1'\n\
         asks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         asks.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)\n\
         asks.settimeout(1)\n\
         for _ in range(60):\n\
         \x20 asks.sendto(query, ('{}', {}))\n\
         \x20 try:\n\
         \x20   answer = asks.recv(2000)\n\
         \x20   break\n\
         \x20 except TimeoutError:\n\
         \x20   pass\n\
         socket.create_connection((socket.inet_ntoa(answer[-4:]), {port})).close()",
        group.0, group.1
    );
    client("python3", &["-c", &script])
}

/// The process that asked a responder has the name, and another one that connects has none.
fn responds(command: fn() -> Command, name: &str, group: (&str, u16), source: &str) {
    prepare_for_responders();
    let mut there = There::new();
    let port = there.listen();
    let stream: Stream = names();
    there.respond(&mut command());
    let asks = asks_group(name, group, port);
    let by_number = connects(&[THERE], port);
    let run = end(stream);
    for kind in ["connect", "close"] {
        let line = |pid| to_port(&run, kind, pid, port).remove(0);
        assert_eq!(said(&line(asks)), json!([name, source, 0]), "{kind}");
        assert_eq!(line(asks)["remote_ip"], THERE);
        assert_eq!(said(&line(by_number)), none(), "{kind}");
    }
}

#[test]
fn avahi_answers_by_multicast_dns() {
    responds(avahi, "printer.local", ("224.0.0.251", 5353), "mdns");
}

#[test]
fn resolved_answers_by_llmnr() {
    responds(resolved, "printer", ("224.0.0.252", 5355), "llmnr");
}

/// The client itself asks systemd-resolved by DNS at 127.0.0.53.
#[test]
fn a_client_of_resolved_has_the_name() {
    prepare_for_responders();
    // Where no interface has a routable address a forwarder asks no server.
    let _there = There::new();
    let _server = NameServer::start();
    let port = crate::names::closing_server();
    std::fs::write("/etc/resolv.conf", "nameserver 127.0.0.53\n").unwrap();
    let stream = names();
    let mut resolver = started(&mut resolved());
    until("the forwarder", || {
        let table = std::fs::read_to_string("/proc/thread-self/net/udp").unwrap();
        table.contains(" 3500007F:0035 ").then_some(())
    });
    let asks = connects(&["one.example"], port);
    // From its cache, so that the name server is not asked again.
    let again = connects(&["one.example"], port);
    let by_hosts = connects(&["hosts.example"], port);
    end_of(&mut resolver);
    let run = end(stream);
    for pid in [asks, again] {
        let line = to_port(&run, "close", pid, port).remove(0);
        assert_eq!(said(&line), json!(["one.example", "dns", 0]));
    }
    assert_eq!(said(&to_port(&run, "close", by_hosts, port)[0]), none());
}
