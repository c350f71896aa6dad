//! Runs: start, look at, list, control, remove.

mod accept;
pub(super) mod approvals;
pub(super) mod attempts;
pub(super) mod batch;
pub(super) mod body;
pub(super) mod control;
pub(super) mod idempotency;
pub(super) mod launch;
mod order;
pub(super) mod start;
pub(super) mod steps;
pub(super) mod view;
pub(super) mod why;

use axum::extract::Path;
use http::Uri;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_store::{RunFilter, RunRow};
use serde::Serialize;

use super::cx::{Cx, run_id};
use super::problem::{Answer, Problem};
use super::query::{Params, bad};
use super::reply::{self, Page};
use super::status;
use crate::error_code::ErrorCode;

/// A run in a list: what the index knows of it.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    id: String,
    workflow_id: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    workflow_version: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "is_zero_priority")]
    priority: i32,
    #[serde(serialize_with = "reply::time")]
    created_at: Time,
    #[serde(serialize_with = "reply::time")]
    updated_at: Time,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    finished_at: Option<Time>,
}

pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn is_zero_priority(number: &i32) -> bool {
    *number == 0
}

impl<'a> Summary<'a> {
    fn of(row: &'a RunRow) -> Self {
        Self {
            id: row.id.to_string(),
            workflow_id: &row.workflow,
            workflow_version: row.workflow_version,
            status: status::of_run(row.status),
            priority: row.priority,
            created_at: row.created_at,
            updated_at: row.updated_at,
            finished_at: row.finished_at,
        }
    }
}

/// `GET /v1/runs`.
pub(super) async fn list(cx: Cx, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let filter = RunFilter {
        workflow: params.text("workflow_id")?.map(Into::into),
        workflow_prefix: None,
        statuses: statuses(&params)?,
        created_from: params.time("created_from")?,
        created_before: params.time("created_before")?,
        claimed: None,
    };
    let (before, limit) = (params.run_cursor()?, params.limit()?);
    let page = cx.engine().store().runs(&cx.namespace, &filter, before, limit).await?;
    let next_cursor = page.next.map(|id| id.to_string());
    Ok(reply::json(&Page {
        items: page.rows.iter().map(Summary::of).collect(),
        next_cursor,
    }))
}

/// Public names, one or several with commas.
fn statuses(params: &Params) -> Result<Vec<RunStatus>, Problem> {
    let Some(text) = params.text("status")? else {
        return Ok(Vec::new());
    };
    let mut statuses = Vec::new();
    for name in text.split(',') {
        let called = status::runs_called(name);
        if called.is_empty() {
            return Err(bad(
                "status",
                &format!("must be one or several of {}", status::RUN.join(",")),
            ));
        }
        statuses.extend(called);
    }
    Ok(statuses)
}

/// `GET /v1/runs/{id}`.
pub(super) async fn show(cx: Cx, Path(id): Path<String>) -> Answer {
    let state = cx.run(&id).await.map_err(Problem::plain)?;
    Ok(reply::json(&view::RunView::of(&state)))
}

/// `DELETE /v1/runs/{id}`.
pub(super) async fn remove(cx: Cx, Path(id): Path<String>) -> Answer {
    let not_found = |problem: Problem| Problem {
        plain: false,
        ..problem
    };
    let id = run_id(&id).map_err(not_found)?;
    if cx.engine().store().delete_run(&cx.namespace, id).await? {
        return Ok(reply::nothing());
    }
    match cx.engine().store().run(&cx.namespace, id).await? {
        None => Err(not_found(super::cx::not_found())),
        Some(row) => {
            let message = format!(
                "the run is {}; only a finished run can be deleted",
                status::of_run(row.status)
            );
            Err(Problem::new(ErrorCode::RunNotFinished, message))
        }
    }
}
