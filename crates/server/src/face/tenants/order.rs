//! What is sent for a task, and what its answer means.
//!
//! How tasks of a type are run is a rule of the settings (`rules`). Whoever does them is sent one document,
//! whether it is an HTTP endpoint (its body) or a compute backend (its payload):
//!
//! ```text
//! {"tenant_id", "workflow_id", "intent_id", "task": {...}, "attempt": 1, "context": {...}, "dependencies": {"<id>": {...}}}
//! ```
//!
//! `task` and `context` are what the client wrote, and `dependencies` the results of the tasks right before this one. Nothing
//! of it was a template, so nothing that a client wrote is ever taken for one. What comes back is kept as it came; [`result_of`]
//! says what of it is what ([`TaskResult`]). Nothing is made up: what was not reported is not there.

mod endpoint;
mod result;
mod rules;

use std::collections::HashSet;
use std::time::Duration;

use quintet_core::outcome::{Failure, Work};
use quintet_executors::backend;
use serde_json::{Map, Value, json};

use super::duration::ms_up;
use super::ids;
use super::plan::input;

pub(crate) use endpoint::{ACTION, Endpoints};
pub(crate) use result::{ResourceUsage, TaskResult, result_of};

/// Runs of this face execute workflows of such names: this, and the intent's id.
pub(crate) const OF_TENANT: &str = "tenant:";
/// Failure kind of what can never be ordered.
const INVALID: &str = "invalid_input";
/// How long after a task's limit its call ends by itself: it is the engine that ends it, in the task's words.
const LATER: Duration = Duration::from_secs(5);

/// The name of the workflow that the runs of an intent execute.
pub(crate) fn workflow_name(intent: &str) -> String {
    format!("{OF_TENANT}{intent}")
}

/// Whether a run's workflow is one of this face, and of which intent.
pub(crate) fn intent_of(workflow: &str) -> Option<&str> {
    workflow.strip_prefix(OF_TENANT)
}

/// A task that is to be done.
#[derive(Debug, Clone, Copy)]
struct Order<'w> {
    work: &'w Work,
    request: &'w Value,
    task: &'w Value,
}

impl<'w> Order<'w> {
    /// The task that an attempt is about.
    fn of(work: &'w Work) -> Result<Self, Box<Failure>> {
        let request = &*work.created.context;
        let nth = work.input.get(input::TASK).and_then(Value::as_u64);
        let found = nth.and_then(|nth| request.get("tasks")?.get(usize::try_from(nth).ok()?));
        // The request is the context of the run, which only this face writes: anybody else's step means something else.
        let task = found.filter(|task| task["id"].as_str() == Some(&work.step) && intent_of(&work.workflow).is_some());
        let task = task.ok_or_else(|| {
            let message = format!("the step {:?} is no task of a tenant's workflow", work.step);
            Box::new(Failure::permanent(INVALID, message))
        })?;
        Ok(Self { work, request, task })
    }

    fn kind(&self) -> &'w str {
        self.task["type"].as_str().unwrap_or_default()
    }

    /// Its own limit, if it has one, and a moment more.
    fn timeout(&self) -> Option<Duration> {
        let ns = self.task["timeout"].as_i64().filter(|ns| *ns > 0)?;
        Some(Duration::from_millis(ms_up(ns)).saturating_add(LATER))
    }

    /// What whoever does it is sent.
    fn document(&self) -> Value {
        let intent = self.request["intent_id"].as_str().unwrap_or_default();
        json!({
            "tenant_id": &*self.work.namespace,
            "workflow_id": ids::workflow_id(intent, self.work.token.run),
            "intent_id": intent,
            "task": self.task,
            "attempt": self.work.attempt,
            "context": self.request["context"],
            "dependencies": self.dependencies(),
        })
    }

    /// The results of the tasks right before this one, by id. The plan says which ones they are.
    fn dependencies(&self) -> Map<String, Value> {
        let before = self.work.input.get(input::AFTER).and_then(Value::as_array);
        let before: HashSet<u64> = before.into_iter().flatten().filter_map(Value::as_u64).collect();
        let tasks = self.request["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        let ids: HashSet<&str> = before
            .iter()
            .filter_map(|&nth| tasks.get(usize::try_from(nth).ok()?)?["id"].as_str())
            .collect();
        let results = self.work.upstream.iter().filter(|(id, _)| ids.contains(id.as_str()));
        results
            .map(|(id, output)| (id.clone(), json!(result_of(output))))
            .collect()
    }
}

/// What a compute backend is told of a task.
pub(crate) fn for_backend(work: &Work) -> Result<backend::Order, Box<Failure>> {
    let order = Order::of(work)?;
    let pinned = |name: &str| work.input.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(backend::Order {
        task_type: pinned(input::TASK_TYPE).unwrap_or_else(|| order.kind().to_owned()),
        payload: order.document(),
        backend: pinned(input::BACKEND),
        resources: backend::Resources::default(),
        timeout: order.timeout(),
    })
}

#[cfg(test)]
mod tests;
