//! The backends that do tasks: those that the original's variables name, and those of a table.
//!
//! Tables are kept as they were read, because a token in them may only be a reference that is looked up later. A table
//! for a backend that a variable names adds to what the variable says.

use std::collections::BTreeMap;
use std::fmt;

use quintet_executors::backend::{BackendSettings, Rules, Usual, usual};
use quintet_executors::storage;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use super::Tasks;
use super::queue::is_name;
use crate::config::{ConfigError, Secret};

const KEY: &str = "tasks.backends";
const RULES: &str = "tasks.backend_rules";
/// What tasks say that leave the choice.
const CHOICE: &str = "auto";

/// Backends by name, each as a table. Shown without tokens.
#[derive(Clone, Default, PartialEq)]
pub struct BackendTable(BTreeMap<String, Map<String, Value>>);

/// What becomes of tokens that are only references.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    /// They are looked up.
    Follow,
    /// They stand for themselves, which is enough to see whether everything else is right.
    Keep,
}

/// All backends, and when they are asked how they are.
pub(super) fn settings(
    tasks: &Tasks,
    references: References,
) -> Result<(BTreeMap<String, BackendSettings>, Rules), ConfigError> {
    let mut backends = usual(&places(tasks, references)?);
    for (name, table) in &tasks.backends.0 {
        let wrong = |reason: String| ConfigError::senseless(format!("{KEY}.{name}"), reason);
        if !is_name(name) || name == CHOICE {
            return Err(wrong(
                "a backend's name consists of up to 64 letters, digits and -._, and is not `auto`".to_owned(),
            ));
        }
        let known = backends.remove(name);
        let own = merged(name, table, known.as_ref())?;
        let mut own: BackendSettings =
            serde_json::from_value(Value::Object(own)).map_err(|error| wrong(error.to_string()))?;
        own.token = match own.token {
            Some(token) => Some(revealed(&format!("{KEY}.{name}.token"), token.reveal(), references)?),
            None => known.and_then(|known| known.token),
        };
        backends.insert(name.clone(), own);
    }
    for (name, backend) in &backends {
        let checked = backend.check();
        checked.map_err(|problem| ConfigError::senseless(key_of(tasks, name), problem))?;
    }
    Ok((backends, rules(&tasks.backend_rules)?))
}

/// What the variables say.
fn places(tasks: &Tasks, references: References) -> Result<Usual, ConfigError> {
    let token = tasks.modal_token.as_ref();
    let token = token.map(|token| match references {
        References::Follow => token.reveal(),
        References::Keep => Ok(String::new()),
    });
    let token = token.transpose();
    let token = token.map_err(|reason| ConfigError::senseless("tasks.modal_token", reason))?;
    Ok(Usual {
        modal_url: tasks.modal_url.clone(),
        modal_token: token.map(storage::Secret::new),
        ray_url: tasks.ray_url.clone(),
        ray_dashboard_url: tasks.ray_dashboard_url.clone(),
    })
}

/// A table over what a variable says of the same backend. Two places cannot both be meant.
fn merged(
    name: &str,
    table: &Map<String, Value>,
    known: Option<&BackendSettings>,
) -> Result<Map<String, Value>, ConfigError> {
    let mut merged = table.clone();
    let Some(known) = known else { return Ok(merged) };
    let said = [
        ("kind", Some(known.kind.as_str())),
        ("url", Some(known.url.as_str())),
        ("dashboard_url", known.dashboard_url.as_deref()),
    ];
    for (field, value) in said.into_iter().filter_map(|(field, value)| Some((field, value?))) {
        let here = merged.entry(field).or_insert_with(|| value.into());
        if *here != value {
            let reason =
                format!("another setting says `{value}` (MODAL_URL, RAY_URL and RAY_DASHBOARD_URL set such): keep one");
            return Err(ConfigError::senseless(format!("{KEY}.{name}.{field}"), reason));
        }
    }
    Ok(merged)
}

fn revealed(key: &str, token: &str, references: References) -> Result<storage::Secret, ConfigError> {
    let token = match references {
        References::Follow => Secret::new(token).reveal(),
        References::Keep => Ok(token.to_owned()),
    };
    let token = token.map_err(|reason| ConfigError::senseless(key, reason))?;
    Ok(storage::Secret::new(token))
}

/// The setting that most likely says what is wrong with a backend.
fn key_of(tasks: &Tasks, name: &str) -> String {
    match name {
        _ if tasks.backends.0.contains_key(name) => format!("{KEY}.{name}"),
        "modal" => "tasks.modal_url".to_owned(),
        "ray-jobs" => "tasks.ray_dashboard_url".to_owned(),
        _ => "tasks.ray_url".to_owned(),
    }
}

fn rules(table: &BTreeMap<String, u64>) -> Result<Rules, ConfigError> {
    let wrong = |reason: String| ConfigError::senseless(RULES, reason);
    let rules: Rules = serde_json::from_value(json!(table)).map_err(|error| wrong(error.to_string()))?;
    let spans = [
        ("health_timeout_ms", rules.health_timeout_ms),
        ("probe_min_ms", rules.probe_min_ms),
        ("trial_ms", rules.trial_ms),
        ("job_poll_min_ms", rules.job_poll_min_ms),
    ];
    if let Some((name, _)) = spans.iter().find(|(_, span)| *span == 0) {
        return Err(ConfigError::senseless(format!("{RULES}.{name}"), "must be above 0"));
    }
    if rules.probe_max_ms < rules.probe_min_ms {
        return Err(wrong("probe_max_ms must not be below probe_min_ms".to_owned()));
    }
    if rules.job_poll_max_ms < rules.job_poll_min_ms {
        return Err(wrong("job_poll_max_ms must not be below job_poll_min_ms".to_owned()));
    }
    Ok(rules)
}

impl<'de> Deserialize<'de> for BackendTable {
    /// The error does not repeat what it was given: it may hold a token.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let tables = value.as_object().map(|all| {
            let tables = all
                .iter()
                .map(|(name, table)| Some((name.clone(), table.as_object()?.clone())));
            tables.collect::<Option<BTreeMap<_, _>>>()
        });
        tables.flatten().map(Self).ok_or_else(|| {
            de::Error::custom(
                "must be tables by name, such as {\"lab\": {\"kind\": \"http\", \"url\": \"http://lab:9000\"}}",
            )
        })
    }
}

impl Serialize for BackendTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = |table: &Map<String, Value>| json!({ "kind": table.get("kind"), "url": table.get("url") });
        serializer.collect_map(self.0.iter().map(|(name, table)| (name, shown(table))))
    }
}

impl fmt::Debug for BackendTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
