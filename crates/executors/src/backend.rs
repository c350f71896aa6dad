//! Work for compute backends: Modal, Ray's HTTP ingress, Ray's Jobs API, and any other service that takes a type and a
//! payload over HTTP.
//!
//! An attempt is one call. [`Backends`] knows all backends; it picks one that is healthy and has what the order asks for
//! (`choose`), keeps a circuit breaker for each (`breaker`, `member`), and translates to and from what each kind speaks
//! (`wire`, `jobs`). [`Remote`] is the executor in front of it.
//!
//! What is known of a backend is learned while it is in use: its health is asked when an attempt needs to know it and
//! the last answer is older than a moment, or when a call has just failed as calls to a dead backend do. Only an open
//! circuit is probed in the background, because nothing else would close it again. Where nothing is to be done, nothing
//! is asked.
//!
//! A backend that was never healthy ([`Backends::seen`], [`Backends::trust`]) has no open circuit: a wrong URL must fail its
//! tasks with a sentence, not hold them for ever.

mod breaker;
mod choose;
mod figures;
mod jobs;
mod listing;
mod member;
mod pool;
mod set;
mod settings;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::outcome::{Failure, Outcome, Work};
use quintet_engine::executor::{Executor, Mode};
use serde_json::Value;

pub use breaker::Circuit;
pub use figures::{Calls, Health};
pub use jobs::job_id;
pub use set::Backends;
pub use settings::{BackendSettings, Kind, Rules, SettingsError, Usual, usual};

/// Action of steps that a compute backend does.
pub const ACTION: &str = "backend";
/// Failure kind of an attempt that began while nothing is sent to its backend.
pub const CIRCUIT_OPEN: &str = "circuit_open";
/// Failure kind of an attempt whose backend did not answer well when it was asked how it is.
pub const UNHEALTHY: &str = "unhealthy";
/// Failure kind of an attempt whose backend does not exist.
pub const UNKNOWN_BACKEND: &str = "unknown_backend";
/// Failure kind of an attempt whose backend did it and says that it went wrong.
pub const TASK_FAILED: &str = "task_failed";

/// Attempts in flight on a node, over all backends; queues set narrower limits.
const CONCURRENCY: usize = 1024;

/// An attempt as its backend gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// What is to be done, in the backend's own words.
    pub task_type: String,
    /// Its input.
    pub payload: Value,
    /// Name of the backend; `None` takes the first that is healthy and has what is asked for.
    pub backend: Option<String>,
    /// What the backend must have. It plays no part where the backend is named.
    pub resources: Resources,
    /// How long the call may take; `None` is the backend's own limit.
    pub timeout: Option<Duration>,
}

/// What an order asks for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// Graphics processor.
    pub gpu: Gpu,
    /// Megabytes of a graphics processor's memory.
    pub vram_mb: Option<u64>,
    /// Megabytes of memory.
    pub ram_mb: Option<u64>,
    /// Processors.
    pub cpus: Option<f64>,
}

/// Which graphics processor an order asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Gpu {
    /// It can do without.
    #[default]
    None,
    /// Whichever there is.
    Any,
    /// One of this model: `A100`, `A100-80GB`.
    Model(String),
}

/// Knows what an attempt orders.
pub trait Desk: Send + Sync + 'static {
    /// Says what to call for an attempt.
    ///
    /// # Errors
    /// How the attempt fails if that cannot be said.
    #[allow(
        clippy::result_large_err,
        reason = "a failure is made once for an attempt, and handed on as it is"
    )]
    fn order(&self, work: &Work) -> Result<Order, Failure>;
}

/// Does the attempts of backend steps.
pub struct Remote {
    backends: Arc<Backends>,
    desk: Arc<dyn Desk>,
}

impl Remote {
    /// An executor that calls `backends` by what `desk` says.
    pub fn new(backends: Arc<Backends>, desk: Arc<dyn Desk>) -> Self {
        Self { backends, desk }
    }
}

#[async_trait]
impl Executor for Remote {
    fn actions(&self) -> Vec<String> {
        vec![ACTION.to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Async {
            concurrency: CONCURRENCY,
        }
    }

    fn has_queues(&self) -> bool {
        true
    }

    async fn execute(&self, work: Work) -> Outcome {
        let order = match self.desk.order(&work) {
            Ok(order) => order,
            Err(failure) => return Outcome::Failed(failure),
        };
        match self.backends.choose(&order).await {
            Ok(member) => member.execute(&order, &work).await,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// A call over HTTP ended with its connection; a job goes on without one, so it is stopped.
    async fn called_off(&self, work: Work) {
        self.backends.stop_job_of(work.token).await;
    }
}
