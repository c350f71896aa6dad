//! The two state machines, each one table: which trigger moves which state where.
//!
//! Nothing else in the project decides whether a transition is legal. A walk of several triggers may pass
//! through transient states (`initializing`, `evaluating_results`, ...) inside one transaction; a run rests
//! only in the others.

pub mod run;
pub mod step;

pub use run::{RunStatus, RunTrigger};
pub use step::{StepStatus, StepTrigger};
