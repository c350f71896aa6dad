//! The bridge in a server that is built with it: what a worker is told of a step, where answers go ([`Book`]), and how a
//! producer's job becomes a task ([`Door`]).

mod book;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::outcome::{Failure, Work};
use quintet_engine::{Engine, EngineError, Served, tasks};
pub(crate) use quintet_executors::bullmq::Bridge;
use quintet_executors::bullmq::{
    ACTION, BullmqSettings, Desk, Ended, IncomingJob, Order, Pace, QUEUE_PREFIX, SettingsError, StartError, Starts,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::order;
use super::super::state::Tasks;
use super::super::view::{self, Status};
use book::Book;

/// Before the store is asked again that was away.
const BREATH: Duration = Duration::from_secs(1);

/// Prepares the bridge; its executor is [`Bridge::workers`].
pub(crate) fn bridge(settings: &BullmqSettings) -> Result<Arc<Bridge>, SettingsError> {
    let desk: Arc<dyn Desk> = Arc::new(Counter);
    Bridge::new(settings, &desk, Pace::default())
}

/// Lets work go over the bridge until the server stops.
pub(crate) async fn carry(bridge: Arc<Bridge>, tasks: Arc<Tasks>, engine: Arc<Engine>, stopping: CancellationToken) {
    let book = Book::new(Arc::clone(&engine), Arc::clone(&tasks.namespace));
    let door = Door { tasks, engine };
    bridge.run(Arc::new(book), Arc::new(door), stopping).await;
}

/// Says which bridged queues are served; `closed` says why one is not for the time being. How many of their steps are
/// under way is for BullMQ's workers to limit.
pub(crate) fn serve(bridge: &Bridge, engine: &Engine, closed: impl Fn(&str) -> Option<String>) {
    let Some(flow) = engine.registry().flow(ACTION) else {
        return;
    };
    flow.serve(bridge.queues().map(|queue| Served {
        closed: closed(queue).map(Into::into),
        ..Served::new(format!("{QUEUE_PREFIX}{queue}"), None)
    }));
    engine.look_at(ACTION);
}

/// Where BullMQ workers are told what to do.
struct Counter;

impl Desk for Counter {
    fn order(&self, work: &Work) -> Result<Order, Box<Failure>> {
        let resolved = order::resolve(work)?;
        Ok(Order {
            task_type: resolved.task_type,
            payload: resolved.payload,
            task_id: work.token.run.to_string(),
            step_id: resolved.step_id,
            attempt: work.attempt,
            priority: work.created.priority,
        })
    }
}

/// Where jobs of BullMQ producers come in.
struct Door {
    tasks: Arc<Tasks>,
    engine: Arc<Engine>,
}

#[async_trait]
impl Starts for Door {
    async fn start(&self, job: &IncomingJob) -> Result<RunId, StartError> {
        let started = self.tasks.start(&job.document, Some(&job.key)).await;
        started.map_err(|refusal| {
            let text = refusal.text().to_owned();
            if refusal.is_passing() {
                StartError::Unavailable(text)
            } else {
                StartError::Refused(text)
            }
        })
    }

    async fn outcome(&self, run: RunId, progress: &watch::Sender<Option<f64>>) -> Ended {
        let namespace = &self.tasks.namespace;
        loop {
            // Before the look: what happens after it is told.
            let mut moves = self.engine.watch(namespace, run);
            match self.engine.state(namespace, run).await {
                Ok(state) => match view::status(&state) {
                    Status::Completed => return Ended::Completed(view::result(&state)),
                    Status::Failed => return Ended::Failed(view::error(&state).unwrap_or_default()),
                    Status::Queued | Status::Running => {
                        let now = view::progress(&state).as_f64();
                        progress.send_if_modified(|told| std::mem::replace(told, now) != now);
                        // An error says that the run has ended, and the next look tells how.
                        let _ = moves.changed().await;
                    }
                },
                Err(EngineError::RunNotFound(_)) => return Ended::Failed("the task was removed".to_owned()),
                Err(error) => {
                    tracing::debug!(run = %run, error = %error, "the end of a producer's job waits for the store");
                    tasks::pause(Some(BREATH)).await;
                }
            }
        }
    }
}
