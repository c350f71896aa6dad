//! One step of a pipeline, as it is written.

use std::borrow::Cow;

use quintet_executors::media::ChunkRule;
use serde_json::{Map, Value, json};

use super::read::{Fields, Problems};
use super::settings::{self, Resources, Retry};
use super::{MAX_NAME, RunWhen};

/// Most items of a `forEach` at a time; there are never more items.
const MAX_CONCURRENCY: i64 = 100_000;

/// One step. What it does not say itself is `None`, and the task's applies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step<'d> {
    /// What others call it: `step_<n>` where it does not say.
    pub id: Cow<'d, str>,
    /// Whether it says.
    pub is_named: bool,
    /// What the backend is asked to do.
    pub task: &'d str,
    /// What it is given, before its templates are filled in.
    pub input: Option<&'d Map<String, Value>>,
    /// As written: some may be named twice.
    pub depends_on: Vec<&'d str>,
    /// The template of a list.
    pub for_each: Option<&'d str>,
    pub concurrency: Option<u32>,
    pub run_when: RunWhen<'d>,
    /// As written.
    pub condition: Option<&'d str>,
    pub timeout_ms: Option<u64>,
    pub is_optional: bool,
    pub resources: Option<Resources>,
    pub retry: Option<Retry>,
    pub chunk: Option<ChunkRule>,
}

impl<'d> Step<'d> {
    pub(super) fn read(nth: usize, value: &'d Value, problems: &mut Problems) -> Self {
        if !value.is_object() {
            problems.add(format!("steps[{nth}]"), "must be an object");
        }
        let fields = Fields::of_step(nth, value);
        let id = fields.text("id", problems);
        check_id(id, &fields, problems);
        let condition = fields.text("runWhen", problems);
        let concurrency = fields.whole("forEachConcurrency", 0..=MAX_CONCURRENCY, problems);
        let step = Self {
            id: id.map_or_else(|| Cow::Owned(format!("step_{nth}")), Cow::Borrowed),
            is_named: id.is_some(),
            task: task_of(value, &fields, problems),
            input: input_of(&fields, problems),
            depends_on: fields.texts("dependsOn", problems),
            for_each: fields.text("forEach", problems),
            concurrency: concurrency
                .and_then(|many| u32::try_from(many).ok())
                .filter(|many| *many > 0),
            run_when: RunWhen::read(condition, || fields.at("runWhen"), problems),
            condition,
            timeout_ms: fields.seconds("timeout", problems),
            is_optional: fields.flag("optional", problems),
            resources: settings::resources(&fields, problems),
            retry: settings::retry(&fields, problems),
            chunk: settings::chunk(&fields, problems),
        };
        if step.chunk.is_some() && step.for_each.is_some() {
            problems.add(
                fields.at("chunk"),
                "cannot be together with forEach: let the items name the parts instead",
            );
        }
        step
    }

    /// What stands for the result where it was skipped.
    pub fn skip_result(&self) -> Value {
        match self.run_when {
            RunWhen::OnDemand => json!({ "skipped": true, "reason": "on-demand" }),
            RunWhen::Always | RunWhen::If(_) => {
                json!({ "skipped": true, "reason": "condition-false", "condition": self.condition })
            }
        }
    }

    /// What stands for the result of an optional step that failed.
    pub fn failed_result(error: &str) -> Value {
        json!({ "error": error, "skipped": true })
    }
}

fn check_id(id: Option<&str>, fields: &Fields<'_>, problems: &mut Problems) {
    let is_wrong = id.is_some_and(|id| id.len() > MAX_NAME || id.contains('\0'));
    if is_wrong {
        problems.add(
            fields.at("id"),
            format!("must have at most {MAX_NAME} bytes and no NUL"),
        );
    }
}

fn task_of<'d>(value: &'d Value, fields: &Fields<'d>, problems: &mut Problems) -> &'d str {
    let task = fields.text("task", problems);
    match task {
        Some(task) => problems.check_name(&fields.at("task"), task),
        None if value.is_object() && fields.get("task").is_none_or(Value::is_string) => {
            problems.add(fields.at("task"), "is required");
        }
        None => {}
    }
    task.unwrap_or_default()
}

fn input_of<'d>(fields: &Fields<'d>, problems: &mut Problems) -> Option<&'d Map<String, Value>> {
    let input = fields.get("input")?;
    if !input.is_object() {
        problems.add(fields.at("input"), "must be an object");
    }
    input.as_object()
}
