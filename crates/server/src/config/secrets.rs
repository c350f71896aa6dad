//! The keys under which secrets are kept.

use super::section::section;
use super::value::Secret;

section! {
    /// Secrets that steps send and nobody reads (`{{ secrets.NAME }}`).
    pub struct Secrets = "secrets" {
        /// The master key, under which the data keys of all namespaces are sealed: 32 bytes as base64 or as 64 hexadecimal
        /// digits (`openssl rand -base64 32`), written `env:NAME` or `file:PATH`. Default: none. With the embedded store a
        /// key is then made when the first secret is stored, in `secrets.key` in the data folder; with PostgreSQL, which
        /// many servers may share, no secret can be stored before all of them have the same key. Keep a copy apart from
        /// the backups of the store: without it the secrets are lost.
        pub master_key: Option<Secret> = None,
        /// Master keys that were used before. They open what they have sealed, and seal nothing. Default: none. To change
        /// the key, give all servers the new one here; then make it the master key and name the old one here; once a
        /// server has started with that, everything is sealed under the new key and the old one can go.
        pub previous_keys: Vec<Secret> = Vec::new(),
    }
}
