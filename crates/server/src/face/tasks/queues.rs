//! The queues and the backends, for operators: `/v1/queues`, `/v1/backends`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_executors::backend::Health;
use quintet_store::QueueCount;
use serde_json::{Value, json};

use super::ids;
use super::pauses::Pause;
use super::reply::{self, Answer, Refusal, iso};
use crate::app::App;
use crate::http::Caller;

/// What waits in all engine queues of one queue.
#[derive(Default)]
struct Waiting {
    steps: u64,
    oldest: Option<RunId>,
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Answer {
    let counts = app.engine.store().queue_counts(&app.tasks.namespace).await?;
    let waiting = by_queue(&counts);
    let items: Vec<Value> = app.tasks.queues.keys().map(|name| show(&app, name, &waiting)).collect();
    Ok(reply::json(&json!({ "items": items })))
}

fn by_queue(counts: &[QueueCount]) -> HashMap<&str, Waiting> {
    let mut waiting: HashMap<&str, Waiting> = HashMap::new();
    for count in counts {
        let known = waiting.entry(ids::queue_of_engine(&count.queue)).or_default();
        known.steps += count.waiting;
        known.oldest = known.oldest.into_iter().chain([count.oldest]).min();
    }
    waiting
}

/// Ids begin with the time at which they were drawn, in milliseconds.
fn minted_at(run: RunId) -> Time {
    let ms = i64::try_from(run.bits() >> 80).unwrap_or_default();
    Time(ms.saturating_mul(1_000))
}

fn show(app: &App, name: &str, waiting: &HashMap<&str, Waiting>) -> Value {
    let tasks = &app.tasks;
    let rule = tasks.queues[name];
    let waits = waiting.get(name);
    let (running, closed) = tasks.progress_of(&app.engine, name);
    let paused = tasks.pauses.of(name);
    let oldest = waits.and_then(|waits| waits.oldest).map(|run| iso(minted_at(run)));
    json!({
        "name": name,
        "face": "tasks",
        "waiting": waits.map_or(0, |waits| waits.steps),
        "running": running,
        "oldest_at": oldest,
        // How many BullMQ workers do at a time is theirs to say.
        "limit": (!tasks.is_outside(name)).then_some(rule.concurrency),
        "ageing_ms": rule.ageing_ms,
        "paused": paused.as_ref().map(|pause| json!({ "by": pause.by, "at": iso(pause.at) })),
        "closed": closed,
        "bridge": tasks.bridge_of(name),
    })
}

pub(super) async fn pause(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Answer {
    let known = known(&app, &name)?;
    let pause = Pause {
        by: (!caller.is_anonymous()).then(|| caller.name.to_string()),
        at: app.engine.clock().now(),
    };
    app.tasks.pauses.pause(known, &pause).await?;
    changed(&app, known).await
}

pub(super) async fn resume(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer {
    let known = known(&app, &name)?;
    app.tasks.pauses.resume(known, app.engine.clock().now()).await?;
    changed(&app, known).await
}

fn known<'a>(app: &'a App, name: &str) -> Result<&'a str, Refusal> {
    let known = app.tasks.queues.get_key_value(name);
    known.map(|(known, _)| known.as_str()).ok_or_else(|| {
        let names: Vec<&str> = app.tasks.queues.keys().map(String::as_str).collect();
        Refusal::not_found("Queue not found")
            .because(format!("there is no queue \"{name}\"; there are {}", names.join(", ")))
    })
}

async fn changed(app: &App, name: &str) -> Answer {
    app.tasks.serve(&app.engine);
    let counts = app.engine.store().queue_counts(&app.tasks.namespace).await?;
    Ok(reply::json(&show(app, name, &by_queue(&counts))))
}

pub(super) async fn backends(State(app): State<Arc<App>>) -> Answer {
    let show = |health: &Health| {
        let mut shown = json!(health);
        shown["since"] = iso(health.since).into();
        shown
    };
    let items: Vec<Value> = app.tasks.backends.describe().iter().map(show).collect();
    Ok(reply::json(&json!({ "items": items })))
}

/// `GET /api/tasks/types`: what the backends say that they can do.
pub(super) async fn types(State(app): State<Arc<App>>) -> Answer {
    Ok(reply::json(&json!({ "tasks": app.tasks.backends.types().await })))
}
