//! What is submitted: a task for a backend, or a pipeline of them.
//!
//! [`Task::parse`] checks a document whole. It is lenient where the original was and its clients rely on it: `payload`
//! may be anything that JavaScript calls true, `type` may be a number and be written `task`, unknown fields are kept. A
//! field that is known has to be of its type and in its range, and the problem says where and what is allowed.
//!
//! The document is what is kept of it: it is the run's context, and everything that is shown of a task, or handed to a
//! backend, is read from there again by [`Document`]. That reader looks at one field at a time and takes what does not
//! fit for absent, which after the check means: it has nothing to complain about.

mod read;
mod run_when;
mod settings;
mod step;

use std::borrow::Cow;

use quintet_executors::media::ChunkRule;
use serde_json::Value;

pub(crate) use read::{Problem, Problems};
pub(crate) use run_when::RunWhen;
pub(crate) use settings::{Gpu, Resources, Retry};
pub(crate) use step::Step;

use crate::face::workflows::document::{MAX_DEPTH, is_nested_at_most};
use read::Fields;

/// Where a run's context holds its document.
pub(crate) const TASK: &str = "task";
/// The queue of tasks that name none.
pub(crate) const DEFAULT_QUEUE: &str = "default";

/// Priorities that are accepted, as far as BullMQ's go to either side.
const PRIORITIES: std::ops::RangeInclusive<i64> = -2_097_152..=2_097_152;
/// Longest name of a type, a step, a queue or a backend, in bytes.
const MAX_NAME: usize = 200;

/// What may be submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Most steps of one task.
    pub max_steps: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_steps: 10_000 }
    }
}

/// A task that has been checked, but for its graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    /// As it was submitted, under its right `type`.
    pub document: Value,
    /// What a backend is asked to do; for a pipeline, its name.
    pub kind: String,
    /// The queue that was asked for.
    pub queue: String,
    /// The backend that was asked for; `None` leaves it to be chosen.
    pub backend: Option<String>,
    /// Higher goes sooner.
    pub priority: i32,
    /// How long it is held back.
    pub delay_ms: u64,
    /// When it is submitted again and again.
    pub cron: Option<String>,
    /// By whose clocks.
    pub timezone: Option<String>,
}

impl Task {
    /// Checks a document. What the original checked is checked first, with its words.
    pub fn parse(body: &Value, rules: &Rules) -> Result<Self, Vec<Problem>> {
        let legacy = |message: &str| vec![Problem::whole(message)];
        let (kind, written) = kind_of(body).ok_or_else(|| legacy("task.type is required"))?;
        if !is_truthy(body.get("payload").unwrap_or(&Value::Null)) {
            return Err(legacy("task.payload is required"));
        }
        let (Some(kind), Some(map)) = (text_of(kind), body.as_object()) else {
            return Err(vec![Problem::new(written, "must be a string")]);
        };
        if !is_nested_at_most(MAX_DEPTH, body) {
            return Err(legacy(&format!("the task is nested deeper than {MAX_DEPTH} levels")));
        }
        let mut problems = Problems::default();
        problems.check_name(written, &kind);
        let task = Self::read(Document(body), kind.into_owned(), &mut problems);
        check_steps(Document(body), rules, &mut problems);
        problems.into_result()?;
        let mut document = map.clone();
        document.insert("type".to_owned(), task.kind.clone().into());
        Ok(Self {
            document: Value::Object(document),
            ..task
        })
    }

    fn read(document: Document<'_>, kind: String, problems: &mut Problems) -> Self {
        let fields = document.fields();
        let mut named = |name| {
            let text = fields.text(name, problems);
            text.inspect(|text| problems.check_name(name, text)).map(str::to_owned)
        };
        let (queue, backend) = (named("queue"), named("backend"));
        let (cron, timezone) = (named("cron"), named("timezone"));
        let priority = fields.whole("priority", PRIORITIES, problems).unwrap_or_default();
        let delay_ms = fields.ms("delay", problems).unwrap_or_default();
        fields.text("webhookUrl", problems);
        settings::retry(&fields, problems);
        settings::resources(&fields, problems);
        settings::chunk(&fields, problems);
        if timezone.is_some() && cron.is_none() {
            problems.add(
                fields.at("timezone"),
                "says by whose clocks `cron` goes, and there is none",
            );
        }
        Self {
            document: Value::Null,
            kind,
            queue: queue.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
            backend: backend.filter(|name| name != "auto"),
            priority: i32::try_from(priority).unwrap_or_default(),
            delay_ms,
            cron,
            timezone,
        }
    }

    /// What it says.
    pub fn document(&self) -> Document<'_> {
        Document(&self.document)
    }
}

fn check_steps(document: Document<'_>, rules: &Rules, problems: &mut Problems) {
    let fields = document.fields();
    let values = fields.list("steps", problems);
    if values.len() > rules.max_steps {
        let message = format!("{} steps are more than {}", values.len(), rules.max_steps);
        problems.add("steps", message);
        return;
    }
    let steps: Vec<Step<'_>> = values
        .iter()
        .enumerate()
        .map(|(nth, value)| Step::read(nth, value, problems))
        .collect();
    for (nth, id) in fields.texts("onDemand", problems).into_iter().enumerate() {
        let found = steps.iter().find(|step| step.id == id);
        let message = match found.map(|step| step.run_when) {
            Some(RunWhen::OnDemand) => continue,
            Some(RunWhen::Always | RunWhen::If(_)) => format!("step {id:?} is not `runWhen: on-demand`"),
            None => format!("there is no step {id:?}"),
        };
        problems.add(format!("onDemand[{nth}]"), message);
    }
    if !steps.is_empty() && fields.get("chunk").is_some() {
        problems.add("chunk", "is said of a step where there are steps");
    }
}

/// Reads a document that was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Document<'d>(&'d Value);

impl<'d> Document<'d> {
    /// The one that a run of this face was started with.
    pub fn of_context(context: &'d Value) -> Self {
        Self(context.get(TASK).unwrap_or(&Value::Null))
    }

    fn fields(self) -> Fields<'d> {
        Fields::of_task(self.0)
    }

    /// The whole of it.
    pub fn value(self) -> &'d Value {
        self.0
    }

    /// What a backend is asked to do; for a pipeline, its name.
    pub fn kind(self) -> &'d str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The queue that was asked for.
    pub fn queue(self) -> &'d str {
        let queue = self.fields().text("queue", &mut Problems::ignored());
        queue.unwrap_or(DEFAULT_QUEUE)
    }

    /// How long a step, or where there is none the task, may take with all its attempts.
    pub fn timeout_ms(self, step: Option<&Step<'_>>) -> Option<u64> {
        let of_step = |step: &Step<'_>| {
            let of_resources = || step.resources.as_ref()?.timeout_ms;
            step.timeout_ms.or_else(of_resources)
        };
        step.and_then(of_step).or_else(|| self.resources()?.timeout_ms)
    }

    /// The backend that was asked for.
    pub fn backend(self) -> Option<&'d str> {
        let backend = self.fields().text("backend", &mut Problems::ignored());
        backend.filter(|name| *name != "auto")
    }

    pub fn payload(self) -> &'d Value {
        self.0.get("payload").unwrap_or(&Value::Null)
    }

    pub fn retry(self) -> Option<Retry> {
        settings::retry(&self.fields(), &mut Problems::ignored())
    }

    pub fn resources(self) -> Option<Resources> {
        settings::resources(&self.fields(), &mut Problems::ignored())
    }

    pub fn chunk(self) -> Option<ChunkRule> {
        settings::chunk(&self.fields(), &mut Problems::ignored())
    }

    /// Whether it has steps.
    pub fn is_pipeline(self) -> bool {
        !self.values().is_empty()
    }

    /// All steps, in the order written.
    pub fn steps(self) -> Vec<Step<'d>> {
        let values = self.values().iter().enumerate();
        values
            .map(|(nth, value)| Step::read(nth, value, &mut Problems::ignored()))
            .collect()
    }

    /// One step.
    pub fn step(self, nth: usize) -> Option<Step<'d>> {
        let value = self.values().get(nth)?;
        Some(Step::read(nth, value, &mut Problems::ignored()))
    }

    /// Steps that run on demand, and are demanded.
    pub fn on_demand(self) -> Vec<&'d str> {
        self.fields().texts("onDemand", &mut Problems::ignored())
    }

    fn values(self) -> &'d [Value] {
        self.fields().list("steps", &mut Problems::ignored())
    }
}

/// The `type`, or what the SDK writes for it, and which of the two it was.
fn kind_of(body: &Value) -> Option<(&Value, &'static str)> {
    let mut written = ["type", "task"].into_iter();
    written.find_map(|name| Some((body.get(name).filter(|value| is_truthy(value))?, name)))
}

/// A string, or a number as JavaScript writes it.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(match read::whole(number) {
            Some(whole) => Cow::Owned(whole.to_string()),
            None => Cow::Owned(number.to_string()),
        }),
        _ => None,
    }
}

/// What JavaScript calls true.
pub(crate) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests;
