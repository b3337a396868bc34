//! HTTP and HTTPS to one receiver, over a connection that is used again while it lasts.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::answer::Answer;
use super::env::Endpoint;
use super::queue::Batch;
use crate::privileges::as_invoker;

/// Maximum bytes of an answer's body and of its head.
const MAX_BODY: usize = 64 << 10;
const MAX_HEAD: usize = 16 << 10;

/// A client of one receiver.
pub struct Client {
    endpoint: Endpoint,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// The answer to a request, with the code of its metric.
pub type Reply = (String, Answer);

impl Client {
    /// Reads the system's certificates where the URL asks for them; connects later.
    pub fn new(endpoint: Endpoint) -> anyhow::Result<Self> {
        let tls = endpoint.is_https.then(|| tls(&endpoint)).transpose()?;
        Ok(Self { endpoint, tls, connection: None })
    }

    /// Where it sends to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request and reads the answer, within the endpoint's time.
    pub async fn send(&mut self, batch: &Batch) -> Reply {
        let limit = self.endpoint.timeout;
        match timeout(limit, self.post(batch)).await {
            Ok(Ok((code, answer))) => (code.as_str().to_owned(), answer),
            Ok(Err(e)) => {
                self.connection = None;
                ("connection".into(), Answer::Again(e.to_string(), None))
            }
            Err(_) => {
                self.connection = None;
                let why = format!("no answer within {limit:?}");
                ("timeout".into(), Answer::Again(why, None))
            }
        }
    }

    async fn post(&mut self, batch: &Batch) -> io::Result<(StatusCode, Answer)> {
        // A receiver closes connections that were idle, and may do so in the midst of a request.
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
            && let Ok(reply) = self.ask(connection, batch).await
        {
            return Ok(reply);
        }
        let connection = self.connect().await?;
        self.ask(connection, batch).await
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let address = (self.endpoint.host.as_str(), self.endpoint.port);
        let stream = TcpStream::connect(address).await?;
        match &self.tls {
            None => handshake(stream).await,
            Some((tls, name)) => handshake(tls.connect(name.clone(), stream).await?).await,
        }
    }

    async fn ask(
        &mut self,
        mut connection: SendRequest<Full<Bytes>>,
        batch: &Batch,
    ) -> io::Result<(StatusCode, Answer)> {
        let mut request = Request::new(Full::new(batch.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.path.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.endpoint.headers);
        headers.insert(HOST, self.endpoint.authority.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let agent = concat!("ebpftop/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        let response = connection.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(io::Error::other)?;
        self.connection = Some(connection);
        let after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Ok((head.status, Answer::of(head.status, after, &body.to_bytes(), batch.items)))
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<SendRequest<Full<Bytes>>> {
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
    let (connection, driver) = handshake.await.map_err(io::Error::other)?;
    // Ends when `connection` is dropped; an error is also that of the request.
    tokio::spawn(driver);
    Ok(connection)
}

fn tls(endpoint: &Endpoint) -> anyhow::Result<(TlsConnector, ServerName<'static>)> {
    let mut roots = RootCertStore::empty();
    // SSL_CERT_FILE may name any file.
    let found = as_invoker(rustls_native_certs::load_native_certs)?;
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
        anyhow::bail!(
            "https: this system has no certificates{why}; install ca-certificates or set SSL_CERT_FILE"
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| anyhow::anyhow!("{}: not a host's name", endpoint.shown()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}
