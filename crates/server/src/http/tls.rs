//! TLS of the listener: which certificate is shown, and how a client gets from its first byte to an encrypted connection.
//!
//! The files are read when the server starts, again on SIGHUP, and again when their content has changed, which is looked
//! at now and then: certificates that are renewed by a machine reach a server that nobody signals. A pair is taken as a
//! whole or not at all. What cannot be used is logged and the old one stays, because a server that stops serving over a
//! half-written file does more harm than a certificate that is a day older. Connections that are open keep theirs.
//!
//! A handshake has its own time limit, and it holds for the whole of it: a client that dribbles bytes gains nothing by
//! each. Whoever speaks plain HTTP to this port is told what it is, in one answer, and served nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use quintet_engine::tasks;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::signal::unix::Signal;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::config;

/// For a whole handshake, from the connection to its end.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How long browsers remember that this name speaks TLS: a year.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// For whoever speaks plain HTTP here.
const PLAIN: &str = "this port speaks TLS: use https://\n";

/// The files of TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("`server.{setting}`: cannot read {path}: {source}")]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not in the form that it must have.
    #[error("`server.{setting}`: {path} is no PEM file with {expected}: {source}")]
    Malformed {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A certificate of a client authority is none.
    #[error("`server.tls_client_ca`: {0}")]
    Authority(#[source] rustls::Error),
    /// No client could be checked by it.
    #[error("`server.tls_client_ca`: {0}")]
    Clients(#[from] VerifierBuilderError),
    /// Certificate and key do not make a pair, or are of a kind that is not supported.
    #[error("`server.tls_cert` and `server.tls_key` cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

/// What the files of one moment hold.
struct Pems {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Tells whether files have changed, without keeping them.
type Fingerprint = [u8; 32];

/// The certificate that connections get, and where it comes from.
#[derive(Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    current: RwLock<Arc<ServerConfig>>,
    /// Of the files as they were last seen, whether they could be used or not.
    seen: Mutex<Option<Fingerprint>>,
}

impl Tls {
    /// TLS as the settings want it; none where they want plain HTTP. Reads files on the calling thread.
    pub fn open(settings: &config::Server) -> Result<Option<Arc<Self>>, TlsError> {
        let Some(files) = settings.tls() else { return Ok(None) };
        let pems = read(files)?;
        let config = server_config(files, &pems)?;
        warn_of_readers(files.key);
        Ok(Some(Arc::new(Self {
            cert: files.cert.to_owned(),
            key: files.key.to_owned(),
            client_ca: files.client_ca.map(Path::to_owned),
            current: RwLock::new(Arc::new(config)),
            seen: Mutex::new(Some(pems.fingerprint())),
        })))
    }

    /// Reads the files again on the signal, and when they have changed, until the server stops.
    pub async fn keep(self: Arc<Self>, mut hangup: Signal, stopping: CancellationToken) {
        loop {
            let wanted = tokio::select! {
                () = stopping.cancelled() => return,
                _ = hangup.recv() => Reload::Always,
                () = tasks::pause(Some(LOOK)) => Reload::WhenChanged,
            };
            let tls = Arc::clone(&self);
            // A file on a server that does not answer must not hold up a thread of others.
            let done = tokio::task::spawn_blocking(move || tls.reload(wanted)).await;
            match done {
                Ok(Ok(Reloaded::Taken)) => tracing::info!(cert = %self.cert.display(), "TLS certificate read again"),
                Ok(Ok(Reloaded::Unchanged)) => {}
                Ok(Err(error)) => tracing::error!(%error, "the TLS files cannot be used; the certificate stays"),
                Err(error) => tracing::error!(%error, "the TLS files could not be read; the certificate stays"),
            }
        }
    }

    /// Takes what the files hold now. Files that were found unusable are complained about once, unless asked again.
    fn reload(&self, wanted: Reload) -> Result<Reloaded, TlsError> {
        let files = self.files();
        let read = read(files);
        let print = read.as_ref().ok().map(Pems::fingerprint);
        let before = std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), print);
        if wanted == Reload::WhenChanged && before == print {
            return Ok(Reloaded::Unchanged);
        }
        let config = server_config(files, &read?)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(Reloaded::Taken)
    }

    fn files(&self) -> config::TlsFiles<'_> {
        config::TlsFiles {
            cert: &self.cert,
            key: &self.key,
            client_ca: self.client_ca.as_deref(),
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// The encrypted connection, if the client makes one in time.
    pub(super) async fn accept(&self, socket: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.accept_within(socket, HANDSHAKE).await
    }

    async fn accept_within(&self, socket: TcpStream, limit: Duration) -> std::io::Result<TlsStream<TcpStream>> {
        let handshake = async {
            let mut first = [0];
            socket.peek(&mut first).await?;
            // Records of TLS begin with a number below the letters, and methods of HTTP with a letter.
            if first[0].is_ascii_alphabetic() {
                return Err(say_plainly(socket).await);
            }
            self.acceptor().accept(socket).await
        };
        let late = |_| {
            Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "the handshake did not end in time",
            ))
        };
        tokio::time::timeout(limit, handshake).await.unwrap_or_else(late)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reload {
    Always,
    WhenChanged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reloaded {
    Taken,
    Unchanged,
}

impl Pems {
    fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        for part in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()] {
            hash.update(Sha256::digest(part.map_or(&[][..], Vec::as_slice)));
        }
        hash.finalize().into()
    }
}

/// Tells browsers to speak only TLS to this name. Not for `localhost`: it names other servers of the machine too, and they
/// could not be reached any more.
pub(super) fn insist(host: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    if !name.eq_ignore_ascii_case("localhost") && !name.to_ascii_lowercase().ends_with(".localhost") {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
}

/// Answers somebody who speaks plain HTTP; the error says that this was no connection.
async fn say_plainly(mut socket: TcpStream) -> std::io::Error {
    // What was sent is read first: a connection that is closed over unread bytes loses its answer.
    let mut request = [0; 4096];
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n{PLAIN}",
        PLAIN.len()
    );
    let answered = async {
        if socket.read(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await
    };
    match answered.await {
        Ok(()) => std::io::Error::new(std::io::ErrorKind::InvalidData, "plain HTTP on the TLS port"),
        Err(error) => error,
    }
}

fn read(files: config::TlsFiles<'_>) -> Result<Pems, TlsError> {
    let read = |setting, path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Unreadable {
            setting,
            path: path.to_owned(),
            source,
        })
    };
    Ok(Pems {
        cert: read("tls_cert", files.cert)?,
        key: read("tls_key", files.key)?,
        client_ca: files.client_ca.map(|path| read("tls_client_ca", path)).transpose()?,
    })
}

fn server_config(files: config::TlsFiles<'_>, pems: &Pems) -> Result<ServerConfig, TlsError> {
    let chain = certificates("tls_cert", files.cert, &pems.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&pems.key).map_err(|source| TlsError::Malformed {
        setting: "tls_key",
        path: files.key.to_owned(),
        expected: "a private key",
        source,
    })?;
    // The provider is named, so that no other crate's choice of a process-wide one matters.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match files.client_ca.zip(pems.client_ca.as_deref()) {
        None => builder.with_no_client_auth(),
        Some((path, pem)) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates("tls_client_ca", path, pem)? {
                roots.add(authority).map_err(TlsError::Authority)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(setting: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = |source| TlsError::Malformed {
        setting,
        path: path.to_owned(),
        expected: "certificates",
        source,
    };
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match all.map_err(malformed)? {
        none if none.is_empty() => Err(malformed(pem::Error::NoItemsFound)),
        some => Ok(some),
    }
}

/// Whoever has the key can pass for this server.
fn warn_of_readers(key: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(key).map(|about| about.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0) {
        tracing::warn!(key = %key.display(), "everybody on this machine can read the TLS key: take the permission away");
    }
}

#[cfg(test)]
mod tests;
