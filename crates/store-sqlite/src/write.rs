//! What the writer does, one file per noun.

pub mod outbox;
pub mod records;
pub mod retention;
pub mod runs;
pub mod steps;
pub mod units;
pub mod workflows;
