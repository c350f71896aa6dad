//! The embedded store: SQLite in WAL mode, owned by one process.
//!
//! One thread writes, because SQLite has one writer anyway: a queue in front of it is fair and costs no retries,
//! and one commit of a whole batch shares one flush of the disk. A few threads read, each from a snapshot that the
//! writer never blocks. Nothing here decides a transition: rows are written as they were handed in.
//!
//! What may fail, and what is said then, is in `error`; what a commit survives is in [`Synchronous`].

mod backup;
mod codec;
mod connect;
mod counters;
mod error;
mod lane;
mod lock;
mod migrate;
mod place;
mod probe;
mod read;
mod sql;
mod store;
mod tally;
mod transfer;
mod write;
mod writer;

pub use connect::Synchronous;
pub use counters::Counters;
pub use migrate::SCHEMA;
pub use probe::{Probe, probe};
pub use store::{Options, SqliteStore};
