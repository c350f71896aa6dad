//! Another try for what failed for good.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use quintet_core::command::{Command, Rejected};
use quintet_engine::EngineError;
use quintet_store::DeadLetter;
use serde::Serialize;
use serde_json::json;

use super::super::body::Json;
use super::super::directory::Picture;
use super::super::reply::{self, Answer, Refusal};
use super::super::zod_error::{self, Fields, Findings};
use crate::app::App;
use crate::http::Caller;

/// Letters that one request tries again.
const BOUND: usize = 10_000;
/// Letters read at a time: each carries the input of its run.
const PAGE: usize = 50;

/// What is answered about a letter that is tried again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Retried {
    new_run_id: String,
    status: &'static str,
    /// Of the code that does it this time.
    code_version: u32,
}

/// Why a letter is not tried again.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it has been tried again before; see its task run")]
    Done,
    #[error("no service does the task '{0}' now; start its worker first")]
    Unregistered(Arc<str>),
    #[error("its run has been removed; start a new one with its input")]
    Gone,
    #[error("{0}")]
    Impossible(Rejected),
    #[error(transparent)]
    Engine(EngineError),
}

impl Refused {
    fn error(&self) -> &'static str {
        match self {
            Self::Done => "DLQ item was already retried",
            Self::Unregistered(_) => "Task is not registered",
            Self::Gone => "Run is gone",
            Self::Impossible(_) => "DLQ item cannot be retried now",
            Self::Engine(_) => "Failed to retry DLQ item",
        }
    }

    fn refusal(self, id: &str) -> Refusal {
        let status = match self {
            Self::Engine(error) => return error.into(),
            Self::Gone => StatusCode::GONE,
            Self::Done | Self::Unregistered(_) | Self::Impossible(_) => StatusCode::CONFLICT,
        };
        Refusal::new(status, self.error())
            .with("dlqId", id)
            .because(self.to_string())
    }
}

impl From<EngineError> for Refused {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::RunNotFound(_) => Self::Gone,
            EngineError::Rejected(rejected) => Self::Impossible(rejected),
            error => Self::Engine(error),
        }
    }
}

/// `POST /api/dlq/{id}/retry`.
pub(in super::super) async fn retry(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Answer {
    let pipelines = &app.pipelines;
    pipelines.must_take_work()?;
    let letter = super::letter(&app, &id).await?;
    let picture = pipelines
        .picture_with(&app, |picture| picture.task(&letter.queue).is_some())
        .await?;
    let retried = again(&app, &picture, &caller, &letter).await;
    let retried = retried.map_err(|refused| refused.refusal(&super::id_of(&letter).to_string()))?;
    Ok(reply::json(&retried))
}

/// `POST /api/dlq/retry-all`: all that are open when it is asked, the oldest first. What cannot be tried again is told,
/// and the others are. Where the store goes away in between, or the bound is reached, the answer says how many `remaining`
/// were not looked at, and the request can be sent again.
pub(in super::super) async fn retry_all(State(app): State<Arc<App>>, caller: Caller, body: Json) -> Answer {
    let pipelines = &app.pipelines;
    pipelines.must_take_work()?;
    let body = body.or_empty();
    let mut found = Findings::default();
    let read = Fields::of(Some(&body), zod_error::Path::root(), &mut found).map(|fields| {
        let pipeline = fields.optional_text("pipelineId", &mut found);
        (pipeline, fields.optional_text("taskId", &mut found))
    });
    let Some((pipeline, task)) = read.filter(|_| !found.is_any()) else {
        return Err(found.into());
    };
    // Known before the first is tried: one that fails again at once must not come round again.
    let (mut letters, beyond) = open(&app, pipeline, task).await?;
    let known = |picture: &Picture| letters.iter().all(|letter| picture.task(&letter.queue).is_some());
    let picture = pipelines.picture_with(&app, known).await?;
    let (mut results, mut failed) = (Vec::new(), Vec::new());
    while let Some(letter) = letters.pop() {
        let id = super::id_of(&letter).to_string();
        match again(&app, &picture, &caller, &letter).await {
            Ok(retried) => {
                let mut entry = json!({ "id": id });
                entry["newRunId"] = retried.new_run_id.into();
                entry["status"] = retried.status.into();
                entry["codeVersion"] = retried.code_version.into();
                results.push(entry);
            }
            Err(refused) => {
                failed.push(json!({ "id": id, "error": refused.error(), "message": refused.to_string() }));
                if matches!(refused, Refused::Engine(_)) {
                    break;
                }
            }
        }
    }
    let mut answer = json!({ "retried": results.len(), "results": results, "failed": failed });
    let remaining = letters.len() as u64 + beyond;
    if remaining > 0 {
        answer["remaining"] = remaining.into();
    }
    Ok(reply::json(&answer))
}

/// Open letters without their bodies, the latest first, and how many there are beyond the bound.
async fn open(app: &App, pipeline: Option<&str>, task: Option<&str>) -> Result<(Vec<DeadLetter>, u64), Refusal> {
    let filter = super::filter(pipeline, task);
    let pipelines = &app.pipelines;
    let mut letters = Vec::new();
    loop {
        let page = pipelines
            .store
            .letters(&pipelines.namespace, &filter, letters.len() as u64, PAGE)
            .await?;
        let is_last = page.letters.len() < PAGE;
        letters.extend(page.letters.into_iter().map(|letter| DeadLetter {
            body: String::new(),
            ..letter
        }));
        if is_last || letters.len() >= BOUND {
            let beyond = page.total.saturating_sub(letters.len() as u64);
            return Ok((letters, beyond));
        }
    }
}

async fn again(app: &App, picture: &Picture, caller: &Caller, letter: &DeadLetter) -> Result<Retried, Refused> {
    let namespace = &app.pipelines.namespace;
    if letter.retried_at.is_some() {
        return Err(Refused::Done);
    }
    let task = picture.task(&letter.queue);
    let task = task.ok_or_else(|| Refused::Unregistered(Arc::clone(&letter.queue)))?;
    let state = app.engine.state(namespace, letter.run).await?;
    // The step may have been tried again and have failed again: that is another letter's.
    let attempt = state.nodes.get(letter.node as usize).map(|node| node.attempt);
    if attempt.is_some_and(|attempt| attempt > letter.attempt) {
        return Err(Refused::Done);
    }
    let command = Command::Retry {
        step: Some(letter.step.to_string()),
        by: (!caller.is_anonymous()).then(|| caller.name.to_string()),
    };
    app.engine.command(namespace, letter.run, command).await?;
    Ok(Retried {
        new_run_id: super::next_attempt(letter).to_string(),
        status: "queued",
        code_version: task.code_version,
    })
}
