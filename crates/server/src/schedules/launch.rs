//! How a schedule has something started, without knowing how that is done.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_engine::{EngineError, Idempotency};
use sha2::{Digest as _, Sha256};

use super::model::Target;
use crate::error_code::ErrorCode;

/// Scope of the keys of nominal times.
const SCOPE: &str = "schedules.fire";
/// How long it is known which run a nominal time started. Longer than any server stays down between starting a run and
/// noting it.
const REMEMBERED_MS: u64 = 30 * 86_400_000;

/// Starts the targets of one kind.
#[async_trait]
pub trait Launch: Send + Sync + 'static {
    /// Whether the target could be started now. Asked when a schedule gets it.
    async fn check(&self, namespace: &Arc<str>, target: &Target) -> Result<(), LaunchError>;

    /// Starts it. With a key that was used before it starts nothing, and gives the run that was started then.
    async fn launch(
        &self,
        namespace: &Arc<str>,
        target: &Target,
        fire: &Fire,
        key: Option<Idempotency>,
    ) -> Result<Launched, LaunchError>;
}

/// Why something is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fire {
    /// Whose time has come.
    pub schedule: Arc<str>,
    /// Which time; `None` when somebody asked for it.
    pub nominal: Option<Time>,
}

/// What was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launched {
    /// The run.
    pub run: RunId,
    /// It was started by this very call.
    pub is_new: bool,
}

/// Why nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LaunchError {
    /// For programs; says too whether another try can help.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Which field of the target is wrong.
    pub field: Option<String>,
}

impl LaunchError {
    /// An error without a field.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let (message, field) = (message.into(), None);
        Self { code, message, field }
    }

    /// Whether the same start can succeed later by itself.
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }

    pub(super) fn not_served(kind: &str) -> Self {
        Self {
            field: Some("target.kind".to_owned()),
            ..Self::new(
                ErrorCode::InvalidField,
                format!("{kind} cannot be scheduled on this server"),
            )
        }
    }
}

impl From<EngineError> for LaunchError {
    fn from(error: EngineError) -> Self {
        let code = match &error {
            EngineError::Overloaded => ErrorCode::Overloaded,
            EngineError::Quota(_) => ErrorCode::QuotaExceeded,
            EngineError::ShuttingDown => ErrorCode::ShuttingDown,
            EngineError::Unavailable(_) => ErrorCode::StoreUnavailable,
            EngineError::Unknown(_) => ErrorCode::OutcomeUnknown,
            EngineError::WorkflowChanged(_) => ErrorCode::WorkflowChanged,
            EngineError::IdempotencyMismatch => ErrorCode::IdempotencyMismatch,
            EngineError::RunNotFound(_) => ErrorCode::RunNotFound,
            EngineError::Rejected(_) => ErrorCode::RunConflict,
            EngineError::Internal(_) => ErrorCode::Internal,
        };
        let message = match &error {
            // Where the store is, and what it says, is for the log.
            EngineError::Unavailable(_) => "the store cannot be used at the moment".to_owned(),
            EngineError::Unknown(_) => "the store did not say whether the run was started".to_owned(),
            EngineError::Internal(_) => {
                tracing::error!(error = %error, "a scheduled run could not be started");
                "internal error".to_owned()
            }
            other => other.to_string(),
        };
        Self::new(code, message)
    }
}

/// The key under which a nominal time starts its run. It says nothing about what is started: a target that is changed
/// between a start and the note of it does not make it another one.
pub(super) fn fire_key(id: &str, nominal: Time) -> Idempotency {
    let at = jiff::Timestamp::from_microsecond(nominal.0).unwrap_or_default();
    let key = format!("{id}@{at}");
    let request = Sha256::digest(key.as_bytes()).into();
    Idempotency {
        ttl_ms: Some(REMEMBERED_MS),
        ..Idempotency::new(SCOPE, key, request)
    }
}
