//! From orders to accepted runs.
//!
//! A node keeps compiled what it starts often. Another node may have stored a new version in between; then the engine
//! refuses the start and forgets what it had, and the order is resolved and started again.

use std::sync::Arc;

use quintet_engine::{EngineError, Idempotency, StartRun, Started};

use super::super::cx::Cx;
use super::super::problem::Problem;
use super::order::Order;

/// How often a start may meet a workflow that has just been changed.
const TRIES: usize = 3;

/// Whether the caller waits for the end of the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Yes,
    No,
}

/// Where orders stand in their request, so that a refusal can name the one it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Alone,
    Batch,
}

/// Runs that were accepted, and of which workflow each is, in the order asked for.
pub(super) struct Accepted {
    pub started: Started,
    pub workflows: Vec<Arc<str>>,
}

/// Starts them all, or none.
pub(super) async fn accept(
    cx: &Cx,
    orders: &[Order],
    place: Place,
    key: Option<Idempotency>,
    watch: Watch,
) -> Result<Accepted, Problem> {
    let mut tries = 0;
    loop {
        tries += 1;
        let starts = resolve(cx, orders, place).await?;
        let workflows = starts.iter().map(|start| Arc::clone(&start.workflow)).collect();
        match cx.engine().start_runs(starts, key.clone(), watch == Watch::Yes).await {
            Ok(started) => return Ok(Accepted { started, workflows }),
            Err(EngineError::WorkflowChanged(_)) if tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn resolve(cx: &Cx, orders: &[Order], place: Place) -> Result<Vec<StartRun>, Problem> {
    let mut starts = Vec::with_capacity(orders.len());
    for (nth, order) in orders.iter().enumerate() {
        starts.push(match place {
            Place::Alone => order.resolve(cx, "").await?,
            Place::Batch => {
                let at = format!("runs[{nth}]");
                order.resolve(cx, &at).await.map_err(|problem| named(problem, &at))?
            }
        });
    }
    Ok(starts)
}

/// Says which start of the batch is refused, where the refusal does not.
fn named(problem: Problem, at: &str) -> Problem {
    let names_it = problem.field.as_deref().is_some_and(|field| field.starts_with(at));
    if names_it || !problem.status.is_client_error() {
        return problem;
    }
    Problem {
        message: format!("{at}: {}", problem.message),
        field: Some(at.to_owned()),
        ..problem
    }
}
