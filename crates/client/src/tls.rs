//! Which servers are believed, and how this client shows who it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Files of a client's TLS. Without any, the authorities of this machine are believed, and nothing is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with authorities that are believed instead of those of this machine.
    pub ca: Option<PathBuf>,
    /// PEM file with the certificate that is shown to servers which ask for one.
    pub cert: Option<PathBuf>,
    /// PEM file with its key.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// As connections use it; the error is a sentence that names the file.
    pub(crate) fn config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &self.ca {
            Some(path) => builder.with_root_certificates(authorities(path)?),
            None => {
                let native = builder.with_native_roots();
                native.map_err(|error| format!("the machine's certificates: {error}"))?
            }
        };
        match (&self.cert, &self.key) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(cert), Some(key)) => {
                let chain = certificates(cert)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| format!("{}: {error}", cert.display()))
            }
            _ => Err("a certificate to show needs its key, and a key its certificate".to_owned()),
        }
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| unusable(path, &error))?;
    if all.is_empty() {
        return Err(unusable(path, &pem::Error::NoItemsFound));
    }
    Ok(all)
}

fn unusable(path: &Path, error: &pem::Error) -> String {
    format!("{}: {error}", path.display())
}
