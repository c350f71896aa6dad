//! Starting many runs at once: all of them, or none.

use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::HeaderMap;
use quintet_core::id::RunId;
use quintet_core::state::RunState;
use serde_json::Value;

use super::super::cx::{Cx, whole};
use super::super::definitions::bad_json;
use super::super::document::first_json;
use super::super::problem::{Answer, Problem};
use super::super::reply::{self, Items};
use super::accept::{Accepted, Place, Watch, accept};
use super::idempotency::{key_of, remembered};
use super::order::{Order, StartBody};
use super::start::{Pending, mark_replayed};
use super::view::RunView;
use crate::error_code::ErrorCode;

/// Most runs of one batch.
pub(crate) const MAX_RUNS: usize = 1000;

/// `POST /v1/runs/batch`.
pub(crate) async fn start(cx: Cx, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    answer(&cx, &headers, body).await.map_err(|problem| Problem {
        plain: false,
        ..problem
    })
}

async fn answer(cx: &Cx, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    let bodies = read(&whole(body)?)?;
    let key = key_of(headers, "runs.batch", |hash| {
        bodies.iter().for_each(|body| body.hash(hash))
    })?;
    if let Some(key) = &key
        && let Some(runs) = remembered(cx, key).await?
    {
        return replayed(cx, &runs).await;
    }
    let orders: Vec<Order> = bodies.into_iter().map(StartBody::into_order).collect();
    let Accepted { started, workflows } = accept(cx, &orders, Place::Batch, key, Watch::No).await?;
    if started.replayed {
        let ids: Vec<RunId> = started.runs.iter().map(|run| run.id).collect();
        return replayed(cx, &ids).await;
    }
    let pending = started.runs.iter().zip(workflows.iter().zip(&orders));
    let pending = pending.map(|(run, (workflow, order))| {
        Pending::of(run.id, run.created_at.unwrap_or_default(), workflow, &order.context)
    });
    Ok(reply::json(&Items {
        items: pending.collect(),
    }))
}

fn read(body: &[u8]) -> Result<Vec<StartBody>, Problem> {
    let value = first_json(body).map_err(|_| bad_json())?;
    let wrong = |message: &str| Problem::field(ErrorCode::InvalidField, "runs", message);
    let runs = value
        .get("runs")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("must be an array of starts"))?;
    if !(1..=MAX_RUNS).contains(&runs.len()) {
        return Err(wrong(&format!("must have 1 to {MAX_RUNS} entries")));
    }
    let bodies = runs.iter().enumerate().map(|(nth, run)| match run {
        Value::Object(_) => StartBody::of(run, &format!("runs[{nth}]")),
        _ => Err(Problem::field(
            ErrorCode::InvalidField,
            format!("runs[{nth}]"),
            "must be an object",
        )),
    });
    bodies.collect()
}

async fn replayed(cx: &Cx, runs: &[RunId]) -> Answer {
    let mut states: Vec<Arc<RunState>> = Vec::with_capacity(runs.len());
    for run in runs {
        states.push(cx.engine().state(&cx.namespace, *run).await?);
    }
    let mut response = reply::json(&Items {
        items: states.iter().map(|state| RunView::of(state)).collect(),
    });
    mark_replayed(&mut response);
    Ok(response)
}
