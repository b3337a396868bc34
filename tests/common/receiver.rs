//! An HTTP receiver that plays what the ones of others do, and notes what it has taken.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What it does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Play {
    /// Answers: the status, further lines of the head, and the body.
    Answer(u16, &'static str, Vec<u8>),
    /// Reads it and closes the connection.
    Cut,
    /// Reads it and never answers.
    Hang,
    /// Reads its head, and neither the body nor anything after that.
    Deaf,
}

impl Play {
    /// Takes the request.
    pub fn ok() -> Self {
        Self::Answer(200, "", Vec::new())
    }
}

/// A request that was answered or played with.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// The lines of the head, in lower case but for the values.
    pub head: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub play: Play,
}

impl Request {
    /// Its body as it was written, before it was packed.
    pub fn unpacked(&self) -> Vec<u8> {
        match self.header("content-encoding") {
            Some("gzip") => {
                let mut unpacked = Vec::new();
                flate2::read::GzDecoder::new(&*self.body).read_to_end(&mut unpacked).unwrap();
                unpacked
            }
            other => {
                assert_eq!(other, None);
                self.body.clone()
            }
        }
    }

    /// The value of a line of its head.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

#[derive(Debug, Default)]
struct State {
    /// The plays for requests of this path; others are taken.
    path: &'static str,
    plays: VecDeque<Play>,
    requests: Vec<Request>,
    /// Connections that hang.
    held: Vec<TcpStream>,
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// A certificate and its key: that of `localhost`, in PEM and for rustls.
pub struct Certificate {
    pub pem: String,
    config: Arc<ServerConfig>,
}

impl Certificate {
    pub fn of_localhost() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self { pem: made.cert.pem(), config: Arc::new(config) }
    }
}

impl Receiver {
    /// Plays these, one for each request of this path, and then takes every request.
    pub fn start(path: &'static str, plays: &[Play], certificate: Option<&Certificate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let plays = plays.iter().cloned().collect();
        let state = Arc::new(Mutex::new(State { path, plays, ..State::default() }));
        let tls = certificate.map(|certificate| certificate.config.clone());
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, tls) = (shared.clone(), tls.clone());
                std::thread::spawn(move || {
                    let held = stream.try_clone().unwrap();
                    match tls {
                        None => serve(stream, held, &state),
                        Some(tls) => {
                            let tls = ServerConnection::new(tls).unwrap();
                            serve(StreamOwned::new(tls, stream), held, &state);
                        }
                    }
                });
            }
        });
        Self { address, state }
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The requests that were taken.
    pub fn taken(&self) -> Vec<Request> {
        let is_taken = |r: &Request| matches!(r.play, Play::Answer(200, ..));
        self.requests().into_iter().filter(is_taken).collect()
    }
}

/// Answers the requests of a connection.
fn serve(stream: impl Read + Write, held: TcpStream, state: &Mutex<State>) {
    let mut stream = BufReader::new(stream);
    while let Some((path, head, length)) = read(&mut stream) {
        let next = |state: &mut State, is_asked: fn(&Play) -> bool| {
            let is_next = path == state.path && state.plays.front().is_some_and(is_asked);
            is_next.then(|| state.plays.pop_front()).flatten()
        };
        let deaf = next(&mut state.lock().unwrap(), |play| *play == Play::Deaf);
        let mut body = vec![0; if deaf.is_some() { 0 } else { length }];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let play = {
            let mut state = state.lock().unwrap();
            let play = deaf.or_else(|| next(&mut state, |_| true)).unwrap_or(Play::ok());
            state.requests.push(Request { path, head, body, play: play.clone() });
            play
        };
        match play {
            Play::Answer(status, lines, body) => {
                let head =
                    format!("HTTP/1.1 {status} x\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
                let stream = stream.get_mut();
                if stream
                    .write_all(&[head.as_bytes(), &body].concat())
                    .and_then(|()| stream.flush())
                    .is_err()
                {
                    return;
                }
            }
            Play::Cut => return,
            Play::Hang | Play::Deaf => return state.lock().unwrap().held.push(held),
        }
    }
}

/// Path and head of a request, and the length of its body.
type Parts = (String, Vec<(String, String)>, usize);

/// Reads the next request up to its body; `None` at the end of the connection.
fn read(stream: &mut impl BufRead) -> Option<Parts> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let pair = |line: &String| {
        let (key, value) = line.split_once(": ").unwrap();
        (key.to_lowercase(), value.to_owned())
    };
    let head: Vec<_> = lines.iter().skip(1).map(pair).collect();
    let length = head.iter().find(|(key, _)| key == "content-length")?.1.parse().unwrap();
    Some((path, head, length))
}
