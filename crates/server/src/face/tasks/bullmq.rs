//! Queues of this face that are shared with BullMQ.
//!
//! The bridge itself is in the executors' crate and knows neither tasks nor engine. A server can be built without it, by
//! leaving out the feature `redis`; then settings that ask for it are refused.

#[cfg(not(feature = "redis"))]
mod absent;
#[cfg(feature = "redis")]
mod bridged;

#[cfg(not(feature = "redis"))]
pub(crate) use absent::{Bridge, bridge, carry, serve};
#[cfg(feature = "redis")]
pub(crate) use bridged::{Bridge, bridge, carry, serve};
