//! The asynchronous shell around the core: inbox, group commit, timers, recovery, outbox.
//!
//! It hands the core time, ids and free executors, stores what the core decided in one commit per batch, and
//! only then lets it take effect.

mod cache;
pub mod clock;
mod dispatch;
mod engine;
mod error;
pub mod executor;
mod flow;
pub mod hooks;
mod load;
mod metrics;
mod node;
mod outbox;
mod plans;
mod pump;
mod quota;
mod registry;
mod request;
mod scout;
mod shards;
mod shares;
pub mod tasks;
mod watch;
mod workflows;

pub use engine::{Engine, EngineConfig, EngineParts};
pub use error::EngineError;
pub use flow::{Flow, Gate, Obstacle, Reach, Served};
pub use load::{events_of, fold};
pub use metrics::{Metrics, OutcomeLabel};
pub use node::{NodeConfig, hex as owner_name};
pub use quota::{Quota, QuotaExceeded};
pub use registry::Registry;
pub use request::{Applied, Idempotency, StartRun, Started, StartedRun};
pub use watch::{Progress, Watchers};
pub use workflows::{Current, Workflows};
