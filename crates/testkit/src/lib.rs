//! Means to test Quintet, and workflows on Quintet, from outside: the real binary, real signals, a real
//! receiver of its calls.

pub mod bullmq;
pub mod cluster;
pub mod crash;
pub mod gcs;
pub mod http;
pub mod load;
pub mod modal;
pub mod patience;
pub mod pooler;
mod port;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod ray;
pub mod redis;
pub mod s3;
pub mod server;
pub mod sink;
