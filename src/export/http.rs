//! Answers to HTTP requests: `/metrics`, `/healthz`, and a page that names them.
//!
//! No body is read, and nothing of a request is in an answer.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::publish::Shared;
use super::text::Format;

const PLAIN: &str = "text/plain; charset=utf-8";

const INDEX: &str = "ebpftop: /metrics for Prometheus, /healthz\n";

/// The answer to a request.
pub fn respond(request: &Parts, shared: &Shared) -> Response<Full<Bytes>> {
    let response = match request.method {
        Method::GET | Method::HEAD => page(request, shared),
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    };
    shared.http.answered(response.status().as_u16());
    response
}

/// The answer to a request that is not one of a user.
pub fn unauthorized(shared: &Shared) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::UNAUTHORIZED, "unauthorized\n");
    let basic = HeaderValue::from_static("Basic realm=\"ebpftop\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    shared.http.answered(response.status().as_u16());
    response
}

fn page(request: &Parts, shared: &Shared) -> Response<Full<Bytes>> {
    match request.uri.path() {
        "/metrics" => {
            let accept = request.headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok());
            let format = Format::accepted(&accept.collect::<Vec<_>>().join(","));
            match shared.scrape() {
                Some(snapshot) => {
                    typed(StatusCode::OK, format.content_type(), snapshot.text(format))
                }
                None => plain(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            }
        }
        "/healthz" => match shared.problem() {
            None => plain(StatusCode::OK, "ok\n"),
            Some(problem) => plain(StatusCode::SERVICE_UNAVAILABLE, problem + "\n"),
        },
        "/" => plain(StatusCode::OK, INDEX),
        _ => plain(StatusCode::NOT_FOUND, INDEX),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, PLAIN, text.into())
}

fn typed(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
