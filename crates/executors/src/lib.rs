//! How work leaves Quintet and comes back: the built-in actions, and the one guard in front of the network.

pub mod backend;
pub mod builtin;
pub mod bullmq;
pub mod condition;
pub mod egress;
pub mod http;
pub mod media;
pub mod noop;
pub mod push;
pub mod secrets;
pub mod storage;
mod template;
pub mod transform;
pub mod webhook;

pub use builtin::{BuildError, Config, builtin};
