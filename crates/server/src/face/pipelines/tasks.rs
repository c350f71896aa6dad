//! Tasks by themselves: the history of their code, and what their input looks like.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::json;

use super::body::Json;
use super::directory::Picture;
use super::model::CodeVersion;
use super::reply::{self, Answer, Refusal};
use super::validation;
use crate::app::App;

/// The latest first; a task that nobody knows has none.
pub(super) async fn history(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let picture = known(&app, &id).await?;
    let versions = picture.tasks.get(id.as_str()).map(|task| task.history.as_slice());
    let versions = versions.unwrap_or_default().iter().map(|version| CodeVersion {
        code_version: version.code_version,
        code_hash: version.code_hash.clone(),
        service_version: version.service_version.clone(),
        recorded_at: version.recorded_at,
    });
    let history: Vec<CodeVersion> = versions.collect();
    Ok(reply::json(&json!({ "history": history })))
}

pub(super) async fn input_schema(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let picture = known(&app, &id).await?;
    let task = picture.task(&id).ok_or_else(not_found)?;
    let schema = &task.entry.input_schema;
    Ok(reply::json(
        &json!({ "taskId": id, "hasSchema": schema.is_some(), "schema": schema }),
    ))
}

pub(super) async fn validate_input(State(app): State<Arc<App>>, Path(id): Path<String>, body: Json) -> Answer {
    let picture = known(&app, &id).await?;
    let task = picture.task(&id).ok_or_else(not_found)?;
    let body = body.or_empty();
    let input = body.get("input").ok_or_else(|| Refusal::bad("Input is required"))?;
    let schema = task.entry.input_schema.as_ref();
    let errors = schema
        .map(|schema| validation::validate(schema, input))
        .unwrap_or_default();
    Ok(reply::json(&json!({ "valid": errors.is_empty(), "errors": errors })))
}

async fn known(app: &App, id: &str) -> Result<Arc<Picture>, Refusal> {
    app.pipelines
        .picture_with(app, |picture| picture.tasks.contains_key(id))
        .await
}

/// Without an echo of the id: so the original.
fn not_found() -> Refusal {
    Refusal::new(http::StatusCode::NOT_FOUND, "Task not found")
}
