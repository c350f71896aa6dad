//! A finished task once more, under a new id: `POST /api/tasks/{id}/retry`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::ids;
use super::reply::{self, Answer, Refusal};
use crate::app::App;

pub(super) async fn retry(State(app): State<Arc<App>>, Path(id): Path<String>, uri: Uri) -> Answer {
    let state = ids::find(&app, &id, &uri).await?;
    if !state.status.is_terminal() {
        return Err(Refusal::new(StatusCode::CONFLICT, "Task is not finished")
            .because("the task is still under way: cancel it first, or wait until it has ended"));
    }
    let mut document = state.created.context.get("task").cloned().unwrap_or_default();
    if let Value::Object(fields) = &mut document {
        // It has been waited for already.
        fields.remove("delay");
    }
    let run = app.tasks.start(&document, None).await?;
    Ok(reply::json(&json!({ "taskId": run.to_string() })))
}
