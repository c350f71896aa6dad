//! The services that are told about runs.

use quintet_executors::webhook::WebhookSecret;

use super::ConfigError;
use super::section::section;
use super::value::{Millis, Secret};

section! {
    /// Tells a memarch service about every run. Messages are kept until they are delivered, in order per run.
    pub struct Memarch = "memarch" {
        /// `POST {base_url}/v1/events` receives the events. Default: empty, which sends none.
        pub base_url: String = String::new(),
        /// How long one delivery may take. Default: 5s. Also read as `timeout_ms`.
        pub timeout: Millis = Millis(5000),
        /// Key that signs each message (Standard Webhooks): `whsec_...`, `env:NAME` or `file:PATH`. Default: none, which
        /// sends unsigned messages.
        pub secret: Option<Secret> = None,
    }
}

section! {
    /// Tells an audit log about every run. Messages are kept until they are delivered, in order per run.
    pub struct AuditLog = "audit_log" {
        /// `POST {base_url}/v1/events` receives the events. Default: empty, which sends none.
        pub base_url: String = String::new(),
        /// How long one delivery may take. Default: 5s. Also read as `timeout_ms`.
        pub timeout: Millis = Millis(5000),
        /// Key that signs each message (Standard Webhooks): `whsec_...`, `env:NAME` or `file:PATH`. Default: none, which
        /// sends unsigned messages.
        pub secret: Option<Secret> = None,
    }
}

impl Memarch {
    /// The key that signs messages, if there is one.
    pub fn signing_key(&self) -> Result<Option<WebhookSecret>, ConfigError> {
        signing_key("memarch", self.secret.as_ref())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check("memarch", &self.base_url, self.timeout)
    }
}

impl AuditLog {
    /// The key that signs messages, if there is one.
    pub fn signing_key(&self) -> Result<Option<WebhookSecret>, ConfigError> {
        signing_key("audit_log", self.secret.as_ref())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check("audit_log", &self.base_url, self.timeout)
    }
}

fn signing_key(section: &str, secret: Option<&Secret>) -> Result<Option<WebhookSecret>, ConfigError> {
    let wrong = |reason: String| ConfigError::senseless(format!("{section}.secret"), reason);
    let Some(secret) = secret else { return Ok(None) };
    let text = secret.reveal().map_err(wrong)?;
    text.parse()
        .map(Some)
        .map_err(|error: quintet_executors::webhook::ParseSecretError| wrong(error.to_string()))
}

fn check(section: &str, base_url: &str, timeout: Millis) -> Result<(), ConfigError> {
    let is_http = base_url.starts_with("http://") || base_url.starts_with("https://");
    if !base_url.is_empty() && !is_http {
        return Err(ConfigError::senseless(
            format!("{section}.base_url"),
            "must begin with http:// or https://",
        ));
    }
    if timeout.0 == 0 {
        return Err(ConfigError::senseless(format!("{section}.timeout"), "must be above 0"));
    }
    Ok(())
}
