//! What the settings of the listener say about TLS.

use std::path::Path;

use super::{ConfigError, Server};

/// The files that TLS is made of.
#[derive(Debug, Clone, Copy)]
pub struct TlsFiles<'a> {
    /// The server's certificate, and those between it and its authority.
    pub cert: &'a Path,
    /// The key of the certificate.
    pub key: &'a Path,
    /// Whose certificates clients must show.
    pub client_ca: Option<&'a Path>,
}

impl Server {
    /// The files of TLS; none where plain HTTP is served.
    pub fn tls(&self) -> Option<TlsFiles<'_>> {
        Some(TlsFiles {
            cert: self.tls_cert.as_deref()?,
            key: self.tls_key.as_deref()?,
            client_ca: self.tls_client_ca.as_deref(),
        })
    }

    /// What URLs of this server begin with.
    pub fn scheme(&self) -> &'static str {
        if self.tls().is_some() { "https" } else { "http" }
    }

    /// Serves plain HTTP, whatever was said before.
    pub fn without_tls(&mut self) {
        (self.tls_cert, self.tls_key, self.tls_client_ca) = (None, None, None);
    }

    /// Half of what TLS needs is a mistake: the server would speak plainly, and nobody would notice.
    pub(super) fn check_tls(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, reason: &str| Err(ConfigError::senseless(format!("server.{key}"), reason));
        match (&self.tls_cert, &self.tls_key, &self.tls_client_ca) {
            (Some(_), None, _) => wrong("tls_cert", "needs the certificate's key too, in `server.tls_key`"),
            (None, Some(_), _) => wrong("tls_key", "needs the key's certificate too, in `server.tls_cert`"),
            (None, None, Some(_)) => wrong(
                "tls_client_ca",
                "needs `server.tls_cert` and `server.tls_key`: clients show certificates only where there is TLS",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn complaint(server: &str) -> String {
        Config::parse(&format!("[server]\n{server}"))
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn half_of_tls_is_refused_and_the_other_half_named() {
        assert!(complaint("tls_cert = \"a.pem\"").contains("server.tls_key"));
        assert!(complaint("tls_key = \"a.pem\"").contains("server.tls_cert"));
        assert!(complaint("tls_client_ca = \"a.pem\"").contains("server.tls_cert"));
    }

    #[test]
    fn a_server_with_both_halves_speaks_https() {
        let config = Config::parse("[server]\ntls_cert = \"a.pem\"\ntls_key = \"b.pem\"\n").expect("settings");
        assert_eq!(config.server.scheme(), "https");
        assert!(config.server.tls().is_some_and(|files| files.client_ca.is_none()));
        let mut plain = config.server;
        plain.without_tls();
        assert_eq!(plain.scheme(), "http");
    }
}
