//! Workflows and runs as pictures. A run's steps have the colours of their states.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::{HeaderValue, StatusCode, Uri, header};
use quintet_core::plan::Plan;
use serde_json::Value;

use super::cx::Cx;
use super::problem::{Answer, Problem};
use super::query::{Params, bad};
use super::status;
use crate::error_code::ErrorCode;
use crate::picture::{Format, Picture, TooLarge, aside};

/// `GET /v1/workflows/{id}/visualize`.
pub(super) async fn of_workflow(cx: Cx, Path(id): Path<String>, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let (format, version) = (format(&params)?, params.whole("version")?);
    let (title, plan) = match version {
        None => current(&cx, &id).await?,
        Some(version) => old(&cx, &id, version).await?,
    };
    drawn(format, move || Picture::of_plan(&title, &plan.spec)).await
}

/// `GET /v1/runs/{id}/visualize`.
pub(super) async fn of_run(cx: Cx, Path(id): Path<String>, uri: Uri) -> Answer {
    let format = format(&Params::of(&uri)?)?;
    let state = cx.run(&id).await.map_err(|problem| Problem {
        plain: false,
        ..problem
    })?;
    let name = name(&cx, &state.created.workflow).await?;
    let title = format!("{name} · {} · {}", state.id, status::of_run(state.status));
    drawn(format, move || {
        Picture::of_state(title.trim_start_matches(" · "), &state)
    })
    .await
}

fn format(params: &Params) -> Result<Format, Problem> {
    let Some(text) = params.text("format")? else {
        return Ok(Format::Svg);
    };
    let known = Format::ALL.into_iter().find(|format| format.name() == text);
    known.ok_or_else(|| bad("format", "must be one of svg, mermaid, dot"))
}

/// What people call the workflow of a run; its id where it is gone.
async fn name(cx: &Cx, id: &str) -> Result<String, Problem> {
    let current = cx.engine().workflows().current(&cx.namespace, id).await?;
    Ok(current.map_or_else(|| id.to_owned(), |current| current.row.name.clone()))
}

async fn current(cx: &Cx, id: &str) -> Result<(String, Arc<Plan>), Problem> {
    let current = cx.engine().workflows().current(&cx.namespace, id).await?;
    let current = current.ok_or_else(|| Problem::new(ErrorCode::WorkflowNotFound, "workflow not found"))?;
    Ok((current.row.name.clone(), Arc::clone(&current.plan)))
}

async fn old(cx: &Cx, id: &str, version: u64) -> Result<(String, Arc<Plan>), Problem> {
    let rows = cx.engine().workflows().versions(&cx.namespace, id).await?;
    let row = rows.iter().find(|row| u64::from(row.version) == version);
    let row = row.ok_or_else(|| Problem::new(ErrorCode::VersionNotFound, "version not found"))?;
    let document: Value = serde_json::from_str(&row.document).unwrap_or_default();
    let title = format!("{} · version {version}", document["name"].as_str().unwrap_or(id));
    Ok((title, cx.engine().workflows().plan(row.digest).await?))
}

async fn drawn(format: Format, picture: impl FnOnce() -> Picture + Send + 'static) -> Answer {
    let text = aside(move || picture().draw_bounded(format)).await?;
    Ok(answer(format, text))
}

/// A picture as an answer. What the edge adds to every answer keeps a browser from running anything in it.
pub(crate) fn answer(format: Format, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    response
}

impl From<TooLarge> for Problem {
    fn from(error: TooLarge) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            ..bad("format", &error.to_string())
        }
    }
}
