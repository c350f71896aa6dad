//! What writes, one file per noun; a commit has a fast way and a long one.

pub mod claims;
pub mod columns;
pub mod commit;
mod fast;
pub mod letters;
mod limits;
mod long;
pub mod nodes;
pub mod outbox;
pub mod records;
pub mod retention;
pub mod steps;
mod units;
pub mod workflows;
