//! What the fields of a job say about its end, in Quintet's words.

use std::sync::Arc;

use quintet_core::outcome::{Failure, Outcome, Success};
use serde_json::Value;

use crate::http::{MAX_DEPTH, is_nested_at_most};

/// Failure kind of a job whose worker died more often than BullMQ lets a job be tried.
pub(super) const STALLED: &str = "stalled";
/// What such a job's reason is in BullMQ.
const STALLED_REASONS: [&str; 2] = [
    "job stalled more than allowable limit",
    "job started more than allowable limit",
];
/// The error by which a worker says that trying again is of no use.
const UNRECOVERABLE: &str = "UnrecoverableError";
/// Failure kind where the stack trace does not tell the class of the error.
const ANY: &str = "worker_error";
/// Largest result that is taken over.
const MAX_RESULT_BYTES: usize = 16 << 20;

/// The fields of a job that its end is read from, in the order in which they are asked for.
pub(super) const FIELDS: [&str; 6] = [
    "finishedOn",
    "returnvalue",
    "failedReason",
    "stacktrace",
    "progress",
    "name",
];

/// A job as it is seen in Redis.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Whether there is such a job: every job has a name.
    pub exists: bool,
    pub end: Option<Outcome>,
    pub progress: Option<Progress>,
}

/// How far a worker says that it has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Progress {
    /// A number, 0 to 100 as the workers of the original say it.
    Percent(f64),
    /// Anything else, as text.
    Words(String),
}

impl Progress {
    /// BullMQ lets workers say numbers, texts and objects. The latter often hold a number under one of these names.
    pub fn read(json: &str) -> Option<Self> {
        const NAMES: [&str; 3] = ["percent", "percentage", "progress"];
        const MAX_WORDS: usize = 1_000;
        let value: Value = serde_json::from_str(json).ok()?;
        let number = value
            .as_f64()
            .or_else(|| NAMES.iter().find_map(|name| value.get(name)?.as_f64()));
        match (number, value) {
            (Some(number), _) if number.is_finite() => Some(Self::Percent(number)),
            (_, Value::Null | Value::Bool(_)) => None,
            (_, Value::String(text)) => Some(Self::Words(text.chars().take(MAX_WORDS).collect())),
            (_, other) => Some(Self::Words(other.to_string().chars().take(MAX_WORDS).collect())),
        }
    }
}

impl Seen {
    /// From the values of [`FIELDS`].
    pub fn read(values: &[Option<Vec<u8>>]) -> Self {
        let text = |at: usize| {
            let value = values.get(at)?.as_deref()?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let end = text(0).and_then(|_| match (text(1), text(2)) {
            (Some(result), _) => Some(completed(&result)),
            (None, Some(reason)) => Some(failed(&reason, text(3).as_deref())),
            (None, None) => None,
        });
        Self {
            exists: text(5).is_some(),
            end,
            progress: text(4).and_then(|json| Progress::read(&json)),
        }
    }
}

/// The end of a job whose worker returned this JSON.
pub(super) fn completed(result: &str) -> Outcome {
    if result.len() > MAX_RESULT_BYTES {
        let message = format!(
            "the worker returned {} bytes, more than {MAX_RESULT_BYTES}",
            result.len()
        );
        return Outcome::Failed(Failure::permanent("too_large", message));
    }
    // What is nested so deep that nothing could hold it stays a text.
    let read = serde_json::from_str(result).ok();
    let output = read.filter(|value| is_nested_at_most(MAX_DEPTH, value));
    let output = output.unwrap_or_else(|| Value::String(result.to_owned()));
    Outcome::Succeeded(Success {
        output: Arc::new(output),
        ..Success::default()
    })
}

/// The end of a job whose worker failed, with its stack traces as a JSON array, the last one last.
pub(super) fn failed(reason: &str, stacks: Option<&str>) -> Outcome {
    if STALLED_REASONS.contains(&reason) {
        let retryable = Some(true);
        return Outcome::Failed(Failure {
            retryable,
            ..Failure::new(STALLED, reason)
        });
    }
    let class = stacks.and_then(class_of);
    let is_final = class.as_deref() == Some(UNRECOVERABLE);
    Outcome::Failed(Failure {
        retryable: is_final.then_some(false),
        ..Failure::new(class.as_deref().unwrap_or(ANY), reason)
    })
}

/// The class of a JavaScript error: `TypeError: x is not a function` and what follows.
fn class_of(stacks: &str) -> Option<String> {
    let stacks: Vec<String> = serde_json::from_str(stacks).ok()?;
    let first_line = stacks.last()?.lines().next()?;
    let class = first_line.split_once(':').map_or(first_line, |(class, _)| class);
    let is_name =
        !class.is_empty() && class.len() <= 64 && class.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| class.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: &str, stacks: Option<&str>) -> Failure {
        match failed(reason, stacks) {
            Outcome::Failed(failure) => failure,
            Outcome::Succeeded(_) => panic!("failed is not succeeded"),
        }
    }

    fn fields(values: [Option<&str>; 6]) -> Vec<Option<Vec<u8>>> {
        let bytes = values.map(|value| value.map(|value| value.as_bytes().to_vec()));
        bytes.to_vec()
    }

    #[test]
    fn a_result_is_taken_as_json() {
        let seen = Seen::read(&fields([Some("1"), Some("{\"ok\":[1]}"), None, None, None, Some("t")]));
        let Some(Outcome::Succeeded(success)) = seen.end else {
            panic!("{seen:?}")
        };
        assert_eq!(*success.output, serde_json::json!({"ok": [1]}));
    }

    #[test]
    fn a_result_that_is_nested_too_deep_stays_a_text() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let output = |depth: usize| match completed(&nested(depth)) {
            Outcome::Succeeded(success) => (*success.output).clone(),
            Outcome::Failed(failure) => panic!("{failure:?}"),
        };
        assert!(output(MAX_DEPTH).is_array());
        assert_eq!(output(MAX_DEPTH + 1), nested(MAX_DEPTH + 1));
    }

    #[test]
    fn a_job_that_was_lined_up_again_after_a_failure_has_not_ended() {
        let stacks = Some("[\"Error: bad\"]");
        let seen = Seen::read(&fields([None, None, Some("bad"), stacks, Some("7"), Some("t")]));
        assert!(seen.end.is_none() && seen.exists);
        assert_eq!(seen.progress, Some(Progress::Percent(7.0)));
    }

    #[test]
    fn a_worker_that_died_too_often_may_be_tried_again() {
        let failure = failure(
            "job stalled more than allowable limit",
            Some("[\"UnrecoverableError: job stalled\"]"),
        );
        assert_eq!(failure.kind.as_deref(), Some("stalled"));
        assert_eq!(failure.retryable, Some(true));
    }

    #[test]
    fn the_class_of_the_error_is_the_kind_and_an_unrecoverable_one_is_final() {
        let stacks = "[\"Error: first\\n at x\",\"TypeError: x is not a function\\n    at y\"]";
        assert_eq!(failure("x", Some(stacks)).kind.as_deref(), Some("TypeError"));
        assert_eq!(failure("x", Some(stacks)).retryable, None);
        let last = failure("bad luck", Some("[\"UnrecoverableError: bad luck\"]"));
        assert_eq!(
            (last.message.as_str(), last.kind.as_deref(), last.retryable),
            ("bad luck", Some("UnrecoverableError"), Some(false))
        );
        assert_eq!(
            failure("x", Some("[\"not a class at all\"]")).kind.as_deref(),
            Some(ANY)
        );
        assert_eq!(failure("x", None).kind.as_deref(), Some(ANY));
    }

    #[test]
    fn progress_is_a_number_or_words() {
        assert_eq!(Progress::read("42"), Some(Progress::Percent(42.0)));
        assert_eq!(
            Progress::read("{\"percent\":3,\"msg\":\"hm\"}"),
            Some(Progress::Percent(3.0))
        );
        assert_eq!(
            Progress::read("{\"page\":3}"),
            Some(Progress::Words("{\"page\":3}".to_owned()))
        );
        assert_eq!(Progress::read("\"half\""), Some(Progress::Words("half".to_owned())));
        assert_eq!(Progress::read("null"), None);
    }
}
