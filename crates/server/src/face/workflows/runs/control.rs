//! What people do to a run: approve, reject, pause, resume, cancel, retry, rerun, resolve.
//!
//! `approve` and `cancel` are the original's: an unknown run is 400 there, and where there is nothing to do the run
//! comes back unchanged with 200. The others are additions and say 404 and 409.

use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use quintet_core::command::{Command, Rejected};
use quintet_engine::EngineError;

use super::super::cx::{Cx, run_id, whole};
use super::super::problem::{Answer, Problem};
use super::super::reply;
use super::body::Fields;
use super::view::RunView;

type Body = Result<Bytes, BytesRejection>;

/// The original's endpoints, or additions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Original,
    Added,
}

impl Manner {
    fn dress(self, problem: Problem) -> Problem {
        match self {
            Self::Original if problem.code == crate::error_code::ErrorCode::RunNotFound => {
                Problem::run_not_found(StatusCode::BAD_REQUEST)
            }
            Self::Original => problem.plain(),
            Self::Added => Problem {
                plain: false,
                ..problem
            },
        }
    }
}

/// Carries a command out and shows the run after it.
async fn carry_out(cx: &Cx, id: &str, manner: Manner, command: Command) -> Answer {
    let id = run_id(id).map_err(|problem| manner.dress(problem))?;
    let named = matches!(&command, Command::Approve { step: Some(_), .. });
    match cx.engine().command(&cx.namespace, id, command).await {
        Ok(applied) => Ok(reply::json(&RunView::of(&applied.state))),
        Err(EngineError::Rejected(rejected)) if manner == Manner::Original && !named && is_no_matter(&rejected) => {
            let state = cx.engine().state(&cx.namespace, id).await;
            let state = state.map_err(|error| manner.dress(error.into()))?;
            Ok(reply::json(&RunView::of(&state)))
        }
        Err(error) => Err(manner.dress(error.into())),
    }
}

/// Whether the original answered this with the unchanged run.
fn is_no_matter(rejected: &Rejected) -> bool {
    matches!(
        rejected,
        Rejected::Finished(_) | Rejected::NothingToApprove | Rejected::WrongRunStatus(_)
    )
}

fn fields(cx: &Cx, headers: &HeaderMap, body: Body, manner: Manner) -> Result<Fields, Problem> {
    let dress = |problem| manner.dress(problem);
    Fields::read(cx, headers, &whole(body).map_err(dress)?, manner == Manner::Original).map_err(dress)
}

/// `POST /v1/runs/{id}/approve`.
pub(crate) async fn approve(cx: Cx, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Original)?;
    let read = || {
        Ok(Command::Approve {
            step: fields.text("step")?,
            by: fields.by()?,
            comment: fields.text("comment")?,
        })
    };
    carry_out(&cx, &id, Manner::Original, read().map_err(Problem::plain)?).await
}

/// `POST /v1/runs/{id}/cancel`.
pub(crate) async fn cancel(cx: Cx, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Original)?;
    let read = || {
        Ok(Command::Cancel {
            by: fields.by()?,
            reason: fields.text("reason")?,
        })
    };
    carry_out(&cx, &id, Manner::Original, read().map_err(Problem::plain)?).await
}

/// `POST /v1/runs/{id}/reject`.
pub(crate) async fn reject(cx: Cx, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Added)?;
    let (step, by, comment) = (fields.text("step")?, fields.by()?, fields.text("comment")?);
    carry_out(&cx, &id, Manner::Added, Command::Reject { step, by, comment }).await
}

/// `POST /v1/runs/{id}/pause`.
pub(crate) async fn pause(cx: Cx, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Added)?;
    let (by, reason) = (fields.by()?, fields.text("reason")?);
    carry_out(&cx, &id, Manner::Added, Command::Pause { by, reason }).await
}

/// `POST /v1/runs/{id}/resume`.
pub(crate) async fn resume(cx: Cx, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Added)?;
    let (by, reason) = (fields.by()?, fields.text("reason")?);
    carry_out(&cx, &id, Manner::Added, Command::Resume { by, reason }).await
}

/// `POST /v1/runs/{id}/retry`.
pub(crate) async fn retry(cx: Cx, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Added)?;
    let (step, by) = (fields.text("step")?, fields.by()?);
    carry_out(&cx, &id, Manner::Added, Command::Retry { step, by }).await
}

/// `POST /v1/runs/{id}/rerun`.
pub(crate) async fn rerun(cx: Cx, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Added)?;
    let (step, by) = (fields.required("step")?, fields.by()?);
    carry_out(&cx, &id, Manner::Added, Command::Rerun { step, by }).await
}

/// `POST /v1/runs/{id}/resolve`.
pub(crate) async fn resolve_run(cx: Cx, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Added)?;
    let (by, reason) = (fields.by()?, fields.text("reason")?);
    carry_out(&cx, &id, Manner::Added, Command::ResolveRun { by, reason }).await
}

/// `POST /v1/runs/{id}/steps/{step}/resolve`.
pub(crate) async fn resolve(
    cx: Cx,
    Path((id, step)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let fields = fields(&cx, &headers, body, Manner::Added)?;
    let (by, reason, output) = (fields.by()?, fields.text("reason")?, fields.value("output"));
    carry_out(
        &cx,
        &id,
        Manner::Added,
        Command::Resolve {
            step,
            by,
            reason,
            output,
        },
    )
    .await
}
