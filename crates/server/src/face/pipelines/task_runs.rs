//! `GET /api/task-runs/{id}`: one task run, by its own id or by that of one of its attempts.

use std::sync::Arc;

use axum::extract::{Path, State};
use quintet_engine::EngineError;
use quintet_store::StepFilter;

use super::public_id::AttemptId;
use super::reply::{self, Answer, Refusal};
use super::view::{Known, RunView, beats, status};
use crate::app::App;

pub(super) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let not_found = || Refusal::not_found("Task run not found", "taskRunId", &id);
    let asked = AttemptId::parse(&id).ok_or_else(not_found)?;
    let pipelines = &app.pipelines;
    let state = match app.engine.state(&pipelines.namespace, asked.task_run.run).await {
        Err(EngineError::RunNotFound(_)) => return Err(not_found()),
        state => state?,
    };
    let picture = pipelines.directory.picture();
    let view = RunView::of(&app, &picture, &state).ok_or_else(not_found)?;
    let n = asked.task_run.node;
    let status = status::of_task(&state, n).ok_or_else(not_found)?;
    let node = &state.nodes[n as usize];
    // The next attempt has a name before it is made: a retry of a dead letter is answered with it.
    if asked.attempt > node.attempt + 1 {
        return Err(not_found());
    }
    let filter = StepFilter {
        run: Some(state.id),
        queue: Some(Arc::clone(state.plan.queue(node.step))),
        ..StepFilter::default()
    };
    let rows = pipelines.store.steps(&pipelines.namespace, &filter, 0, 1).await?;
    let beats = beats::read(pipelines.store.as_ref(), &state).await?;
    let known = Known {
        row: rows.rows.iter().find(|row| row.node == n),
        beat: beats.get(&n),
    };
    Ok(reply::json(&view.task_run(n, status, known)))
}
