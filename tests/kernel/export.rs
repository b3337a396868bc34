//! `export` of what happens now, on the real kernel.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBuf;

use crate::common::conns::{done, process};
use crate::common::exporter::{Exporter, sum};
use crate::common::net::{ip, own_namespace};
use crate::common::user_fault::late_page;
use crate::listeners::fill;

/// Short-lived processes, failures, watched paths and connections are counted, each once, although the
/// first scrape that shows a series shows it at 0.
#[test]
fn real_opens_and_connections_are_counted_exactly() {
    own_namespace();
    ip("link set lo up");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    // Other tests that run at the same time have the name of the test binary.
    std::fs::write("/proc/self/comm", "counts-exports").unwrap();
    std::fs::write(path("read-by-all"), "x").unwrap();
    let cat = path("cat-exported");
    std::fs::copy("/bin/cat", &cat).unwrap();
    let watched = path("read-*");
    let exporter = Exporter::start(&[
        "-i",
        "lo",
        "--interval",
        "100ms",
        "--watched",
        &watched,
        "--max-groups",
        "5000",
    ]);
    exporter.until("all probes", |s| sum(s, "ebpftop_probe_up", &[]) == 4.0);
    for _ in 0..26 {
        let cat = &mut Command::new(&cat);
        let cat = cat.args([path("read-by-all"), path("not-there")]).stderr(Stdio::null());
        cat.stdout(Stdio::null()).status().unwrap();
    }
    let program = "program=\"cat-exported\"";
    let failures = |s: &_| sum(s, "ebpftop_open_failures_total", &[program, "errno=\"ENOENT\""]);
    let scrape = exporter.until("the failures", |s| failures(s) >= 26.0);
    assert!(sum(&scrape, "ebpftop_opens_total", &[program]) >= 52.0);
    exporter.until("the watched file", |s| {
        let opens = sum(s, "ebpftop_watched_opens_total", &["read-*"]);
        assert!(opens <= 26.0);
        opens == 26.0
    });

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let own = "program=\"counts-exports\"".to_owned();
    for _ in 0..10 {
        let client = TcpStream::connect(address).unwrap();
        let (server, from) = listener.accept().unwrap();
        assert_eq!(server.peer_addr().unwrap(), from);
        std::io::Write::write_all(&mut &client, &[7; 1_000]).unwrap();
        std::io::Read::read_exact(&mut &server, &mut [0; 1_000]).unwrap();
    }
    // The scrapes of this process are connections, too.
    let scrape = exporter.until("the connections", |s| {
        sum(s, "ebpftop_accepts_total", &[&own]) >= 10.0
            && sum(s, "ebpftop_connects_total", &[&own]) >= 10.0
            && sum(s, "ebpftop_connection_bytes_total", &[&own, "\"tx\""]) >= 10_000.0
    });
    assert_eq!(sum(&scrape, "ebpftop_accepts_total", &[&own]), 10.0);
    assert!(sum(&scrape, "ebpftop_interface_bytes_total", &["\"lo\"", "\"rx\""]) >= 10_000.0);
    assert_eq!(
        sum(&scrape, "ebpftop_interface_bytes_total", &["\"rx\""]),
        sum(&scrape, "ebpftop_talker_bytes_total", &["\"rx\"", "scope=\"self\""])
            + sum(&scrape, "ebpftop_talker_bytes_total", &["\"rx\"", "scope=\"other\""])
    );
    assert_eq!(sum(&scrape, "ebpftop_opens_lost_total", &[]), 0.0);

    // After the start only what reading takes is left.
    let pid = exporter.id();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let task = task.unwrap().path();
        let status = std::fs::read_to_string(task.join("status")).unwrap();
        let caps = status.lines().find_map(|l| l.strip_prefix("CapEff:\t")).unwrap();
        let caps = u64::from_str_radix(caps, 16).unwrap();
        // CAP_BPF, to read maps on kernels that ask for it; CAP_NET_ADMIN, to restore device features.
        assert_eq!(caps & !(1 << 39 | 1 << 12), 0, "{} {caps:x}", task.display());
    }
    let (code, said) = exporter.end();
    assert_eq!(code, 0, "{said}");
}

#[test]
fn bytes_slow_calls_and_changes_of_files_are_counted_by_group() {
    own_namespace();
    ip("link set lo up");
    let dir = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(&[
        "-i",
        "lo",
        "--interval",
        "100ms",
        "--max-groups",
        "5000",
        "--files",
        "--slow",
        "20ms",
    ]);
    exporter.until("all probes", |s| sum(s, "ebpftop_probe_up", &[]) == 5.0);
    let child = process(|| {
        // SAFETY: a name with its NUL.
        unsafe { libc::prctl(libc::PR_SET_NAME, c"files-exported".as_ptr()) };
        for n in 0..5 {
            let (one, other) = (dir.path().join(n.to_string()), dir.path().join(format!("{n}b")));
            std::fs::write(&one, [b'x'; 1_000]).unwrap();
            std::fs::rename(&one, &other).unwrap();
            assert_eq!(std::fs::read(&other).unwrap().len(), 1_000);
            std::fs::remove_file(&other).unwrap();
            // One that fails is no change.
            assert!(std::fs::remove_file(&other).is_err());
        }
        let mut file = std::fs::File::create(dir.path().join("late")).unwrap();
        file.write_all(&late_page(Duration::from_millis(60))[..10]).unwrap();
    });
    done(child);
    let program = "program=\"files-exported\"";
    let changes =
        |s: &_, op: &str| sum(s, "ebpftop_file_changes_total", &[program, &format!("op=\"{op}\"")]);
    let scrape = exporter.until("the changes and the bytes", |s| {
        changes(s, "unlink") >= 5.0
            && changes(s, "create") >= 6.0
            && sum(s, "ebpftop_file_written_bytes_total", &[program]) >= 5_010.0
            && sum(s, "ebpftop_file_slow_calls_total", &[program]) >= 1.0
    });
    let all = ["create", "rename", "unlink", "mkdir"].map(|op| changes(&scrape, op));
    assert_eq!(all, [6.0, 5.0, 5.0, 0.0]);
    assert_eq!(sum(&scrape, "ebpftop_file_written_bytes_total", &[program]), 5_010.0);
    assert_eq!(sum(&scrape, "ebpftop_file_changes_lost_total", &[]), 0.0);
    assert!(scrape.keys().any(|name| name.starts_with("ebpftop_file_unknown_calls_total")));
    let (code, said) = exporter.end();
    assert_eq!(code, 0, "{said}");
}

/// Listeners are read every ten seconds.
#[test]
fn drops_of_listeners_are_counted_by_group() {
    own_namespace();
    ip("link set lo up");
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    setsockopt(&udp, RcvBuf, &4_096).unwrap();
    let exporter = Exporter::start(&["-i", "lo", "--max-groups", "5000"]);
    exporter.until("the first reading", |s| sum(s, "ebpftop_listeners", &["\"udp\""]) >= 1.0);
    let clients = fill(&full);
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..500 {
        from.send_to(&[0; 1_000], udp.local_addr().unwrap()).unwrap();
    }
    udp.set_nonblocking(true).unwrap();
    let received = std::iter::from_fn(|| udp.recv(&mut [0; 1_000]).ok()).count();
    let own = format!("program=\"{}\"", std::fs::read_to_string("/proc/self/comm").unwrap().trim());
    let drops = |s: &_, protocol: &str| {
        sum(s, "ebpftop_listener_drops_total", &[&own, &format!("protocol=\"{protocol}\"")])
    };
    let scrape = exporter.until("both", |s| drops(s, "tcp") >= 1.0 && drops(s, "udp") >= 1.0);
    assert_eq!(drops(&scrape, "udp"), (500 - received) as f64);
    drop(clients);
    let (code, said) = exporter.end();
    assert_eq!(code, 0, "{said}");
}
