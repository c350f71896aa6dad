//! A dead letter as it is shown.

use std::sync::Arc;

use quintet_core::outcome::{Failure, Past};
use quintet_core::time::Time;
use quintet_store::{DeadLetter, StoreError};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::desk::{code_of, message_of};
use super::super::directory::Picture;
use super::super::labels::Labels;
use super::super::model::{self, Stamp};
use super::super::public_id::PipelineRunId;
use super::super::view::code::Code;
use super::super::view::{previous, upstream_refs};

/// What the engine keeps of a step that failed for good.
#[derive(Deserialize)]
struct Body {
    failure: Failure,
    attempts: Vec<Attempt>,
    #[serde(default)]
    context: Value,
    #[serde(default)]
    labels: Map<String, Value>,
    #[serde(default)]
    upstream: Map<String, Value>,
}

#[derive(Deserialize)]
struct Attempt {
    attempt: u32,
    at: Time,
    failure: Arc<Failure>,
}

pub(super) fn view(picture: &Picture, letter: &DeadLetter) -> Result<model::DeadLetter, StoreError> {
    let id = super::id_of(letter);
    let body: Result<Body, _> = serde_json::from_str(&letter.body);
    let body = body.map_err(|error| StoreError::Corrupt(format!("dead letter {id}: {error}")))?;
    let labels = Labels::read(&body.labels);
    let pipeline = labels.as_ref().and_then(|labels| labels.pipeline.clone());
    let code = code(picture, letter, &body.failure);
    let attempts = body.attempts.into_iter().map(|attempt| {
        previous(&Past {
            attempt: attempt.attempt,
            at: attempt.at,
            failure: attempt.failure,
        })
    });
    let previous_attempts: Vec<model::PreviousAttempt> = attempts.collect();
    Ok(model::DeadLetter {
        id: id.to_string(),
        task_run_id: id.task_run.to_string(),
        task_id: letter.queue.to_string(),
        pipeline_run_id: pipeline.is_some().then(|| PipelineRunId(letter.run).to_string()),
        pipeline_id: pipeline,
        code_version: code.version,
        code_hash: code.hash,
        error: message_of(&body.failure),
        error_code: code_of(&body.failure).map(str::to_owned),
        // Of very many attempts only the latest are listed, under their own numbers.
        attempts: previous_attempts.last().map_or(0, |last| last.attempt),
        failed_at: Stamp(letter.failed_at),
        input: body.context,
        input_path: labels.map(|labels| labels.input_path).unwrap_or_default(),
        upstream_refs: upstream_refs(body.upstream.iter().map(|(task, output)| (task.as_str(), output))),
        previous_attempts,
        retried_at: letter.retried_at.map(Stamp),
        retry_run_id: letter.retried_at.map(|_| super::next_attempt(letter).to_string()),
    })
}

/// The version that failed.
fn code(picture: &Picture, letter: &DeadLetter, failure: &Failure) -> Code {
    let recorded = failure.detail.as_ref().and_then(Code::read);
    recorded.unwrap_or_else(|| Code::of_task(picture.tasks.get(&letter.queue), Some(letter.failed_at)))
}
