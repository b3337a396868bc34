//! The client and receivers that break off.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::super::env::{Signal, endpoint};
use super::super::{answer::Answer, counts};
use super::*;
use crate::export::text::Format;

/// A client, and the listener that it connects to.
fn client(timeout_ms: &str) -> (Client, TcpListener, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let set = |name: &str| name.ends_with("_TIMEOUT").then(|| timeout_ms.to_owned());
    let (endpoint, _) = endpoint(Signal::Metrics, &url, &set).unwrap();
    let counts = Arc::new(Counts::new(Signal::Metrics));
    (Client::new(endpoint, counts.clone()).unwrap(), listener, counts)
}

fn batch(bytes: usize) -> Batch {
    Batch { items: 1, body: vec![0; bytes].into() }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Whether an attempt with this code was counted so often.
fn counted(counts: &Counts, code: &str, n: u64) -> bool {
    let text = Format::Prometheus.write(&counts::samples(std::iter::once(counts)));
    text.contains(&format!("requests_total{{signal=\"metrics\",code=\"{code}\"}} {n}\n"))
}

/// Reads a request; false at the end of the connection.
fn read(stream: &mut BufReader<std::net::TcpStream>) -> bool {
    let mut length = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        if let Some(n) = line.to_lowercase().strip_prefix("content-length: ") {
            length = n.trim().parse().ok();
        }
        if line == "\r\n" {
            return stream.read_exact(&mut vec![0; length.unwrap()]).is_ok();
        }
    }
}

/// Answers the requests of each connection with these, and closes it then; without `closes` when the
/// client does.
fn answer(listener: TcpListener, connections: Vec<Vec<Vec<u8>>>, closes: bool) {
    thread::spawn(move || {
        for answers in connections {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            for answer in answers {
                assert!(read(&mut stream));
                stream.get_mut().write_all(&answer).unwrap();
            }
            while !closes && read(&mut stream) {}
        }
    });
}

#[test]
fn the_status_decides_although_the_body_is_large_cut_or_late() {
    let large = [b"HTTP/1.1 404 x\r\nContent-Length: 99999\r\n\r\n", &[b'x'; 99_999][..]].concat();
    let cut = b"HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nabc".to_vec();
    let refused = || Answer::Refused("404 Not Found".into());
    let accepted = || Answer::Accepted { rejected: 0, words: String::new() };
    for (bytes, code, closes, expected) in [
        (large, "404", false, refused as fn() -> Answer),
        (cut.clone(), "200", true, accepted),
        (cut, "200", false, accepted),
    ] {
        let (mut client, listener, counts) = client("500");
        answer(listener, vec![vec![bytes.clone()], vec![bytes]], closes);
        run(async {
            // The second one goes over another connection.
            for n in [1, 2] {
                assert_eq!(client.send(&batch(9)).await, expected());
                assert!(counted(&counts, code, n) && client.kept.is_none());
            }
        });
    }
}

#[test]
fn an_attempt_on_a_connection_that_was_closed_counts() {
    let (mut client, listener, counts) = client("10000");
    let ok = b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n".to_vec();
    answer(listener, vec![vec![ok.clone(), Vec::new()], vec![ok]], true);
    run(async {
        for _ in 0..2 {
            assert!(matches!(client.send(&batch(9)).await, Answer::Accepted { .. }));
        }
    });
    assert!(counted(&counts, "200", 2) && counted(&counts, "connection", 1), "{counts:?}");
}

#[test]
fn a_receiver_that_does_not_read_holds_no_connection() {
    let (mut client, listener, counts) = client("100");
    // More than the buffers of sockets take.
    let batch = batch(32 << 20);
    run(async {
        for n in [1, 2] {
            let answer = client.send(&batch).await;
            assert!(matches!(answer, Answer::Again(..)) && counted(&counts, "timeout", n));
            let (mut stream, _) = listener.accept().unwrap();
            // The rest of the body would come while the client lives.
            let read = tokio::task::spawn_blocking(move || {
                let mut all = Vec::new();
                let _ = stream.read_to_end(&mut all);
                all.len()
            });
            assert!(read.await.unwrap() < batch.body.len());
        }
    });
}
