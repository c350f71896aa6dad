//! How a request to the engine fails.

use quintet_core::command::Rejected;
use quintet_core::id::RunId;
use quintet_store::StoreError;

use crate::quota::QuotaExceeded;

/// A request that was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// No such run in this namespace.
    #[error("run {0} not found")]
    RunNotFound(RunId),
    /// The run's state does not allow it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used before with a different request")]
    IdempotencyMismatch,
    /// The workflow got another version, or was removed, while the run was being started: look again and start again.
    #[error("workflow {0} has just been changed")]
    WorkflowChanged(String),
    /// The engine has more to do than it can take; try again after a while.
    #[error("the engine is overloaded")]
    Overloaded,
    /// The namespace has used up what it may.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// The engine is stopping.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// The store cannot be used now; nothing was applied; try again after a while.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store did not answer; the request may or may not have been applied.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// What is stored cannot be understood, or an invariant is broken.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// Whether the same request can succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Unknown(_) | Self::Overloaded | Self::Quota(_)
        )
    }
}

impl From<&StoreError> for EngineError {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Full(_) => Self::Unavailable(error.to_string()),
            StoreError::Unknown(_) => Self::Unknown(error.to_string()),
            StoreError::Refused(_) | StoreError::Corrupt(_) | StoreError::Internal(_) => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}
