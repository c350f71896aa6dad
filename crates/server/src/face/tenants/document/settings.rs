//! The settings of a workflow, and what their words mean.

use serde::{Deserialize, Serialize};

use super::go;

const MAX_CONCURRENCY: i64 = 4;
/// Half an hour.
const TIMEOUT_NS: i64 = 1_800_000_000_000;

/// How a workflow is to be run, as it is echoed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Configuration {
    /// Most tasks under way at a time.
    pub max_concurrency: i64,
    /// Of the whole workflow, in nanoseconds.
    pub timeout: i64,
    pub failure_policy: String,
    pub retry_policy: RetryRule,
    /// Empty or `none`: nobody is told.
    pub notification_policy: String,
    /// A person must approve before the first task starts.
    pub enable_hitl: bool,
    pub validation_level: String,
}

/// When failed tasks are tried again. Durations are in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RetryRule {
    pub max_retries: i64,
    pub initial_delay: i64,
    pub max_delay: i64,
    #[serde(serialize_with = "go::float")]
    pub backoff_factor: f64,
}

/// What the failure of a task does to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailurePolicy {
    /// Nothing new starts.
    Abort,
    /// What does not need it goes on.
    Continue,
    /// As abort, but tasks are tried again first, also where no number of retries is given.
    Retry,
}

/// How much has to be right before a workflow is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validation {
    /// What is needed to run it: unknown ids in a task's own `dependencies` are passed over.
    None,
    /// No errors.
    Basic,
    /// No warnings either.
    Strict,
}

impl Configuration {
    pub(super) fn with_defaults(mut self) -> Self {
        if self.max_concurrency == 0 {
            self.max_concurrency = MAX_CONCURRENCY;
        }
        if self.timeout == 0 {
            self.timeout = TIMEOUT_NS;
        }
        if self.failure_policy.is_empty() {
            self.failure_policy = FailurePolicy::ABORT.to_owned();
        }
        self
    }

    pub fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy::of(&self.failure_policy).unwrap_or(FailurePolicy::Abort)
    }

    pub fn validation(&self) -> Validation {
        Validation::of(&self.validation_level).unwrap_or(Validation::Basic)
    }
}

impl FailurePolicy {
    const ABORT: &str = "abort";

    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "" | Self::ABORT => Some(Self::Abort),
            "continue" => Some(Self::Continue),
            "retry" => Some(Self::Retry),
            _ => None,
        }
    }
}

impl Validation {
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "" | "basic" => Some(Self::Basic),
            "strict" => Some(Self::Strict),
            _ => None,
        }
    }
}
