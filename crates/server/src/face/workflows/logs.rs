//! A run's log: lines made from its history, in the original's words, among what others have appended.

use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use quintet_core::command::Command;
use quintet_core::event::Event;
use quintet_core::state::RunState;
use quintet_engine::events_of;
use quintet_store::StoredCommit;
use serde::Serialize;
use serde_json::json;

use super::cx::{Cx, not_found, run_id, whole};
use super::follow::{Line, follow};
use super::notice::{self, Notice, label};
use super::problem::{Answer, Problem};
use super::reply::{self, Items, rfc3339};
use crate::error_code::ErrorCode;

/// Longest appended text, in bytes.
const MAX_LINE: usize = 64 * 1024;
/// Most lines of one answer.
const MAX_LINES: usize = 100_000;
/// History entries read at a time.
const PAGE: usize = 1000;
/// Names shown of steps that were reset.
const NAMES: usize = 20;

#[derive(Serialize)]
struct Lines {
    items: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// `GET /v1/runs/{id}/logs`.
pub(super) async fn list(cx: Cx, Path(id): Path<String>) -> Answer {
    let state = match cx.run(&id).await {
        Ok(state) => state,
        // The original had an empty list for every unknown run.
        Err(problem) if problem.code == ErrorCode::RunNotFound => {
            return Ok(reply::json(&Items::<String> { items: Vec::new() }));
        }
        Err(problem) => return Err(problem.plain()),
    };
    let mut lines = Lines {
        items: Vec::new(),
        truncated: false,
    };
    let mut after = 0;
    loop {
        let page = cx.engine().store().commits(&cx.namespace, state.id, after, PAGE).await;
        let page = page.map_err(|error| Problem::from(error).plain())?;
        for commit in &page {
            let events = events_of(&commit.events).map_err(|error| Problem::from(error).plain())?;
            lines.items.extend(
                events
                    .iter()
                    .flat_map(|event| render(&state, event, commit))
                    .map(|line| line.data),
            );
        }
        lines.truncated = lines.items.len() > MAX_LINES;
        lines.items.truncate(MAX_LINES);
        match page.last() {
            Some(last) if page.len() == PAGE && !lines.truncated => after = last.seq,
            _ => break,
        }
    }
    Ok(reply::json(&lines))
}

/// `POST /v1/runs/{id}/logs`: the raw text of the body.
pub(super) async fn append(cx: Cx, Path(id): Path<String>, body: Result<Bytes, BytesRejection>) -> Answer {
    let body = whole(body)?;
    if body.is_empty() {
        return Err(Problem::original(
            ErrorCode::InvalidField,
            StatusCode::BAD_REQUEST,
            "message required",
        ));
    }
    if body.len() > MAX_LINE {
        let message = format!("a message has at most {MAX_LINE} bytes");
        return Err(Problem::new(ErrorCode::BodyTooLarge, message).plain());
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    let appended = cx
        .engine()
        .command(&cx.namespace, run_id(&id)?, Command::AppendLog { text })
        .await;
    appended.map_err(|error| match Problem::from(error) {
        problem if problem.code == ErrorCode::RunNotFound => not_found(),
        problem => problem.plain(),
    })?;
    Ok(reply::json(&json!({ "ok": true })))
}

/// `GET /v1/runs/{id}/logs/stream`.
pub(super) async fn stream(cx: Cx, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    follow(&cx, &id, &headers, render).await.map_err(Problem::plain)
}

fn render(state: &RunState, event: &Event, _commit: &StoredCommit) -> Vec<Line> {
    let lines = notice::of(event, state).into_iter().map(|notice| line(state, notice));
    lines.map(|data| Line { name: None, data }).collect()
}

fn line(state: &RunState, notice: Notice<'_>) -> String {
    let by = |by: Option<&str>| by.map(|by| format!(" by {by}")).unwrap_or_default();
    let because = |reason: Option<&str>| reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    match notice {
        Notice::RunStarted => "run started".to_owned(),
        Notice::WaitingApproval { n } => format!("waiting approval for step: {}", label(state, n)),
        Notice::StepSucceeded { n } => format!("step succeeded: {}", label(state, n)),
        Notice::StepFailed { n, error, .. } => format!("step failed: {} err={error}", label(state, n)),
        Notice::StepRetrying {
            n,
            attempt,
            failure,
            at,
        } => {
            let (label, error, next) = (label(state, n), &failure.message, rfc3339(at));
            format!("step retrying: {label} attempt={attempt} err={error} next={next}")
        }
        Notice::StepLost { n, attempt } => format!("step attempt lost: {} attempt={attempt}", label(state, n)),
        Notice::StepSkipped { n } => format!("step skipped: {}", label(state, n)),
        Notice::StepSaid { n, text } => format!("{}: {text}", label(state, n)),
        Notice::StepResolved { n, by: who } => format!("step resolved{}: {}", by(who), label(state, n)),
        Notice::StepsReset { nodes, by: who } => {
            let names: Vec<String> = nodes.iter().take(NAMES).map(|n| label(state, *n)).collect();
            let more = if nodes.len() > NAMES { ", ..." } else { "" };
            format!("steps reset{}: {}{more}", by(who), names.join(", "))
        }
        Notice::RunSucceeded if state.stopped => "run stopped by condition".to_owned(),
        Notice::RunSucceeded => "run succeeded".to_owned(),
        Notice::RunFailed { timed_out_ms: Some(ms) } => format!("run failed: timed out after {ms} ms"),
        Notice::RunFailed { timed_out_ms: None } => "run failed".to_owned(),
        Notice::RunBlocked => "run blocked by failures".to_owned(),
        Notice::RunResolved { by: who, reason } => format!("run resolved{}{}", by(who), because(reason)),
        Notice::RunCanceled { by: who, reason } => format!("run canceled{}{}", by(who), because(reason)),
        Notice::RunPaused { by: who, reason } => format!("run paused{}{}", by(who), because(reason)),
        Notice::RunResumed { by: who, reason } => format!("run resumed{}{}", by(who), because(reason)),
        Notice::Said { text } => text.to_owned(),
    }
}
