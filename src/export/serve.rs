//! The HTTP server: a thread of its own, without any capability, with few connections and short times.
//!
//! Each connection has one request. A client that is slow, silent or dead has its connection until a
//! deadline, or until more clients come than there is room for: then the oldest connection is closed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::http::{respond, unauthorized};
use super::publish::Shared;
use super::web::Web;
use crate::privileges;

/// Maximum connections at once.
const MAX_CONNECTIONS: usize = 16;

/// Maximum bytes and lines of a request's head.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 48;

/// Maximum time for a request's head, and for a whole connection.
const HEAD_TIME: Duration = Duration::from_secs(5);
const WHOLE_TIME: Duration = Duration::from_secs(30);

/// Pause after an error that would repeat at once (no descriptor left).
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Listens at `address`.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|e| match e.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("listen on {address}: the port is in use; choose another with --listen")
        }
        _ => anyhow::anyhow!("listen on {address}: {e}"),
    })?;
    listener.set_nonblocking(true).context("listen")?;
    Ok(listener)
}

/// Answers requests from now on, until the process ends.
pub fn start(listener: TcpListener, shared: Arc<Shared>, web: Web) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the HTTP server")?;
    let listener = {
        let _loop = runtime.enter();
        tokio::net::TcpListener::from_std(listener).context("start the HTTP server")?
    };
    let web = Arc::new(web);
    let serve = move || {
        privileges::keep(&[], false);
        runtime.block_on(accept(&listener, &shared, &web));
    };
    thread::Builder::new().name("http".into()).spawn(serve).context("start the HTTP server")?;
    Ok(())
}

async fn accept(listener: &tokio::net::TcpListener, shared: &Arc<Shared>, web: &Arc<Web>) {
    let mut connections: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("accept: {e}");
                sleep(AFTER_ERROR).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= MAX_CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
            shared.http.crowded.fetch_add(1, Ordering::Relaxed);
        }
        connections.push_back(tokio::spawn(connection(stream, shared.clone(), web.clone())));
    }
}

/// Answers the request of a connection.
async fn connection(stream: TcpStream, shared: Arc<Shared>, web: Arc<Web>) {
    let served = async {
        match &web.tls {
            None => answer(stream, &shared, &web).await,
            Some(tls) => match timeout(HEAD_TIME, tls.accept(stream)).await {
                Ok(Ok(stream)) => answer(stream, &shared, &web).await,
                // The client has got an alert that says why.
                Ok(Err(_)) => true,
                Err(_) => false,
            },
        }
    };
    if !timeout(WHOLE_TIME, served).await.unwrap_or(false) {
        shared.http.slow.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers the request on a stream; false where that took too long.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared, web: &Web) -> bool {
    let answer = |request: hyper::Request<hyper::body::Incoming>| async move {
        let (head, _) = request.into_parts();
        if let Some(users) = &web.users {
            let authorization = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
            if !users.allows(authorization).await {
                return Ok(unauthorized(shared));
            }
        }
        Ok::<_, Infallible>(respond(&head, shared))
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    !served.await.is_err_and(|e| e.is_timeout())
}

#[cfg(test)]
mod tests;
