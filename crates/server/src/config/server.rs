//! Where and how the server listens.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::ConfigError;
use super::CorsOrigin;
use super::section::section;

section! {
    /// Where and how the server listens.
    pub struct Server = "server" {
        /// Address and port, such as `127.0.0.1:8080` or `[::]:8080`; port 0 takes a free one. Default: none, so that
        /// `host` and `port` decide. An address that other machines reach needs `auth.required`, `auth.api_keys` or `auth.jwt`. Flag: `--listen`.
        pub listen: Option<String> = None,
        /// Address alone. Default: `127.0.0.1`. Name of the original; `HOST` sets it too.
        pub host: String = "127.0.0.1".to_owned(),
        /// Port alone. Default: 8080. Name of the original; `PORT` sets it too.
        pub port: u16 = 8080,
        /// Longest request body, in bytes; a longer one is answered 413. Default: 8388608 (8 MiB), which a workflow of
        /// 100,000 small steps fits in. Raise it for larger workflows or inputs.
        pub max_body_bytes: usize = 8 << 20,
        /// Serves everybody who can reach an address other than loopback, without any credentials. Default: false.
        /// Only where something else keeps strangers out. Flag: `--insecure-no-auth`.
        pub insecure_no_auth: bool = false,
        /// PEM file with the server's certificate, and after it those that lead to its authority. Default: none, which
        /// serves plain HTTP. With it and `tls_key` the server speaks TLS 1.2 and 1.3 instead. It is read again on SIGHUP
        /// and when it changes; see [TLS](../tls.md). Flag: `--tls-cert`.
        pub tls_cert: Option<PathBuf> = None,
        /// PEM file with the private key of `tls_cert`: PKCS#8, PKCS#1 or SEC1, without a password. Default: none.
        /// Flag: `--tls-key`.
        pub tls_key: Option<PathBuf> = None,
        /// PEM file with authorities: only clients that show a certificate of one of them are let in, probes included.
        /// Default: none, so that clients need none. Keys and tokens are asked for all the same.
        pub tls_client_ca: Option<PathBuf> = None,
        /// A reverse proxy stands in front: it ends TLS, and the last address of `X-Forwarded-For` is the client's.
        /// Default: false. Never set it where clients can connect directly, because they could then claim any address.
        pub behind_proxy: bool = false,
        /// Names under which browsers may reach a server without credentials, beside `localhost` and the address
        /// itself. Default: none. Protects against web pages that point their own name at this server.
        pub allowed_hosts: Vec<String> = Vec::new(),
        /// Whose web pages may read answers of paths under `/api`: `*` is everybody's, and else one origin such as
        /// `https://dashboard.example.com`. Pages of an origin that is named may also change things there, as far as its
        /// users may. Default: `*`. `CORS_ORIGIN` sets it too.
        pub cors_origin: CorsOrigin = CorsOrigin::Any,
    }
}

impl Server {
    /// What is asked for, as text.
    pub fn listen_text(&self) -> String {
        match &self.listen {
            Some(listen) => listen.clone(),
            None if self.host.contains(':') && !self.host.starts_with('[') => format!("[{}]:{}", self.host, self.port),
            None => format!("{}:{}", self.host, self.port),
        }
    }

    /// The address to bind. Looks a name up, so it may wait for the resolver.
    pub fn address(&self) -> Result<SocketAddr, ConfigError> {
        let text = self.listen_text();
        let key = if self.listen.is_some() {
            "server.listen"
        } else {
            "server.host"
        };
        let wrong = |reason: String| ConfigError::senseless(key, format!("{text}: {reason}"));
        let mut found = text.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
        found.next().ok_or_else(|| wrong("the name has no address".to_owned()))
    }
}

/// `host:port` in its two parts; the host without brackets.
pub(super) fn split(listen: &str) -> Option<(&str, u16)> {
    let (host, port) = listen.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}
