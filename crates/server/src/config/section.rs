//! How a section of the settings is declared: struct, defaults, reader and documentation from one text.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use quintet_executors::storage::TokenFormat;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ConfigError;
use super::value::{Millis, Secret};

/// Settings by path, before they are read into their sections; later sources have replaced earlier ones.
pub(super) type Settings = HashMap<String, Entry>;

/// One setting as a source gave it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub value: Value,
    /// File, variable or flag that it came from, for error messages.
    pub origin: String,
}

/// One setting, as the reference page shows it.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name in the file, with its section.
    pub path: String,
    /// What kind of value it takes.
    pub kind: Kind,
    /// Its doc comment.
    pub doc: String,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// Milliseconds, or words such as `5s`.
    Duration,
    /// Several values.
    List,
    /// Names with values.
    Table,
    /// Several tables.
    Tables,
}

impl Kind {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Flag => "true or false",
            Self::Duration => "duration",
            Self::List => "list",
            Self::Table => "table",
            Self::Tables => "list of tables",
        }
    }
}

/// A type that a setting can have.
pub(super) trait Setting: DeserializeOwned {
    const KIND: Kind;
}

macro_rules! settings_of {
    ($($kind:ident: $($type:ty),+;)+) => { $($(impl Setting for $type { const KIND: Kind = Kind::$kind; })+)+ };
}
settings_of! {
    Text: String, PathBuf, Secret, super::LogFormat, super::Pooler, super::RowLevelSecurity, super::Mode, super::RetrySemantics, TokenFormat,
        super::CorsOrigin, super::GraphErrors, super::Required;
    Number: u16, u32, u64, usize, f64;
    Flag: bool;
    Duration: Millis;
    Table: super::tasks::BackendTable, super::tasks::BullmqTable, super::tasks::ChunkRules, super::Jwt;
    Tables: super::StorageBackends;
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
}

impl<T: DeserializeOwned> Setting for Vec<T> {
    const KIND: Kind = Kind::List;
}

impl<T: DeserializeOwned> Setting for BTreeMap<String, T> {
    const KIND: Kind = Kind::Table;
}

/// A group of settings.
pub(super) trait Section: Sized {
    const PATH: &'static str;
    fn about() -> String;
    fn keys() -> Vec<Key>;
    fn read(settings: &Settings) -> Result<Self, ConfigError>;
}

pub(super) fn path(section: &str, field: &str) -> String {
    if section.is_empty() {
        field.to_owned()
    } else {
        format!("{section}.{field}")
    }
}

/// The lines of a doc comment as one paragraph.
pub(super) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

pub(super) fn read_one<T: Setting>(settings: &Settings, section: &str, field: &str) -> Result<Option<T>, ConfigError> {
    let path = path(section, field);
    let Some(Entry { value, origin }) = settings.get(&path) else {
        return Ok(None);
    };
    serde_json::from_value(value.clone())
        .map(Some)
        .map_err(|error| ConfigError::Invalid {
            origin: origin.clone(),
            key: path,
            reason: error.to_string(),
        })
}

macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident = $path:literal {
            $( $(#[doc = $doc:literal])+ pub $field:ident: $type:ty = $default:expr ),+ $(,)?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $crate::config::section::Section for $name {
            const PATH: &'static str = $path;

            fn about() -> String {
                $crate::config::section::paragraph(&[$($about),+])
            }

            fn keys() -> Vec<$crate::config::section::Key> {
                vec![$( $crate::config::section::Key {
                    path: $crate::config::section::path($path, stringify!($field)),
                    kind: <$type as $crate::config::section::Setting>::KIND,
                    doc: $crate::config::section::paragraph(&[$($doc),+]),
                } ),+]
            }

            fn read(
                settings: &$crate::config::section::Settings,
            ) -> Result<Self, $crate::config::ConfigError> {
                let mut section = Self::default();
                $( if let Some(value) = $crate::config::section::read_one(settings, $path, stringify!($field))? {
                    section.$field = value;
                } )+
                Ok(section)
            }
        }
    };
}
pub(super) use section;
