//! Sizes, times and limits of the engine, and what is removed when.

use quintet_engine::{EngineConfig, NodeConfig};

use super::section::section;
use super::{ConfigError, StoreUrl};

section! {
    /// Sizes and times of the engine.
    pub struct Engine = "engine" {
        /// Memory for runs that are kept beside those being worked on, in bytes. Default: 33554432 (32 MiB). Raise it
        /// where many runs wait and are asked about.
        pub cache_bytes: usize = EngineConfig::default().cache_bytes,
        /// Requests that may wait to be decided. Default: 8192.
        pub inbox: usize = EngineConfig::default().inbox,
        /// Milliseconds that a request waits for a place before it is answered 429. Default: 2000.
        pub admission_ms: u64 = EngineConfig::default().admission_ms,
        /// Milliseconds for steps under way to end when the server is asked to stop; what does not end is made again
        /// after the next start. Default: 10000. Keep it below the time after which the supervisor kills.
        pub drain_ms: u64 = EngineConfig::default().drain_ms,
        /// Loops that decide and commit side by side, each with its share of the runs; 0 makes it 1 on SQLite and in
        /// memory, and 4 on PostgreSQL. Default: 0. Raise it where PostgreSQL and this machine have processors to spare
        /// and commits are what is waited for.
        pub shards: usize = 0,
    }
}

/// Loops where nothing is said: enough to keep several commits of a PostgreSQL under way.
const POSTGRES_SHARDS: usize = 4;
const MOST_SHARDS: usize = 64;

section! {
    /// What may be used at most.
    pub struct Limits = "limits" {
        /// Client connections at a time; more wait to be accepted. Default: 4096. Keep it below the file descriptors
        /// that the process may open.
        pub connections: usize = 4096,
        /// Live streams (server-sent events) at a time; one more is answered 503. Default: 1000.
        pub streams: usize = 1000,
    }
}

section! {
    /// What is removed, and when.
    pub struct Retention = "retention" {
        /// Days after its end when a run and its history are removed. Default: none, which keeps everything.
        pub finished_runs_days: Option<u32> = None,
    }
}

impl Engine {
    /// As the engine takes it, on this store.
    pub fn engine_config(&self, store: &StoreUrl, node: NodeConfig) -> EngineConfig {
        EngineConfig {
            cache_bytes: self.cache_bytes,
            inbox: self.inbox,
            admission_ms: self.admission_ms,
            drain_ms: self.drain_ms,
            shards: self.shards_on(store),
            node,
        }
    }

    fn shards_on(&self, store: &StoreUrl) -> usize {
        match (self.shards, store) {
            (0, StoreUrl::Postgres(_)) => POSTGRES_SHARDS,
            (0, StoreUrl::Sqlite(_) | StoreUrl::Memory) => 1,
            (shards, _) => shards,
        }
    }

    pub(super) fn check(&self, store: &StoreUrl, pool_size: usize) -> Result<(), ConfigError> {
        above_zero("engine.inbox", self.inbox)?;
        let wrong = |reason: String| Err(ConfigError::senseless("engine.shards", reason));
        let shards = self.shards_on(store);
        match store {
            StoreUrl::Sqlite(_) | StoreUrl::Memory if shards > 1 => wrong(format!(
                "must be 0 or 1 with the store `{}`: it has one writer, so several loops would only wait for each other; \
                 more than one is for PostgreSQL",
                store.kind()
            )),
            StoreUrl::Postgres(_) if shards > MOST_SHARDS => wrong(format!("must be at most {MOST_SHARDS}")),
            StoreUrl::Postgres(_) if shards >= pool_size => Err(ConfigError::senseless(
                "database.pool_size",
                format!(
                    "must be above {shards}, the number of `engine.shards`: each holds a connection while it commits, \
                     and reading needs one too"
                ),
            )),
            StoreUrl::Sqlite(_) | StoreUrl::Memory | StoreUrl::Postgres(_) => Ok(()),
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        above_zero("limits.connections", self.connections)
    }
}

fn above_zero(key: &str, value: usize) -> Result<(), ConfigError> {
    if value == 0 {
        Err(ConfigError::senseless(key, "must be above 0"))
    } else {
        Ok(())
    }
}
