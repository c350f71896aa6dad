//! Starting a workflow: `POST .../workflows`; and only looking at one: `POST /api/v1/dag/validate`.

use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use quintet_core::plan::Plan;
use quintet_engine::{Idempotency, StartRun};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::cx::{Cx, Found, whole};
use super::document;
use super::reply::{self, Answer, Refusal};
use super::view::{Execution, Scene};
use super::{graph, ids, order, plan};

/// Scope of the keys that make a workflow start once.
const SCOPE: &str = "tenants.submit";
/// Longest idempotency key, in bytes.
const MAX_KEY: usize = 255;
const KEY_HEADER: &str = "idempotency-key";

/// The answer to a workflow that was accepted.
#[derive(Serialize)]
struct Accepted<'s> {
    workflow_id: &'s str,
    status: &'static str,
    message: &'static str,
    execution: Execution<'s>,
}

/// `POST /api/v1/tenants/{tenant}/workflows`.
pub(super) async fn submit(cx: Cx, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    let body = whole(body)?;
    let key = key_of(&headers, &body)?;
    let workflow = document::parse(&body, &cx.tenant).map_err(Refusal::bad)?;
    let analysis = graph::admit(&workflow).map_err(|errors| {
        Refusal::bad(format!(
            "workflow execution failed: invalid DAG: [{}]",
            errors.join(" ")
        ))
    })?;
    let spec = plan::compile(&workflow, &analysis, &cx.app.config.tenants).map_err(Refusal::bad)?;
    let plan = Plan::compile(spec).map_err(|error| Refusal::bad(error.to_string()))?;
    let start = StartRun {
        workflow: order::workflow_name(&workflow.intent_id).into(),
        context: Arc::new(workflow.to_context()),
        ..StartRun::of(&cx.tenant, Arc::new(plan))
    };
    let started = cx.app.engine.start_runs(vec![start], key, false).await?;
    let run = started.runs.first();
    let run =
        run.ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the workflow was not started").after(1))?;
    match run.created_at.filter(|_| !started.replayed) {
        Some(at) => {
            let id = ids::workflow_id(&workflow.intent_id, run.id);
            Ok(accepted(&Scene::accepted(&id, &workflow, at), &id))
        }
        None => {
            let state = cx.app.engine.state(&cx.tenant, run.id).await?;
            let found = Found::of(state).ok_or_else(Refusal::no_workflow)?;
            Ok(accepted(&Scene::of(&found, cx.now()), &found.id))
        }
    }
}

fn accepted(scene: &Scene<'_>, id: &str) -> axum::response::Response {
    let answer = Accepted {
        workflow_id: id,
        status: scene.status(),
        message: "Workflow execution started",
        execution: scene.execution(),
    };
    reply::with_status(StatusCode::CREATED, &answer)
}

/// `POST /api/v1/dag/validate`.
pub(super) async fn validate(body: Result<Bytes, BytesRejection>) -> Answer {
    let asked = document::parse_graph(&whole(body)?).map_err(Refusal::bad)?;
    Ok(reply::json(&graph::validate_graph(&asked)))
}

fn key_of(headers: &HeaderMap, body: &[u8]) -> Result<Option<Idempotency>, Refusal> {
    let Some(key) = headers.get(KEY_HEADER) else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => {
            Ok(Some(Idempotency::new(SCOPE, key, Sha256::digest(body).into())))
        }
        _ => Err(Refusal::bad(format!(
            "Idempotency-Key must have 1 to {MAX_KEY} visible characters"
        ))),
    }
}
