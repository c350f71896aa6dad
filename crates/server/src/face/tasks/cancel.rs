//! Calling a task off: `DELETE /api/tasks/{id}`. What its backend is doing is stopped as far as the backend allows it; what
//! comes back all the same is refused.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::Uri;
use quintet_core::command::{Command, Rejected};
use quintet_engine::EngineError;
use serde_json::json;

use super::reply::{self, Answer, Refusal};
use super::{ids, repeat};
use crate::app::App;
use crate::http::Caller;

pub(super) async fn cancel(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>, uri: Uri) -> Answer {
    let finished = || Refusal::bad("Task already finished");
    if repeat::remove(&app, &id).await? {
        return Ok(answer(&id));
    }
    let state = ids::find(&app, &id, &uri).await?;
    if state.status.is_terminal() {
        return Err(finished());
    }
    let command = Command::Cancel {
        by: (!caller.is_anonymous()).then(|| caller.name.to_string()),
        reason: None,
    };
    match app.engine.command(&app.tasks.namespace, state.id, command).await {
        Err(EngineError::Rejected(Rejected::Finished(_))) => Err(finished()),
        done => done.map(|_| answer(&id)).map_err(Refusal::from),
    }
}

fn answer(id: &str) -> axum::response::Response {
    reply::json(&json!({ "taskId": id, "cancelled": true, "success": true }))
}
