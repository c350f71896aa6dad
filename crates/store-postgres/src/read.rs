//! What only reads, one file per noun.

pub mod letters;
pub mod outbox;
pub mod records;
pub mod runs;
pub mod status;
pub mod steps;
pub mod usage;
pub mod workflows;
