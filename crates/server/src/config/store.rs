//! Where runs are kept.

use std::path::{Path, PathBuf};

use super::ConfigError;
use super::section::section;

section! {
    /// Where runs are kept.
    pub struct Store = "store" {
        /// `sqlite:PATH` for the embedded store, or `memory:` for one that forgets everything at the end. Default:
        /// none, which is `sqlite:<data_dir>/quintet.db`. `DATABASE_URL` sets it too. Flag: `--store`.
        pub url: Option<String> = None,
    }
}

section! {
    /// The original's name for the store.
    pub struct Database = "database" {
        /// Same as `store.url`; empty is the default store. Default: empty. Name of the original, where an empty one
        /// kept everything in memory only.
        pub dsn: String = String::new(),
    }
}

/// Which store is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// The embedded store, in this file.
    Sqlite(PathBuf),
    /// Nothing is kept.
    Memory,
}

impl StoreUrl {
    /// `sqlite`, `memory`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Memory => "memory",
        }
    }

    /// Reads `sqlite:PATH` and `memory:`. `key` is the setting that it comes from.
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
            // The text is not repeated: it may hold a password.
            "postgres" | "postgresql" => Err(wrong("postgres is not built into this binary: use sqlite:PATH")),
            _ => Err(wrong("is not a store: write sqlite:PATH")),
        }
    }

    pub(super) fn of(store: &Store, database: &Database, data_dir: &Path) -> Result<Self, ConfigError> {
        match (store.url.as_deref().unwrap_or_default(), database.dsn.as_str()) {
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
