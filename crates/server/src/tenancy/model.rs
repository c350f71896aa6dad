//! A namespace: what somebody said about it, and how that is kept in a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::time::Time;
use quintet_store::{Record, RecordWrite, StoreError};
use serde::{Deserialize, Serialize};

/// Where the records lie; no tenant may have this name.
pub const RESERVED: &str = "quintet";
/// The namespace of those who name none; it is always there.
pub const DEFAULT: &str = "default";
/// The kind of a namespace's record.
pub(super) const KIND: &str = "namespace";

/// Longest name, and most and longest labels.
const MAX_NAME: usize = 63;
const MAX_LABELS: usize = 32;
const MAX_LABEL_KEY: usize = 63;
const MAX_LABEL_VALUE: usize = 255;
/// More starts per second than any node can take.
const MAX_RATE: f64 = 1e6;

/// A namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Namespace {
    /// Its name, which is its id.
    pub name: Arc<str>,
    /// Of its record; 0 when nothing was ever said about it.
    pub version: u64,
    /// What somebody said about it.
    pub spec: Spec,
    /// When it was created.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

/// What somebody said about a namespace.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Spec {
    /// Whether anything may change in it.
    #[serde(default)]
    pub state: State,
    /// Words to find it by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How much it may use.
    #[serde(default)]
    pub quotas: Quotas,
}

/// Whether anything may change in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is served.
    #[default]
    Active,
    /// It can be read; nothing changes, and no step begins.
    Suspended,
}

/// How much a namespace may use; what is absent has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quotas {
    /// Runs that are not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_live_runs: Option<u64>,
    /// Runs started per second in the long run, on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_per_second: Option<f64>,
    /// Runs started at once after a quiet time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Steps in progress at a time, on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_running_steps: Option<u32>,
    /// Bytes of content in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_stored_bytes: Option<u64>,
    /// Workflows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_workflows: Option<u64>,
}

/// A field that has an illegal value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which one.
    pub field: &'static str,
    /// Why.
    pub reason: String,
}

impl Wrong {
    fn new(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { field, reason }
    }
}

impl Quotas {
    /// Whether each of them means something.
    pub fn check(&self) -> Result<(), Wrong> {
        let least = [
            ("max_live_runs", self.max_live_runs),
            ("burst", self.burst.map(u64::from)),
            ("max_running_steps", self.max_running_steps.map(u64::from)),
            ("max_stored_bytes", self.max_stored_bytes),
            ("max_workflows", self.max_workflows),
        ];
        if let Some((field, _)) = least.iter().find(|(_, value)| *value == Some(0)) {
            return Err(Wrong::new(
                field,
                "must be at least 1; `quintet namespaces suspend` stops a namespace",
            ));
        }
        if self
            .runs_per_second
            .is_some_and(|rate| !(rate > 0.0 && rate <= MAX_RATE))
        {
            return Err(Wrong::new("runs_per_second", "must be more than 0 and at most 1000000"));
        }
        if self.burst.is_some() && self.runs_per_second.is_none() {
            return Err(Wrong::new("burst", "means nothing without runs_per_second"));
        }
        Ok(())
    }

    /// Whether starts are counted against any of them.
    pub fn limits_starts(&self) -> bool {
        self.max_live_runs.is_some() || self.runs_per_second.is_some() || self.max_stored_bytes.is_some()
    }
}

impl Spec {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.labels.len() > MAX_LABELS {
            return Err(Wrong::new("labels", format!("there are at most {MAX_LABELS}")));
        }
        let fits = |(key, value): (&String, &String)| {
            (1..=MAX_LABEL_KEY).contains(&key.len()) && value.len() <= MAX_LABEL_VALUE
        };
        if !self.labels.iter().all(fits) {
            let reason = format!("a name has 1 to {MAX_LABEL_KEY} bytes, a value at most {MAX_LABEL_VALUE}");
            return Err(Wrong::new("labels", reason));
        }
        self.quotas.check().map_err(|wrong| Wrong {
            field: match wrong.field {
                "max_live_runs" => "quotas.max_live_runs",
                "runs_per_second" => "quotas.runs_per_second",
                "burst" => "quotas.burst",
                "max_running_steps" => "quotas.max_running_steps",
                "max_stored_bytes" => "quotas.max_stored_bytes",
                _ => "quotas.max_workflows",
            },
            reason: wrong.reason,
        })
    }
}

/// Whether a namespace may have this name.
pub fn is_name(name: &str) -> bool {
    let is_sign = |sign: u8| sign.is_ascii_alphanumeric() || b"._-".contains(&sign);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_sign) && name != RESERVED
}

impl Namespace {
    /// One about which nobody has said anything.
    pub(super) fn unsaid(name: &str, quotas: Quotas) -> Self {
        Self {
            name: name.into(),
            version: 0,
            spec: Spec {
                quotas,
                ..Spec::default()
            },
            created_at: Time(0),
            updated_at: Time(0),
        }
    }

    /// Whether it was ever created.
    pub fn is_stored(&self) -> bool {
        self.version > 0
    }

    pub(super) fn read(record: &Record) -> Result<Self, StoreError> {
        let spec = serde_json::from_str(&record.body)
            .map_err(|error| StoreError::Corrupt(format!("namespace {}: {error}", record.id)))?;
        Ok(Self {
            name: Arc::clone(&record.id),
            version: record.version,
            spec,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }

    pub(super) fn write(&self, now: Time) -> RecordWrite {
        let body = serde_json::to_string(&self.spec).unwrap_or_default();
        self.record(Some(body), now)
    }

    pub(super) fn removal(&self, now: Time) -> RecordWrite {
        self.record(None, now)
    }

    fn record(&self, body: Option<String>, now: Time) -> RecordWrite {
        RecordWrite {
            namespace: RESERVED.into(),
            kind: KIND.into(),
            id: Arc::clone(&self.name),
            expected: Some(self.version),
            body,
            expires_at: None,
            at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_and_not_the_reserved_one() {
        for name in ["a", "default", "Acme-1.eu_west", &"a".repeat(63)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "quintet", "a b", "a/b", "*", "ü", &"a".repeat(64)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_spec_is_read_back_and_a_stored_one_without_fields_has_the_usual() {
        let mut spec = Spec::default();
        spec.labels.insert("team".to_owned(), "a".to_owned());
        spec.quotas.runs_per_second = Some(0.5);
        let text = serde_json::to_string(&spec).expect("text");
        assert_eq!(
            text,
            r#"{"state":"active","labels":{"team":"a"},"quotas":{"runs_per_second":0.5}}"#
        );
        assert_eq!(serde_json::from_str::<Spec>(&text).expect("spec"), spec);
        assert_eq!(serde_json::from_str::<Spec>("{}").expect("spec"), Spec::default());
        assert!(serde_json::from_str::<Spec>(r#"{"quotas":{"max_runs":1}}"#).is_err());
    }
}
