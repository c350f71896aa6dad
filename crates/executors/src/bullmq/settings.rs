//! What the operator says about bridged queues.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// What BullMQ's keys begin with unless it is told otherwise.
const PREFIX: &str = "bull";
/// What the names of the original's queues begin with.
const ORIGINAL: &str = "declarative-worker-api-";
/// Jobs of producers in progress on a node.
const CONCURRENCY: u32 = 50;

/// Queues shared with BullMQ through a Redis server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BullmqSettings {
    /// The Redis server: `redis://` or, with TLS, `rediss://`, then user, password, host, port and database as usual.
    /// Default: `redis://localhost:6379`.
    #[serde(default = "local")]
    pub url: String,
    /// What BullMQ's keys begin with. Default: `bull`. Set it where producers and workers set `prefix`.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// The bridged queues, by their names in Quintet. Default: none.
    #[serde(default)]
    pub queues: BTreeMap<String, QueueSettings>,
}

/// One bridged queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// `workers`: BullMQ workers do the steps of this queue. `producers`: jobs that BullMQ producers add become runs in
    /// this queue.
    pub mode: Mode,
    /// Its name in BullMQ. Default: `declarative-worker-api-` and the name in Quintet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `producers`: jobs whose runs are in progress at a time, on each node. Default: 50.
    #[serde(default = "concurrency")]
    pub concurrency: u32,
}

/// Which way a bridged queue goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Steps go out to BullMQ workers.
    Workers,
    /// Jobs come in from BullMQ producers.
    Producers,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SettingsError {
    /// Which, from the section on.
    pub key: String,
    /// Why.
    pub message: String,
}

fn local() -> String {
    "redis://localhost:6379".to_owned()
}

fn prefix() -> String {
    PREFIX.to_owned()
}

fn concurrency() -> u32 {
    CONCURRENCY
}

impl Default for BullmqSettings {
    fn default() -> Self {
        Self {
            url: local(),
            prefix: prefix(),
            queues: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for BullmqSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("BullmqSettings")
            .field("url", &shown(&self.url))
            .field("prefix", &self.prefix)
            .field("queues", &self.queues)
            .finish()
    }
}

/// A URL without who logs in.
pub(super) fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_password(None);
            let _ = url.set_username("");
            url.to_string()
        }
        Err(_) => "(no url)".to_owned(),
    }
}

impl BullmqSettings {
    /// Looks whether they can be used, as far as that can be known without a server.
    ///
    /// # Errors
    /// The first one that cannot.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |key: String, message: &str| {
            Err(SettingsError {
                key,
                message: message.to_owned(),
            })
        };
        let scheme = Url::parse(&self.url).map(|url| url.scheme().to_owned());
        if !scheme.is_ok_and(|scheme| matches!(scheme.as_str(), "redis" | "rediss")) {
            return wrong("url".to_owned(), "must be a redis:// or rediss:// URL");
        }
        if self.prefix.is_empty() {
            return wrong("prefix".to_owned(), "must not be empty");
        }
        let mut names = BTreeSet::new();
        for (queue, settings) in &self.queues {
            let name = settings.name_in_bullmq(queue);
            if name.is_empty() || name.contains(':') {
                return wrong(format!("queues.{queue}.name"), "must not be empty nor contain a colon");
            }
            if settings.concurrency == 0 {
                return wrong(format!("queues.{queue}.concurrency"), "must be at least 1");
            }
            if !names.insert(name) {
                return wrong(format!("queues.{queue}.name"), "another queue has this name in BullMQ");
            }
        }
        Ok(())
    }

    /// The queues that go this way, by their names in Quintet.
    pub fn queues_of(&self, mode: Mode) -> impl Iterator<Item = &str> {
        let queues = self.queues.iter().filter(move |(_, settings)| settings.mode == mode);
        queues.map(|(queue, _)| queue.as_str())
    }
}

impl QueueSettings {
    /// A queue that goes this way, with the usual name.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            name: None,
            concurrency: CONCURRENCY,
        }
    }

    /// What BullMQ calls the queue that Quintet calls `queue`.
    pub fn name_in_bullmq(&self, queue: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{ORIGINAL}{queue}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<BullmqSettings, String> {
        let settings: BullmqSettings = serde_json::from_str(json).map_err(|error| error.to_string())?;
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn a_queue_is_called_as_the_original_called_it_unless_it_is_named() {
        let settings =
            settings(r#"{"queues":{"gpu":{"mode":"workers"},"cpu":{"mode":"producers","name":"jobs"}}}"#).unwrap();
        let name = |queue: &str| settings.queues[queue].name_in_bullmq(queue);
        assert_eq!(name("gpu"), "declarative-worker-api-gpu");
        assert_eq!(name("cpu"), "jobs");
        assert_eq!(settings.prefix, "bull");
        assert_eq!(settings.queues_of(Mode::Workers).collect::<Vec<_>>(), ["gpu"]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let complaint = |json: &str| settings(json).unwrap_err();
        assert_eq!(
            complaint(r#"{"url":"http://h"}"#),
            "url: must be a redis:// or rediss:// URL"
        );
        assert_eq!(complaint(r#"{"prefix":""}"#), "prefix: must not be empty");
        assert_eq!(
            complaint(r#"{"queues":{"a":{"mode":"workers","name":"x:y"}}}"#),
            "queues.a.name: must not be empty nor contain a colon"
        );
        assert_eq!(
            complaint(r#"{"queues":{"a":{"mode":"workers","name":"x"},"b":{"mode":"producers","name":"x"}}}"#),
            "queues.b.name: another queue has this name in BullMQ"
        );
        assert_eq!(
            complaint(r#"{"queues":{"a":{"mode":"producers","concurrency":0}}}"#),
            "queues.a.concurrency: must be at least 1"
        );
        assert!(complaint(r#"{"queue":{}}"#).contains("unknown field"));
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = BullmqSettings {
            url: "redis://me:secret@host:6379/2".to_owned(),
            ..BullmqSettings::default()
        };
        let shown = format!("{settings:?}");
        assert!(shown.contains("redis://host:6379/2"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
