//! The queues that tasks wait in: three that are always there, and those that the settings add.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tasks;
use crate::config::{ConfigError, Millis};

/// The queue of tasks that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// What the settings say of a queue; what they leave out is as for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// How many of its tasks' steps are under way at a time.
    pub concurrency: Option<u32>,
    /// How long waiting is worth one level of priority.
    pub ageing: Option<Millis>,
}

/// How a queue is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRule {
    /// How many of its tasks' steps are under way at a time on each node.
    pub concurrency: u32,
    /// How long waiting is worth one level of priority; `None` keeps strictly to the priorities.
    pub ageing_ms: Option<u64>,
}

/// All queues by name.
pub(super) fn rules(tasks: &Tasks) -> BTreeMap<String, QueueRule> {
    let built_in = [
        (DEFAULT_QUEUE, tasks.worker_concurrency),
        ("cpu", tasks.worker_concurrency),
        ("gpu", tasks.gpu_worker_concurrency),
    ];
    let mut rules: BTreeMap<String, QueueRule> = built_in
        .into_iter()
        .map(|(name, concurrency)| (name.to_owned(), rule(concurrency, tasks.ageing)))
        .collect();
    for (name, settings) in &tasks.queues {
        let usual = rules
            .get(name)
            .map_or(tasks.worker_concurrency, |rule| rule.concurrency);
        let own = rule(
            settings.concurrency.unwrap_or(usual),
            settings.ageing.unwrap_or(tasks.ageing),
        );
        rules.insert(name.clone(), own);
    }
    rules
}

const fn rule(concurrency: u32, ageing: Millis) -> QueueRule {
    QueueRule {
        concurrency,
        ageing_ms: if ageing.0 == 0 { None } else { Some(ageing.0) },
    }
}

pub(super) fn check(tasks: &Tasks) -> Result<(), ConfigError> {
    for (name, settings) in &tasks.queues {
        let key = format!("tasks.queues.{name}");
        if !is_name(name) {
            return Err(ConfigError::senseless(
                key,
                "a queue's name consists of up to 64 letters, digits and -._",
            ));
        }
        if settings.concurrency == Some(0) {
            return Err(none_at_all(&format!("{key}.concurrency")));
        }
    }
    for (key, concurrency) in [
        ("tasks.worker_concurrency", tasks.worker_concurrency),
        ("tasks.gpu_worker_concurrency", tasks.gpu_worker_concurrency),
    ] {
        if concurrency == 0 {
            return Err(none_at_all(key));
        }
    }
    Ok(())
}

fn none_at_all(key: &str) -> ConfigError {
    ConfigError::senseless(key, "must be at least 1; `quintet queues pause` stops a queue")
}

/// Names become parts of ids and of other names, where other signs divide them.
pub(super) fn is_name(name: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(is_sign)
}
