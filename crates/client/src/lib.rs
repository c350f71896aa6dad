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
//! One type per noun of the API ([`Runs`], [`Workflows`], [`Templates`], [`Approvals`], [`Nodes`], and [`Pipelines`],
//! [`Services`], [`DeadLetters`], [`Maintenance`] of the pipelines face), reached from [`Client`]. What the server
//! says beyond the fields that are named here is kept (`more`) and comes out again when a value is serialised, so
//! that a newer server loses nothing on its way through an older client.

mod approvals;
mod client;
mod dead_letters;
mod error;
mod follow;
mod maintenance;
mod model;
mod nodes;
mod pipelines;
mod runs;
mod services;
mod sse;
mod templates;
mod transport;
mod workflows;

pub use approvals::Approvals;
pub use client::Client;
pub use dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterPage, DeadLetters, Retried, RetriedAll};
pub use error::{ApiError, Error};
pub use follow::{Followed, Follower};
pub use maintenance::{Maintenance, MaintenanceState};
pub use model::{History, Node, Page, Run, RunStatus, StepRun, Version, Workflow};
pub use nodes::Nodes;
pub use pipelines::{
    DryRun, Pipeline, PipelineFollower, PipelineRun, PipelineRunState, Pipelines, PlanStep, TaskRun, Trigger, Triggered,
};
pub use runs::{Decision, RunFilter, Runs, StartRun};
pub use services::{Service, Services};
pub use templates::Templates;
pub use workflows::Workflows;
