//! HTTP and HTTPS to one receiver, over a connection that is used again while it lasts.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::answer::Answer;
use super::counts::Counts;
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
    /// The connection of the last answer, if it can be used again.
    kept: Option<Connection>,
    counts: Arc<Counts>,
}

/// A connection and the task that reads and writes it.
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Drop for Connection {
    /// Closes the connection. By itself the task would go on until the receiver has read the body.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// Reads the system's certificates where the URL asks for them; connects later. Counts each attempt.
    pub fn new(endpoint: Endpoint, counts: Arc<Counts>) -> anyhow::Result<Self> {
        let tls = endpoint.is_https.then(|| tls(&endpoint)).transpose()?;
        Ok(Self { endpoint, tls, kept: None, counts })
    }

    /// The address that it sends to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request, which is packed where the endpoint asks for that, and reads the answer, within the endpoint's time.
    pub async fn send(&mut self, batch: &Batch) -> Answer {
        let limit = self.endpoint.timeout;
        let end = Instant::now() + limit;
        let (connection, response) = match timeout_at(end, self.post(batch)).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(e)) => {
                self.counts.attempt("connection");
                return Answer::Again(e.to_string(), None);
            }
            Err(_) => {
                self.counts.attempt("timeout");
                return Answer::Again(format!("no answer within {limit:?}"), None);
            }
        };
        let (head, body) = response.into_parts();
        self.counts.attempt(head.status.as_str());
        // The status decides. A body that is too large, late or cut says nothing, and ends the connection.
        let body = match timeout_at(end, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => {
                self.kept = Some(connection);
                body.to_bytes()
            }
            _ => Bytes::new(),
        };
        let after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Answer::of(head.status, after, &body, batch.items)
    }

    async fn post(&mut self, batch: &Batch) -> io::Result<(Connection, Response<Incoming>)> {
        // A receiver closes connections that were idle, and may do so in the midst of a request.
        if let Some(mut connection) = self.kept.take()
            && connection.requests.ready().await.is_ok()
        {
            match self.ask(&mut connection, batch).await {
                Ok(response) => return Ok((connection, response)),
                Err(_) => self.counts.attempt("connection"),
            }
        }
        let mut connection = self.connect().await?;
        let response = self.ask(&mut connection, batch).await?;
        Ok((connection, response))
    }

    async fn connect(&self) -> io::Result<Connection> {
        let address = (self.endpoint.host.as_str(), self.endpoint.port);
        let stream = TcpStream::connect(address).await?;
        match &self.tls {
            None => handshake(stream).await,
            Some((tls, name)) => handshake(tls.connect(name.clone(), stream).await?).await,
        }
    }

    /// Sends the request; returns when the head of the answer is there.
    async fn ask(
        &self,
        connection: &mut Connection,
        batch: &Batch,
    ) -> io::Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(batch.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.path.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.endpoint.headers);
        headers.insert(HOST, self.endpoint.authority.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if self.endpoint.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let agent = concat!("ebpftop/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        connection.requests.send_request(request).await.map_err(io::Error::other)
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<Connection> {
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
    let (requests, driver) = handshake.await.map_err(io::Error::other)?;
    // Its error is also that of the request.
    Ok(Connection { requests, driver: tokio::spawn(driver) })
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
        .map_err(|_| anyhow::anyhow!("{}: invalid host name", endpoint.shown()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

#[cfg(test)]
mod tests;
