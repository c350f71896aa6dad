//! From a workflow to the plan of its run.
//!
//! One step for each task, under its id; what both lists of dependencies say comes before it. The plan says what follows
//! what, when and how often. *What* whoever does a task is sent stays in the run's context, and is put together by
//! [`super::order`] when the step is handed out: a step's input holds positions and words of the settings, and nothing
//! that a client wrote, which could be taken for a template.
//!
//! - `max_concurrency` and `timeout` (rounded up to milliseconds) hold for the run, a task's `timeout` for each attempt.
//! - `failure_policy`: `abort` starts nothing new after a failure; `continue` goes on with what does not need the failed
//!   task, and skips what does; `retry` is `abort` with three attempts more, unless a number is given.
//! - A task is tried again as often as the larger of its `retries` and the policy's `max_retries` says, whatever the policy.
//!   The delay is 250 ms unless the policy says otherwise.
//! - `enable_hitl` puts an approval in front of everything.

use std::collections::HashSet;

use quintet_core::plan::{
    Dependency, EdgeOn, FailurePolicy as OnFailure, MAX_NAME, MAX_STEPS, PlanSpec, Settings, StepSpec, Timeouts,
};
use quintet_core::retry::{Backoff, RetryPolicy};
use serde_json::{Value, json};

use super::document::{Configuration, FailurePolicy, Task, Workflow};
use super::duration::ms_up;
use super::graph::Analysis;
use super::order;
use crate::config::{DEFAULT_QUEUE, Tenants, TypeRule};
use crate::face::tasks::queue_of;

/// Fields of a step's input.
pub(crate) mod input {
    /// Position of the task in the request.
    pub(crate) const TASK: &str = "task";
    /// Positions of the tasks right before it.
    pub(crate) const AFTER: &str = "after";
    /// The compute backend that is to do it.
    pub(crate) const BACKEND: &str = "backend";
    /// What the task is called there; its type where it is absent.
    pub(crate) const TASK_TYPE: &str = "task_type";
}

/// Attempts after the first where the policy is `retry` and no number is given.
const RETRIES: i64 = 3;
/// Milliseconds before the second attempt where nothing is said.
const DELAY_MS: u64 = 250;
/// Longest wait between attempts where none is given: an hour, and never less than the first.
const MAX_DELAY_MS: u64 = 3_600_000;
/// Problems that are named.
const SHOWN: usize = 20;
/// Action and name of the step that waits for a person.
const GATE: &str = "approval";

/// The plan of a workflow whose graph has been looked at (by [`super::graph::admit`]), or everything that is wrong with it.
pub(crate) fn compile(workflow: &Workflow, analysis: &Analysis, rules: &Tenants) -> Result<PlanSpec, String> {
    let rules = check(workflow, rules)?;
    let configuration = &workflow.configuration;
    let gate = configuration.enable_hitl.then(|| gate_key(&workflow.tasks));
    let mut steps = Vec::with_capacity(workflow.tasks.len() + 1);
    steps.extend(gate.as_ref().map(|key| StepSpec::new(key, GATE)));
    let tasks = workflow.tasks.iter().zip(&analysis.before).zip(rules).enumerate();
    for (nth, ((task, before), rule)) in tasks {
        let mut step = step(task, rule, configuration);
        step.input[input::TASK] = nth.into();
        step.depends_on = before.iter().map(|&before| after(&workflow.tasks[before].id)).collect();
        if before.is_empty() {
            step.depends_on.extend(gate.as_deref().map(after));
        } else {
            step.input[input::AFTER] = json!(before);
            step.upstream = true;
        }
        steps.push(step);
    }
    let settings = settings(configuration);
    Ok(PlanSpec { steps, settings })
}

/// Position in the plan of the step that waits for a person, where there is one.
pub(crate) fn gate(workflow: &Workflow) -> Option<u32> {
    workflow.configuration.enable_hitl.then_some(0)
}

/// Position in the plan of the step of the task at `nth`.
pub(crate) fn node_of(workflow: &Workflow, nth: usize) -> u32 {
    let first = gate(workflow).map_or(0, |gate| gate + 1);
    u32::try_from(nth).unwrap_or(u32::MAX).saturating_add(first)
}

/// The rule of each task, or what cannot be done.
fn check<'r>(workflow: &Workflow, rules: &'r Tenants) -> Result<Vec<&'r TypeRule>, String> {
    let tasks = &workflow.tasks;
    let most = MAX_STEPS - usize::from(workflow.configuration.enable_hitl);
    if tasks.len() > most {
        return Err(format!("tasks: {} are more than {most}", tasks.len()));
    }
    let mut problems = Vec::new();
    let mut unknown = HashSet::new();
    let mut found = Vec::with_capacity(tasks.len());
    for (nth, task) in tasks.iter().enumerate() {
        if task.id.len() > MAX_NAME && problems.len() < SHOWN {
            problems.push(format!("tasks[{nth}].id: must have at most {MAX_NAME} bytes"));
        }
        match rules.rule(&workflow.tenant, &task.kind) {
            Some(rule) => found.push(rule),
            None if unknown.insert(task.kind.as_str()) && problems.len() < SHOWN => {
                problems.push(no_rule(nth, &task.kind));
            }
            None => {}
        }
    }
    match problems.is_empty() {
        true => Ok(found),
        false => Err(problems.join("; ")),
    }
}

fn no_rule(nth: usize, kind: &str) -> String {
    let setting = match kind {
        "" => "tenants.types.default".to_owned(),
        kind => format!("tenants.types.{kind}, or tenants.types.default"),
    };
    format!("tasks[{nth}].type: nothing says how tasks of type {kind:?} are run: set {setting}")
}

fn step(task: &Task, rule: &TypeRule, configuration: &Configuration) -> StepSpec {
    let (action, queue, input) = match rule {
        TypeRule::Http { .. } => (order::ACTION, None, json!({})),
        TypeRule::Noop {} => ("noop", None, json!({})),
        TypeRule::Backend {
            backend,
            queue,
            task_type,
        } => {
            let queue = queue_of(queue.as_deref().unwrap_or(DEFAULT_QUEUE), backend.as_deref());
            let input = pinned([(input::BACKEND, backend), (input::TASK_TYPE, task_type)]);
            (quintet_executors::backend::ACTION, Some(queue), input)
        }
    };
    let attempt_ms = Some(ms_up(task.timeout)).filter(|ms| *ms > 0);
    StepSpec {
        input,
        queue,
        retry: retry(task, configuration),
        timeouts: Timeouts {
            attempt_ms,
            ..Timeouts::default()
        },
        priority: task.rank(),
        ..StepSpec::new(&task.id, action)
    }
}

/// Words of the settings, which hold no braces: nothing here can be taken for a template.
fn pinned(words: [(&str, &Option<String>); 2]) -> Value {
    let mut input = json!({});
    for (field, word) in words {
        if let Some(word) = word {
            input[field] = word.as_str().into();
        }
    }
    input
}

fn retry(task: &Task, configuration: &Configuration) -> RetryPolicy {
    let rule = &configuration.retry_policy;
    let given = task.retries.max(rule.max_retries);
    let retries = match configuration.failure_policy() {
        FailurePolicy::Retry if given == 0 => RETRIES,
        FailurePolicy::Retry | FailurePolicy::Abort | FailurePolicy::Continue => given,
    };
    let or = |ns: i64, usual: u64| Some(ms_up(ns)).filter(|ms| *ms > 0).unwrap_or(usual);
    let delay_ms = or(rule.initial_delay, DELAY_MS);
    RetryPolicy {
        max_attempts: u32::try_from(retries).unwrap_or(0).saturating_add(1),
        backoff: match rule.backoff_factor {
            factor if factor > 1.0 => Backoff::Exponential,
            _ => Backoff::Fixed,
        },
        delay_ms,
        max_delay_ms: or(rule.max_delay, MAX_DELAY_MS.max(delay_ms)),
        jitter_percent: 0,
        ..RetryPolicy::default()
    }
}

fn settings(configuration: &Configuration) -> Settings {
    Settings {
        on_failure: match configuration.failure_policy() {
            FailurePolicy::Abort | FailurePolicy::Retry => OnFailure::FailFast,
            FailurePolicy::Continue => OnFailure::Continue,
        },
        timeout_ms: Some(ms_up(configuration.timeout)).filter(|ms| *ms > 0),
        max_concurrency: u32::try_from(configuration.max_concurrency)
            .ok()
            .filter(|most| *most > 0),
        ..Settings::default()
    }
}

fn after(id: &str) -> Dependency {
    Dependency {
        step: id.to_owned(),
        on: EdgeOn::Success,
    }
}

/// A name that no task has.
fn gate_key(tasks: &[Task]) -> String {
    let taken: HashSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    let mut key = GATE.to_owned();
    while taken.contains(key.as_str()) {
        key.push('~');
    }
    key
}

#[cfg(test)]
mod tests;
