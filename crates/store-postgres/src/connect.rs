//! Making connections: the URL, TLS, and what each session is told once.
//!
//! A session of our own is told how to plan. A store like this one has statements that must always take the index that was
//! made for them, on an empty table as on a huge one, and PostgreSQL plans by what it believes about the sizes of tables:
//! on a fresh database it keeps a plan that reads the whole table until it learns better. So a plan is made once, and of
//! the ways through it only the one by index is open. Nothing depends on it but the speed, which is why a pooler can do
//! without: it plans each statement for the sizes of that moment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quintet_store::StoreError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::Result;
use crate::options::{Options, Pooler};

pub const PLANNING: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off \
                        -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";

/// Whatever the database has by default.
const ISOLATION: &str = "-c default_transaction_isolation=read\\ committed";

/// The server gives up a statement a little later than we do, so that it does not go on for nobody.
const GRACE: Duration = Duration::from_secs(5);

/// Reads the URL and adds what a session needs.
pub fn config(url: &str, options: &Options) -> Result<Config, StoreError> {
    let mut config: Config = plain(url)
        .parse()
        .map_err(|error: tokio_postgres::Error| refused(&format!("the URL of the database cannot be read: {error}")))?;
    if config.get_dbname().is_none() {
        return Err(refused("the URL of the database names no database"));
    }
    config
        .connect_timeout(options.connect_timeout)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(options.answer_timeout + GRACE);
    if config.get_application_name().is_none() {
        config.application_name("quintet");
    }
    if config.get_hosts().len() > 1 {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    // A server on this machine may have a certificate that nobody signed; nobody is between, so plain text will do.
    if config.get_ssl_mode() == SslMode::Prefer && config.get_hosts().iter().all(is_local) {
        config.ssl_mode(SslMode::Disable);
    }
    if options.pooler == Pooler::None {
        let told = config.get_options().map(str::to_owned).unwrap_or_default();
        let patience = (options.answer_timeout + GRACE).as_millis();
        config.options(format!("{PLANNING} {ISOLATION} -c statement_timeout={patience} {told}"));
    }
    Ok(config)
}

/// The names that libpq has for checking a certificate mean `require` here: it is always checked.
fn plain(url: &str) -> String {
    url.replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require")
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|at: std::net::IpAddr| at.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// TLS with the certificates of the system, and those of a file.
pub fn tls(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unreadable = |error: &dyn std::fmt::Display| refused(&format!("{}: {error}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Internal(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn refused(sentence: &str) -> StoreError {
    StoreError::Refused(sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Config {
        config(url, &Options::default()).unwrap()
    }

    #[test]
    fn a_session_of_our_own_is_told_how_to_plan_and_one_of_a_pooler_is_not() {
        let url = "postgres://me@127.0.0.1/db";
        assert!(read(url).get_options().unwrap().contains("force_generic_plan"));
        let pooler = Pooler::Transaction;
        let config = config(
            url,
            &Options {
                pooler,
                ..Options::default()
            },
        )
        .unwrap();
        assert_eq!(config.get_options(), None);
    }

    #[test]
    fn what_the_url_says_is_kept() {
        let config = read("postgres://me@db.example/db?application_name=mine&options=-c%20work_mem%3D64MB");
        assert_eq!(config.get_application_name(), Some("mine"));
        assert!(config.get_options().unwrap().ends_with("-c work_mem=64MB"));
        assert_eq!(config.get_ssl_mode(), SslMode::Prefer);
    }

    #[test]
    fn local_servers_need_no_certificate_unless_it_is_asked_for() {
        assert_eq!(read("postgres://me@localhost/db").get_ssl_mode(), SslMode::Disable);
        assert_eq!(
            read("postgres://me@127.0.0.1/db?sslmode=verify-full").get_ssl_mode(),
            SslMode::Require
        );
    }

    #[test]
    fn a_url_without_a_database_or_sense_is_refused() {
        for url in [
            "postgres://me@localhost",
            "mysql://me@localhost/db",
            "postgres://me@localhost/db?sslmode=maybe",
        ] {
            let found = config(url, &Options::default());
            assert!(matches!(found, Err(StoreError::Refused(_))), "{url}");
        }
    }

    #[test]
    fn a_file_of_certificates_that_cannot_be_read_is_named() {
        let Err(StoreError::Refused(sentence)) = tls(Some(Path::new("nowhere.pem"))) else {
            panic!("a missing file is refused")
        };
        assert!(sentence.contains("nowhere.pem"), "{sentence}");
    }
}
