//! The pure core of Quintet: what a run is and how it moves. No async, no clock, no I/O, no logging.

pub mod apply;
pub mod command;
pub mod cron;
pub mod effect;
pub mod event;
pub mod expr;
pub mod id;
pub mod machine;
pub mod outcome;
pub mod plan;
pub mod retry;
mod scope;
pub mod state;
pub mod step;
pub mod time;
pub mod why;
