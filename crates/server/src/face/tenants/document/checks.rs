//! What Go would have taken, and cannot be meant or is not supported. All of it at once, each with its field.

use super::settings::{FailurePolicy, Validation};
use super::{Configuration, Request, RetryRule, Task};

/// Most bytes of an intent's id: it becomes part of the name under which its runs are found.
const MAX_INTENT: usize = 200;
/// Most attempts after the first.
pub(crate) const MAX_RETRIES: i64 = 1_000;
/// Problems that are named before the rest is only counted.
const SHOWN: usize = 20;

/// Everything that is wrong with a request.
pub(super) fn all(request: &Request) -> Result<(), String> {
    let mut problems = Problems::default();
    if request.intent_id.len() > MAX_INTENT {
        problems.add("intent_id", format!("must have at most {MAX_INTENT} bytes"));
    }
    if request.intent_id.contains('\0') {
        problems.add("intent_id", "must not contain the character U+0000");
    }
    configuration(&request.configuration, &mut problems);
    request
        .tasks
        .iter()
        .enumerate()
        .for_each(|(nth, one)| task(nth, one, &mut problems));
    problems.into_result()
}

/// Everything that is wrong with these tasks, each by itself.
pub(super) fn tasks(tasks: &[Task]) -> Result<(), String> {
    let mut problems = Problems::default();
    tasks
        .iter()
        .enumerate()
        .for_each(|(nth, one)| task(nth, one, &mut problems));
    problems.into_result()
}

fn configuration(given: &Configuration, problems: &mut Problems) {
    let field = |name: &str| format!("configuration.{name}");
    problems.not_negative(field("max_concurrency"), given.max_concurrency);
    if given.max_concurrency > i64::from(u32::MAX) {
        problems.add(field("max_concurrency"), format!("must be at most {}", u32::MAX));
    }
    problems.not_negative(field("timeout"), given.timeout);
    if FailurePolicy::of(&given.failure_policy).is_none() {
        problems.word(
            field("failure_policy"),
            &given.failure_policy,
            "abort, continue or retry",
        );
    }
    if Validation::of(&given.validation_level).is_none() {
        problems.word(
            field("validation_level"),
            &given.validation_level,
            "none, basic or strict",
        );
    }
    if !matches!(given.notification_policy.as_str(), "" | "none") {
        let known = "none (nobody is notified of workflows; poll them, or follow the run's events)";
        problems.word(field("notification_policy"), &given.notification_policy, known);
    }
    retry(&given.retry_policy, problems);
}

fn retry(given: &RetryRule, problems: &mut Problems) {
    let field = |name: &str| format!("configuration.retry_policy.{name}");
    problems.retries(field("max_retries"), given.max_retries);
    problems.not_negative(field("initial_delay"), given.initial_delay);
    problems.not_negative(field("max_delay"), given.max_delay);
    // The engine knows a delay that stays and one that is doubled; anything else would be another delay than asked for.
    if ![0.0, 1.0, 2.0].contains(&given.backoff_factor) {
        let message = format!(
            "{} is not supported: 0 and 1 keep the delay, 2 doubles it each time",
            given.backoff_factor
        );
        problems.add(field("backoff_factor"), message);
    }
}

fn task(nth: usize, task: &Task, problems: &mut Problems) {
    let field = |name: &str| format!("tasks[{nth}].{name}");
    problems.not_negative(field("timeout"), task.timeout);
    problems.retries(field("retries"), task.retries);
    if task.rank().is_none() {
        problems.word(field("priority"), &task.priority, "high, medium, low or a whole number");
    }
    if task.id.contains('\0') {
        problems.add(field("id"), "must not contain the character U+0000");
    }
}

#[derive(Default)]
struct Problems {
    texts: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, field: impl std::fmt::Display, message: impl std::fmt::Display) {
        if self.texts.len() < SHOWN {
            self.texts.push(format!("{field}: {message}"));
        } else {
            self.more += 1;
        }
    }

    fn not_negative(&mut self, field: String, number: i64) {
        if number < 0 {
            self.add(field, format!("must not be negative, and is {number}"));
        }
    }

    fn retries(&mut self, field: String, number: i64) {
        self.not_negative(field.clone(), number);
        if number > MAX_RETRIES {
            self.add(field, format!("must be at most {MAX_RETRIES}, and is {number}"));
        }
    }

    fn word(&mut self, field: String, word: &str, known: &str) {
        self.add(
            field,
            format!("{word:?} is not supported: leave it out, or say {known}"),
        );
    }

    fn into_result(mut self) -> Result<(), String> {
        if self.texts.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.texts.push(format!("and {} more", self.more));
        }
        Err(self.texts.join("; "))
    }
}
