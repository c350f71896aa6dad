//! Tasks for compute backends: the queues that they wait in, the backends that do them, and who is told of them.
//!
//! The replaced orchestrator took its settings from variables (`MODAL_URL`, `REDIS_URL`, `WORKER_CONCURRENCY`, ...), which mean
//! the same here. What they cannot say, further queues and backends and what is bridged to Redis, is said in tables.

mod backends;
mod bridge;
mod chunks;
mod effects;
mod queue;

use std::collections::BTreeMap;

use quintet_executors::backend::{BackendSettings, Rules};
use quintet_executors::bullmq::BullmqSettings;
use quintet_executors::media;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::section::section;
use super::value::{Millis, Secret};

pub use backends::BackendTable;
pub use bridge::BullmqTable;
pub use chunks::ChunkRules;
pub use effects::{EffectTargets, Mail};
pub use queue::{DEFAULT_QUEUE, QueueRule, QueueSettings};

section! {
    /// Tasks for compute backends: the queues that they wait in, the backends that do them, and who is told of them.
    pub struct Tasks = "tasks" {
        /// The namespace that tasks belong to. Default: `default`.
        pub namespace: String = "default".to_owned(),
        /// Queues by name, each with `concurrency` (how many of its tasks' steps are under way at a time on each node) and
        /// `ageing`. Default: none beside `default`, `cpu` and `gpu`, which are always there and can be changed here.
        pub queues: BTreeMap<String, QueueSettings> = BTreeMap::new(),
        /// How long waiting is worth one level of priority, of queues that do not say it themselves; 0 keeps strictly to
        /// the priorities. Default: 30s, so that a task that is ten levels behind waits at most five minutes longer.
        pub ageing: Millis = Millis(30_000),
        /// How many steps are under way at a time on each node in every queue but `gpu` that does not say it itself.
        /// Default: 5. `WORKER_CONCURRENCY` sets it too.
        pub worker_concurrency: u32 = 5,
        /// The same for the queue `gpu`. Default: 2. `GPU_WORKER_CONCURRENCY` sets it too.
        pub gpu_worker_concurrency: u32 = 2,
        /// Backends by name. Each has `kind` (`modal`; `ray`, its HTTP ingress; `ray-jobs`, its Jobs API on the dashboard's
        /// URL, for tasks that name it; `http`, anything else that takes a type and a payload) and `url`, and may have
        /// `token` (sent as `Authorization: Bearer`; it may be `env:NAME` or `file:PATH`), `timeout_ms` (of a call: 120000
        /// for `modal`, else 3600000), `health_path`, `run_path`, `types_path`, for `http` `type_key`, `payload_key`,
        /// `result_key` and `error_key` (`type`, `payload`, `result`, `error`), what it has (`gpus`, `vram_mb`, `ram_mb`,
        /// `cpus`), for `ray` `dashboard_url`, and `failures_to_open` (calls in a row that fail before its circuit opens: 5).
        /// Default: none beside those that the settings below name. A table for one of those adds to them.
        pub backends: BackendTable = BackendTable::default(),
        /// Base URL of the backend `modal`. Default: none, so that there is none. `MODAL_URL` sets it too.
        pub modal_url: Option<String> = None,
        /// Token that calls of it carry; it may be `env:NAME` or `file:PATH`. Default: none. `MODAL_TOKEN` sets it too.
        pub modal_token: Option<Secret> = None,
        /// Base URL of the HTTP ingress of the backend `ray`. Default: none, so that there is none. `RAY_URL` sets it too.
        pub ray_url: Option<String> = None,
        /// URL of Ray's dashboard: it tells what the cluster has, and takes jobs as the backend `ray-jobs`. Default: none.
        /// `RAY_DASHBOARD_URL` sets it too.
        pub ray_dashboard_url: Option<String> = None,
        /// When backends are asked how they are, in milliseconds: `health_ttl_ms` (an answer is believed so long: 2000),
        /// `health_timeout_ms` (none by then is a bad one: 5000), `probe_min_ms` and `probe_max_ms` (between questions while
        /// the circuit is open: from 1000 to 10000), `trial_ms` (the one call that tries a circuit holds up others so long:
        /// 2000), `types_ttl_ms` (60000), `job_poll_min_ms` and `job_poll_max_ms` (between looks at a Ray job: from 1000 to
        /// 5000). Default: none, which is those.
        pub backend_rules: BTreeMap<String, u64> = BTreeMap::new(),
        /// What becomes of steps that wait for each other, or for one that does not exist: `at_submit` refuses the task,
        /// `at_run` accepts it and lets it fail, as the original did. Default: `at_submit`.
        pub graph_errors: GraphErrors = GraphErrors::AtSubmit,
        /// Which tasks have long media inputs done in chunks, by their type: `input_field` (which field of the payload
        /// names the file), `size` (`10m`), `overlap` (`5s`), `merge` (`concat_segments` or `array`) and `split` (`none`, so
        /// that the backend reads the part itself, or `ffmpeg`, which cuts it, and needs `media.dir`). Default: none.
        pub chunking: ChunkRules = ChunkRules::default(),
        /// The Redis server that queues are shared with BullMQ through: `redis://USER:PASSWORD@HOST:PORT/DATABASE`, with
        /// TLS `rediss://`; it may be `env:NAME` or `file:PATH`. Default: none, which is `redis://localhost:6379`. It is
        /// used only where `bullmq` bridges queues. `REDIS_URL` sets it too.
        pub redis_url: Option<Secret> = None,
        /// The bridge to BullMQ: `prefix` (what its keys begin with: `bull`) and `queues`, by their names here, each with
        /// `mode` (`workers`: BullMQ workers do its steps; `producers`: jobs that BullMQ producers add become its tasks),
        /// `name` (what BullMQ calls it: `declarative-worker-api-` and its name) and `concurrency` (jobs of producers in
        /// progress on each node: 50). Default: no queue is bridged.
        pub bullmq: BullmqTable = BullmqTable::default(),
        /// Key that signs the messages of `webhook` effects (Standard Webhooks): `whsec_...`, `env:NAME` or `file:PATH`.
        /// Default: none, which sends unsigned messages.
        pub webhook_secret: Option<Secret> = None,
        /// Where `notify` effects with the channel `slack` go; it may be `env:NAME` or `file:PATH`. Default: none, which
        /// only logs them. `SLACK_WEBHOOK_URL` sets it too.
        pub slack_webhook_url: Option<Secret> = None,
        /// The same for the channel `discord`. Default: none. `DISCORD_WEBHOOK_URL` sets it too.
        pub discord_webhook_url: Option<Secret> = None,
        /// Server that sends the mail of `notify` effects with the channel `email`: `smtp://USER:PASSWORD@HOST:PORT`, or
        /// `smtps://` for one that speaks TLS from the beginning; it may be `env:NAME` or `file:PATH`. With a password
        /// STARTTLS is required, and else used where it is offered; `?tls=none`, `?tls=required` and
        /// `?tls=opportunistic` say otherwise. Default: none, which only logs them.
        pub smtp_url: Option<Secret> = None,
        /// Whom that mail comes from, such as `quintet@example.com`. Default: none; it must be set where `smtp_url` is.
        pub mail_from: Option<String> = None,
        /// Whom it goes to where the effect names nobody. Default: none.
        pub mail_to: Vec<String> = Vec::new(),
    }
}

/// When the errors of a task's graph of steps are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphErrors {
    /// The task is refused.
    AtSubmit,
    /// It is accepted, and fails.
    AtRun,
}

impl Tasks {
    /// All queues, each with how it is served.
    pub fn queue_rules(&self) -> BTreeMap<String, QueueRule> {
        queue::rules(self)
    }

    /// All backends, with tokens in clear, and when they are asked how they are.
    pub fn backend_settings(&self) -> Result<(BTreeMap<String, BackendSettings>, Rules), ConfigError> {
        backends::settings(self, backends::References::Follow)
    }

    /// Whom effects may tell, with secrets in clear.
    pub fn effect_targets(&self) -> Result<EffectTargets, ConfigError> {
        effects::targets(self)
    }

    /// What is shared with BullMQ, if anything is.
    pub fn bullmq_settings(&self) -> Result<Option<BullmqSettings>, ConfigError> {
        bridge::settings(self)
    }

    pub(super) fn check(&self, media: &media::Settings) -> Result<(), ConfigError> {
        if self.namespace.is_empty() {
            return Err(ConfigError::senseless("tasks.namespace", "must not be empty"));
        }
        queue::check(self)?;
        backends::settings(self, backends::References::Keep)?;
        bridge::check(self)?;
        for (kind, rule) in &self.chunking.0 {
            let allowed = media.allow(rule);
            allowed.map_err(|error| ConfigError::senseless(format!("tasks.chunking.{kind}"), error.to_string()))?;
        }
        effects::check(self)
    }
}

#[cfg(test)]
mod tests;
