//! What writes, one file per noun; a commit has a fast way and a long one.

pub mod claims;
pub mod columns;
pub mod commit;
mod fast;
mod long;
pub mod nodes;
pub mod outbox;
pub mod retention;
mod units;
pub mod workflows;
