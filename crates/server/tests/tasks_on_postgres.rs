//! The tests of the tasks face, once more: neither clients nor backends can tell the stores apart.
//!
//! This file only names the others. Its own name makes their servers run on PostgreSQL (`common/mod.rs`).
#![allow(
    clippy::duplicate_mod,
    reason = "each of the files brings its own harness, here as where it stands alone"
)]

#[path = "tasks_bullmq.rs"]
mod bullmq;
#[path = "tasks_contract.rs"]
mod contract;
#[path = "tasks_faults.rs"]
mod faults;
