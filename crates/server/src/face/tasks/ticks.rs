//! What a run's history says to those who watch a task: the messages of `GET /api/tasks/stream`.
//!
//! They are made of one event each and of the run's state after it, or later; so the same history always gives the same
//! messages, and a client that comes back gets what it has missed. How many items were done at a time is counted by when
//! they ended.
//!
//! The types of the original's dashboard come first: `step:start`, `step:complete`, `step:error`, `pipeline:complete`. Its
//! end of a run that failed was silence; here it is `task:failed`. Items of a `forEach`, and the parts of a step that is
//! cut up, are told as `step:progress` of their step.

use quintet_core::event::{Event, SkipCause};
use quintet_core::machine::RunStatus;
use quintet_core::state::{Node, RunState};
use quintet_core::time::Time;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::document::Document;
use super::plan::input;
use super::reply::iso;
use super::view::{self, CANCELLED, began, fault, number, percent, step_of};

/// Of many items, or steps, so many are told.
const TOLD: u32 = 200;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tick {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_task: Option<String>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// How long a step took that has completed, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
}

/// The messages of an event. `state` is the run after it, or later; `at` is when it happened.
pub(crate) fn of(state: &RunState, event: &Event, at: Time) -> Vec<Tick> {
    let teller = Teller { state, at };
    match event {
        Event::StepStarted { n, a: 1, .. } => teller.started(*n),
        Event::ItemsExpanded { n, items } => teller.expanded(*n, items.as_array().map_or(0, Vec::len)),
        Event::StepSucceeded { n, success, .. } => teller.succeeded(*n, &success.output),
        Event::StepReused { n, success } => teller.succeeded(*n, &success.output),
        Event::ItemsCollected { n } => {
            let output = teller.node(*n).and_then(|node| node.success.as_ref());
            let output = output.map(|success| success.output.as_ref().clone());
            teller.succeeded(*n, &output.unwrap_or_default())
        }
        Event::StepFailed { n, failure, .. } => teller.failed(*n, &failure.message),
        Event::StepSkipped {
            n,
            cause: SkipCause::ConditionFalse,
        } => teller.skipped(*n),
        Event::StepRetrying {
            n,
            a,
            failure,
            at: next,
            ..
        } => {
            let error = teller.fault(*n, &failure.message);
            let data = json!({ "error": error, "attempt": a, "nextAt": iso(*next) });
            vec![teller.of_step("step:retry", *n, data)]
        }
        Event::StepProgressed {
            n, progress, message, ..
        } => teller.progressed(*n, *progress, message.as_deref()),
        Event::RunMoved {
            to: RunStatus::Complete,
        }
        | Event::RunResolved { .. } => vec![teller.completed()],
        Event::RunMoved { to: RunStatus::Error } | Event::RunTimedOut { .. } => {
            let error = view::error(state).unwrap_or_else(|| "failed".to_owned());
            vec![teller.of_run("task:failed", json!({ "error": error }))]
        }
        Event::RunCancelled { .. } => vec![teller.of_run("task:failed", json!({ "error": CANCELLED }))],
        Event::RunCreated(_)
        | Event::RunMoved { .. }
        | Event::RunPaused { .. }
        | Event::RunResumed { .. }
        | Event::RunDue
        | Event::StepEnqueued { .. }
        | Event::StepStarted { .. }
        | Event::AttemptAccepted { .. }
        | Event::RetryDue { .. }
        | Event::AttemptLost { .. }
        | Event::StepSkipped { .. }
        | Event::WaitStarted { .. }
        | Event::WaitElapsed { .. }
        | Event::ApprovalRequested { .. }
        | Event::ApprovalGranted { .. }
        | Event::ApprovalRejected { .. }
        | Event::StepsReset { .. }
        | Event::StepResolved { .. }
        | Event::LogAppended { .. } => Vec::new(),
    }
}

struct Teller<'s> {
    state: &'s RunState,
    at: Time,
}

impl<'s> Teller<'s> {
    fn node(&self, n: u32) -> Option<&'s Node> {
        self.state.nodes.get(n as usize)
    }

    fn document(&self) -> Document<'s> {
        Document::of_context(&self.state.created.context)
    }

    /// The part of a step that a step run is about; `None` where it is the whole of it.
    fn part(&self, n: u32) -> Option<&'s str> {
        let step = self.state.plan.spec.steps.get(self.node(n)?.step as usize)?;
        step.input.get(input::PART)?.as_str()
    }

    fn of_run(&self, kind: &'static str, data: Value) -> Tick {
        Tick {
            kind,
            step_id: None,
            step_task: None,
            timestamp: self.at.as_ms(),
            data,
            duration: None,
        }
    }

    /// A task without steps is a step to those who watch, under its type.
    fn of_step(&self, kind: &'static str, n: u32, data: Value) -> Tick {
        let document = self.document();
        let step = self
            .node(n)
            .and_then(|node| document.step(step_of(self.state, node.step)?));
        let (id, task) = match &step {
            Some(step) => (step.id.to_string(), step.task),
            None => (document.kind().to_owned(), document.kind()),
        };
        Tick {
            step_id: Some(id),
            step_task: Some(task.to_owned()),
            ..self.of_run(kind, data)
        }
    }

    fn fault(&self, n: u32, message: &str) -> String {
        let label = self.of_step("", n, Value::Null).step_id.unwrap_or_default();
        match self.node(n).and_then(|node| node.item) {
            Some(item) => fault::of_item(&label, item.index as usize, message),
            None => fault::of(&label, message),
        }
    }

    fn started(&self, n: u32) -> Vec<Tick> {
        let is_item = self.node(n).is_none_or(|node| node.item.is_some());
        match self.part(n) {
            None | Some("split") if !is_item => vec![self.of_step("step:start", n, Value::Null)],
            _ => Vec::new(),
        }
    }

    fn expanded(&self, n: u32, total: usize) -> Vec<Tick> {
        let progress = self.of_step("step:progress", n, json!({ "done": 0, "total": total }));
        match self.part(n) {
            None => vec![self.of_step("step:start", n, Value::Null), progress],
            Some(_) => vec![progress],
        }
    }

    fn succeeded(&self, n: u32, output: &Value) -> Vec<Tick> {
        if self.node(n).is_none_or(|node| node.item.is_some()) {
            return self.item_done(n);
        }
        match self.part(n) {
            None | Some("merge") => {}
            Some(_) => return Vec::new(),
        }
        let duration = began(self.state, n).map(|began| self.at.ms_since(began));
        let tick = Tick {
            duration,
            ..self.of_step("step:complete", n, output.clone())
        };
        self.settled(n, tick)
    }

    fn failed(&self, n: u32, message: &str) -> Vec<Tick> {
        if self.node(n).is_none_or(|node| node.item.is_some()) {
            return self.item_done(n);
        }
        match self.part(n) {
            None | Some("merge") => {}
            Some(_) => return Vec::new(),
        }
        let is_optional = self
            .state
            .plan
            .spec
            .steps
            .get(n as usize)
            .is_some_and(|step| step.optional);
        let error = view::step_error(self.state, n).unwrap_or_else(|| self.fault(n, message));
        let mut data = json!({ "error": error });
        if is_optional {
            data["optional"] = true.into();
        }
        let tick = self.of_step("step:error", n, data);
        if is_optional { self.settled(n, tick) } else { vec![tick] }
    }

    fn skipped(&self, n: u32) -> Vec<Tick> {
        match self.part(n) {
            None | Some("merge") => {}
            Some(_) => return Vec::new(),
        }
        let step = step_of(self.state, n).and_then(|nth| self.document().step(nth));
        let result = step.map(|step| step.skip_result()).unwrap_or_default();
        self.settled(n, self.of_step("step:complete", n, result))
    }

    fn progressed(&self, n: u32, progress: Option<f64>, message: Option<&str>) -> Vec<Tick> {
        let mut data = Map::new();
        data.extend(progress.map(|progress| ("progress".to_owned(), number(progress))));
        data.extend(message.map(|message| ("message".to_owned(), message.into())));
        if data.is_empty() {
            return Vec::new();
        }
        if !self.document().is_pipeline() {
            return vec![self.of_run("progress", Value::Object(data))];
        }
        let item = self.node(n).and_then(|node| node.item);
        data.extend(item.map(|item| ("index".to_owned(), item.index.into())));
        vec![self.of_step("step:progress", n, Value::Object(data))]
    }

    /// Of many items only some are told: each is counted among all of them.
    fn item_done(&self, n: u32) -> Vec<Tick> {
        let Some(item) = self.node(n).and_then(|node| node.item) else {
            return Vec::new();
        };
        let Some(fan) = self.node(item.parent).and_then(|node| node.fan.as_ref()) else {
            return Vec::new();
        };
        if !item.index.is_multiple_of(stride(fan.count)) {
            return Vec::new();
        }
        let items = fan.first as usize..(fan.first + fan.count) as usize;
        let done = self.done(self.state.nodes.get(items).unwrap_or_default().iter());
        let data = json!({ "done": done, "total": fan.count });
        vec![self.of_step("step:progress", item.parent, data)]
    }

    fn done<'n>(&self, nodes: impl Iterator<Item = &'n Node>) -> usize {
        let has_ended = |node: &&Node| node.ended_at.is_some_and(|ended_at| ended_at <= self.at);
        nodes.filter(has_ended).count()
    }

    /// The end of a step, and how far the task is by it.
    fn settled(&self, n: u32, tick: Tick) -> Vec<Tick> {
        let mut ticks = vec![tick];
        if self.document().is_pipeline() && n.is_multiple_of(stride(self.state.plan.len() as u32)) {
            let steps = self.state.plan.spec.steps.iter().zip(&self.state.nodes);
            let whole = steps.filter(|(step, _)| {
                let part = step.input.get(input::PART).and_then(Value::as_str);
                part.is_none_or(|part| part == "merge")
            });
            let nodes: Vec<&Node> = whole.map(|(_, node)| node).collect();
            let progress = percent(self.done(nodes.iter().copied()), nodes.len());
            ticks.push(self.of_run("progress", json!({ "progress": number(progress) })));
        }
        ticks
    }

    fn completed(&self) -> Tick {
        let began = (0..self.state.plan.len() as u32)
            .filter_map(|n| began(self.state, n))
            .min();
        let total_ms = self.at.ms_since(began.unwrap_or(self.at));
        let steps = self.document().steps().len().max(1);
        self.of_run(
            "pipeline:complete",
            json!({ "totalDuration": total_ms, "stepCount": steps }),
        )
    }
}

fn stride(count: u32) -> u32 {
    count.div_ceil(TOLD).max(1)
}

#[cfg(test)]
mod tests;
