//! Means to test Quintet, and workflows on Quintet, from outside: the real binary, real signals, a real
//! receiver of its calls.

pub mod crash;
pub mod http;
pub mod random;
pub mod server;
pub mod sink;
