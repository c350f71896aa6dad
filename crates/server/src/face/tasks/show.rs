//! One task: `GET /api/tasks/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::Uri;
use quintet_core::outcome::Token;
use quintet_core::state::RunState;
use quintet_executors::backend::job_id;
use serde_json::{Value, json};

use super::document::Document;
use super::reply::{self, Answer, Refusal};
use super::{ids, repeat, view};
use crate::app::App;

pub(super) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>, uri: Uri) -> Answer {
    if let Some(answer) = repeat::show(&app, &id).await? {
        return Ok(answer);
    }
    let state = ids::find(&app, &id, &uri).await?;
    Ok(reply::json(&view::detail(&state)))
}

/// `GET /api/tasks/{id}/logs`: what jobs of Ray's have written so far.
pub(super) async fn logs(State(app): State<Arc<App>>, Path(id): Path<String>, uri: Uri) -> Answer {
    let state = ids::find(&app, &id, &uri).await?;
    let mut steps = Vec::new();
    if let Some(backend) = Document::of_context(&state.created.context).backend() {
        for n in 0..state.nodes.len() as u32 {
            let Some(job) = job_of(&state, n) else { continue };
            let logs = app.tasks.backends.logs(backend, &job).await;
            let logs = logs.map_err(|failure| Refusal::unavailable(failure.message))?;
            steps.push(json!({ "step": state.name_of(n), "job": job, "logs": logs }));
        }
    }
    Ok(reply::json(&json!({ "taskId": id, "steps": steps })))
}

/// The job of a step run: the one that its outcome names, or the one that is under way.
fn job_of(state: &RunState, n: u32) -> Option<String> {
    let node = &state.nodes[n as usize];
    let output = node.success.as_ref().map(|success| &*success.output);
    let told = output.or(node.failure.as_ref().and_then(|failure| failure.detail.as_ref()));
    let named = told.and_then(|told| told.get("submission_id")).and_then(Value::as_str);
    if named.is_some() || !node.is_claimed() {
        return named.map(str::to_owned);
    }
    let token = Token {
        run: state.id,
        node: n,
        attempt: node.attempt,
    };
    state.work_under_way(token).map(|work| job_id(&work))
}
