//! The tasks of a queue, newest first: `GET /api/tasks`.
//!
//! A status may be one of the four public words, or one of those that the original's queue used inside.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt;
use http::Uri;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::state::RunState;
use quintet_store::{RunFilter, RunRow};
use serde_json::{Value, json};

use super::query::Params;
use super::reply::{self, Answer, Refusal};
use super::state::OF_QUEUE;
use super::view::{self, Status};
use crate::app::App;

/// Tasks of a page where nothing is said.
const DEFAULT_LIMIT: usize = 50;
/// Most tasks of a page.
const MAX_LIMIT: usize = 1_000;
/// Every queue.
const ALL: &str = "all";
/// Tasks read at a time.
const READS: usize = 16;
/// Rows looked at for a page, where a filter drops some.
const MAX_ROWS: usize = 20_000;

/// What `status` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Queued,
    /// Can be taken.
    Waiting,
    /// The same, by a priority above the lowest.
    Prioritized,
    /// Waits for a time.
    Delayed,
    Running,
    Completed,
    Failed,
    Paused,
}

const WORDS: [(&str, Wanted); 10] = [
    ("queued", Wanted::Queued),
    ("running", Wanted::Running),
    ("completed", Wanted::Completed),
    ("failed", Wanted::Failed),
    ("waiting", Wanted::Waiting),
    ("active", Wanted::Running),
    ("delayed", Wanted::Delayed),
    ("prioritized", Wanted::Prioritized),
    ("paused", Wanted::Paused),
    ("cancelled", Wanted::Failed),
];

impl Wanted {
    fn parse(word: &str) -> Result<Self, Refusal> {
        let found = WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, wanted)| *wanted).ok_or_else(|| {
            let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
            Refusal::bad(format!("status must be one of {}", words.join(", ")))
        })
    }

    fn statuses(self) -> Vec<RunStatus> {
        use RunStatus as S;
        match self {
            Self::Queued => vec![
                S::Pending,
                S::StepsInProcess,
                S::WaitingForDependencies,
                S::WaitingForRetry,
                S::BlockedByFailures,
                S::WaitingForApproval,
                S::Paused,
            ],
            Self::Waiting | Self::Prioritized => vec![S::StepsInProcess, S::WaitingForDependencies],
            Self::Delayed => vec![S::Pending, S::WaitingForRetry],
            Self::Running => vec![S::StepsInProcess, S::Paused],
            Self::Completed => vec![S::Complete, S::ResolvedManually],
            Self::Failed => vec![S::Error, S::Cancelled],
            Self::Paused => vec![S::Paused],
        }
    }

    /// Whether some process has to hold an attempt, as far as the row tells.
    fn claimed(self) -> Option<bool> {
        match self {
            Self::Queued | Self::Waiting | Self::Prioritized | Self::Delayed => Some(false),
            Self::Running => Some(true),
            Self::Completed | Self::Failed | Self::Paused => None,
        }
    }

    fn fits_row(self, row: &RunRow) -> bool {
        self != Self::Prioritized || row.priority > 0
    }

    /// The state says more than the row: an attempt may be outside.
    fn fits(self, state: &RunState) -> bool {
        let status = view::status(state);
        match self {
            Self::Queued | Self::Waiting | Self::Prioritized | Self::Delayed => status == Status::Queued,
            Self::Running => status == Status::Running,
            Self::Completed => status == Status::Completed,
            Self::Failed => status == Status::Failed,
            Self::Paused => state.paused.is_some(),
        }
    }
}

/// Which rows are asked for.
fn filter(app: &App, queue: &str, wanted: Option<Wanted>) -> RunFilter {
    let known = app.tasks.known_queue(queue);
    // What a BullMQ worker has is outside, and the row does not say so.
    let is_outside = app.tasks.is_outside(known);
    RunFilter {
        workflow: (queue != ALL).then(|| format!("{OF_QUEUE}{known}").into()),
        workflow_prefix: (queue == ALL).then(|| OF_QUEUE.into()),
        statuses: wanted.map(Wanted::statuses).unwrap_or_default(),
        claimed: wanted.and_then(Wanted::claimed).filter(|_| !is_outside),
        ..RunFilter::default()
    }
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let queue = params.text("queue").unwrap_or("default");
    let wanted = params.text("status").map(Wanted::parse).transpose()?;
    let limit = params.number("limit", MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let cursor = params.text("cursor").map(str::parse::<RunId>).transpose();
    let mut before = cursor.map_err(|_| Refusal::bad("cursor must be the nextCursor of a page before"))?;
    let filter = filter(&app, queue, wanted);
    if wanted == Some(Wanted::Running) && filter.claimed == Some(true) && !app.engine.store().is_shared() {
        return running(&app, queue, &filter, before, limit).await;
    }
    let (mut tasks, mut looked_at) = (Vec::<Value>::new(), 0);
    let next = loop {
        if tasks.len() >= limit {
            break before;
        }
        let want = (limit - tasks.len()).clamp(1, MAX_LIMIT);
        let page = app
            .engine
            .store()
            .runs(&app.tasks.namespace, &filter, before, want)
            .await?;
        looked_at += page.rows.len();
        let rows = page
            .rows
            .iter()
            .filter(|row| wanted.is_none_or(|wanted| wanted.fits_row(row)));
        let states = read(&app, rows.map(|row| row.id).collect()).await?;
        let fitting = states
            .iter()
            .filter(|state| wanted.is_none_or(|wanted| wanted.fits(state)));
        tasks.extend(fitting.map(|state| view::item(state)));
        before = page.next;
        if before.is_none() || looked_at >= MAX_ROWS {
            break before;
        }
    };
    Ok(page(queue, &tasks, next.filter(|_| limit > 0)))
}

fn page(queue: &str, tasks: &[Value], next: Option<RunId>) -> Response {
    let mut answer = json!({ "queue": queue, "count": tasks.len(), "tasks": tasks });
    if let Some(next) = next {
        answer["nextCursor"] = next.to_string().into();
    }
    reply::json(&answer)
}

/// What runs, where this process does all work: it knows what it has under way, and need not look for it among everything
/// that waits.
async fn running(app: &App, queue: &str, filter: &RunFilter, before: Option<RunId>, limit: usize) -> Answer {
    let mut held = app.engine.held_runs();
    held.retain(|id| before.is_none_or(|before| *id < before));
    let is_of_queue = |state: &Arc<RunState>| {
        let workflow = &state.created.workflow;
        match &filter.workflow {
            Some(wanted) => workflow == wanted,
            None => workflow.starts_with(OF_QUEUE),
        }
    };
    let mut tasks = Vec::new();
    let mut held = held.chunks(limit.max(1));
    while tasks.len() <= limit
        && let Some(ids) = held.next()
    {
        let states = read(app, ids.to_vec()).await?;
        tasks.extend(
            states
                .into_iter()
                .filter(|state| is_of_queue(state) && Wanted::Running.fits(state)),
        );
    }
    let next = (limit > 0 && tasks.len() > limit).then(|| tasks[limit - 1].id);
    tasks.truncate(limit);
    let tasks: Vec<Value> = tasks.iter().map(|state| view::item(state)).collect();
    Ok(page(queue, &tasks, next))
}

/// The tasks of these ids, in order; those that were removed in the meantime are left out.
async fn read(app: &App, ids: Vec<RunId>) -> Result<Vec<Arc<RunState>>, Refusal> {
    let states = ids.into_iter().map(|id| app.engine.state(&app.tasks.namespace, id));
    let states: Vec<_> = futures_util::stream::iter(states).buffered(READS).collect().await;
    let mut read = Vec::with_capacity(states.len());
    for state in states {
        match state {
            Ok(state) => read.push(state),
            Err(quintet_engine::EngineError::RunNotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(read)
}
