//! Requests with an idempotency key: what an earlier one with the same key stands for now.
//!
//! A key belongs to its task or pipeline. While the run that it started is under way, a repeated request is that run.
//! When it has ended well, its result stands for as long as the task says: a task by itself is not run again, and a
//! pipeline runs with the results of its first tasks taken over. A failure is never remembered.

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::state::RunState;
use quintet_engine::EngineError;
use sha2::{Digest, Sha256};

use super::super::reply::Refusal;
use super::{Target, Wish};
use crate::app::App;

/// How long a key is remembered at all; what it stands for is judged by the run. As long as any result may be used.
pub(super) const REMEMBERED_MS: u64 = 400 * 86_400_000;

/// What became of an earlier request with the same key.
pub(super) enum Earlier {
    /// There was none.
    None,
    /// Its run has not ended.
    UnderWay(RunId),
    /// Its run has ended well, and its result may still be used.
    Complete(Arc<RunState>),
    /// Nothing that may be used.
    Void(RunId),
}

/// Where keys of a target are remembered.
pub(super) fn scope(target: &Target) -> String {
    format!("pipelines.start/{}", target.workflow)
}

/// What must be the same in a repeated request.
pub(super) fn digest(wish: &Wish) -> [u8; 32] {
    Sha256::digest(wish.input.to_string()).into()
}

pub(super) async fn earlier(app: &App, target: &Target, wish: &Wish) -> Result<Earlier, Refusal> {
    let Some(key) = &wish.key else {
        return Ok(Earlier::None);
    };
    let pipelines = &app.pipelines;
    let now = pipelines.clock.now();
    let record = pipelines
        .store
        .idempotency(&pipelines.namespace, &scope(target), key, now)
        .await?;
    let Some(record) = record else {
        return Ok(Earlier::None);
    };
    let run: RunId = record
        .answer
        .parse()
        .map_err(|_| EngineError::Internal("a damaged record".to_owned()))?;
    let state = match app.engine.state(&pipelines.namespace, run).await {
        Ok(state) => state,
        Err(EngineError::RunNotFound(_)) => return Ok(Earlier::Void(run)),
        Err(error) => return Err(error.into()),
    };
    let is_usable = match (state.status, state.finished_at) {
        (RunStatus::Complete, Some(ended)) => now.ms_since(ended) < target.ttl_ms,
        (_, Some(_)) => false,
        (_, None) => true,
    };
    if !is_usable {
        return Ok(Earlier::Void(run));
    }
    if record.request != digest(wish) {
        let message = "the idempotency key was used before with another input; use a new key";
        return Err(Refusal::conflict("Idempotency key was used before").because(message));
    }
    Ok(match state.finished_at {
        Some(_) => Earlier::Complete(state),
        None => Earlier::UnderWay(run),
    })
}
