//! Who may do what.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::section::section;
use super::value::Secret;

section! {
    /// Who may do what. Without any key everybody may do everything, which is why the server then listens on loopback
    /// only.
    pub struct Auth = "auth" {
        /// The keys that are accepted (`quintet keys create` makes one). Each has `name`; either `sha256` (hash of the
        /// key, in hex) or `key` (`env:NAME` or `file:PATH`); `permissions`, of `viewer` (read), `operator` (start and
        /// control runs), `author` (write workflows and templates) and `admin` (everything); and `namespace`, by default
        /// `default`. Default: none.
        pub api_keys: Vec<ApiKey> = Vec::new(),
    }
}

/// A key that is accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Who uses it; appears in logs.
    pub name: String,
    /// SHA-256 of the key, in hex.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Where the key itself is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub key: Option<Secret>,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Whose workflows and runs it sees.
    #[serde(default = "default_namespace")]
    pub namespace: String,
}

/// What a key may do. `operator` and `author` may read too; `admin` may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Read.
    Viewer,
    /// Start and control runs.
    Operator,
    /// Write workflows and templates.
    Author,
    /// Everything, removal of history included.
    Admin,
}

fn default_namespace() -> String {
    "default".to_owned()
}

impl Auth {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (number, key) in self.api_keys.iter().enumerate() {
            let wrong = |reason: &str| {
                Err(ConfigError::senseless(
                    format!("auth.api_keys[{number}] ({})", key.name),
                    reason,
                ))
            };
            match (&key.sha256, &key.key) {
                (None, None) | (Some(_), Some(_)) => return wrong("needs either `sha256` or `key`"),
                (Some(hash), None) if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    return wrong("`sha256` has 64 hexadecimal digits");
                }
                _ => {}
            }
            if key.name.trim().is_empty() {
                return wrong("needs a `name`");
            }
            if key.permissions.is_empty() {
                return wrong("needs at least one of `permissions`");
            }
            if key.namespace.is_empty() {
                return wrong("needs a `namespace`");
            }
        }
        Ok(())
    }
}
