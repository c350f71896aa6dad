//! The step runs of a run: a paged list, and one in detail with its attempts.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Path;
use http::Uri;
use quintet_core::outcome::Failure;
use quintet_core::state::{Node, RunState};
use quintet_core::time::Time;
use serde::Serialize;
use serde_json::Value;

use super::super::cx::Cx;
use super::super::problem::{Answer, Problem};
use super::super::query::{Params, bad};
use super::super::reply::{self, Page};
use super::super::status;
use super::attempts::{Attempt, attempts_of};
use super::is_zero;
use super::view::{Decision, code, output};
use super::why::reasons;
use crate::error_code::ErrorCode;

/// A step run in a list.
#[derive(Debug, Serialize)]
struct StepView<'a> {
    id: String,
    name: &'a str,
    action: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<ItemCounts>,
    #[serde(skip_serializing_if = "is_zero")]
    attempt: u32,
    max_attempts: u32,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    ready_at: Option<Time>,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    started_at: Option<Time>,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    finished_at: Option<Time>,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    next_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Decision<'a>>,
}

/// How far the items of a `for_each` step have come.
#[derive(Debug, Serialize)]
struct ItemCounts {
    total: u32,
    done: u32,
    running: u32,
    failed: u32,
}

/// A step run in detail.
#[derive(Debug, Serialize)]
struct StepDetail<'a> {
    #[serde(flatten)]
    step: StepView<'a>,
    run_id: String,
    /// As it is written, with its templates.
    #[serde(skip_serializing_if = "Value::is_null")]
    input: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<&'a Value>,
    attempts: Vec<Attempt>,
    why: Vec<Value>,
}

impl<'a> StepView<'a> {
    fn of(state: &'a RunState, n: u32) -> Self {
        let node = &state.nodes[n as usize];
        let spec = &state.plan.spec.steps[node.step as usize];
        let failure: Option<&Failure> = node.failure.as_deref();
        let fan = node.fan.as_deref();
        let edges = if node.item.is_none() {
            spec.depends_on.as_slice()
        } else {
            &[]
        };
        Self {
            id: state.name_of(n),
            name: &spec.name,
            action: &spec.action,
            status: status::of_node(node),
            depends_on: edges.iter().map(|edge| edge.step.as_str()).collect(),
            item: node.item.map(|item| item.index),
            items: fan.map(|fan| ItemCounts {
                total: fan.count,
                done: fan.next - fan.running,
                running: fan.running,
                failed: fan.failed,
            }),
            attempt: node.attempt,
            max_attempts: spec.retry.max_attempts,
            ready_at: node.ready_at,
            started_at: node.started_at,
            finished_at: node.ended_at,
            next_at: node.timer,
            progress: node.progress,
            http_code: code(node.success.as_deref(), failure),
            error: failure.map(|failure| failure.message.as_str()),
            error_kind: failure.and_then(|failure| failure.kind.as_deref()),
            approval: Decision::of(node),
        }
    }
}

/// `GET /v1/runs/{id}/steps`.
pub(crate) async fn list(cx: Cx, Path(id): Path<String>, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let (limit, after) = (params.limit()?, number_cursor(&params)?);
    let wanted = wanted(&params)?;
    let state = cx.run(&id).await.map_err(|problem| Problem {
        plain: false,
        ..problem
    })?;
    let fits = |n: &u32| wanted.is_empty() || wanted.contains(&status::of_node(&state.nodes[*n as usize]));
    let (chosen, next_cursor) = numbered(state.nodes.len(), after, limit, fits);
    let items: Vec<StepView<'_>> = chosen.into_iter().map(|n| StepView::of(&state, n)).collect();
    Ok(reply::json(&Page { items, next_cursor }))
}

fn wanted(params: &Params) -> Result<Vec<&'static str>, Problem> {
    let Some(text) = params.text("status")? else {
        return Ok(Vec::new());
    };
    let known = |name: &str| status::STEP.into_iter().find(|known| *known == name);
    let names: Option<Vec<&'static str>> = text.split(',').map(known).collect();
    names.ok_or_else(|| {
        bad(
            "status",
            &format!("must be one or several of {}", status::STEP.join(",")),
        )
    })
}

/// `GET /v1/runs/{id}/steps/{step}`.
pub(crate) async fn show(cx: Cx, Path((id, step)): Path<(String, String)>) -> Answer {
    let (state, n) = find(&cx, &id, &step).await?;
    let attempts = attempts_of(cx.engine().store().as_ref(), &state, n).await?;
    let node: &Node = &state.nodes[n as usize];
    let success = node.success.as_deref();
    let detail = StepDetail {
        step: StepView::of(&state, n),
        run_id: state.id.to_string(),
        input: &state.plan.spec.steps[node.step as usize].input,
        result: success
            .map(|success| success.output.as_ref())
            .filter(|result| !result.is_null()),
        output: success.and_then(output),
        error_detail: node.failure.as_deref().and_then(|failure| failure.detail.as_ref()),
        attempts,
        why: reasons(&state, n),
    };
    Ok(reply::json(&detail))
}

/// The step run that a path names.
pub(super) async fn find(cx: &Cx, id: &str, step: &str) -> Result<(Arc<RunState>, u32), Problem> {
    let state = cx.run(id).await.map_err(|problem| Problem {
        plain: false,
        ..problem
    })?;
    let missing = || Problem::new(ErrorCode::StepNotFound, format!("the run has no step \"{step}\""));
    let n = state.find(step).ok_or_else(missing)?;
    Ok((state, n))
}

/// A cursor that is a number.
pub(super) fn number_cursor(params: &Params) -> Result<u32, Problem> {
    let Some(text) = params.text("cursor")? else {
        return Ok(0);
    };
    text.parse()
        .map_err(|_| bad("cursor", "must be the next_cursor of a page"))
}

/// One page of the numbers below `count` that fit, and where the next one begins.
pub(super) fn numbered(
    count: usize,
    from: u32,
    limit: usize,
    fits: impl Fn(&u32) -> bool,
) -> (Vec<u32>, Option<String>) {
    let mut fitting = (from..count as u32).filter(fits);
    let page: Vec<u32> = fitting.by_ref().take(limit).collect();
    (page, fitting.next().map(|next| next.to_string()))
}
