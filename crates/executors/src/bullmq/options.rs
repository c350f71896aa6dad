//! The options that a producer gave a job, as far as they concern who does it.

use serde_json::{Map, Value, json};

/// Options of a job in BullMQ.
#[derive(Debug, Default)]
pub(super) struct Options {
    fields: Map<String, Value>,
    is_repeated: bool,
}

/// How long an ended job is kept in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    /// How many; -1 for all.
    pub count: i64,
    /// For how many seconds.
    pub seconds: Option<u64>,
}

impl Options {
    /// From the JSON in the job. BullMQ writes an object; anything else has no options.
    pub fn read(json: &str) -> Self {
        match serde_json::from_str(json) {
            Ok(Value::Object(fields)) => Self {
                is_repeated: fields.get("repeat").is_some_and(Value::is_object),
                fields,
            },
            _ => Self::default(),
        }
    }

    /// Another field of the job says that it is one of a series.
    pub fn set_repeated(&mut self) {
        self.is_repeated = true;
    }

    /// How often the producer lets it be tried; 0 where it does not say.
    pub fn attempts(&self) -> u32 {
        let attempts = self.fields.get("attempts").and_then(Value::as_u64).unwrap_or(0);
        u32::try_from(attempts).unwrap_or(u32::MAX)
    }

    /// Whether it has waited in Redis until it was due.
    pub fn was_delayed(&self) -> bool {
        self.fields
            .get("delay")
            .and_then(Value::as_f64)
            .is_some_and(|ms| ms > 0.0)
    }

    /// Whether it is one of a series that BullMQ's workers carry on.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// How retries wait, as a task says it.
    ///
    /// # Errors
    /// A way to wait that only the producer's own workers know.
    pub fn backoff(&self) -> Result<Map<String, Value>, String> {
        let (kind, delay) = match self.fields.get("backoff") {
            Some(Value::Number(delay)) => ("fixed", delay.as_f64()),
            Some(Value::Object(backoff)) => {
                let kind = backoff.get("type").and_then(Value::as_str).unwrap_or("fixed");
                (kind, backoff.get("delay").and_then(Value::as_f64))
            }
            _ => return Ok(Map::new()),
        };
        if !matches!(kind, "fixed" | "exponential") {
            return Err(format!(
                "backoff \"{kind}\" is not known here: use fixed or exponential"
            ));
        }
        let mut retry = Map::new();
        retry.insert("backoff".to_owned(), json!(kind));
        if let Some(delay_ms) = delay.filter(|ms| *ms >= 0.0) {
            retry.insert("delay".to_owned(), json!(delay_ms as u64));
        }
        Ok(retry)
    }

    /// How long the job is kept after it has completed, or failed.
    pub fn keep(&self, has_completed: bool) -> Keep {
        let name = if has_completed {
            "removeOnComplete"
        } else {
            "removeOnFail"
        };
        let all = Keep {
            count: -1,
            seconds: None,
        };
        match self.fields.get(name) {
            Some(Value::Bool(true)) => Keep { count: 0, ..all },
            Some(Value::Number(count)) => Keep {
                count: count.as_i64().unwrap_or(-1),
                ..all
            },
            Some(Value::Object(keep)) => Keep {
                count: keep.get("count").and_then(Value::as_i64).unwrap_or(-1),
                seconds: keep.get("age").and_then(Value::as_u64),
            },
            _ => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_in_all_its_spellings() {
        let keep = |json: &str| Options::read(json).keep(true);
        let of = |count, seconds| Keep { count, seconds };
        assert_eq!(keep("{}"), of(-1, None));
        assert_eq!(keep(r#"{"removeOnComplete":true}"#), of(0, None));
        assert_eq!(keep(r#"{"removeOnComplete":false}"#), of(-1, None));
        assert_eq!(keep(r#"{"removeOnComplete":5}"#), of(5, None));
        assert_eq!(keep(r#"{"removeOnComplete":{"age":10,"count":3}}"#), of(3, Some(10)));
        assert_eq!(keep(r#"{"removeOnFail":true}"#), of(-1, None));
        assert_eq!(Options::read(r#"{"removeOnFail":true}"#).keep(false), of(0, None));
    }

    #[test]
    fn a_backoff_of_the_producers_own_making_is_refused() {
        let backoff = |json: &str| Options::read(json).backoff().map(Value::Object);
        assert_eq!(
            backoff(r#"{"backoff":250}"#),
            Ok(json!({"backoff":"fixed","delay":250}))
        );
        assert_eq!(
            backoff(r#"{"backoff":{"type":"exponential","delay":100,"jitter":0.5}}"#),
            Ok(json!({"backoff":"exponential","delay":100}))
        );
        assert_eq!(backoff("{}"), Ok(json!({})));
        assert!(backoff(r#"{"backoff":{"type":"mine"}}"#).unwrap_err().contains("mine"));
    }
}
