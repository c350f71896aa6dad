//! Messages about runs to the outside.
//!
//! What is sent and in which shape is a face's business: it gives the engine a [`HookSource`]. Its messages
//! are stored in the commit that carries the events they are about, and delivered from the outbox, at least
//! once and in order per run.

use async_trait::async_trait;
use quintet_core::event::{Event, Meta};
use quintet_core::state::RunState;
use quintet_store::{OutboxEntry, OutboxWrite};

/// Turns events into messages. Called on the engine's loop: no waiting.
pub trait HookSource: Send + Sync + 'static {
    /// Messages about the events of one commit; `state` is the run after them.
    fn messages(&self, state: &RunState, meta: Meta, events: &[Event]) -> Vec<OutboxWrite>;
}

/// Delivers messages.
#[async_trait]
pub trait Delivery: Send + Sync + 'static {
    /// Delivers one message.
    async fn deliver(&self, entry: &OutboxEntry) -> Result<(), DeliveryError>;
}

/// A delivery that did not work.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// What went wrong.
    pub message: String,
    /// Whether to try again.
    pub retryable: bool,
    /// The receiver asked to wait this long.
    pub retry_after_ms: Option<u64>,
}

/// Sends nothing.
pub struct NoHooks;

impl HookSource for NoHooks {
    fn messages(&self, _state: &RunState, _meta: Meta, _events: &[Event]) -> Vec<OutboxWrite> {
        Vec::new()
    }
}
