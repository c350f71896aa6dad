//! Schedules that the tasks face makes of a `cron` field, and the ids under which it speaks of them.
//!
//! A task that is added twice with the same expression is one schedule, as it is one repeatable job in BullMQ: its id is a
//! digest of what makes it that task. Everything else about it, its effects for instance, is as it was added last.

use std::fmt::Write as _;
use std::sync::Arc;

use quintet_core::time::Time;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::model::{Missed, Overlap, Schedule, Spec, Target};
use super::{Draft, ScheduleError, Schedules, TRIES};

/// What every id of a time of a schedule begins with.
const PREFIX: &str = "repeat";
/// Hexadecimal digits of a schedule's id.
const DIGITS: usize = 32;
/// The fields that make a task the one that it is.
const IDENTITY: [&str; 6] = ["type", "cron", "timezone", "queue", "payload", "steps"];

/// The id by which the tasks face calls one time of a schedule: `repeat:<id of the schedule>:<milliseconds>`.
pub fn task_id(schedule: &str, nominal: Time) -> String {
    format!("{PREFIX}:{schedule}:{}", nominal.as_ms())
}

/// The schedule and the time that such an id names.
pub fn parse_task_id(text: &str) -> Option<(&str, Time)> {
    let (schedule, ms) = text.strip_prefix(PREFIX)?.strip_prefix(':')?.split_once(':')?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if schedule.len() != DIGITS || !schedule.bytes().all(is_hex) || !ms.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros = ms.parse::<i64>().ok()?.checked_mul(1000)?;
    Some((schedule, Time(micros)))
}

/// The id of the schedule that a task document makes, by what it repeats.
pub(super) fn id_of(document: &Value) -> String {
    let mut hash = Sha256::new();
    for name in IDENTITY {
        let mut text = String::new();
        canonical(document.get(name).unwrap_or(&Value::Null), &mut text);
        hash.update(format!("{name}={};{text}", text.len()));
    }
    let digest = hash.finalize();
    let mut id = String::with_capacity(DIGITS);
    for byte in digest.iter().take(DIGITS / 2) {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The same text for the same value, in whatever order its keys are.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in entries {
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

impl Schedules {
    /// Stores the schedule of a task document with a `cron` field, or brings the one that it made before up to date.
    /// A schedule that somebody has paused stays paused.
    pub async fn put_task(
        &self,
        namespace: &Arc<str>,
        document: &Value,
        cron: &str,
        timezone: Option<&str>,
    ) -> Result<Schedule, ScheduleError> {
        let id = id_of(document);
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
        let name: String = text("type").chars().take(40).collect();
        let target = Target::Task {
            document: document.clone(),
        };
        for _ in 0..TRIES {
            let draft = Draft {
                id: Some(id.clone()),
                spec: Spec {
                    name: name.clone(),
                    cron: cron.to_owned(),
                    timezone: timezone.unwrap_or("UTC").to_owned(),
                    target: target.clone(),
                    missed: Missed::default(),
                    overlap: Overlap::default(),
                    note: None,
                },
                paused: false,
            };
            match self.create(namespace, draft).await {
                Err(ScheduleError::Exists(_)) => {}
                done => return done,
            }
            let changed = self.change(namespace, &id, |spec| {
                spec.target = target.clone();
                Ok(())
            });
            match changed.await {
                // It was deleted in between.
                Err(ScheduleError::NotFound) => {}
                done => return done,
            }
        }
        Err(ScheduleError::Contended)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_task_has_the_same_id_whatever_else_it_says() {
        let task =
            json!({ "type": "report", "payload": { "a": 1, "b": [2, { "c": 3, "d": 4 }] }, "cron": "0 * * * *" });
        let id = id_of(&task);
        assert_eq!(id.len(), 32);
        let again = json!({
            "cron": "0 * * * *", "payload": { "b": [2, { "d": 4, "c": 3 }], "a": 1 }, "type": "report",
            "metadata": { "at": "now" }, "id": "x", "onSuccess": [],
        });
        assert_eq!(id, id_of(&again));
        for (name, value) in [
            ("type", json!("other")),
            ("payload", json!({ "a": 1, "b": [2] })),
            ("cron", json!("1 * * * *")),
            ("timezone", json!("Europe/Berlin")),
            ("queue", json!("gpu")),
            ("steps", json!([{ "task": "a" }])),
        ] {
            let mut other = task.clone();
            other[name] = value;
            assert_ne!(id, id_of(&other), "{name}");
        }
    }

    #[test]
    fn ids_of_times_are_read_back_and_others_are_not() {
        let id = "0123456789abcdef0123456789abcdef";
        let text = task_id(id, Time(1_700_000_000_000_000));
        assert_eq!(text, format!("repeat:{id}:1700000000000"));
        assert_eq!(parse_task_id(&text), Some((id, Time(1_700_000_000_000_000))));
        for other in [
            "".to_owned(),
            "run_1".to_owned(),
            format!("repeat:{id}"),
            format!("repeat:{id}:"),
            format!("repeat:{id}:-5"),
            format!("repeat:{}:5", &id[1..]),
            format!("repeat:{}:5", id.to_uppercase()),
            format!("repeat:{id}:99999999999999999999"),
        ] {
            assert_eq!(parse_task_id(&other), None, "{other}");
        }
    }
}
