//! From a stored history to a state: the same fold that the live path makes.

use std::sync::Arc;

use quintet_core::apply::{apply_commit, create};
use quintet_core::event::Event;
use quintet_core::id::RunId;
use quintet_core::state::RunState;
use quintet_store::{Store, StoreError, StoredRun};

use crate::plans::Plans;

/// Entries read at a time.
const PAGE: usize = 1_000;

/// Loads a run and folds its history.
pub(crate) async fn load(
    store: &dyn Store,
    plans: &Plans,
    namespace: &str,
    id: RunId,
) -> Result<Option<RunState>, StoreError> {
    let Some(stored) = store.load(namespace, id).await? else {
        return Ok(None);
    };
    let plan = plans.find(store, stored.row.plan).await?;
    fold(&stored, plan).map(Some)
}

/// Brings a state that another node may have moved on to what is stored now.
pub(crate) async fn catch_up(store: &dyn Store, mut state: Arc<RunState>) -> Result<Arc<RunState>, StoreError> {
    let namespace = Arc::clone(&state.created.namespace);
    loop {
        let commits = store.commits(&namespace, state.id, state.version, PAGE).await?;
        for commit in &commits {
            let events = events_of(&commit.events)?;
            apply_commit(Arc::make_mut(&mut state), commit.meta, &events)
                .map_err(|error| StoreError::Corrupt(format!("{}: {error}", state.id)))?;
        }
        if commits.len() < PAGE {
            return Ok(state);
        }
    }
}

/// Reads the events of one history entry.
pub fn events_of(json: &str) -> Result<Vec<Event>, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(format!("events cannot be read: {error}")))
}

/// Folds a stored run's history into its state.
pub fn fold(stored: &StoredRun, plan: Arc<quintet_core::plan::Plan>) -> Result<RunState, StoreError> {
    let corrupt = |message: String| StoreError::Corrupt(format!("{}: {message}", stored.row.id));
    let first = stored
        .commits
        .first()
        .ok_or_else(|| corrupt("the history is empty".to_owned()))?;
    let events = events_of(&first.events)?;
    let Some(Event::RunCreated(created)) = events.first() else {
        return Err(corrupt("the history does not begin with run_created".to_owned()));
    };
    let mut state = create(stored.row.id, plan, created, first.meta);
    for (nth, commit) in stored.commits.iter().enumerate() {
        if commit.seq != nth as u64 + 1 {
            return Err(corrupt(format!("entry {} is missing", nth + 1)));
        }
        let events = if nth == 0 {
            events.clone()
        } else {
            events_of(&commit.events)?
        };
        apply_commit(&mut state, commit.meta, &events).map_err(|error| corrupt(error.to_string()))?;
    }
    if state.version != stored.row.version || state.status != stored.row.status {
        return Err(corrupt(format!(
            "the history gives version {} and {}, the row says {} and {}",
            state.version,
            state.status.as_str(),
            stored.row.version,
            stored.row.status.as_str()
        )));
    }
    Ok(state)
}
