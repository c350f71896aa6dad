//! The shared store: PostgreSQL, for any number of nodes at the same time.
//!
//! No node owns anything here. A commit names the version that each run must have, and PostgreSQL lets the first one
//! through; work is claimed for a time, by rows that other claimers step over; a lease that has run out can be taken over
//! by one. All of it runs under READ COMMITTED, with conditions that are asked again after waiting for a row.
//!
//! Statements are written for batches: a commit of one request or of hundreds is one statement and one round trip. What may
//! fail, and what is said then, is in `error`; why each statement is planned as it is, in `connect`; why the history has
//! partitions, in `partition`; how namespaces are kept apart beneath the statements, in `wall`. Nothing here decides a transition: rows are written as they were handed in.

mod codec;
mod connect;
mod counters;
mod error;
mod hints;
mod migrate;
mod open;
mod options;
mod partition;
mod read;
mod session;
mod snapshot;
mod sql;
mod store;
mod transfer;
mod wall;
mod write;

#[cfg(test)]
extern crate self as quintet_store_postgres;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use counters::Counters;
pub use migrate::SCHEMA;
pub use options::{Options, Pooler, RowSecurity};
pub use snapshot::Snapshot;
pub use store::PostgresStore;
