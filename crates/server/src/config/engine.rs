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
/// Values that a JSON text may hold where nothing else is said.
pub const MOST_VALUES: usize = 2_500_000;
/// Deepest nesting of anything that is taken in.
const DEEPEST: usize = 64;

section! {
    /// What may be used at most.
    pub struct Limits = "limits" {
        /// Client connections at a time; more wait to be accepted. Default: 4096. Keep it below the file descriptors
        /// that the process may open.
        pub connections: usize = 4096,
        /// Client connections of one address at a time; one more is closed at once. Default: 1024. 0 is no limit. Networks
        /// of IPv6 (/64) count as one address. With `server.behind_proxy` all connections are the proxy's, and none is
        /// counted.
        pub connections_per_address: usize = 1024,
        /// Live streams (server-sent events) at a time, of all faces; one more is answered 503. Default: 1000.
        pub streams: usize = 1000,
        /// Live streams of one key or token at a time; one more is answered 429. Default: 20. Callers who need no key
        /// share those of the server.
        pub streams_per_key: usize = 20,
        /// Requests per second of one key or token; more are answered 429 with `Retry-After`. Default: 100. 0 is no limit.
        /// Raise it where many workers share a key. Callers who need no key are not counted.
        pub requests_per_second: u32 = 100,
        /// Requests that one key or token may send at once after a pause. Default: 200.
        pub request_burst: u32 = 200,
        /// How deep a JSON body may be nested; a deeper one is answered 400. Default: 64. No more is
        /// possible.
        pub json_depth: usize = 64,
        /// How many values a JSON body may hold; one with more is answered 400. An object or a list counts five times, a field
        /// twice: in memory they cost far more than their text. Default: 2500000. With it a body stays below 200 MiB. Raise it
        /// with `server.max_body_bytes`.
        pub json_values: usize = MOST_VALUES,
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
        above_zero("limits.connections", self.connections)?;
        above_zero("limits.streams_per_key", self.streams_per_key)?;
        above_zero("limits.json_depth", self.json_depth)?;
        above_zero("limits.json_values", self.json_values)?;
        if self.json_depth > DEEPEST {
            return Err(ConfigError::senseless(
                "limits.json_depth",
                format!("must be at most {DEEPEST}: what is stored travels inside other documents"),
            ));
        }
        if self.requests_per_second > 0 && self.request_burst == 0 {
            return Err(ConfigError::senseless(
                "limits.request_burst",
                "must be above 0, or nothing is let in",
            ));
        }
        Ok(())
    }
}

fn above_zero(key: &str, value: usize) -> Result<(), ConfigError> {
    if value == 0 {
        Err(ConfigError::senseless(key, "must be above 0"))
    } else {
        Ok(())
    }
}
