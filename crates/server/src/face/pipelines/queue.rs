//! What waits, what is under way and what has been done, over all runs: counts, and the task runs themselves.

use std::sync::Arc;

use axum::extract::State;
use http::Uri;
use quintet_core::machine::step;
use quintet_executors::push::ACTION;
use quintet_store::{LetterFilter, StepFilter, StepRow};
use serde_json::json;

use super::directory::Picture;
use super::model::{TaskRun, TaskStatus};
use super::public_id::PipelineRunId;
use super::query::{Params, Slice};
use super::reply::{self, Answer, Refusal, iso};
use super::view::{Known, RunView, states, status};
use crate::app::App;

/// Rows of failed task runs that one request looks at.
const BOUND: usize = 10_000;
const PAGE: usize = 500;

/// `GET /api/queue/status`. What took too long is among the failed.
pub(super) async fn counts(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    let counts = pipelines.store.step_counts(&pipelines.namespace, ACTION).await?;
    let letters = pipelines
        .store
        .letters(&pipelines.namespace, &LetterFilter::default(), 0, 0)
        .await?;
    let count = |wanted: TaskStatus| -> u64 {
        let fitting = counts
            .by_status
            .iter()
            .filter(|(row, _)| status::of_row(*row) == Some(wanted));
        fitting.map(|(_, count)| count).sum()
    };
    Ok(reply::json(&json!({
        "pending": count(TaskStatus::Pending),
        "running": count(TaskStatus::Running),
        "waiting": count(TaskStatus::Waiting),
        "completed": count(TaskStatus::Completed),
        "failed": count(TaskStatus::Failed),
        "dlq": letters.total,
        "oldestPending": counts.oldest_waiting.map(iso),
    })))
}

/// `GET /api/queue/items`: the lower number first, then the older. Each item costs a look at its run.
pub(super) async fn items(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri);
    let wanted = params.choice("status", &status::TASK);
    let task = params.text("taskId");
    let run = params.text("pipelineRunId");
    let slice = params.slice();
    params.finish()?;
    let run = run.map(|run| PipelineRunId::parse(&run).map(|id| id.0));
    let found = match run {
        // No run has such an id.
        Some(None) => Page::default(),
        run => {
            let statuses = match wanted {
                Some(wanted) => status::rows_of(wanted),
                None => step::ALL
                    .into_iter()
                    .filter(|row| status::of_row(*row).is_some())
                    .collect(),
            };
            let filter = StepFilter {
                action: Some(ACTION.into()),
                queue: task.map(Into::into),
                run: run.flatten(),
                statuses,
            };
            page(&app, &filter, wanted, slice).await?
        }
    };
    let mut answer = json!({
        "items": found.items, "total": found.total, "limit": slice.limit, "offset": slice.offset,
    });
    if found.is_cut {
        answer["totalIsExact"] = false.into();
    }
    Ok(reply::json(&answer))
}

/// A part of the list.
#[derive(Default)]
struct Page {
    items: Vec<TaskRun>,
    total: u64,
    /// There may be more than were counted.
    is_cut: bool,
}

async fn page(app: &App, filter: &StepFilter, wanted: Option<TaskStatus>, slice: Slice) -> Result<Page, Refusal> {
    let pipelines = &app.pipelines;
    let picture = pipelines.directory.picture();
    if let Some(wanted @ (TaskStatus::Failed | TaskStatus::Timeout)) = wanted {
        return failures(app, &picture, filter, wanted, slice).await;
    }
    let found = pipelines
        .store
        .steps(&pipelines.namespace, filter, slice.offset as u64, slice.limit)
        .await?;
    Ok(Page {
        items: views(app, &picture, &found.rows).await?,
        total: found.total,
        is_cut: false,
    })
}

/// Rows do not tell the two kinds of failures apart, so all of them are looked at, as far as the bound goes.
async fn failures(
    app: &App,
    picture: &Picture,
    filter: &StepFilter,
    wanted: TaskStatus,
    slice: Slice,
) -> Result<Page, Refusal> {
    let pipelines = &app.pipelines;
    let (mut page, mut seen) = (Page::default(), 0);
    loop {
        let found = pipelines
            .store
            .steps(&pipelines.namespace, filter, seen as u64, PAGE)
            .await?;
        let fitting = views(app, picture, &found.rows).await?;
        for item in fitting.into_iter().filter(|item| item.status == wanted) {
            if page.total >= slice.offset as u64 && page.items.len() < slice.limit {
                page.items.push(item);
            }
            page.total += 1;
        }
        seen += found.rows.len();
        page.is_cut = found.total > seen as u64;
        if found.rows.len() < PAGE || seen >= BOUND {
            return Ok(page);
        }
    }
}

/// Rows whose run is gone, or is not one of this face, are left out.
async fn views(app: &App, picture: &Picture, rows: &[StepRow]) -> Result<Vec<TaskRun>, Refusal> {
    let states = states(app, rows.iter().map(|row| row.run)).await?;
    let view = |row: &StepRow| {
        let state = states.get(&row.run)?;
        state.nodes.get(row.node as usize)?;
        let view = RunView::of(app, picture, state)?;
        // The run may have gone on since the row was read, and a task that is to be done again be unheard of.
        let status = status::of_task(state, row.node).or_else(|| status::of_row(row.status))?;
        let known = Known {
            row: Some(row),
            beat: None,
        };
        Some(view.task_run(row.node, status, known))
    };
    Ok(rows.iter().filter_map(view).collect())
}
