//! A client of Quintet's API.
//!
//! ```no_run
//! # async fn demo() -> Result<(), quintet_client::Error> {
//! use quintet_client::{Client, StartRun};
//!
//! let client = Client::new("http://127.0.0.1:8080")?.with_api_key("key");
//! let run = client.runs().start(&StartRun::workflow("wf_1").idempotency_key("order-7").wait_ms(30_000)).await?;
//! println!("{} is {}", run.id, run.status);
//! # Ok(())
//! # }
//! ```
//!
//! One type per noun of the API ([`Runs`], [`Workflows`], [`Templates`], [`Approvals`], [`Schedules`], [`Nodes`]; [`Pipelines`],
//! [`Services`], [`DeadLetters`], [`Maintenance`] of the pipelines face; [`Tasks`], [`Queues`], [`Backends`] of the tasks
//! face), reached from [`Client`]. What the server
//! says beyond the fields that are named here is kept (`more`) and comes out again when a value is serialised, so
//! that a newer server loses nothing on its way through an older client.

mod approvals;
mod audit;
mod auth;
mod backends;
mod client;
mod dead_letters;
mod error;
mod follow;
mod maintenance;
mod model;
mod namespaces;
mod nodes;
mod pipelines;
mod queues;
mod runs;
mod schedules;
mod secrets;
mod services;
mod sse;
mod tasks;
mod templates;
mod tls;
mod transport;
mod workflows;

pub use approvals::Approvals;
pub use audit::{Audit, AuditEntry, AuditFilter, AuditHead};
pub use auth::{Auth, Key, Me, NewKey};
pub use backends::{Backend, Backends};
pub use client::Client;
pub use dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterPage, DeadLetters, Retried, RetriedAll};
pub use error::{ApiError, Error};
pub use follow::{Followed, Follower};
pub use maintenance::{Maintenance, MaintenanceState};
pub use model::{History, Node, Page, Run, RunStatus, StepRun, Version, Workflow};
pub use namespaces::{Namespace, NamespaceSpec, NamespaceUsage, Namespaces};
pub use nodes::Nodes;
pub use pipelines::{
    DryRun, Pipeline, PipelineFollower, PipelineRun, PipelineRunState, Pipelines, PlanStep, TaskRun, Trigger, Triggered,
};
pub use queues::{Pause, Queue, Queues};
pub use runs::{Decision, RunFilter, Runs, StartRun};
pub use schedules::{LastFiring, Schedule, ScheduleSpec, Schedules, TriggeredSchedule, Upcoming};
pub use secrets::{RotatedSecretKey, Secret, Secrets};
pub use services::{Service, Services};
pub use tasks::{JobLog, StepStatus, Submission, Submitted, Task, TaskFilter, TaskPage, Tasks};
pub use templates::Templates;
pub use tls::Tls;
pub use workflows::Workflows;
