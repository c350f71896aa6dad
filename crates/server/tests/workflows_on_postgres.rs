//! The tests of the API, once more: a user tells the stores apart by their URL and by nothing else.
//!
//! This file only names the others. Its own name makes their servers run on PostgreSQL (`common/mod.rs`).
#![allow(
    clippy::duplicate_mod,
    reason = "each of the files brings its own harness, here as where it stands alone"
)]

#[path = "workflows_api.rs"]
mod api;
#[path = "workflows_contract.rs"]
mod contract;
#[path = "workflows_control.rs"]
mod control;
#[path = "workflows_fixes.rs"]
mod fixes;
