//! Pipelines: which there are, what they look like, and what a run would do.

use std::sync::Arc;

use axum::extract::{Path, State};
use quintet_core::time::Time;
use serde_json::{Map, Value, json};

use super::body::Json;
use super::directory::{Picture, Task};
use super::dry_run;
use super::graph::Pipeline;
use super::model::PipelineRow;
use super::reply::{self, Answer, Refusal};
use super::validation;
use super::zod_error::{self, Fields, Findings};
use crate::app::App;

pub(super) async fn list(State(app): State<Arc<App>>) -> Answer {
    let picture = app.pipelines.directory.picture();
    // A pipeline is named as its id, and ids come in order.
    let pipelines = picture
        .graph
        .pipeline_ids()
        .into_iter()
        .filter_map(|id| picture.pipeline(id));
    let rows: Vec<PipelineRow> = pipelines.map(|pipeline| row(&picture, &pipeline)).collect();
    Ok(reply::json(&json!({ "pipelines": rows })))
}

pub(super) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let (picture, pipeline) = known(&app, &id).await?;
    Ok(reply::json(&json!({ "pipeline": row(&picture, &pipeline) })))
}

/// Starts nothing and stores nothing. An input, if one is given, is checked as a trigger would check it.
pub(super) async fn dry_run(State(app): State<Arc<App>>, Path(id): Path<String>, body: Json) -> Answer {
    let body = body.or_empty();
    let mut found = Findings::default();
    let Some(fields) = Fields::of(Some(&body), zod_error::Path::root(), &mut found) else {
        return Err(found.into());
    };
    let (picture, pipeline) = known(&app, &id).await?;
    let limit = |id: &str| picture.task(id).map_or(0, |task| task.entry.concurrency);
    let mut answer = json!(dry_run::dry_run(&pipeline, limit));
    if fields.has("input") {
        let findings = findings(&picture, &pipeline, &body["input"]);
        if !findings.is_empty() {
            answer["validationWarnings"] = Value::Object(findings);
        }
    }
    Ok(reply::json(&answer))
}

async fn known(app: &App, id: &str) -> Result<(Arc<Picture>, Pipeline), Refusal> {
    let picture = app
        .pipelines
        .picture_with(app, |picture| picture.pipeline(id).is_some())
        .await?;
    let pipeline = picture.pipeline(id);
    let pipeline = pipeline.ok_or_else(|| Refusal::not_found("Pipeline not found", "pipelineId", id))?;
    Ok((picture, pipeline))
}

fn row(picture: &Picture, pipeline: &Pipeline) -> PipelineRow {
    let tasks = || pipeline.tasks.iter().filter_map(|task| picture.task(&task.id));
    let oldest = tasks().map(|task: &Task| task.registered_at).min();
    let latest = tasks().map(|task: &Task| task.updated_at).max();
    PipelineRow::of(pipeline, oldest.unwrap_or(Time(0)), latest.unwrap_or(Time(0)))
}

/// What is wrong with an input, by entry task.
fn findings(picture: &Picture, pipeline: &Pipeline, input: &Value) -> Map<String, Value> {
    let found = pipeline.entries().iter().filter_map(|entry| {
        let schema = picture.task(&entry.id)?.entry.input_schema.as_ref()?;
        let found = validation::validate(schema, input);
        (!found.is_empty()).then(|| (entry.id.to_string(), json!(found)))
    });
    found.collect()
}
