//! What can be wrong with the settings. Each message names the place, the setting and what to do.

use std::path::PathBuf;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file was named and cannot be read.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is neither TOML nor YAML.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// Nobody knows this setting.
    #[error("{origin}: unknown setting `{key}`{}", hint(closest.as_deref()))]
    Unknown {
        /// File, variable or flag.
        origin: String,
        /// Its path.
        key: String,
        /// The known one that looks most like it.
        closest: Option<String>,
    },
    /// Its value cannot be used.
    #[error("{origin}: `{key}`: {reason}")]
    Invalid {
        /// File, variable or flag.
        origin: String,
        /// Its path.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its value, or its value together with others, makes no sense.
    #[error("`{key}`: {reason}")]
    Senseless {
        /// Its path.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    pub(crate) fn senseless(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Senseless {
            key: key.into(),
            reason: reason.into(),
        }
    }
}

fn hint(closest: Option<&str>) -> String {
    match closest {
        Some(known) => format!("; did you mean `{known}`?"),
        None => "; `quintet docs config` lists all settings".to_owned(),
    }
}
