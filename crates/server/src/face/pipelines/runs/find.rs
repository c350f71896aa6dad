//! Which runs a list has, newest first.
//!
//! The states of a pipeline run are states of its row in the store, with one exception: to the engine a run in which a task
//! has failed has failed, and here it is `partial` if its pipeline merges what there is and something came of it. Which
//! runs may be so is seen from their plans, and only those are loaded.

use std::collections::HashMap;

use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, run};
use quintet_core::plan::{Digest, Join, PlanSpec};
use quintet_store::{RunFilter, StoreError};

use super::super::directory::Picture;
use super::super::model::PipelineStatus;
use super::super::reply::Refusal;
use super::super::view::{RunView, states, status};
use crate::app::App;

/// Rows that one request looks at.
const BOUND: usize = 100_000;
const PAGE: usize = 1_000;

/// Which runs are asked for; the states of the filter are left to this module.
pub(super) struct Wanted {
    pub status: Option<PipelineStatus>,
    pub filter: RunFilter,
}

/// What was found.
pub(super) struct Found {
    /// The latest first.
    pub runs: Vec<RunId>,
    /// There was nothing beyond the bound.
    pub is_whole: bool,
}

/// What of a row is needed here.
struct Row {
    id: RunId,
    plan: Digest,
}

pub(super) async fn find(app: &App, picture: &Picture, wanted: &Wanted) -> Result<Found, Refusal> {
    let statuses = match wanted.status {
        None => Vec::new(),
        Some(PipelineStatus::Failed | PipelineStatus::Partial) => statuses(PipelineStatus::Failed),
        Some(status) => statuses(status),
    };
    let filter = RunFilter {
        statuses,
        ..wanted.filter.clone()
    };
    let (rows, is_whole) = rows(app, &filter).await?;
    let runs = match wanted.status {
        Some(wanted @ (PipelineStatus::Failed | PipelineStatus::Partial)) => judged(app, picture, wanted, rows).await?,
        _ => rows.into_iter().map(|row| row.id).collect(),
    };
    Ok(Found { runs, is_whole })
}

fn statuses(status: PipelineStatus) -> Vec<RunStatus> {
    let all = run::ALL.into_iter();
    all.filter(|row| status::of_status(*row) == status).collect()
}

async fn rows(app: &App, filter: &RunFilter) -> Result<(Vec<Row>, bool), StoreError> {
    let pipelines = &app.pipelines;
    let (mut rows, mut before) = (Vec::new(), None);
    while rows.len() < BOUND {
        let page = pipelines.store.runs(&pipelines.namespace, filter, before, PAGE).await?;
        rows.extend(page.rows.into_iter().map(|row| Row {
            id: row.id,
            plan: row.plan,
        }));
        before = page.next;
        if before.is_none() {
            return Ok((rows, true));
        }
    }
    Ok((rows, false))
}

/// Of runs in which a task has failed, those that failed, or those that are partial.
async fn judged(app: &App, picture: &Picture, wanted: PipelineStatus, rows: Vec<Row>) -> Result<Vec<RunId>, Refusal> {
    let mut merging = Merging::default();
    let (mut runs, mut doubtful) = (Vec::new(), Vec::new());
    for row in rows {
        if merging.may_merge(app, row.plan).await? {
            doubtful.push(row.id);
        } else if wanted == PipelineStatus::Failed {
            runs.push(row.id);
        }
    }
    for some in doubtful.chunks(PAGE) {
        let states = states(app, some.iter().copied()).await?;
        let views = states.values().filter_map(|state| RunView::of(app, picture, state));
        let views = views.filter(|view| status::of_run(view.state, view.labels.failure_mode) == wanted);
        runs.extend(views.map(|view| view.state.id));
    }
    runs.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
    Ok(runs)
}

/// Plans that were looked at: whether their joins merge what there is.
#[derive(Default)]
struct Merging(HashMap<Digest, bool>);

impl Merging {
    async fn may_merge(&mut self, app: &App, plan: Digest) -> Result<bool, StoreError> {
        if let Some(known) = self.0.get(&plan) {
            return Ok(*known);
        }
        let spec = app.pipelines.store.plan(plan).await?;
        let spec = spec.and_then(|spec| serde_json::from_str::<PlanSpec>(&spec).ok());
        let may = spec.is_some_and(|spec| spec.steps.iter().any(|step| step.join == Join::Available));
        self.0.insert(plan, may);
        Ok(may)
    }
}
