//! Queues shared with BullMQ: its workers do Quintet's steps, and its producers' jobs become runs.
//!
//! A bridged queue is a queue of BullMQ in Redis, in BullMQ's own layout, so that npm's `bullmq` works on it unchanged.
//! It goes one of two ways ([`Mode`]):
//!
//! - `workers`: an attempt of a step with the action [`ACTION`] is handed over by putting a job into Redis
//!   ([`Workers`]); what becomes of the job is read from the queue's events and from the job itself (`returning`).
//! - `producers`: Quintet takes jobs as a worker does, starts a run for each, keeps the job's lock while the run goes
//!   on, and ends the job as the run ended (`taking`).
//!
//! The store is the truth, and Redis holds nothing that cannot be lost:
//!
//! - A job's id is made from its attempt ([`JobId`]), so giving it twice is giving it once, and an answer can only
//!   count for the attempt that it was asked of. Answers are stored first; then the job is removed from Redis.
//! - A job that is not in Redis any more though its attempt is under way is put there again. Before that the store is
//!   asked once more, and a job that was removed on purpose leaves a mark for a minute: so nothing comes back because
//!   somebody looked a moment too early.
//! - A producer's job starts its run under a key made from the job. Whoever takes it again, after a crash here or there,
//!   finds the same run.
//!
//! What is told by events is a hint that saves waiting; every few seconds the jobs themselves are looked at.
//!
//! Written from what was observed of BullMQ 5.67 and 6.7 with Redis 7, and tested with both. One Redis server, with or
//! without TLS; not Redis Cluster. What is not carried over: BullMQ's job schedulers (such jobs fail with a sentence
//! that says so) and the `jitter` of a backoff.

#[cfg(feature = "redis")]
mod answer;
#[cfg(feature = "redis")]
mod bridge;
#[cfg(feature = "redis")]
mod document;
#[cfg(feature = "redis")]
mod keys;
#[cfg(feature = "redis")]
mod link;
#[cfg(feature = "redis")]
mod options;
#[cfg(feature = "redis")]
mod priority;
#[cfg(feature = "redis")]
mod returning;
#[cfg(feature = "redis")]
mod scripts;
mod settings;
#[cfg(feature = "redis")]
mod taking;
#[cfg(feature = "redis")]
mod workers;

#[cfg(feature = "redis")]
pub use bridge::{Bridge, Pace};
#[cfg(feature = "redis")]
pub use keys::JobId;
#[cfg(feature = "redis")]
pub use priority::{LOWEST, SOONEST, to_bullmq};
#[cfg(feature = "redis")]
pub use returning::{Returns, Standing, Stored, Unavailable};
pub use settings::{BullmqSettings, Mode, QueueSettings, SettingsError};
#[cfg(feature = "redis")]
pub use taking::{Ended, IncomingJob, StartError, Starts};
#[cfg(feature = "redis")]
pub use workers::{Desk, Order, Workers};

/// Action of steps that BullMQ workers do.
pub const ACTION: &str = "bullmq";
/// What the engine's queue of such steps begins with; the name of the bridged queue follows.
pub const QUEUE_PREFIX: &str = "bullmq:";
