//! The tests of the tenants face, once more: its clients cannot tell the stores apart.
//!
//! This file only names the others. Its own name makes their servers run on PostgreSQL (`common/mod.rs`).
#![allow(
    clippy::duplicate_mod,
    reason = "each of the files brings its own harness, here as where it stands alone"
)]

#[path = "tenants_contract.rs"]
mod contract;
