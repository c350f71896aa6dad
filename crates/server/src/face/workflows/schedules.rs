//! Schedules: create, list, read, change, remove; pause, resume, trigger; and what comes next.

mod body;
mod view;

use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde::Serialize;
use serde_json::json;

use super::cx::{Cx, whole};
use super::problem::{Answer, Problem};
use super::query::{MAX_LIMIT, Params, bad};
use super::reply::{self, Items, Page, rfc3339};
use super::runs::idempotency::key_of;
use super::runs::start::mark_replayed;
use crate::error_code::ErrorCode;
use crate::schedules::ScheduleError;
use body::{Patch, read_draft, read_object};
use view::Shown;

/// Times shown where nobody says how many.
const USUAL_COUNT: usize = 10;

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::NotFound => Self::new(ErrorCode::ScheduleNotFound, "schedule not found"),
            ScheduleError::Exists(_) => {
                Self::field(ErrorCode::ScheduleExists, "id", "there is such a schedule already")
            }
            ScheduleError::Invalid { field, reason } => Self::field(ErrorCode::InvalidField, field, &reason),
            ScheduleError::TooMany(_) => Self::new(ErrorCode::InvalidField, error.to_string()),
            ScheduleError::Contended => Self::new(ErrorCode::Overloaded, error.to_string()),
            ScheduleError::Launch(error) => Self {
                field: error.field,
                ..Self::new(error.code, error.message)
            },
            ScheduleError::Store(error) => error.into(),
        }
    }
}

/// `POST /v1/schedules`.
pub(super) async fn create(cx: Cx, body: Result<Bytes, BytesRejection>) -> Answer {
    let draft = read_draft(&read_object(body)?)?;
    let schedule = cx.app.schedules.create(&cx.namespace, draft).await?;
    Ok(reply::json(&Shown::of(&schedule)))
}

/// `GET /v1/schedules`.
pub(super) async fn list(cx: Cx, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let (after, limit) = (params.text("cursor")?, params.limit()?);
    let mut schedules = cx.app.schedules.list(&cx.namespace, after, limit + 1).await?;
    let has_more = schedules.len() > limit;
    schedules.truncate(limit);
    let last = schedules.last().map(|last| last.id.to_string());
    Ok(reply::json(&Page {
        items: schedules.iter().map(Shown::of).collect(),
        next_cursor: last.filter(|_| has_more),
    }))
}

/// `GET /v1/schedules/{id}`.
pub(super) async fn show(cx: Cx, Path(id): Path<String>) -> Answer {
    let schedule = cx.app.schedules.get(&cx.namespace, &id).await?;
    Ok(reply::json(&Shown::of(&schedule)))
}

/// `PATCH /v1/schedules/{id}`.
pub(super) async fn change(cx: Cx, Path(id): Path<String>, body: Result<Bytes, BytesRejection>) -> Answer {
    let patch = Patch::read(&read_object(body)?)?;
    let schedules = &cx.app.schedules;
    let changed = schedules.change(&cx.namespace, &id, |spec| {
        patch.apply(spec);
        Ok(())
    });
    Ok(reply::json(&Shown::of(&changed.await?)))
}

/// `DELETE /v1/schedules/{id}`.
pub(super) async fn remove(cx: Cx, Path(id): Path<String>) -> Answer {
    cx.app.schedules.delete(&cx.namespace, &id).await?;
    Ok(reply::nothing())
}

/// `POST /v1/schedules/{id}/pause`.
pub(super) async fn pause(cx: Cx, Path(id): Path<String>) -> Answer {
    let schedule = cx.app.schedules.pause(&cx.namespace, &id).await?;
    Ok(reply::json(&Shown::of(&schedule)))
}

/// `POST /v1/schedules/{id}/resume`.
pub(super) async fn resume(cx: Cx, Path(id): Path<String>) -> Answer {
    let schedule = cx.app.schedules.resume(&cx.namespace, &id).await?;
    Ok(reply::json(&Shown::of(&schedule)))
}

/// `POST /v1/schedules/{id}/trigger`.
pub(super) async fn trigger(cx: Cx, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let key = key_of(&headers, "schedules.trigger", |hash| {
        use sha2::Digest as _;
        hash.update(id.as_bytes());
    })?;
    let launched = cx.app.schedules.trigger(&cx.namespace, &id, key).await?;
    let mut response = reply::json(&json!({ "schedule_id": id, "run_id": launched.run.to_string() }));
    if !launched.is_new {
        mark_replayed(&mut response);
    }
    Ok(response)
}

/// A time that comes.
#[derive(Debug, Serialize)]
struct Upcoming {
    at: String,
    local: String,
}

/// `GET /v1/schedules/{id}/upcoming`: also of a paused one, as if it were resumed now.
pub(super) async fn upcoming(cx: Cx, Path(id): Path<String>, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let count = match params.text("count")? {
        None => USUAL_COUNT,
        Some(text) => {
            let count = text.parse().ok().filter(|count| (1..=MAX_LIMIT).contains(count));
            count.ok_or_else(|| bad("count", &format!("must be a whole number from 1 to {MAX_LIMIT}")))?
        }
    };
    let after = params.time("after")?.unwrap_or_else(|| cx.now());
    let schedule = cx.app.schedules.get(&cx.namespace, &id).await?;
    let cron = schedule.cron().map_err(ScheduleError::from)?;
    let upcoming = cron.upcoming(after).take(count).map(|time| Upcoming {
        at: rfc3339(time),
        local: cron.local(time),
    });
    Ok(reply::json(&Items {
        items: upcoming.collect(),
    }))
}

/// The body, which must be there.
fn required(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    whole(body).map_err(|problem| Problem {
        plain: false,
        ..problem
    })
}
