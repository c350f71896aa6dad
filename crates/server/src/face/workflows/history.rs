//! The whole history of a run, event by event, paged and as a live stream.
//!
//! Names and fields are this face's own, so that the stored form can grow without changing what clients read.

use axum::extract::Path;
use http::{HeaderMap, Uri};
use quintet_core::event::{Event, SkipCause};
use quintet_core::outcome::Failure;
use quintet_core::state::RunState;
use quintet_core::time::Time;
use quintet_engine::events_of;
use quintet_store::StoredCommit;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::cx::Cx;
use super::follow::{Line, follow};
use super::problem::{Answer, Problem};
use super::query::Params;
use super::reply::{self, rfc3339};
use super::status;

/// Names shown of steps that were reset.
const NAMES: usize = 1000;

#[derive(Serialize)]
struct Page {
    items: Vec<Value>,
    /// Pass as `after` to go on; absent at the end of what there is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<u64>,
}

/// `GET /v1/runs/{id}/history`.
pub(super) async fn list(cx: Cx, Path(id): Path<String>, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let (after, limit) = (params.whole("after")?.unwrap_or(0), params.limit()?);
    let state = cx.run(&id).await.map_err(|problem| Problem {
        plain: false,
        ..problem
    })?;
    let commits = cx
        .engine()
        .store()
        .commits(&cx.namespace, state.id, after, limit)
        .await?;
    let mut items = Vec::new();
    for commit in &commits {
        for (nth, event) in events_of(&commit.events)?.iter().enumerate() {
            let mut entry = Map::new();
            entry.insert("id".to_owned(), format!("{}.{nth}", commit.seq).into());
            entry.extend(said(&state, event, commit).1);
            items.push(Value::Object(entry));
        }
    }
    let full = commits.len() == limit;
    let next_after = commits.last().filter(|_| full).map(|commit| commit.seq);
    Ok(reply::json(&Page { items, next_after }))
}

/// `GET /v1/runs/{id}/events`.
pub(super) async fn stream(cx: Cx, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let json = |problem| Problem {
        plain: false,
        ..problem
    };
    follow(&cx, &id, &headers, render).await.map_err(json)
}

fn render(state: &RunState, event: &Event, commit: &StoredCommit) -> Vec<Line> {
    let (name, entry) = said(state, event, commit);
    vec![Line {
        name: Some(name),
        data: Value::Object(entry).to_string(),
    }]
}

fn said(state: &RunState, event: &Event, commit: &StoredCommit) -> (&'static str, Map<String, Value>) {
    let (name, data) = describe(state, event);
    let mut entry = Map::new();
    entry.insert("seq".to_owned(), commit.seq.into());
    entry.insert("at".to_owned(), rfc3339(commit.meta.at).into());
    entry.insert("event".to_owned(), name.into());
    if let Value::Object(data) = data {
        entry.extend(data.into_iter().filter(|(_, value)| !value.is_null()));
    }
    (name, entry)
}

/// The public name of an event, and what it carries.
fn describe(state: &RunState, event: &Event) -> (&'static str, Value) {
    let step = |n: &u32| name_of(state, *n);
    let time = |time: &Option<Time>| time.map(rfc3339);
    match event {
        Event::RunCreated(created) => (
            "run.created",
            json!({ "workflow_id": created.workflow, "workflow_version": created.workflow_version,
                    "plan": created.plan, "priority": created.priority }),
        ),
        Event::RunMoved { to } => (
            "run.moved",
            json!({ "status": status::of_run(*to), "state": to.as_str() }),
        ),
        Event::RunCancelled { by, reason, forced } => (
            "run.canceled",
            json!({ "by": by, "reason": reason, "forced": forced.then_some(true) }),
        ),
        Event::RunResolved { by, reason } => ("run.resolved", json!({ "by": by, "reason": reason })),
        Event::RunTimedOut { limit_ms } => ("run.timed_out", json!({ "limit_ms": limit_ms })),
        Event::RunPaused { by, reason } => ("run.paused", json!({ "by": by, "reason": reason })),
        Event::RunDue => ("run.due", json!({})),
        Event::RunResumed { by, reason } => ("run.resumed", json!({ "by": by, "reason": reason })),
        Event::StepEnqueued { n, by } => ("step.queued", json!({ "step": step(n), "until": time(by) })),
        Event::StepStarted {
            n,
            a,
            close_by,
            beat_by,
        } => (
            "step.started",
            json!({ "step": step(n), "attempt": a, "until": time(close_by), "heartbeat_by": time(beat_by) }),
        ),
        Event::AttemptAccepted { n, a, beat_by } => (
            "step.accepted",
            json!({ "step": step(n), "attempt": a, "heartbeat_by": time(beat_by) }),
        ),
        Event::StepReused { n, success } => ("step.reused", json!({ "step": step(n), "output": success.output })),
        Event::StepProgressed {
            n,
            a,
            progress,
            message,
            ..
        } => (
            "step.progressed",
            json!({ "step": step(n), "attempt": a, "progress": progress, "message": message }),
        ),
        Event::StepSucceeded { n, a, success } => (
            "step.succeeded",
            json!({ "step": step(n), "attempt": a, "output": success.output, "http_code": success.code,
                    "next": success.next, "stop": success.stop.then_some(true) }),
        ),
        Event::StepRetrying { n, a, failure, at } => (
            "step.retrying",
            with(
                failure,
                json!({ "step": step(n), "attempt": a, "retry_at": rfc3339(*at) }),
            ),
        ),
        Event::RetryDue { n } => ("step.retry_due", json!({ "step": step(n) })),
        Event::AttemptLost { n, a } => ("step.attempt_lost", json!({ "step": step(n), "attempt": a })),
        Event::StepFailed { n, a, failure } => (
            "step.failed",
            with(
                failure,
                json!({ "step": step(n), "attempt": Some(a).filter(|a| **a > 0) }),
            ),
        ),
        Event::StepSkipped { n, cause } => ("step.skipped", json!({ "step": step(n), "cause": cause_of(*cause) })),
        Event::WaitStarted { n, until } => ("step.waiting", json!({ "step": step(n), "until": rfc3339(*until) })),
        Event::WaitElapsed { n } => ("step.waited", json!({ "step": step(n) })),
        Event::ItemsExpanded { n, items } => (
            "step.expanded",
            json!({ "step": step(n), "items": items.as_array().map(Vec::len) }),
        ),
        Event::ItemsCollected { n } => ("step.collected", json!({ "step": step(n) })),
        Event::ApprovalRequested { n, by } => ("approval.requested", json!({ "step": step(n), "until": time(by) })),
        Event::ApprovalGranted { n, by, comment } => (
            "approval.granted",
            json!({ "step": step(n), "by": by, "comment": comment }),
        ),
        Event::ApprovalRejected { n, by, comment, go_on } => (
            "approval.rejected",
            json!({ "step": step(n), "by": by, "comment": comment, "go_on": go_on }),
        ),
        Event::StepsReset { nodes, by } => {
            let names: Vec<String> = nodes.iter().take(NAMES).map(step).collect();
            ("steps.reset", json!({ "steps": names, "by": by }))
        }
        Event::StepResolved { n, by, reason, output } => (
            "step.resolved",
            json!({ "step": step(n), "by": by, "reason": reason, "output": output }),
        ),
        Event::LogAppended { text } => ("log.appended", json!({ "text": text })),
    }
}

fn with(failure: &Failure, mut data: Value) -> Value {
    if let Value::Object(map) = &mut data {
        map.insert("error".to_owned(), failure.message.as_str().into());
        map.insert("error_kind".to_owned(), json!(failure.kind));
        map.insert("http_code".to_owned(), json!(failure.code));
        map.insert("error_detail".to_owned(), json!(failure.detail));
    }
    data
}

const fn cause_of(cause: SkipCause) -> &'static str {
    match cause {
        SkipCause::NotTaken => "not_taken",
        SkipCause::UpstreamFailed => "upstream_failed",
        SkipCause::ConditionFalse => "condition_false",
    }
}

fn name_of(state: &RunState, n: u32) -> String {
    if (n as usize) < state.nodes.len() {
        state.name_of(n)
    } else {
        format!("#{n}")
    }
}
