//! Where runs are kept.

use std::path::{Path, PathBuf};

use super::section::section;
use super::value::{Millis, Secret};
use super::{ConfigError, PostgresUrl};

section! {
    /// Where runs are kept.
    pub struct Store = "store" {
        /// `sqlite:PATH` for the embedded store, `postgres://...` for a PostgreSQL that any number of nodes share, or
        /// `memory:` for one that forgets everything at the end. `env:NAME` and `file:PATH` say where the URL is to be
        /// found; it is never shown, because it may hold a password. Default: none, which is
        /// `sqlite:<data_dir>/quintet.db`. `DATABASE_URL` sets it too. Flag: `--store`.
        pub url: Option<Secret> = None,
    }
}

section! {
    /// The original's name for the store, and how PostgreSQL is spoken to. The embedded store needs none of this.
    pub struct Database = "database" {
        /// Same as `store.url`; empty is the default store. Default: empty. Name of the original, where an empty one
        /// kept everything in memory only.
        pub dsn: Secret = Secret::default(),
        /// Connections to PostgreSQL at most, of each node; one more listens for hints. It must be above
        /// `engine.shards`. Default: 10. All nodes together must stay below `max_connections` of the server.
        pub pool_size: usize = 10,
        /// What lies between: `none`, or `transaction` for a pooler such as PgBouncer with `pool_mode = transaction`,
        /// behind which nothing is prepared, and nodes learn of each other's work by looking alone (once a second).
        /// Default: `none`.
        pub pooler: Pooler = Pooler::None,
        /// Whether PostgreSQL itself keeps namespaces apart, beneath the conditions that every statement has: `auto` where
        /// the user may make the role `quintet_tenant` or may use it, with a line in the log where it may not; `on`, and
        /// the start fails where it cannot be; `off`. Default: `auto`. Set `on` where namespaces belong to people who must
        /// not see each other's.
        pub row_level_security: RowLevelSecurity = RowLevelSecurity::Auto,
        /// Certificates to trust beside those of the system, as a PEM file. Default: none. Managed databases often
        /// have an authority of their own.
        pub ca_file: Option<PathBuf> = None,
        /// How long one connection may take to be made. Default: 5s. Also read as `connect_timeout_ms`.
        pub connect_timeout: Millis = Millis(5_000),
        /// How long a request waits for a free connection before it is answered 503. Default: 5s. Also read as
        /// `checkout_timeout_ms`.
        pub checkout_timeout: Millis = Millis(5_000),
        /// How long an answer to a statement may take before its connection is given up. Default: 10s. Also read as
        /// `statement_timeout_ms`.
        pub statement_timeout: Millis = Millis(10_000),
        /// How long a start waits for a database that cannot be reached. Default: 30s; `0s` tries once. Also read as
        /// `start_timeout_ms`.
        pub start_timeout: Millis = Millis(30_000),
    }
}

/// What lies between the program and PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooler {
    /// Nothing that matters.
    None,
    /// A pooler that gives each transaction any session.
    Transaction,
}

/// Whether PostgreSQL keeps namespaces apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowLevelSecurity {
    /// Where it can.
    Auto,
    /// It must.
    On,
    /// It does not.
    Off,
}

/// Which store is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// The embedded store, in this file.
    Sqlite(PathBuf),
    /// A server that any number of nodes share.
    Postgres(PostgresUrl),
    /// Nothing is kept.
    Memory,
}

impl std::fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => url.fmt(f),
            Self::Memory => f.write_str("memory"),
        }
    }
}

impl StoreUrl {
    /// `sqlite`, `postgres`, `memory`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Memory => "memory",
        }
    }

    /// Reads `sqlite:PATH`, `postgres://...` and `memory:`. `key` is the setting that it comes from.
    pub fn parse(text: &str, key: &str) -> Result<Self, ConfigError> {
        let wrong = |reason: &str| ConfigError::senseless(key, reason);
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() {
                    Err(wrong("names no file: write sqlite:PATH"))
                } else {
                    Ok(Self::Sqlite(path.into()))
                }
            }
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "postgres" | "postgresql" if rest.starts_with("//") => Ok(Self::Postgres(PostgresUrl::new(text))),
            // The text is not repeated: it may hold a password.
            _ if PostgresUrl::is_keywords(text) => Ok(Self::Postgres(PostgresUrl::new(text))),
            _ => Err(wrong(
                "is not a store: write sqlite:PATH or postgres://USER@HOST/DATABASE",
            )),
        }
    }

    pub(super) fn of(store: &Store, database: &Database, data_dir: &Path) -> Result<Self, ConfigError> {
        let reveal = |key: &'static str, secret: &Secret| {
            let revealed = secret.reveal();
            revealed.map_err(|reason| ConfigError::senseless(key, reason))
        };
        let url = store.url.as_ref().map(|url| reveal("store.url", url)).transpose()?;
        let dsn = reveal("database.dsn", &database.dsn)?;
        match (url.as_deref().unwrap_or_default(), dsn.as_str()) {
            ("", "") => Ok(Self::Sqlite(data_dir.join("quintet.db"))),
            (url, "") => Self::parse(url, "store.url"),
            ("", dsn) => Self::parse(dsn, "database.dsn"),
            (url, dsn) if url == dsn => Self::parse(url, "store.url"),
            _ => Err(ConfigError::senseless(
                "database.dsn",
                "says something else than `store.url`: keep one of them",
            )),
        }
    }
}

impl Database {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (key, span) in [
            ("database.connect_timeout", self.connect_timeout),
            ("database.checkout_timeout", self.checkout_timeout),
            ("database.statement_timeout", self.statement_timeout),
        ] {
            if span.0 == 0 {
                return Err(ConfigError::senseless(key, "must be above 0"));
            }
        }
        Ok(())
    }
}
