//! Pause, resume, cancel, retry.
//!
//! Whether something is allowed is asked of the state before, so that a refusal is in this face's words; the engine judges
//! again when it carries the command out, and where somebody else was faster the refusal is about what there is now.

use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::StatusCode;
use quintet_core::command::{Command, Rejected};
use quintet_core::machine::RunStatus;
use quintet_core::state::RunState;
use quintet_engine::EngineError;

use super::cx::{Cx, Found, whole};
use super::document::{self, Control};
use super::reply::{Answer, Refusal, empty};
use super::{plan, status};

type Body = Result<Bytes, BytesRejection>;

/// How often a control is judged anew when the workflow moves between its being judged and carried out.
const TURNS: usize = 5;

/// What is asked of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Pause,
    Resume,
    Cancel,
    Retry,
}

/// `POST .../pause`.
pub(super) async fn pause(cx: Cx, body: Body) -> Answer {
    carry_out(&cx, Verb::Pause, body).await
}

/// `POST .../resume`.
pub(super) async fn resume(cx: Cx, body: Body) -> Answer {
    carry_out(&cx, Verb::Resume, body).await
}

/// `POST .../cancel`.
pub(super) async fn cancel(cx: Cx, body: Body) -> Answer {
    carry_out(&cx, Verb::Cancel, body).await
}

/// `POST .../retry`.
pub(super) async fn retry(cx: Cx, body: Body) -> Answer {
    carry_out(&cx, Verb::Retry, body).await
}

async fn carry_out(cx: &Cx, verb: Verb, body: Body) -> Answer {
    let control = document::parse_control(&whole(body)?).map_err(Refusal::bad)?;
    if verb == Verb::Retry && control.task_id.is_empty() {
        return Err(Refusal::bad("task_id is required"));
    }
    let mut last = None;
    for _ in 0..TURNS {
        let found = cx.found().await?;
        let command = verb.command(cx, &found, &control)?;
        match cx.app.engine.command(&cx.tenant, found.state.id, command).await {
            Ok(_) => {
                if verb == Verb::Retry && !control.reason.is_empty() {
                    note_retry(cx, &found.state, &control).await;
                }
                return Ok(empty(StatusCode::OK));
            }
            // It has moved in the meantime: judge what there is now.
            Err(EngineError::Rejected(rejected)) if is_about_state(&rejected) => last = Some(rejected),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.map_or_else(Refusal::no_workflow, |rejected| Refusal::bad(rejected.to_string())))
}

fn is_about_state(rejected: &Rejected) -> bool {
    matches!(
        rejected,
        Rejected::Finished(_)
            | Rejected::WrongRunStatus(_)
            | Rejected::WrongStepStatus { .. }
            | Rejected::NothingFailed
    )
}

/// Why somebody wanted it again is for the run's log, and is no reason to refuse it.
async fn note_retry(cx: &Cx, state: &RunState, control: &Control) {
    let text = format!("retry of {}: {}", control.task_id, control.reason);
    let noted = cx
        .app
        .engine
        .command(&cx.tenant, state.id, Command::AppendLog { text })
        .await;
    if let Err(error) = noted {
        tracing::debug!(error = %error, "the reason of a retry was not noted");
    }
}

impl Verb {
    /// What the engine is asked to do, or why it is not asked.
    fn command(self, cx: &Cx, found: &Found, control: &Control) -> Result<Command, Refusal> {
        let state = &found.state;
        let called = status::of_workflow(state.status);
        let refuse = |text: &str| Err(Refusal::bad(text.replace("{}", called)));
        let by = cx.by.clone();
        let reason = (!control.reason.is_empty()).then(|| control.reason.clone());
        match self {
            Self::Pause if called != status::RUNNING => refuse("workflow is not running, current status: {}"),
            Self::Pause => Ok(Command::Pause { by, reason }),
            Self::Resume if called != status::PAUSED => refuse("workflow is not paused, current status: {}"),
            Self::Resume => Ok(Command::Resume { by, reason }),
            Self::Cancel if matches!(called, status::COMPLETED | status::CANCELLED) => {
                refuse("workflow is already completed or cancelled")
            }
            Self::Cancel => Ok(Command::CallOff {
                by,
                reason,
                forced: control.force,
            }),
            Self::Retry => retry_of(found, &control.task_id, by),
        }
    }
}

fn retry_of(found: &Found, task: &str, by: Option<String>) -> Result<Command, Refusal> {
    let nth = found.workflow.tasks.iter().position(|known| known.id == task);
    let nth = nth.ok_or_else(|| Refusal::bad(format!("task not found: {task}")))?;
    let state = &found.state;
    let n = plan::node_of(&found.workflow, nth);
    let called = status::of_task(state.nodes[n as usize].status, state.status);
    if called != status::FAILED {
        return Err(Refusal::bad(format!("task is not in failed state: {called}")));
    }
    // What was called off with the workflow goes on with it.
    let step = (state.status != RunStatus::Cancelled).then(|| state.name_of(n));
    Ok(Command::Retry { step, by })
}
