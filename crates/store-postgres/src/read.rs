//! What only reads, one file per noun.

pub mod outbox;
pub mod runs;
pub mod status;
pub mod workflows;
