//! The receiver, as the URL on the command line and the `OTEL_*` variables name it.
//!
//! Secrets come from the environment alone, and stand in no message: an error names the variable and
//! the number of the part. Text that should be a header's name is printed once it is one: after a
//! mistyped separator it contains the value.

use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::Scheme;

use super::proto::{KeyValue, Resource};
use crate::model::escape::escape;

/// The receiver of OpenTelemetry's programs unless another one is named.
const DEFAULT_URL: &str = "http://localhost:4318";

/// Time of a request, from the connection to the end of the answer (`OTEL_EXPORTER_OTLP_TIMEOUT`).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time of a request: a receiver that hangs delays the next attempt by so much.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// One of the kinds of data that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Metrics,
    Logs,
}

impl Signal {
    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// The name of its items.
    pub fn items(self) -> &'static str {
        match self {
            Self::Metrics => "data points",
            Self::Logs => "log records",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    fn variable(self, what: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{what}", self.name().to_uppercase())
    }
}

/// The receiver of a signal.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub is_https: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// The value of `Host`.
    pub authority: HeaderValue,
    /// The path of a request.
    pub path: Uri,
    /// Headers of each request. They are marked as sensitive, so that none is printed.
    pub headers: HeaderMap,
    pub timeout: Duration,
    /// Bodies are packed with gzip.
    pub gzip: bool,
}

impl Endpoint {
    /// The URL, for messages.
    pub fn shown(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority.to_str().unwrap_or_default(), self.path)
    }
}

/// The value of a variable that is set and not empty.
pub trait Variables: Fn(&str) -> Option<String> {}

impl<F: Fn(&str) -> Option<String>> Variables for F {}

/// The receiver of a signal: `url` as given to `--otlp`, empty where only the variables name one.
/// The second value has remarks for the user. An error says what is wrong where.
pub fn endpoint(
    signal: Signal,
    url: &str,
    variable: &impl Variables,
) -> Result<(Endpoint, Vec<String>), String> {
    // The variable of the signal wins over the one for all.
    let set = |what: &str| {
        let own = signal.variable(what);
        let all = format!("OTEL_EXPORTER_OTLP_{what}");
        variable(&own).map(|value| (own, value)).or_else(|| variable(&all).map(|v| (all, v)))
    };
    let mut remarks = Vec::new();
    if let Some((name, protocol)) = set("PROTOCOL")
        && protocol != "http/protobuf"
    {
        return Err(format!("{name}: only http/protobuf is spoken, at port 4318 by custom"));
    }
    let gzip = match set("COMPRESSION") {
        Some((_, compression)) if compression == "gzip" => true,
        Some((name, compression)) if compression != "none" => {
            remarks.push(format!("{name}: use gzip or none; sending without compression"));
            false
        }
        _ => false,
    };
    let own = variable(&signal.variable("ENDPOINT")).filter(|_| url.is_empty());
    let (from, text, path) = match &own {
        // Used as it is, where the variable for all is a base.
        Some(own) => (signal.variable("ENDPOINT"), own.clone(), ""),
        None if !url.is_empty() => ("--otlp".to_owned(), url.to_owned(), signal.path()),
        None => {
            let all = "OTEL_EXPORTER_OTLP_ENDPOINT";
            let base = variable(all).unwrap_or_else(|| DEFAULT_URL.into());
            (all.to_owned(), base, signal.path())
        }
    };
    let headers = match set("HEADERS") {
        Some((name, text)) => headers(&text).map_err(|e| format!("{name}: {e}"))?,
        None => HeaderMap::new(),
    };
    let timeout = match set("TIMEOUT") {
        Some((name, text)) => match text.trim().parse() {
            Ok(ms) if ms > 0 => Duration::from_millis(ms).min(MAX_TIMEOUT),
            _ => return Err(format!("{name}: invalid time: use milliseconds, as in 10000")),
        },
        None => DEFAULT_TIMEOUT,
    };
    let url = parse(&text, path).map_err(|e| format!("{from}: {e}"))?;
    let endpoint = Endpoint { headers, timeout, gzip, ..url };
    let is_local = endpoint.host == "localhost"
        || endpoint.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if !endpoint.is_https && !is_local && !endpoint.headers.is_empty() {
        remarks.push(format!("headers go to {} unencrypted: use https", endpoint.shown()));
    }
    Ok((endpoint, remarks))
}

/// The receiver of a URL, without what variables say.
fn parse(text: &str, path: &str) -> Result<Endpoint, String> {
    let url: Uri = text.trim().parse().map_err(|_| "invalid URL")?;
    let is_https = match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        _ => return Err("invalid URL: it must begin with http:// or https://".into()),
    };
    let authority = url.authority().ok_or("invalid URL: it has no host")?;
    if authority.as_str().contains('@') || url.query().is_some() {
        return Err("no passwords and keys in the URL: use OTEL_EXPORTER_OTLP_HEADERS".into());
    }
    let base = if path.is_empty() { url.path() } else { url.path().trim_end_matches('/') };
    Ok(Endpoint {
        is_https,
        host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: match authority.as_str().strip_prefix(authority.host()) {
            Some("") if is_https => 443,
            Some("") => 80,
            _ => authority.port_u16().filter(|port| *port > 0).ok_or("invalid port")?,
        },
        authority: HeaderValue::from_str(authority.as_str()).map_err(|_| "invalid URL")?,
        path: format!("{base}{path}").parse().map_err(|_| "invalid URL")?,
        headers: HeaderMap::new(),
        timeout: DEFAULT_TIMEOUT,
        gzip: false,
    })
}

/// `key=value,key=value`, percent-encoded as W3C Baggage. An error names the part by its number.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |(at, part): (usize, &str)| {
        let part_of = |what: &str| format!("part {} {what}", at + 1);
        let (key, value) = part.split_once('=').ok_or_else(|| part_of("has no `=`"))?;
        let value =
            decode(value.trim()).ok_or_else(|| part_of("has an invalid percent-encoding"))?;
        Ok((key.trim().to_owned(), value))
    };
    parts.enumerate().map(pair).collect()
}

/// `%41` as `A`; `None` where a `%` is followed by something else, or the result is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || (bytes.next()? as char).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (at, (key, value)) in pairs(text)?.into_iter().enumerate() {
        let name = HeaderName::try_from(&key)
            .map_err(|_| format!("part {} has an invalid header name", at + 1))?;
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| format!("invalid value of the header `{name}`"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The machine that the numbers are of.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its name; empty where unknown.
    pub name: String,
    /// `/etc/machine-id`.
    pub id: Option<String>,
}

/// The attributes of the resource: those of the machine, then `OTEL_RESOURCE_ATTRIBUTES` and
/// `OTEL_SERVICE_NAME`, of which the last one wins.
///
/// `service.instance.id` is the resulting `host.id`, else `host.name`: Prometheus makes the label
/// `instance` of it, without which all machines would be one series. It stays the same over restarts.
pub fn resource(host: &Host, variable: &impl Variables) -> Result<Resource, String> {
    let mut all = vec![
        ("service.name".to_owned(), "ebpftop".to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    if !host.name.is_empty() {
        all.push(("host.name".into(), escape(host.name.as_bytes()).into_owned()));
    }
    all.extend(host.id.clone().map(|id| ("host.id".into(), id)));
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let mut set = pairs(&variable(name).unwrap_or_default()).map_err(|e| format!("{name}: {e}"))?;
    set.extend(variable("OTEL_SERVICE_NAME").map(|name| ("service.name".into(), name)));
    for (key, value) in set {
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => all.push((key, value)),
        }
    }
    let instance = "service.instance.id";
    if !all.iter().any(|(key, _)| key == instance) {
        let of = |name: &str| all.iter().find(|(key, _)| key == name).map(|(_, id)| id.clone());
        let id = of("host.id").or_else(|| of("host.name"));
        all.extend(id.map(|id| (instance.to_owned(), id)));
    }
    let attributes = all.into_iter().map(|(key, value)| KeyValue::text(key, value)).collect();
    Ok(Resource { attributes })
}

#[cfg(test)]
mod tests {
    use super::super::proto::Any;
    use super::*;

    fn of<'a>(set: &'a [(&str, &str)]) -> impl Variables + 'a {
        move |name: &str| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }
    }

    fn shown(url: &str, set: &[(&str, &str)]) -> Result<String, String> {
        endpoint(Signal::Metrics, url, &of(set)).map(|(endpoint, _)| endpoint.shown())
    }

    #[test]
    fn the_url_is_a_base_and_wins_over_the_variables() {
        let all = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let own = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
        for (url, set, result) in [
            ("", &[][..], "http://localhost:4318/v1/metrics"),
            ("http://[::1]:1/", &[(all, "http://b")], "http://[::1]:1/v1/metrics"),
            ("https://a/otlp", &[(own, "http://b")], "https://a/otlp/v1/metrics"),
            ("", &[(all, "http://b/x/")], "http://b/x/v1/metrics"),
            ("", &[(all, "http://b"), (own, "http://c/in")], "http://c/in"),
            ("", &[(own, "http://c")], "http://c/"),
        ] {
            assert_eq!(shown(url, set).unwrap(), result, "{url} {set:?}");
        }
        let own = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://d/in"), (own, "http://c")];
        let (logs, _) = endpoint(Signal::Logs, "", &of(&own)).unwrap();
        assert_eq!(logs.shown(), "http://d/in");
        let (endpoint, _) = endpoint(Signal::Metrics, "http://[::1]:1/", &of(&[])).unwrap();
        assert_eq!((&*endpoint.host, endpoint.port), ("::1", 1));
        assert_eq!(endpoint.timeout, DEFAULT_TIMEOUT);
    }

    #[test]
    fn errors_name_the_variable_and_no_secret() {
        let headers = "OTEL_EXPORTER_OTLP_HEADERS";
        for (url, set, said) in [
            ("host:4318", &[][..], "--otlp: invalid URL: it must begin with http:// or https://"),
            ("ftp://host", &[], "--otlp: invalid URL: it must begin with http:// or https://"),
            ("http://host:431800", &[], "--otlp: invalid port"),
            ("http://[::1]:4318x", &[], "--otlp: invalid"),
            ("https://host:0", &[], "--otlp: invalid port"),
            ("http://a:sesame@host", &[], "--otlp: no passwords and keys in the URL"),
            ("http://host?key=sesame", &[], "--otlp: no passwords and keys in the URL"),
            ("", &[(headers, "a=b,sesame")], "OTEL_EXPORTER_OTLP_HEADERS: part 2 has no `=`"),
            ("", &[(headers, "a=sesame%4")], "part 1 has an invalid percent-encoding"),
            ("", &[(headers, "sesame a=%4")], "part 1 has an invalid percent-encoding"),
            ("", &[(headers, "a=sesame%0a")], "invalid value of the header `a`"),
            ("", &[(headers, "a b=sesame")], "part 1 has an invalid header name"),
            (
                "",
                &[(headers, "a=b,Authorization: Bearer sesame==")],
                "part 2 has an invalid header",
            ),
            ("", &[("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")], "TIMEOUT: invalid time: use millisec"),
            ("", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "PROTOCOL: only http/protobuf"),
        ] {
            let error = shown(url, set).unwrap_err();
            assert!(error.contains(said) && !error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn variables_are_read_and_headers_are_not_printed() {
        let set = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20sesame, x=y"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip"),
        ];
        let (endpoint, remarks) = endpoint(Signal::Metrics, "http://far", &of(&set)).unwrap();
        assert_eq!(endpoint.headers["authorization"], "Basic sesame");
        assert_eq!(endpoint.timeout, Duration::from_millis(250));
        assert!(!format!("{endpoint:?}{remarks:?}").contains("sesame"));
        let said = "OTEL_EXPORTER_OTLP_COMPRESSION: use gzip or none";
        assert!(remarks[0].starts_with(said) && remarks[1].contains("unencrypted"), "{remarks:?}");
        let (logs, _) = super::endpoint(Signal::Logs, "http://far", &of(&set)).unwrap();
        assert_eq!((endpoint.gzip, logs.gzip), (false, true));
    }

    #[test]
    fn the_resource_is_the_machine_and_what_the_user_adds() {
        let host = Host { name: "web-1".into(), id: Some("abc".into()) };
        let set = [
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=no,deployment.environment.name=a%2Cb"),
            ("OTEL_SERVICE_NAME", "edge"),
        ];
        let text = |pair: &KeyValue| match pair.value.clone().and_then(|value| value.value) {
            Some(Any::Text(text)) => format!("{}={text}", pair.key),
            other => panic!("{other:?}"),
        };
        let shown = |host: &Host, set: &[(&str, &str)]| -> Vec<_> {
            resource(host, &of(set)).unwrap().attributes.iter().map(text).collect()
        };
        let all = shown(&host, &set);
        let version = format!("service.version={}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            all,
            [
                "service.name=edge",
                &version,
                "host.name=web-1",
                "host.id=abc",
                "deployment.environment.name=a,b",
                "service.instance.id=abc"
            ]
        );
        let unknown = Host { id: None, ..host.clone() };
        for (host, attributes, id) in [
            (&host, "", Some("abc")),
            (&unknown, "", Some("web-1")),
            (&Host::default(), "", None),
            (&host, "host.id=own", Some("own")),
            (&host, "service.instance.id=mine,host.id=own", Some("mine")),
        ] {
            let all = shown(host, &[("OTEL_RESOURCE_ATTRIBUTES", attributes)]);
            let mut ids = all.iter().filter_map(|pair| pair.strip_prefix("service.instance.id="));
            assert_eq!((ids.next(), ids.next()), (id, None), "{all:?}");
        }
    }
}
