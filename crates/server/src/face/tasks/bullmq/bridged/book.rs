//! The engine, as answers of BullMQ workers find it.
//!
//! Whatever fences an answer is the engine's: here its refusals are only told apart by what is to be done with the job.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::command::Command;
use quintet_core::machine::StepStatus;
use quintet_core::outcome::{Outcome, Token};
use quintet_engine::{Engine, EngineError};
use quintet_executors::bullmq::{ACTION, QUEUE_PREFIX, Returns, Standing, Stored, Unavailable};
use quintet_store::StepFilter;

/// Attempts of one namespace's runs. Their plans must keep rows of their steps (`list_steps`).
pub(super) struct Book {
    engine: Arc<Engine>,
    namespace: Arc<str>,
}

impl Book {
    /// The runs of this namespace.
    pub fn new(engine: Arc<Engine>, namespace: Arc<str>) -> Self {
        Self { engine, namespace }
    }

    /// What a refusal means for whoever brought an answer; an error where it may be brought again.
    fn judge(error: EngineError) -> Result<Stored, Unavailable> {
        match error {
            EngineError::RunNotFound(_) => Ok(Stored::Unknown),
            EngineError::Rejected(_) => Ok(Stored::Over),
            other => Err(Unavailable(other.to_string())),
        }
    }
}

#[async_trait]
impl Returns for Book {
    async fn complete(&self, token: Token, outcome: Outcome) -> Result<Stored, Unavailable> {
        let command = Command::Complete { token, outcome };
        match self.engine.command(&self.namespace, token.run, command).await {
            Ok(_) => Ok(Stored::Counted),
            Err(error) => Self::judge(error),
        }
    }

    async fn progress(&self, token: Token, percent: Option<f64>, words: Option<String>) -> Result<(), Unavailable> {
        let Ok(state) = self.engine.state(&self.namespace, token.run).await else {
            return Ok(());
        };
        // Every node hears of it; one entry in the history is enough.
        let node = state.nodes.get(token.node as usize);
        if words.is_none() && node.is_some_and(|node| node.attempt == token.attempt && node.progress == percent) {
            return Ok(());
        }
        let command = Command::Heartbeat {
            token,
            progress: percent,
            message: words,
        };
        match self.engine.command(&self.namespace, token.run, command).await {
            Ok(_) => Ok(()),
            Err(error) => Self::judge(error).map(drop),
        }
    }

    async fn outstanding(&self, queue: &str, offset: u64, limit: u64) -> Result<Vec<Token>, Unavailable> {
        let filter = StepFilter {
            action: Some(ACTION.into()),
            queue: Some(format!("{QUEUE_PREFIX}{queue}").into()),
            run: None,
            statuses: vec![StepStatus::InProgress],
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page = self.engine.store().steps(&self.namespace, &filter, offset, limit).await;
        let page = page.map_err(|error| Unavailable(error.to_string()))?;
        let tokens = page.rows.iter().map(|row| Token {
            run: row.run,
            node: row.node,
            attempt: row.attempt,
        });
        Ok(tokens.collect())
    }

    async fn standing(&self, token: Token) -> Result<Standing, Unavailable> {
        let state = match self.engine.state(&self.namespace, token.run).await {
            Ok(state) => state,
            Err(EngineError::RunNotFound(_)) => return Ok(Standing::Unknown),
            Err(error) => return Err(Unavailable(error.to_string())),
        };
        let Some(work) = state.work_under_way(token) else {
            return Ok(Standing::Over);
        };
        if state.nodes[token.node as usize].is_outside() {
            Ok(Standing::Outside(Box::new(work)))
        } else {
            Ok(Standing::InHand)
        }
    }
}
