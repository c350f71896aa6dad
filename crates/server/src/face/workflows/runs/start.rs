//! Starting one run: of a workflow, of a template, or of a document that comes along.
//!
//! This is the path that is measured. A start of a stored workflow parses the body once, finds the compiled plan in
//! memory, and writes the answer from what it has; everything else (schemas, idempotency, waiting) costs only the
//! requests that ask for it.

use std::time::Duration;

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use quintet_core::id::RunId;
use quintet_core::state::RunState;
use quintet_core::time::Time;
use quintet_engine::{Started, StartedRun, tasks};
use serde::Serialize;
use serde_json::Value;

use super::super::cx::{Cx, whole};
use super::super::problem::{Answer, Problem};
use super::super::query::Params;
use super::super::reply;
use super::accept::{Accepted, Place, Watch, accept};
use super::idempotency::{key_of, remembered};
use super::order::StartBody;
use super::view::{RunView, is_empty};
use crate::error_code::ErrorCode;

static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
static WAITED: HeaderName = HeaderName::from_static("quintet-wait");

/// A run that was accepted, as the original answered.
#[derive(Debug, Serialize)]
pub(super) struct Pending<'a> {
    id: RunId,
    workflow_id: &'a str,
    status: &'static str,
    current_step: u32,
    #[serde(skip_serializing_if = "is_empty")]
    context: &'a Value,
    #[serde(serialize_with = "reply::time")]
    created_at: Time,
    #[serde(serialize_with = "reply::time")]
    updated_at: Time,
}

impl<'a> Pending<'a> {
    pub fn of(id: RunId, at: Time, workflow: &'a str, context: &'a Value) -> Self {
        let (status, current_step) = ("PENDING", 0);
        Self {
            id,
            workflow_id: workflow,
            status,
            current_step,
            context,
            created_at: at,
            updated_at: at,
        }
    }
}

/// `POST /v1/runs`.
pub(crate) async fn start(cx: Cx, uri: Uri, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    answer(&cx, &uri, &headers, body).await.map_err(Problem::plain)
}

async fn answer(cx: &Cx, uri: &Uri, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    let wait_ms = Params::of(uri)?.wait_ms()?;
    let body = StartBody::read(&whole(body)?)?;
    let key = key_of(headers, "runs.start", |hash| body.hash(hash))?;
    if let Some(key) = &key
        && let Some(runs) = remembered(cx, key).await?
    {
        return replayed(cx, &runs, wait_ms).await;
    }
    let order = body.into_order();
    let watch = if wait_ms.is_some() { Watch::Yes } else { Watch::No };
    let Accepted { started, workflows } = accept(cx, std::slice::from_ref(&order), Place::Alone, key, watch).await?;
    let Started {
        mut runs,
        replayed: again,
    } = started;
    let nothing = || Problem::new(ErrorCode::Internal, "internal error");
    let run = runs.pop().ok_or_else(nothing)?;
    let workflow = workflows.first().ok_or_else(nothing)?;
    let Some(at) = run.created_at.filter(|_| !again) else {
        return replayed(cx, &[run.id], wait_ms).await;
    };
    let pending = Pending::of(run.id, at, workflow, &order.context);
    match wait_ms {
        None => Ok(reply::json(&pending)),
        // The run is accepted whatever happens now: a refusal would make the client start another one.
        Some(wait_ms) => Ok(match result_of(cx, run, wait_ms).await {
            Ok(response) => response,
            Err(problem) if problem.status.is_server_error() => waited_in_vain(reply::json(&pending)),
            Err(problem) => return Err(problem),
        }),
    }
}

/// The run that an earlier request with the same key started.
async fn replayed(cx: &Cx, runs: &[RunId], wait_ms: Option<u64>) -> Answer {
    let id = runs
        .first()
        .copied()
        .ok_or_else(|| Problem::new(ErrorCode::Internal, "internal error"))?;
    let mut response = match wait_ms {
        None => shown(cx.engine().state(&cx.namespace, id).await?.as_ref()),
        Some(wait_ms) => {
            result_of(
                cx,
                StartedRun {
                    id,
                    created_at: None,
                    watch: None,
                },
                wait_ms,
            )
            .await?
        }
    };
    mark_replayed(&mut response);
    Ok(response)
}

pub(in super::super) fn mark_replayed(response: &mut Response) {
    response
        .headers_mut()
        .insert(&REPLAYED, HeaderValue::from_static("true"));
}

fn shown(state: &RunState) -> Response {
    reply::json(&RunView::of(state))
}

/// Waits for the end of a run, and shows it; when the time is up it shows how far the run has come.
async fn result_of(cx: &Cx, run: StartedRun, wait_ms: u64) -> Answer {
    let mut watch = match run.watch {
        Some(watch) => watch,
        None => {
            let watch = cx.engine().watch(&cx.namespace, run.id);
            let state = cx.engine().state(&cx.namespace, run.id).await?;
            if state.status.is_terminal() {
                return Ok(shown(&state));
            }
            watch
        }
    };
    let limit = tasks::pause(Some(Duration::from_millis(wait_ms)));
    tokio::pin!(limit);
    loop {
        let finished = watch.borrow_and_update().finished.clone();
        if let Some(finished) = finished {
            return Ok(shown(&finished));
        }
        tokio::select! {
            changed = watch.changed() => if changed.is_err() { break },
            () = &mut limit => break,
        }
    }
    let finished = watch.borrow().finished.clone();
    let state = match finished {
        Some(finished) => finished,
        None => cx.engine().state(&cx.namespace, run.id).await?,
    };
    let response = shown(&state);
    Ok(if state.status.is_terminal() {
        response
    } else {
        waited_in_vain(response)
    })
}

fn waited_in_vain(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(&WAITED, HeaderValue::from_static("timeout"));
    response
}
