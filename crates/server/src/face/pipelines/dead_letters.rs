//! Task runs that failed for good: the list of them, another try, and throwing the old ones away.
//!
//! A dead letter is kept apart from its run, with everything that it needs to be understood, and outlives it. It is tried
//! again by its run: the step is reset, the run is taken up again where it stopped, and the next attempt is the first of a
//! new life. The letter is closed by the same commit.

mod item;
mod purge;
mod retry;

use std::sync::Arc;

use axum::extract::{Path, State};
use http::Uri;
use quintet_store::{DeadLetter, LetterFilter};
use serde_json::json;

use super::model;
use super::public_id::{AttemptId, DeadLetterId, TaskRunId};
use super::query::Params;
use super::reply::{self, Answer, Refusal};
use super::starts::OF_PIPELINE;
use crate::app::App;

pub(super) use purge::purge;
pub(super) use retry::{retry, retry_all};

/// `GET /api/dlq`, the latest first; those that were tried again only where it is asked for.
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri);
    let (pipeline, task) = (params.text("pipelineId"), params.text("taskId"));
    let filter = LetterFilter {
        with_retried: params.flag("includeRetried"),
        ..filter(pipeline.as_deref(), task.as_deref())
    };
    let slice = params.slice();
    params.finish()?;
    let pipelines = &app.pipelines;
    let found = pipelines
        .store
        .letters(&pipelines.namespace, &filter, slice.offset as u64, slice.limit)
        .await?;
    let picture = pipelines.directory.picture();
    let items = found.letters.iter().map(|letter| item::view(&picture, letter));
    let items: Vec<model::DeadLetter> = items.collect::<Result<_, _>>()?;
    Ok(reply::json(&json!({
        "items": items, "total": found.total, "limit": slice.limit, "offset": slice.offset,
    })))
}

/// `GET /api/dlq/{id}`, by the letter's id or by that of its task run, whose latest letter it then is.
pub(super) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let letter = letter(&app, &id).await?;
    let picture = app.pipelines.directory.picture();
    Ok(reply::json(&item::view(&picture, &letter)?))
}

/// Open letters of a pipeline and of a task.
fn filter(pipeline: Option<&str>, task: Option<&str>) -> LetterFilter {
    LetterFilter {
        workflow: pipeline.map(|id| format!("{OF_PIPELINE}{id}").into()),
        queue: task.map(Into::into),
        with_retried: false,
    }
}

async fn letter(app: &App, id: &str) -> Result<DeadLetter, Refusal> {
    let not_found = || Refusal::not_found("DLQ item not found", "dlqId", id);
    let (task_run, attempt) = place(id).ok_or_else(not_found)?;
    let pipelines = &app.pipelines;
    let letter = pipelines
        .store
        .letter(&pipelines.namespace, task_run.run, task_run.node, attempt);
    letter.await?.ok_or_else(not_found)
}

fn place(id: &str) -> Option<(TaskRunId, Option<u32>)> {
    if let Some(letter) = DeadLetterId::parse(id) {
        return Some((letter.task_run, Some(letter.attempt)));
    }
    let attempt = AttemptId::parse(id)?;
    // A task run is called as its first attempt is.
    Some((attempt.task_run, (attempt.attempt > 1).then_some(attempt.attempt)))
}

/// What a letter is called.
fn id_of(letter: &DeadLetter) -> DeadLetterId {
    DeadLetterId {
        task_run: task_run_of(letter),
        attempt: letter.attempt,
    }
}

fn task_run_of(letter: &DeadLetter) -> TaskRunId {
    TaskRunId {
        run: letter.run,
        node: letter.node,
    }
}

/// The attempt that another try of a letter begins with. Attempts are counted for good, so it is the one after the last.
fn next_attempt(letter: &DeadLetter) -> AttemptId {
    AttemptId {
        task_run: task_run_of(letter),
        attempt: letter.attempt.saturating_add(1),
    }
}
