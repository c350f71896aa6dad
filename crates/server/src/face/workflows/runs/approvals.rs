//! What waits for a person, over all runs.
//!
//! Listed are the runs in which nothing else can go on. An approval beside work that goes on shows in its own run.

use http::Uri;
use quintet_core::machine::RunStatus;
use quintet_core::state::{Hold, RunState};
use quintet_engine::EngineError;
use quintet_store::RunFilter;
use serde_json::{Value, json};

use super::super::cx::Cx;
use super::super::problem::Answer;
use super::super::query::Params;
use super::super::reply::{self, Page, rfc3339};

/// Approvals shown of one run.
const SHOWN: usize = 100;

/// `GET /v1/approvals`.
pub(crate) async fn list(cx: Cx, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let filter = RunFilter {
        workflow: params.text("workflow_id")?.map(Into::into),
        statuses: vec![RunStatus::WaitingForApproval],
        ..RunFilter::default()
    };
    let (before, limit) = (params.run_cursor()?, params.limit()?);
    let page = cx.engine().store().runs(&cx.namespace, &filter, before, limit).await?;
    let mut items = Vec::new();
    for row in &page.rows {
        match cx.engine().state(&cx.namespace, row.id).await {
            Ok(state) => items.extend(waiting(&state)),
            // It was removed since the page was read.
            Err(EngineError::RunNotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(reply::json(&Page {
        items,
        next_cursor: page.next.map(|id| id.to_string()),
    }))
}

fn waiting(state: &RunState) -> impl Iterator<Item = Value> {
    let asked = (0..state.nodes.len() as u32).filter(|&n| state.nodes[n as usize].hold == Hold::Approval);
    asked.take(SHOWN).map(|n| {
        let node = &state.nodes[n as usize];
        let spec = &state.plan.spec.steps[node.step as usize];
        let mut entry = json!({
            "run_id": state.id.to_string(),
            "workflow_id": state.created.workflow,
            "step_id": state.name_of(n),
            "name": spec.name,
            "action": spec.action,
        });
        if let Value::Object(map) = &mut entry {
            let since = node.ready_at.map(|at| ("since", at));
            let until = node.timer.map(|at| ("until", at));
            map.extend(
                since
                    .into_iter()
                    .chain(until)
                    .map(|(name, at)| (name.to_owned(), rfc3339(at).into())),
            );
            if !spec.input.is_null() {
                map.insert("input".to_owned(), spec.input.clone());
            }
        }
        entry
    })
}
