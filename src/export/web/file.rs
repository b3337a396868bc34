//! The text of a web configuration.

use std::path::PathBuf;

use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use yaml_rust2::Event;
use yaml_rust2::parser::Parser;

/// Maximum bytes of the file, and depth of its mappings.
const MAX_BYTES: usize = 64 << 10;
const MAX_DEPTH: usize = 4;

static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static ONLY_12: &[&SupportedProtocolVersion] = &[&TLS12];
static ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];

/// A web configuration as it is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) tls: Option<Tls>,
    /// Names with their bcrypt hashes.
    pub(super) users: Vec<(String, String)>,
}

/// The section `tls_server_config`.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Certificates of the authorities of clients, which then need a certificate.
    pub(super) client_ca: Option<PathBuf>,
    pub(super) versions: &'static [&'static SupportedProtocolVersion],
}

/// A value of YAML.
enum Node {
    Text(String),
    Map(Vec<(String, Node)>),
}

impl Written {
    /// Parses the file. An error names the key; a key that is not supported is one, since the server would
    /// protect less than was asked for.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        if bytes.len() > MAX_BYTES {
            return Err(format!("it is larger than {} KiB", MAX_BYTES >> 10));
        }
        let mut written = Self::default();
        for (key, node) in document(text)? {
            match (&*key, node) {
                ("tls_server_config", Node::Map(keys)) => written.tls = Some(tls(keys)?),
                ("basic_auth_users", Node::Map(users)) => {
                    for (name, hash) in users {
                        let Node::Text(hash) = hash else {
                            return Err("basic_auth_users: a user has no bcrypt hash".into());
                        };
                        if hash.parse::<bcrypt::HashParts>().is_err() {
                            return Err("basic_auth_users: a hash is not one of bcrypt; make it with htpasswd -nBC 10 USER".into());
                        }
                        written.users.push((name, hash));
                    }
                }
                _ => return Err(unsupported(&key)),
            }
        }
        Ok(written)
    }
}

fn unsupported(key: &str) -> String {
    format!("`{}` is not supported here", crate::model::escape::escape(key.as_bytes()))
}

fn tls(keys: Vec<(String, Node)>) -> Result<Tls, String> {
    let (mut certificate, mut key_file, mut client_ca) = (None, None, None);
    let (mut min, mut max, mut client_auth) = (String::new(), String::new(), String::new());
    for (key, node) in keys {
        let Node::Text(text) = node else { return Err(unsupported(&key)) };
        match &*key {
            "cert_file" => certificate = Some(PathBuf::from(text)),
            "key_file" => key_file = Some(PathBuf::from(text)),
            "client_ca_file" => client_ca = Some(PathBuf::from(text)),
            "client_auth_type" => client_auth = text,
            "min_version" => min = text,
            "max_version" => max = text,
            _ => return Err(unsupported(&key)),
        }
    }
    let versions = match (&*min, &*max) {
        ("" | "TLS12", "" | "TLS13") => BOTH,
        ("" | "TLS12", "TLS12") => ONLY_12,
        ("TLS13", "" | "TLS13") => ONLY_13,
        _ => return Err("min_version and max_version are TLS12 or TLS13".into()),
    };
    match (&*client_auth, &client_ca) {
        ("" | "NoClientCert", None) | ("RequireAndVerifyClientCert", Some(_)) => {}
        ("RequireAndVerifyClientCert", None) => return Err("client_ca_file is missing".into()),
        ("" | "NoClientCert", Some(_)) => {
            return Err("client_ca_file needs client_auth_type: RequireAndVerifyClientCert".into());
        }
        _ => return Err("client_auth_type is NoClientCert or RequireAndVerifyClientCert".into()),
    }
    Ok(Tls {
        certificate: certificate.ok_or("cert_file is missing")?,
        key: key_file.ok_or("key_file is missing")?,
        client_ca,
        versions,
    })
}

/// The keys of the only document.
fn document(text: &str) -> Result<Vec<(String, Node)>, String> {
    let mut parser = Parser::new_from_str(text);
    let mut next = move || match parser.next_token() {
        Ok((event, _)) => Ok(event),
        Err(e) => Err(format!("line {}: invalid YAML", e.marker().line())),
    };
    let mut keys = Vec::new();
    loop {
        match next()? {
            Event::StreamStart | Event::DocumentStart | Event::DocumentEnd => {}
            Event::StreamEnd => return Ok(keys),
            Event::MappingStart(..) if keys.is_empty() => keys = map(&mut next, 1)?,
            Event::Scalar(text, ..) if text.is_empty() || text == "~" => {}
            _ => return Err("it is not one mapping".into()),
        }
    }
}

fn map(
    next: &mut impl FnMut() -> Result<Event, String>,
    depth: usize,
) -> Result<Vec<(String, Node)>, String> {
    let mut keys: Vec<(String, Node)> = Vec::new();
    loop {
        let key = match next()? {
            Event::MappingEnd => return Ok(keys),
            Event::Scalar(key, ..) => key,
            _ => return Err("a key is not a plain word".into()),
        };
        if keys.iter().any(|(known, _)| *known == key) {
            return Err(format!(
                "`{}` stands there twice",
                crate::model::escape::escape(key.as_bytes())
            ));
        }
        let value = match next()? {
            Event::Scalar(text, ..) => Node::Text(text),
            Event::MappingStart(..) if depth < MAX_DEPTH => Node::Map(map(next, depth + 1)?),
            _ => return Err(unsupported(&key)),
        };
        keys.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuN4Z6m9M9p2f0a1x3YpFDbCsIYQ4F6dW";

    #[test]
    fn keys_are_those_of_exporter_toolkit() {
        let text = format!(
            "# comment\ntls_server_config:\n  cert_file: a.crt\n  key_file: \"a.key\"\n  min_version: TLS13\n\
             basic_auth_users:\n  alice: {HASH}\n  bob: '{HASH}'\n"
        );
        let written = Written::parse(text.as_bytes()).unwrap();
        let tls = written.tls.unwrap();
        assert_eq!((tls.certificate, tls.key), ("a.crt".into(), "a.key".into()));
        assert_eq!(tls.versions.len(), 1);
        assert_eq!(written.users.len(), 2);
        let empty = Written::parse(b"").unwrap();
        assert!(empty.tls.is_none() && empty.users.is_empty());
    }

    #[test]
    fn errors_name_the_key_and_no_secret() {
        let long = "a: ".to_owned() + &"x".repeat(MAX_BYTES);
        for (text, error) in [
            ("tls_server_config:\n  cert_file: a\n", "key_file is missing"),
            ("tls_server_config:\n  key_file: a\n", "cert_file is missing"),
            (
                "tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}",
                "TLS12 or TLS13",
            ),
            (
                "tls_server_config: {cert_file: a, key_file: b, cipher_suites: [x]}",
                "`cipher_suites`",
            ),
            (
                "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
                "client_auth_type",
            ),
            ("tls_server_config: {client_auth_type: RequireAndVerifyClientCert}", "client_ca_file"),
            ("http_server_config: {http2: true}", "`http_server_config` is not supported here"),
            ("basic_auth_users: {a: secret}", "not one of bcrypt"),
            ("basic_auth_users: {a: {b: c}}", "no bcrypt hash"),
            ("basic_auth_users: {a: &x y, b: *x}", "not"),
            ("a: 1\na: 2\n", "`a` stands there twice"),
            ("- a\n", "not one mapping"),
            ("a: {b: {c: {d: {e: f}}}}", "`d` is not supported"),
            ("a: \"b", "invalid YAML"),
            (&long, "larger than 64 KiB"),
        ] {
            let found = Written::parse(text.as_bytes()).unwrap_err();
            assert!(found.contains(error) && !found.contains("secret"), "{text:.60}: {found}");
        }
    }

    #[test]
    fn any_file_does_no_harm() {
        crate::testing::fuzz::check("web", |bytes| drop(Written::parse(bytes)));
    }
}
