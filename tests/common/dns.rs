//! A little DNS server for reverse questions, and a machine-wide `/etc` that asks it alone.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};

use nix::mount::{MsFlags, mount};

use super::patience::slowness;

/// Gives this thread, and what it starts, an `/etc` of its own: names come from these lines of
/// hosts, then from a server on 127.0.0.1.
pub fn own_etc(hosts: &[u8]) {
    let none = None::<&str>;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("the tests need root");
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("etc"), "/etc", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    std::fs::write("/etc/hosts", hosts).unwrap();
    std::fs::write("/etc/nsswitch.conf", "hosts: files dns\npasswd: files\n").unwrap();
    // Ten seconds until there is no answer; in an emulator as long as a resolver takes.
    let options = if slowness() > 1 { "options timeout:30 attempts:1\n" } else { "" };
    std::fs::write("/etc/resolv.conf", format!("nameserver 127.0.0.1\n{options}")).unwrap();
    std::fs::write("/etc/passwd", "root:x:0:0:root:/:/bin/sh\n").unwrap();
}

/// The answer to a reverse question.
#[derive(Clone, Debug)]
pub enum Says {
    Name(Vec<u8>),
    NoSuchName,
    Nothing,
}

/// The server; it ends with the test.
pub struct Server {
    asked: Arc<Mutex<Vec<Ipv4Addr>>>,
}

impl Server {
    /// Listens on 127.0.0.1 in this thread's network namespace. Addresses that are not in `says` have no name.
    pub fn start(says: HashMap<Ipv4Addr, Says>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((n, from)) = socket.recv_from(&mut question) {
                let Some(ip) = reverse(&question[12..n]) else { continue };
                heard.lock().unwrap().push(ip);
                let said = says.get(&ip).unwrap_or(&Says::NoSuchName);
                if let Some(answer) = answer(&question[..n], said) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self { asked }
    }

    /// The addresses that were asked for, in order.
    pub fn asked(&self) -> Vec<Ipv4Addr> {
        self.asked.lock().unwrap().clone()
    }
}

/// The address of `4.3.2.1.in-addr.arpa`.
fn reverse(mut name: &[u8]) -> Option<Ipv4Addr> {
    let mut labels = Vec::new();
    while let Some((&length @ 1.., rest)) = name.split_first() {
        labels.push(std::str::from_utf8(rest.get(..usize::from(length))?).ok()?.to_owned());
        name = &rest[usize::from(length)..];
    }
    let [d, c, b, a] = labels.strip_suffix(&["in-addr".to_owned(), "arpa".to_owned()])? else {
        return None;
    };
    format!("{a}.{b}.{c}.{d}").parse().ok()
}

fn answer(question: &[u8], said: &Says) -> Option<Vec<u8>> {
    let (flags, answers) = match said {
        Says::Name(_) => ([0x81, 0x80], 1),
        Says::NoSuchName => ([0x81, 0x83], 0),
        Says::Nothing => return None,
    };
    // The question alone, without the additional records that came with it.
    let end = 12 + question[12..].iter().position(|b| *b == 0)? + 5;
    let mut bytes = question[..end].to_vec();
    bytes[2..4].copy_from_slice(&flags);
    bytes[4..12].copy_from_slice(&[0, 1, 0, answers, 0, 0, 0, 0]);
    if let Says::Name(name) = said {
        let mut data = Vec::new();
        for label in name.split(|b| *b == b'.') {
            data.push(label.len() as u8);
            data.extend(label);
        }
        data.push(0);
        // The name of the question, PTR, IN, valid for an hour.
        bytes.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 14, 16]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
    }
    Some(bytes)
}
