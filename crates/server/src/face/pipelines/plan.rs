//! From a pipeline to the plan of its runs.
//!
//! One step for each task, under the task's id. A run is pinned to its plan, so a registration that comes later
//! changes neither the routes nor the settings of what is under way.
//!
//! # Routing
//!
//! A step's predecessors are the tasks of the pipeline that allow it next. Which of them a result selects is told by
//! the attempt's answer (`Success::next`); branches that were not selected are not waited for, and a join that nothing
//! leads to is skipped.
//!
//! # Failure modes
//!
//! - `fail-fast`: a task that fails for good lets nothing new start.
//! - `continue`: branches that do not need it go on; a join of it is skipped.
//! - `partial-merge`: as `continue`, but a join runs with whatever of its predecessors has led to it, and is skipped only
//!   if none has ([`Join::Available`]). It does not matter how far up a branch has failed.
//!
//! # Retries
//!
//! `retries` counts what comes after the first attempt, unless `pipelines.retry_semantics` says otherwise. The codes that a
//! worker fails with are the kinds of failures.

use quintet_core::plan::{
    Dependency, EdgeOn, FailurePolicy, Join, Plan, PlanError, PlanSpec, Settings, StepSpec, Timeouts,
};
use quintet_core::retry::RetryPolicy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::graph::Pipeline;
use super::register_request::TaskEntry;
use crate::config::RetrySemantics;

/// What the steps' executor is called.
pub(crate) const ACTION: &str = "push";
/// A worker answered with successors that its task does not allow: trying again cannot help.
const NEVER_RETRIED: &str = "INVALID_NEXT_TASKS";
/// Intervals without a sign of life after which an attempt is given up.
const HEARTBEATS_MISSED: u64 = 2;

/// What a failure does to the rest of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FailureMode {
    #[default]
    FailFast,
    Continue,
    PartialMerge,
}

impl FailureMode {
    /// The words of a request.
    pub const CHOICES: [(&'static str, Self); 3] = [
        ("fail-fast", Self::FailFast),
        ("continue", Self::Continue),
        ("partial-merge", Self::PartialMerge),
    ];
}

/// The server's own settings for all plans.
#[derive(Debug, Clone)]
pub(crate) struct PlanRules {
    /// What a task's `retries` counts.
    pub retries: RetrySemantics,
    /// Error codes after which a task is not tried again.
    pub non_retryable: Vec<String>,
}

/// The plan of a pipeline. `task` gives the settings of a task by its id.
pub(crate) fn of_pipeline<'a>(
    pipeline: &Pipeline,
    task: impl Fn(&str) -> Option<&'a TaskEntry>,
    mode: FailureMode,
    rules: &PlanRules,
) -> Result<Plan, PlanError> {
    if let Some(error) = super::dry_run::errors(pipeline).into_iter().next() {
        return Err(refused(error));
    }
    let mut steps = Vec::with_capacity(pipeline.tasks.len());
    for (at, node) in pipeline.tasks.iter().enumerate() {
        let task = task(&node.id).ok_or_else(|| refused(format!("Tasks not found: {}", node.id)))?;
        let mut step = step_of(task, rules);
        let before = pipeline.previous[at].iter();
        step.depends_on = before.map(|&before| dependency(&pipeline.tasks[before].id)).collect();
        if mode == FailureMode::PartialMerge {
            step.join = Join::Available;
        }
        steps.push(step);
    }
    compile(steps, mode)
}

/// The plan of a task that is queued by itself.
pub(crate) fn of_task(task: &TaskEntry, rules: &PlanRules) -> Result<Plan, PlanError> {
    compile(vec![step_of(task, rules)], FailureMode::FailFast)
}

fn compile(steps: Vec<StepSpec>, mode: FailureMode) -> Result<Plan, PlanError> {
    let on_failure = match mode {
        FailureMode::FailFast => FailurePolicy::FailFast,
        FailureMode::Continue | FailureMode::PartialMerge => FailurePolicy::Continue,
    };
    let settings = Settings {
        on_failure,
        list_steps: true,
        dead_letters: true,
        ..Settings::default()
    };
    Plan::compile(PlanSpec { steps, settings })
}

/// A step with everything that does not depend on its place in the pipeline.
fn step_of(task: &TaskEntry, rules: &PlanRules) -> StepSpec {
    StepSpec {
        input: input_of(task),
        join: Join::All,
        retry: retry_of(task, rules),
        timeouts: Timeouts {
            attempt_ms: Some(task.timeout_ms),
            heartbeat_ms: Some(task.heartbeat_interval_ms.saturating_mul(HEARTBEATS_MISSED)),
            ..Timeouts::default()
        },
        queue: Some(task.id.clone()),
        // The lower number goes first here, and the higher one in the engine.
        priority: Some(task.priority.saturating_neg()),
        upstream: true,
        outside: true,
        ..StepSpec::new(task.id.as_str(), ACTION)
    }
}

/// What the executor is told about the task. Strings in a step's input are templates: nothing may stand here that a
/// user could write braces into.
fn input_of(task: &TaskEntry) -> Value {
    json!({ "task": task.id })
}

fn retry_of(task: &TaskEntry, rules: &PlanRules) -> RetryPolicy {
    let mut non_retryable_kinds = vec![NEVER_RETRIED.to_owned()];
    non_retryable_kinds.extend(
        rules
            .non_retryable
            .iter()
            .filter(|code| *code != NEVER_RETRIED)
            .cloned(),
    );
    RetryPolicy {
        max_attempts: rules.retries.attempts(task.retries),
        backoff: task.retry_backoff,
        delay_ms: task.retry_delay_ms,
        max_delay_ms: task.max_retry_delay_ms,
        jitter_percent: 0,
        non_retryable_kinds,
        ..RetryPolicy::default()
    }
}

fn dependency(before: &str) -> Dependency {
    Dependency {
        step: before.to_owned(),
        on: EdgeOn::Success,
    }
}

fn refused(message: String) -> PlanError {
    PlanError {
        field: "pipeline".to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests;
