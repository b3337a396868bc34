//! `--web.config.file`: TLS and basic authentication, in the format of Prometheus' exporter-toolkit.

mod file;
mod users;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::files;
use crate::model::escape::escape;

use file::{Tls, Written};
pub use users::Users;

/// Protection of the HTTP server; by default none.
#[derive(Default)]
pub struct Web {
    pub tls: Option<TlsAcceptor>,
    /// Clients need a certificate.
    pub asks_for_certificates: bool,
    pub users: Option<Arc<Users>>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web").field("tls", &self.tls.is_some()).field("users", &self.users).finish()
    }
}

impl Web {
    /// Reads the file and the certificates that it names; relative paths begin at its directory. An
    /// error says which file and why, and never has a secret.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read(path)?;
        let written = Written::parse(&text).map_err(|e| anyhow::anyhow!("{}: {e}", shown(path)))?;
        let base = path.parent().unwrap_or(Path::new(""));
        let asks_for_certificates = written.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        Ok(Self {
            asks_for_certificates,
            tls: written.tls.map(|tls| acceptor(&tls, base)).transpose()?,
            users: (!written.users.is_empty()).then(|| Arc::new(Users::new(written.users))),
        })
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes()).into_owned()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    files::read(path).map_err(|e| anyhow::anyhow!("read {}: {e}", shown(path)))
}

fn acceptor(tls: &Tls, base: &Path) -> anyhow::Result<TlsAcceptor> {
    let certificates = |path: &PathBuf| -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let path = base.join(path);
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(&path)?).collect();
        match all {
            Ok(all) if !all.is_empty() => Ok(all),
            _ => anyhow::bail!("{}: it has no certificate in PEM", shown(&path)),
        }
    };
    let key_path = base.join(&tls.key);
    let key = PrivateKeyDer::from_pem_slice(&read(&key_path)?)
        .map_err(|_| anyhow::anyhow!("{}: it has no private key in PEM", shown(&key_path)))?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(tls.versions)?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let config = builder.with_single_cert(certificates(&tls.certificate)?, key).map_err(|e| {
        anyhow::anyhow!("{}: the private key does not match the certificate: {e}", shown(&key_path))
    })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
