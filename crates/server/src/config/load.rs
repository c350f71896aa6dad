//! Puts the settings together: flags over environment over file over defaults.
//!
//! Every source becomes a flat list of known paths with values first; so a later source replaces single settings of
//! an earlier one, and every error can say where the setting came from.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::originals::{self, Variables};
use super::section::{Entry, Key, Kind, Settings};
use super::{Config, ConfigError, file, server};

/// Read when no file is named, if it is there.
const DEFAULT_FILES: [&str; 3] = ["quintet.toml", "quintet.yaml", "config.yaml"];
const PREFIX: &str = "QUINTET_";

/// Other spellings of settings in files.
const SPELLINGS: [(&str, &str); 11] = [
    ("memarch.timeout_ms", "memarch.timeout"),
    ("audit_log.timeout_ms", "audit_log.timeout"),
    ("http_action.timeout_ms", "http_action.timeout"),
    ("egress.connect_timeout_ms", "egress.connect_timeout"),
    ("tasks.ageing_ms", "tasks.ageing"),
    ("media.process_timeout_ms", "media.process_timeout"),
    ("media.keep_chunks_ms", "media.keep_chunks"),
    ("database.connect_timeout_ms", "database.connect_timeout"),
    ("database.checkout_timeout_ms", "database.checkout_timeout"),
    ("database.statement_timeout_ms", "database.statement_timeout"),
    ("database.start_timeout_ms", "database.start_timeout"),
];

/// Variables whose names the originals, or the world, have given. Later ones win.
const KNOWN_VARIABLES: [(&str, &str); 30] = [
    ("HOST", "server.host"),
    ("PORT", "server.port"),
    ("CORS_ORIGIN", "server.cors_origin"),
    ("DATABASE_URL", "store.url"),
    ("LOG_LEVEL", "log.level"),
    ("RUST_LOG", "log.level"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    ("OTEL_SERVICE_NAME", "telemetry.service_name"),
    ("DB_POOL_MAX", "database.pool_size"),
    ("STORAGE_BACKENDS", "pipelines.storage_backends"),
    ("DEFAULT_STORAGE_BACKEND_ID", "pipelines.default_storage_backend"),
    ("PIPEWEAVE_SECRET_KEY", "pipelines.secret_key"),
    ("MODE", "pipelines.mode"),
    ("MAX_CONCURRENCY", "pipelines.max_concurrency"),
    ("POLL_INTERVAL_MS", "pipelines.poll_interval_ms"),
    ("DLQ_RETENTION_DAYS", "pipelines.dlq_retention_days"),
    ("IDEMPOTENCY_TTL_SECONDS", "pipelines.idempotency_ttl_seconds"),
    ("MAX_RETRY_DELAY_MS", "pipelines.max_retry_delay_ms"),
    ("PIPEWEAVE_TOKEN_FORMAT", "pipelines.token_format"),
    ("RETRY_SEMANTICS", "pipelines.retry_semantics"),
    ("PIPEWEAVE_WORKER_URLS", "pipelines.worker_urls"),
    ("MODAL_URL", "tasks.modal_url"),
    ("MODAL_TOKEN", "tasks.modal_token"),
    ("RAY_URL", "tasks.ray_url"),
    ("RAY_DASHBOARD_URL", "tasks.ray_dashboard_url"),
    ("REDIS_URL", "tasks.redis_url"),
    ("WORKER_CONCURRENCY", "tasks.worker_concurrency"),
    ("GPU_WORKER_CONCURRENCY", "tasks.gpu_worker_concurrency"),
    ("SLACK_WEBHOOK_URL", "tasks.slack_webhook_url"),
    ("DISCORD_WEBHOOK_URL", "tasks.discord_webhook_url"),
];

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// File named by the user; it must be there.
    pub file: Option<PathBuf>,
    /// Folder in which to look for a file when none is named; `None` looks for none.
    pub folder: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Settings by flags: name of the flag, path, value.
    pub flags: Vec<(&'static str, &'static str, Value)>,
}

impl Sources {
    /// The process's own environment and working directory.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment = std::env::vars_os().filter_map(text).collect();
        Self {
            file,
            folder: Some(PathBuf::from(".")),
            environment,
            flags: Vec::new(),
        }
    }

    /// With this flag, if it was given.
    #[must_use]
    pub fn flag(mut self, flag: &'static str, path: &'static str, value: Option<impl Into<Value>>) -> Self {
        self.flags.extend(value.map(|value| (flag, path, value.into())));
        self
    }

    /// The file that these sources read, if any.
    pub fn file_in_use(&self) -> Option<PathBuf> {
        let default = || {
            let folder = self.folder.as_ref()?;
            DEFAULT_FILES
                .iter()
                .map(|name| folder.join(name))
                .find(|path| path.is_file())
        };
        self.file.clone().or_else(default)
    }
}

/// All sources as one list of settings.
pub(super) fn settings(sources: &Sources) -> Result<Settings, ConfigError> {
    let mut settings = Settings::new();
    if let Some(path) = sources.file_in_use() {
        match std::fs::read_to_string(&path) {
            Ok(text) => settings = from_text(&text, &path)?,
            // Not named by anybody, and gone since it was looked for.
            Err(error) if sources.file.is_none() && error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        }
    }
    let mut flags = Settings::new();
    for (flag, path, value) in &sources.flags {
        let entry = Entry {
            value: value.clone(),
            origin: (*flag).to_owned(),
        };
        flags.insert((*path).to_owned(), entry);
    }
    overlay(&mut settings, from_environment(&sources.environment, &flags)?);
    overlay(&mut settings, flags);
    Ok(settings)
}

/// The settings of one file's text.
pub(super) fn from_text(text: &str, path: &Path) -> Result<Settings, ConfigError> {
    let known = Known::new();
    let mut settings = Settings::new();
    known.flatten("", file::parse(text, path)?, &path.display().to_string(), &mut settings)?;
    Ok(settings)
}

fn from_environment(variables: &[(String, String)], flags: &Settings) -> Result<Settings, ConfigError> {
    let known = Known::new();
    let mut settings = Settings::new();
    let given = |name: &str| variables.iter().find(|(own, value)| own == name && !value.is_empty());
    for (name, path) in KNOWN_VARIABLES {
        if let Some((_, text)) = given(name) {
            let entry = known.entry(path, originals::translated(name, text), name)?;
            settings.insert(path.to_owned(), entry);
        }
    }
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = rest.to_ascii_lowercase().replace("__", ".");
        let path = known.spelt(&path);
        if known.keys.contains_key(path) {
            settings.insert(path.to_owned(), known.entry(path, text, name)?);
        } else if rest.contains("__") {
            // Without `__` it may be something else: container platforms set QUINTET_PORT and the like by themselves.
            return Err(known.unknown(path, name));
        }
    }
    compose(variables, flags, &mut settings)?;
    Ok(settings)
}

/// Adds what several variables say together, where nothing that wins over them says it.
fn compose(variables: &[(String, String)], flags: &Settings, settings: &mut Settings) -> Result<(), ConfigError> {
    let variables = Variables(variables);
    let is_open = |settings: &Settings, path: &str| !settings.contains_key(path) && !flags.contains_key(path);
    let mut found = Vec::new();
    if is_open(settings, "store.url") && is_open(settings, "database.dsn") {
        found.extend(originals::database(&variables)?);
    }
    if is_open(settings, "pipelines.storage_backends") {
        found.extend(originals::storage(&variables)?);
    }
    for composed in found {
        let origin = composed.origin.to_owned();
        let value = composed.value;
        settings.insert(composed.path.to_owned(), Entry { value, origin });
    }
    Ok(())
}

/// Puts a source over an earlier one. `listen` and `host` with `port` say the same thing, so each takes the other's
/// place.
fn overlay(settings: &mut Settings, over: Settings) {
    const LISTEN: &str = "server.listen";
    const PARTS: [&str; 2] = ["server.host", "server.port"];
    if over.contains_key(LISTEN) {
        PARTS.iter().for_each(|part| drop(settings.remove(*part)));
    } else if PARTS.iter().any(|part| over.contains_key(*part))
        && let Some(Entry { value, origin }) = settings.remove(LISTEN)
        && let Some((host, port)) = value.as_str().and_then(server::split)
    {
        settings.insert(
            PARTS[0].to_owned(),
            Entry {
                value: host.into(),
                origin: origin.clone(),
            },
        );
        settings.insert(
            PARTS[1].to_owned(),
            Entry {
                value: port.into(),
                origin,
            },
        );
    }
    if over.contains_key("store.url") {
        settings.remove("database.dsn");
    }
    settings.extend(over);
}

/// The settings that exist.
struct Known {
    keys: HashMap<String, Kind>,
    sections: Vec<&'static str>,
}

impl Known {
    fn new() -> Self {
        let all = Config::sections();
        let sections = all.iter().map(|section| section.path).collect();
        let keys = all
            .into_iter()
            .flat_map(|section| section.keys)
            .map(|Key { path, kind, .. }| (path, kind))
            .collect();
        Self { keys, sections }
    }

    /// Takes a tree apart into known settings.
    fn flatten(
        &self,
        prefix: &str,
        tree: Map<String, Value>,
        origin: &str,
        settings: &mut Settings,
    ) -> Result<(), ConfigError> {
        for (name, value) in tree {
            let path = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            let path = self.spelt(&path).to_owned();
            match value {
                _ if self.keys.contains_key(&path) => {
                    if !value.is_null() {
                        settings.insert(
                            path,
                            Entry {
                                value,
                                origin: origin.to_owned(),
                            },
                        );
                    }
                }
                Value::Object(inner) if self.is_section(&path) => self.flatten(&path, inner, origin, settings)?,
                // `memarch:` with nothing below it.
                Value::Null if self.is_section(&path) => {}
                _ => return Err(self.unknown(&path, origin)),
            }
        }
        Ok(())
    }

    fn is_section(&self, path: &str) -> bool {
        !path.is_empty() && self.sections.contains(&path)
    }

    fn spelt<'a>(&self, path: &'a str) -> &'a str {
        SPELLINGS
            .iter()
            .find(|(other, _)| *other == path)
            .map_or(path, |(_, usual)| usual)
    }

    /// A variable as a setting.
    fn entry(&self, path: &str, text: &str, variable: &str) -> Result<Entry, ConfigError> {
        match self.value(path, text) {
            Ok(value) => Ok(Entry {
                value,
                origin: variable.to_owned(),
            }),
            Err(reason) => Err(ConfigError::Invalid {
                origin: variable.to_owned(),
                key: path.to_owned(),
                reason,
            }),
        }
    }

    /// A variable's text as the setting's kind wants it, or what it should have been.
    fn value(&self, path: &str, text: &str) -> Result<Value, String> {
        let as_text = || Value::String(text.to_owned());
        let json = || serde_json::from_str(text);
        match self.keys.get(path) {
            // A list of tables reads its own JSON, and does not repeat it when it is wrong.
            Some(Kind::Text | Kind::Duration | Kind::Tables) | None => Ok(as_text()),
            Some(Kind::Number) => json().map_err(|_| format!("`{text}` is not a number")),
            Some(Kind::Flag) => json().map_err(|_| format!("`{text}` is neither true nor false")),
            Some(Kind::Table) => json().map_err(|error| {
                format!("is not JSON ({error}): write names with values, such as {{\"name\": \"value\"}}")
            }),
            Some(Kind::List) => Ok(json().unwrap_or_else(|_| {
                text.split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect()
            })),
        }
    }

    fn unknown(&self, path: &str, origin: &str) -> ConfigError {
        let names = self
            .keys
            .keys()
            .map(String::as_str)
            .chain(self.sections.iter().copied());
        let closest = names
            .map(|known| (distance(path, known), known))
            // A wrong section with the right name is a near miss too.
            .chain(
                self.keys
                    .keys()
                    .filter(|known| last(known) == last(path))
                    .map(|known| (3, known.as_str())),
            )
            .filter(|(distance, known)| !known.is_empty() && *distance <= 3)
            .min();
        let closest = closest.map(|(_, known)| known.to_owned());
        ConfigError::Unknown {
            origin: origin.to_owned(),
            key: path.to_owned(),
            closest,
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Letters to add, drop or change to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
