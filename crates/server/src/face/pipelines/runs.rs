//! Runs of pipelines: the list of them, and one with its tasks.

mod find;

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use http::Uri;
use quintet_core::id::RunId;
use quintet_core::machine::StepStatus;
use quintet_core::state::RunState;
use quintet_engine::EngineError;
use quintet_store::{RunFilter, StepFilter, StepRow};
use serde_json::json;

use super::directory::Picture;
use super::model::{PipelineRun, TaskRun};
use super::public_id::PipelineRunId;
use super::query::Params;
use super::reply::{self, Answer, Refusal};
use super::starts::OF_PIPELINE;
use super::view::code::Code;
use super::view::{Known, RunView, beats, states, status};
use crate::app::App;
use find::Wanted;

/// `GET /api/runs`, newest first.
///
/// The engine's list of runs has no positions and no count, so everything that fits is walked through, a thousand rows at
/// a time: cheap for thousands of runs, and bounded for millions. Beyond the bound of [`find`] the total is a least one, and
/// the answer says so (`totalIsExact`).
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri);
    let pipeline = params.text("pipelineId");
    let wanted = Wanted {
        status: params.choice("status", &status::RUN),
        filter: RunFilter {
            workflow: pipeline.as_ref().map(|id| format!("{OF_PIPELINE}{id}").into()),
            workflow_prefix: pipeline.is_none().then(|| OF_PIPELINE.into()),
            statuses: Vec::new(),
            created_from: params.from("from"),
            created_before: params.after("to"),
            claimed: None,
        },
    };
    let slice = params.slice();
    params.finish()?;
    let picture = app.pipelines.directory.picture();
    let found = find::find(&app, &picture, &wanted).await?;
    let page: Vec<RunId> = found
        .runs
        .iter()
        .skip(slice.offset)
        .take(slice.limit)
        .copied()
        .collect();
    let states = states(&app, page.iter().copied()).await?;
    let view = |id: &RunId| RunView::of(&app, &picture, states.get(id)?)?.pipeline_run();
    let runs: Vec<PipelineRun> = page.iter().filter_map(view).collect();
    let mut answer = json!({
        "runs": runs, "total": found.runs.len(), "limit": slice.limit, "offset": slice.offset,
    });
    if !found.is_whole {
        answer["totalIsExact"] = false.into();
    }
    Ok(reply::json(&answer))
}

/// `GET /api/runs/{id}`.
pub(super) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let not_found = || Refusal::not_found("Run not found", "runId", &id);
    let run = PipelineRunId::parse(&id).ok_or_else(not_found)?.0;
    let state = match app.engine.state(&app.pipelines.namespace, run).await {
        Err(EngineError::RunNotFound(_)) => return Err(not_found()),
        state => state?,
    };
    let picture = app.pipelines.directory.picture();
    let view = RunView::of(&app, &picture, &state).ok_or_else(not_found)?;
    let shown = view.pipeline_run().ok_or_else(not_found)?;
    let tasks = tasks(&app, &picture, &view).await?;
    Ok(reply::json(&json!({ "run": shown, "tasks": tasks })))
}

/// The task runs of a run in the order of its plan, each compared with the run before.
async fn tasks(app: &App, picture: &Picture, view: &RunView<'_>) -> Result<Vec<TaskRun>, Refusal> {
    let store = &app.pipelines.store;
    let filter = StepFilter {
        run: Some(view.state.id),
        ..StepFilter::default()
    };
    let rows = store
        .steps(&app.pipelines.namespace, &filter, 0, view.state.nodes.len())
        .await?;
    let rows: HashMap<u32, StepRow> = rows.rows.into_iter().map(|row| (row.node, row)).collect();
    let beats = beats::read(store.as_ref(), view.state).await?;
    let before = before(app, picture, view.state).await?;
    let tasks = view.tasks().map(|(n, status)| {
        let known = Known {
            row: rows.get(&n),
            beat: beats.get(&n),
        };
        let task = view.task_run(n, status, known);
        let before = before.get(&task.task_id).copied();
        task.compared(before)
    });
    Ok(tasks.collect())
}

/// Versions of the code that the tasks of the run before were done with.
async fn before(app: &App, picture: &Picture, state: &RunState) -> Result<HashMap<String, u32>, Refusal> {
    let filter = RunFilter {
        workflow: Some(Arc::clone(&state.created.workflow)),
        ..RunFilter::default()
    };
    let pipelines = &app.pipelines;
    let page = pipelines
        .store
        .runs(&pipelines.namespace, &filter, Some(state.id), 1)
        .await?;
    let states = states(app, page.rows.iter().map(|row| row.id)).await?;
    let Some(view) = states
        .values()
        .next()
        .and_then(|state| RunView::of(app, picture, state))
    else {
        return Ok(HashMap::new());
    };
    let has_begun = |n: u32| {
        let node = &view.state.nodes[n as usize];
        node.attempt > 0 || node.status == StepStatus::Complete
    };
    let done = view.tasks().filter(|(n, _)| has_begun(*n));
    let versions = done.map(|(n, status)| {
        let Code { version, .. } = view.code(n, status);
        (
            view.state.plan.queue(view.state.nodes[n as usize].step).to_string(),
            version,
        )
    });
    Ok(versions.collect())
}
