//! A run as this face shows it: the original's object, with additions that are left out where they are empty.
//!
//! `steps` holds what was reached: steps that are settled or wait for an approval, one entry each. What never began
//! because the run ended before it does not appear.

use std::borrow::Cow;

use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::outcome::{Failure, Success};
use quintet_core::state::{Class, Hold, Node, Note, RunState};
use quintet_core::time::Time;
use serde::Serialize;
use serde_json::Value;

use super::super::reply;
use super::super::status;
use super::{is_zero, is_zero_priority, launch};

/// Steps shown inside a run; all of them are under `/v1/runs/{id}/steps`.
const STEPS_SHOWN: usize = 1000;

/// A run.
#[derive(Debug, Serialize)]
pub(crate) struct RunView<'a> {
    id: String,
    workflow_id: &'a str,
    status: &'static str,
    current_step: u32,
    #[serde(skip_serializing_if = "is_empty")]
    context: &'a Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepRun<'a>>,
    #[serde(serialize_with = "reply::time")]
    created_at: Time,
    #[serde(serialize_with = "reply::time")]
    updated_at: Time,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    finished_at: Option<Time>,
    #[serde(skip_serializing_if = "is_zero")]
    workflow_version: u32,
    #[serde(skip_serializing_if = "is_zero_priority")]
    priority: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<By<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canceled: Option<By<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<By<'a>>,
    /// The schedule that started it, and at which of its times; no time where somebody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    steps_truncated: bool,
}

/// Who did something, and why.
#[derive(Debug, Serialize)]
pub(crate) struct By<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(serialize_with = "reply::time")]
    at: Time,
}

impl<'a> By<'a> {
    fn of(note: &'a Note) -> Self {
        Self {
            by: note.by.as_deref(),
            reason: note.reason.as_deref(),
            at: note.at,
        }
    }
}

/// A decision of a person about a step.
#[derive(Debug, Serialize)]
pub(crate) struct Decision<'a> {
    pub approved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<&'a str>,
    #[serde(serialize_with = "reply::time")]
    pub at: Time,
}

impl<'a> Decision<'a> {
    pub fn of(node: &'a Node) -> Option<Self> {
        let approval = node.approval.as_deref()?;
        let (by, comment) = (approval.by.as_deref(), approval.comment.as_deref());
        Some(Self {
            approved: approval.granted,
            by,
            comment,
            at: approval.at,
        })
    }
}

/// A step run.
#[derive(Debug, Serialize)]
pub(crate) struct StepRun<'a> {
    step_id: String,
    name: &'a str,
    action: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_code: Option<u16>,
    #[serde(skip_serializing_if = "is_zero")]
    attempts: u32,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    started_at: Option<Time>,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    finished_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Decision<'a>>,
}

impl<'a> RunView<'a> {
    pub fn of(state: &'a RunState) -> Self {
        let mut reached = (0..state.plan.len() as u32).filter(|&n| is_reached(&state.nodes[n as usize]));
        let steps = reached
            .by_ref()
            .take(STEPS_SHOWN)
            .map(|n| StepRun::of(state, n))
            .collect();
        let failed = state.first_failure();
        let has_failed = matches!(state.status, RunStatus::Error | RunStatus::BlockedByFailures);
        let of_step = failed.filter(|_| has_failed);
        let error = state.failure.as_deref().or(of_step.map(|(_, failure)| failure));
        let label = |name: &str| state.created.labels.get(name).and_then(Value::as_str);
        Self {
            id: state.id.to_string(),
            workflow_id: &state.created.workflow,
            status: status::of_run(state.status),
            current_step: current_step(state),
            context: &state.context,
            steps,
            created_at: state.created_at,
            updated_at: state.updated_at,
            finished_at: state.finished_at,
            workflow_version: state.created.workflow_version,
            priority: state.created.priority,
            error: error.map(|failure| failure.message.as_str()),
            failed_step: of_step.map(|(n, _)| state.name_of(n)),
            paused: state.paused.as_ref().map(By::of),
            canceled: state.cancelled.as_ref().map(By::of),
            resolved: state.resolved.as_ref().map(By::of),
            schedule_id: label(launch::SCHEDULE_LABEL),
            scheduled_at: label(launch::TIME_LABEL),
            steps_truncated: reached.next().is_some(),
        }
    }
}

impl<'a> StepRun<'a> {
    pub fn of(state: &'a RunState, n: u32) -> Self {
        let node = &state.nodes[n as usize];
        let spec = &state.plan.spec.steps[node.step as usize];
        let failure = node.failure.as_deref();
        Self {
            step_id: state.name_of(n),
            name: &spec.name,
            action: &spec.action,
            status: status::of_node(node),
            error: failure.map(|failure| failure.message.as_str()),
            output: node.success.as_deref().and_then(output),
            http_code: code(node.success.as_deref(), failure),
            attempts: node.attempt,
            started_at: node.started_at,
            finished_at: node.ended_at,
            error_kind: failure.and_then(|failure| failure.kind.as_deref()),
            error_detail: failure.and_then(|failure| failure.detail.as_ref()),
            approval: Decision::of(node),
        }
    }
}

pub(crate) fn is_empty(context: &Value) -> bool {
    match context {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The status of the protocol, where there was one.
pub(crate) fn code(success: Option<&Success>, failure: Option<&Failure>) -> Option<u16> {
    let code = success
        .and_then(|success| success.code)
        .or(failure.and_then(|failure| failure.code));
    code.filter(|code| *code != 0)
}

/// A result as text: exactly as it was received, where that is known.
pub(crate) fn output(success: &Success) -> Option<Cow<'_, str>> {
    if let Some(text) = &success.text {
        return Some(Cow::Borrowed(text));
    }
    match success.output.as_ref() {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        value => Some(Cow::Owned(value.to_string())),
    }
}

fn is_reached(node: &Node) -> bool {
    match node.status {
        StepStatus::Cancelled => node.attempt > 0,
        StepStatus::Pending => node.hold == Hold::Approval,
        status => status.is_settled(),
    }
}

/// How many steps are behind the run. In a sequence it is the index of the step that comes next, or that failed.
pub(crate) fn current_step(state: &RunState) -> u32 {
    if state.cancelled.is_some() || state.resolved.is_some() || state.failure.is_some() {
        let steps = &state.nodes[..state.plan.len()];
        let done = |node: &&Node| {
            node.status.is_settled() && !matches!(node.status, StepStatus::Cancelled | StepStatus::Error)
        };
        return steps.iter().filter(done).count() as u32;
    }
    state.count(Class::Settled).saturating_sub(state.count(Class::Failed))
}
