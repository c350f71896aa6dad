//! The tests of the pipelines face, once more: a worker cannot tell the stores apart.
//!
//! This file only names the others. Its own name makes their servers run on PostgreSQL (`common/mod.rs`).
#![allow(
    clippy::duplicate_mod,
    reason = "each of the files brings its own harness, here as where it stands alone"
)]

#[path = "pipelines_contract.rs"]
mod contract;
#[path = "pipelines_faults.rs"]
mod faults;
#[path = "pipelines_guard.rs"]
mod guard;
