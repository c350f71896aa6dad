//! Which queues are shared with BullMQ, and where.
//!
//! `REDIS_URL` alone bridges nothing: the original could not run without it, so its users have it set.

use std::collections::BTreeMap;

use quintet_executors::bullmq::{BullmqSettings, QueueSettings};
use serde::{Deserialize, Serialize};

use super::Tasks;
use crate::config::{ConfigError, Secret};

/// What the settings say of BullMQ, but for where its Redis is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BullmqTable {
    /// What BullMQ's keys begin with.
    #[serde(skip_serializing_if = "is_usual")]
    pub prefix: String,
    /// The bridged queues, by their names here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queues: BTreeMap<String, QueueSettings>,
}

fn is_usual(prefix: &str) -> bool {
    prefix == BullmqTable::default().prefix
}

impl Default for BullmqTable {
    fn default() -> Self {
        let BullmqSettings { prefix, queues, .. } = BullmqSettings::default();
        Self { prefix, queues }
    }
}

/// The bridge, if there is one; looks a reference up.
pub(super) fn settings(tasks: &Tasks) -> Result<Option<BullmqSettings>, ConfigError> {
    if tasks.bullmq.queues.is_empty() {
        return Ok(None);
    }
    let url = tasks.redis_url.as_ref().map(Secret::reveal).transpose();
    let url = url.map_err(|reason| ConfigError::senseless(URL, reason))?;
    let settings = with_url(tasks, url);
    check_settings(&settings)?;
    Ok(Some(settings))
}

const URL: &str = "tasks.redis_url";

/// Refuses what cannot be used wherever a reference leads, and a wrong URL also where nothing is bridged.
pub(super) fn check(tasks: &Tasks) -> Result<(), ConfigError> {
    let url = tasks.redis_url.as_ref().filter(|url| !url.is_reference());
    let url = url.and_then(|url| url.reveal().ok());
    check_settings(&with_url(tasks, url))?;
    let queues = tasks.queue_rules();
    match tasks.bullmq.queues.keys().find(|name| !queues.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<&str> = queues.keys().map(String::as_str).collect();
            let reason = format!(
                "there is no such queue, only {}; `tasks.queues` adds others",
                known.join(", ")
            );
            Err(ConfigError::senseless(format!("tasks.bullmq.queues.{name}"), reason))
        }
    }
}

fn with_url(tasks: &Tasks, url: Option<String>) -> BullmqSettings {
    let usual = BullmqSettings::default();
    BullmqSettings {
        url: url.unwrap_or(usual.url),
        prefix: tasks.bullmq.prefix.clone(),
        queues: tasks.bullmq.queues.clone(),
    }
}

fn check_settings(settings: &BullmqSettings) -> Result<(), ConfigError> {
    settings.check().map_err(|error| match error.key.as_str() {
        "url" => ConfigError::senseless(URL, error.message),
        key => ConfigError::senseless(format!("tasks.bullmq.{key}"), error.message),
    })
}
