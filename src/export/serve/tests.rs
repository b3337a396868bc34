//! The server on loopback, with clients that behave and clients that do not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use super::*;
use crate::export::families::OPENS;
use crate::export::text::Format;
use crate::export::text::{Sample, Samples, Value};

/// A server with one snapshot.
fn server() -> (SocketAddr, Arc<Shared>) {
    server_with(Web::default())
}

fn server_with(web: Web) -> (SocketAddr, Arc<Shared>) {
    let shared = Arc::new(Shared::new(Duration::from_secs(60)));
    shared.publish(|_| {
        let samples = vec![Sample::new([None, None], Value::Int(7))];
        vec![Samples { family: &OPENS, samples }]
    });
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    start(listener, shared.clone(), web).unwrap();
    (address, shared)
}

/// Sends bytes and no more; returns the answer.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The server may have answered and closed before all of it was sent.
    let _ = stream.write_all(request).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
}

#[test]
fn before_the_first_snapshot_it_is_unavailable() {
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    start(listener, Arc::new(Shared::new(Duration::from_secs(1))), Web::default()).unwrap();
    for path in ["/healthz", "/metrics"] {
        let answer = get(address, path);
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("starting\n"), "{answer}");
    }
}

#[test]
fn metrics_and_health_are_served() {
    let (address, shared) = server();
    let metrics = get(address, "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(metrics.contains("\nebpftop_opens_total 7\n") && !metrics.contains("# EOF"));
    let accept = "GET /metrics HTTP/1.0\r\nAccept: application/openmetrics-text\r\n\r\n";
    let metrics = ask(address, accept.as_bytes());
    assert!(metrics.contains("# TYPE ebpftop_opens counter") && metrics.ends_with("# EOF\n"));
    assert!(get(address, "/healthz").ends_with("\r\n\r\nok\n"));
    let head = ask(address, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let snapshot = shared.publish(|scraped| {
        assert!(scraped);
        Vec::new()
    });
    let text = String::from_utf8(snapshot.text(Format::Prometheus).to_vec()).unwrap();
    assert!(text.contains("ebpftop_http_requests_total{code=\"200\"} 4\n"), "{text}");
}

#[test]
fn nothing_but_a_get_is_answered_and_no_body_is_read() {
    let (address, _) = server();
    let long = "x".repeat(MAX_HEAD);
    let many = "A: b\r\n".repeat(MAX_HEADERS + 1);
    for (request, status) in [
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nabc", "405"),
        ("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", "200"),
        (
            "GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            "200",
        ),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("GET http://elsewhere/metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("GET /metrics HTTP/9.9\r\n\r\n", "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        ("\x16\x03\x01\x02\x00\x01", "400"),
        ("GET /metrics HTTP/1.1\r\nHost: \0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"),
        (&format!("GET /{long} HTTP/1.1\r\n\r\n"), "431"),
        (&format!("GET / HTTP/1.1\r\n{many}\r\n"), "431"),
        ("GET /metr", ""),
        ("", ""),
    ] {
        let answer = ask(address, request.as_bytes());
        let expected =
            if status.is_empty() { String::new() } else { format!("HTTP/1.1 {status} ") };
        let shown = request.get(..60).unwrap_or(request);
        assert!(answer.starts_with(&expected), "{shown:?}: {answer}");
        assert!(!status.is_empty() || answer.is_empty(), "{shown:?}: {answer}");
    }
    assert!(get(address, "/metrics").contains("ebpftop_opens_total 7"));
}

#[test]
fn any_request_does_no_harm() {
    let (address, _) = server();
    crate::testing::fuzz::check("http", |bytes| {
        let answer = ask(address, bytes);
        let code = answer.strip_prefix("HTTP/1.1 ").or(answer.strip_prefix("HTTP/1.0 "));
        let code = code.and_then(|rest| rest.get(..3));
        let known = ["200", "400", "404", "405", "414", "431", "503"];
        assert!(answer.is_empty() || code.is_some_and(|c| known.contains(&c)), "{answer}");
    });
    assert!(get(address, "/metrics").contains("ebpftop_opens_total 7"));
}

#[test]
fn dead_clients_stop_no_scrape_and_the_oldest_goes_first() {
    let (address, shared) = server();
    let mut dead: Vec<TcpStream> = Vec::new();
    for n in 0..MAX_CONNECTIONS + 5 {
        let mut stream = TcpStream::connect(address).unwrap();
        // Some say nothing, some stop in the middle, some do not read the answer.
        let begin: [&[u8]; 3] =
            [b"", b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: "];
        stream.write_all(begin[n % 3]).unwrap();
        dead.push(stream);
        assert!(get(address, "/metrics").contains("ebpftop_opens_total 7"), "{n}");
    }
    // Those that were there first are closed, the last one is not.
    let mut byte = [0];
    dead[0].set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert!(matches!(dead[0].read(&mut byte), Ok(0) | Err(_)));
    assert!(shared.http.crowded.load(Ordering::Relaxed) >= 5);
    let last = dead.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(last.read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_silent_client_is_closed_after_a_while() {
    let (address, shared) = server();
    let mut silent = TcpStream::connect(address).unwrap();
    silent.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    silent.set_read_timeout(Some(HEAD_TIME * 8)).unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).unwrap();
    for _ in 0..1_000 {
        if shared.http.slow.load(Ordering::Relaxed) == 1 {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("not counted");
}

#[test]
fn a_port_in_use_is_an_error_that_says_so() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let error = listen(address).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("listen on {address}: the port is in use; choose another with --listen")
    );
}

/// A certificate for localhost with its key.
struct Own {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    certificate_pem: String,
    key_pem: String,
}

fn own() -> Own {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    Own {
        certificate: made.cert.der().clone(),
        key: made.signing_key.serialize_der(),
        certificate_pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
    }
}

/// A web configuration in a folder; with `mutual` clients need the server's certificate.
fn web_of(folder: &std::path::Path, mutual: bool, users: &str) -> (Web, Own) {
    let own = own();
    std::fs::write(folder.join("a.crt"), &own.certificate_pem).unwrap();
    std::fs::write(folder.join("a.key"), &own.key_pem).unwrap();
    let clients = match mutual {
        true => "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: a.crt\n",
        false => "",
    };
    let text =
        format!("tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n{clients}{users}");
    std::fs::write(folder.join("web.yml"), text).unwrap();
    (Web::read(&folder.join("web.yml")).unwrap(), own)
}

/// The answer to a GET over TLS, by a client with a certificate or without; an error is empty.
fn get_by_tls(address: SocketAddr, own: &Own, with_certificate: bool, headers: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(own.certificate.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match with_certificate {
        false => builder.with_no_client_auth(),
        true => {
            let key = PrivateKeyDer::try_from(own.key.clone()).unwrap();
            builder.with_client_auth_cert(vec![own.certificate.clone()], key).unwrap()
        }
    };
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut tls = Stream::new(&mut client, &mut stream);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let mut answer = Vec::new();
    let _ = tls.write_all(request.as_bytes()).and_then(|()| tls.read_to_end(&mut answer).map(drop));
    String::from_utf8(answer).unwrap()
}

#[test]
fn tls_and_passwords_protect_the_metrics() {
    use base64::Engine as _;
    let dir = tempfile::tempdir().unwrap();
    let hash = bcrypt::hash("secret", 4).unwrap();
    let (web, own) = web_of(dir.path(), false, &format!("basic_auth_users:\n  alice: {hash}\n"));
    let (address, _) = server_with(web);
    let basic = |text: &str| {
        format!(
            "Authorization: Basic {}\r\n",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    };
    let answer = get_by_tls(address, &own, false, &basic("alice:secret"));
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("ebpftop_opens_total 7"),
        "{answer}"
    );
    for headers in ["", &basic("alice:Secret"), &basic("bob:secret")] {
        let answer = get_by_tls(address, &own, false, headers);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(
            answer.contains("www-authenticate: Basic realm=\"ebpftop\"")
                && !answer.contains("opens")
        );
    }
    // Without TLS, and with a certificate that the client does not trust.
    assert!(!get(address, "/metrics").contains("HTTP"));
    assert_eq!(get_by_tls(address, &self::own(), false, &basic("alice:secret")), "");
    assert!(get_by_tls(address, &own, false, &basic("alice:secret")).contains(" 200 "));
}

#[test]
fn clients_may_need_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (web, own) = web_of(dir.path(), true, "");
    assert!(web.asks_for_certificates);
    let (address, _) = server_with(web);
    assert_eq!(get_by_tls(address, &own, false, ""), "");
    assert!(get_by_tls(address, &own, true, "").contains("ebpftop_opens_total 7"));
}

#[test]
fn an_invalid_web_configuration_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yml");
    let key = "tls_server_config: {cert_file: a.crt, key_file: a.key}";
    for (text, error) in
        [("a: b", "web.yml: `a` is not supported here"), (key, "a.key: No such file")]
    {
        std::fs::write(&path, text).unwrap();
        let found = Web::read(&path).unwrap_err().to_string();
        assert!(found.contains(error), "{found}");
    }
    std::fs::write(dir.path().join("a.key"), "x").unwrap();
    assert!(
        Web::read(&path).unwrap_err().to_string().contains("a.key: it has no private key in PEM")
    );
}
