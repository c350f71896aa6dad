//! What can be said about a backend from outside.

use quintet_core::time::Time;
use serde::Serialize;

use super::breaker::Circuit;

/// How often calls ended in which way, since the set of backends was made.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Calls {
    /// With a result.
    pub succeeded: u64,
    /// With an answer that is no result.
    pub failed: u64,
    /// Without an answer, or with one that a dead backend's proxy gives.
    pub unavailable: u64,
    /// Called off, or given up by a time limit of the step.
    pub abandoned: u64,
    /// Not begun, because the backend was not healthy or its circuit open.
    pub refused: u64,
    /// Seconds that all calls took together.
    pub seconds: f64,
}

/// How a backend is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Its name.
    pub name: String,
    /// What it speaks: `modal`, `ray`, `ray-jobs` or `http`.
    pub kind: &'static str,
    /// Its base URL, without a query.
    pub url: String,
    /// What it said when it was last asked; `None` before that.
    pub healthy: Option<bool>,
    /// Whether calls go out to it.
    pub circuit: Circuit,
    /// Since when the circuit is what it is.
    pub since: Time,
    /// What last went wrong between it and here; what went wrong with a task is none of it.
    pub last_error: Option<String>,
    /// Models of its graphics processors, as far as they are known.
    pub gpus: Vec<String>,
    /// Calls under way.
    pub in_flight: u64,
    /// Calls that ended.
    pub calls: Calls,
}
