//! Which task a request means: ids are unique over all queues, and a queue in the query only narrows.

use std::sync::Arc;

use http::Uri;
use quintet_core::id::RunId;
use quintet_core::state::RunState;

use super::query::Params;
use super::reply::Refusal;
use super::state::OF_QUEUE;
use crate::app::App;

/// The queue of a run of this face.
pub(super) fn queue_of(state: &RunState) -> Option<&str> {
    state.created.workflow.strip_prefix(OF_QUEUE)
}

/// The task of an id, in the queue that the query names, if it names one.
pub(super) async fn find(app: &App, id: &str, uri: &Uri) -> Result<Arc<RunState>, Refusal> {
    let run: RunId = id.parse().map_err(|_| Refusal::no_task())?;
    let state = app.engine.state(&app.tasks.namespace, run).await?;
    let queue = queue_of(&state).ok_or_else(Refusal::no_task)?;
    let params = Params::of(uri)?;
    match params.text("queue") {
        Some(wanted) if app.tasks.known_queue(wanted) != queue => Err(Refusal::no_task()),
        _ => Ok(state),
    }
}

/// The engine's queue for the steps of a queue: for any backend, or for one.
pub(super) fn engine_queue(queue: &str, backend: Option<&str>) -> String {
    match backend {
        Some(backend) => format!("{queue}@{backend}"),
        None => queue.to_owned(),
    }
}

/// The queue that an engine's queue belongs to.
pub(super) fn queue_of_engine(name: &str) -> &str {
    let name = name.strip_prefix("bullmq:").unwrap_or(name);
    name.split_once('@').map_or(name, |(queue, _)| queue)
}
