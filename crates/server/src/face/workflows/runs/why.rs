//! Why steps are not running, in words and in data.

use axum::extract::Path;
use http::Uri;
use quintet_core::machine::StepStatus;
use quintet_core::state::RunState;
use quintet_core::why::{Reason, why};
use quintet_engine::{Obstacle, Registry};
use serde_json::{Map, Value, json};

use super::super::cx::Cx;
use super::super::problem::{Answer, Problem};
use super::super::query::Params;
use super::super::reply::{self, Items, Page, rfc3339};
use super::super::status;
use super::steps::{find, number_cursor, numbered};

/// `GET /v1/runs/{id}/steps/{step}/why`.
pub(crate) async fn of_step(cx: Cx, Path((id, step)): Path<(String, String)>) -> Answer {
    let (state, n) = find(&cx, &id, &step).await?;
    Ok(reply::json(&entry(cx.engine().registry(), &state, n)))
}

/// `GET /v1/runs/{id}/why`: every step that is not settled.
pub(crate) async fn of_run(cx: Cx, Path(id): Path<String>, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let (limit, after) = (params.limit()?, number_cursor(&params)?);
    let state = cx.run(&id).await.map_err(|problem| Problem {
        plain: false,
        ..problem
    })?;
    if state.status.is_terminal() {
        return Ok(reply::json(&Items::<Value> { items: Vec::new() }));
    }
    let open = |n: &u32| !state.nodes[*n as usize].status.is_settled();
    let (chosen, next_cursor) = numbered(state.nodes.len(), after, limit, open);
    Ok(reply::json(&Page {
        items: chosen
            .into_iter()
            .map(|n| entry(cx.engine().registry(), &state, n))
            .collect(),
        next_cursor,
    }))
}

fn entry(registry: &Registry, state: &RunState, n: u32) -> Value {
    let node = &state.nodes[n as usize];
    let spec = &state.plan.spec.steps[node.step as usize];
    let reasons: Vec<Value> = match in_queue(registry, state, n) {
        Some(reason) => vec![reason],
        None => reasons(state, n),
    };
    json!({ "step": state.name_of(n), "name": spec.name, "status": status::of_node(node), "reasons": reasons })
}

/// What keeps an enqueued step in its queue, where that is not the want of an executor.
fn in_queue(registry: &Registry, state: &RunState, n: u32) -> Option<Value> {
    let node = &state.nodes[n as usize];
    if node.status != StepStatus::Enqueued {
        return None;
    }
    let flow = registry.flow(&state.plan.spec.steps[node.step as usize].action)?;
    let queue = state.plan.queue(node.step);
    let (reason, limit, message) = match flow.obstacle(queue)? {
        Obstacle::Unserved => ("no_worker", None, format!("no worker has registered {queue}")),
        Obstacle::Closed { reason } => ("closed", None, reason.to_string()),
        Obstacle::QueueFull { max } => {
            let message = format!("{max} steps of {queue} are in progress, which is its limit");
            ("queue_concurrency", Some(max), message)
        }
        Obstacle::Full { max } => {
            let message = format!("{max} steps are in progress, which is the limit of all workers together");
            ("concurrency", Some(max), message)
        }
        Obstacle::Shut => {
            let message = "the server hands nothing out by itself: call POST /api/process".to_owned();
            ("serverless", None, message)
        }
    };
    let since = node.ready_at.map(rfc3339);
    let mut said = json!({ "reason": reason, "text": message, "queue": &**queue, "since": since });
    if let (Some(limit), Some(fields)) = (limit, said.as_object_mut()) {
        fields.insert("limit".to_owned(), limit.into());
    }
    Some(said)
}

/// The reasons of one step run.
pub(crate) fn reasons(state: &RunState, n: u32) -> Vec<Value> {
    why(state, n).iter().map(said).collect()
}

fn said(reason: &Reason) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let time = |time: &Option<quintet_core::time::Time>| time.map_or(Value::Null, |time| rfc3339(time).into());
    let (name, words) = match reason {
        Reason::RunFinished { status } => {
            set("status", status::of_run(*status).into());
            ("run_finished", format!("the run is {}", status::of_run(*status)))
        }
        Reason::StepSettled { status } => {
            set("status", status::of_step(*status).into());
            ("step_settled", format!("the step is {}", status::of_step(*status)))
        }
        Reason::NotBefore { at } => {
            set("at", rfc3339(*at).into());
            ("not_before", format!("the run is to start at {}", rfc3339(*at)))
        }
        Reason::Paused { by, comment, since } => {
            set("by", text(by));
            set("comment", text(comment));
            set("since", rfc3339(*since).into());
            (
                "paused",
                format!(
                    "the run is paused{}",
                    by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default()
                ),
            )
        }
        Reason::StoppedByFailure { step, error } => {
            set("step", step.as_str().into());
            set("error", error.as_str().into());
            (
                "stopped_by_failure",
                format!("step {step} failed, which starts nothing new: {error}"),
            )
        }
        Reason::Dependency { step, status } => {
            set("step", step.as_str().into());
            set("status", status::of_step(*status).into());
            (
                "dependency",
                format!("step {step} has not ended, it is {}", status::of_step(*status)),
            )
        }
        Reason::RetryAt { at, attempt, error } => {
            set("at", rfc3339(*at).into());
            set("attempt", (*attempt).into());
            set("error", error.as_str().into());
            (
                "retry_at",
                format!("attempt {attempt} is due at {}, after: {error}", rfc3339(*at)),
            )
        }
        Reason::Approval { since, until } => {
            set("since", time(since));
            set("until", time(until));
            ("approval", "a person has to approve".to_owned())
        }
        Reason::WaitingUntil { at } => {
            set("at", rfc3339(*at).into());
            ("waiting_until", format!("it waits until {}", rfc3339(*at)))
        }
        Reason::NoFreeExecutor { action, since } => {
            set("action", action.as_str().into());
            set("since", time(since));
            ("no_free_executor", format!("no executor of {action} has a free slot"))
        }
        Reason::RunConcurrency { limit, held_by } => {
            set("limit", (*limit).into());
            set("held_by", held_by.clone().into());
            (
                "run_concurrency",
                format!("the run's limit of {limit} steps is held by {}", held_by.join(", ")),
            )
        }
        Reason::ItemConcurrency { limit } => {
            set("limit", (*limit).into());
            (
                "item_concurrency",
                format!("{limit} items are under way, which is the limit of its for_each"),
            )
        }
        Reason::Items { done, running, total } => {
            set("done", (*done).into());
            set("running", (*running).into());
            set("total", (*total).into());
            (
                "items",
                format!("{done} of {total} items are done, {running} are under way"),
            )
        }
        Reason::Running { attempt, since, until } => {
            set("attempt", (*attempt).into());
            set("since", time(since));
            set("until", time(until));
            ("running", format!("attempt {attempt} is under way"))
        }
    };
    let mut all = Map::new();
    all.insert("reason".to_owned(), name.into());
    all.insert("text".to_owned(), words.into());
    all.extend(fields);
    Value::Object(all)
}
