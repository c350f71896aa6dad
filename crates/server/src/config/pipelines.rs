//! How pipelines run: workers that services register, and the object storage that they share with the server.
//!
//! The replaced orchestrator took these from variables (`STORAGE_BACKENDS`, `PIPEWEAVE_SECRET_KEY`, `MODE`, ...), which
//! mean the same here; `originals.rs` knows their names. Nothing has to be set to try a pipeline on one machine: objects
//! then lie in the data folder and the secret is made once and kept there ([`key`]). What a worker needs to reach the
//! storage is handed to it encrypted with that secret, so whoever has it has the storage.

mod key;
mod storage;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use quintet_executors::storage::{BackendSet, TokenFormat};

use storage::References;
pub use storage::StorageBackends;
pub(super) use storage::from_variables;

use super::ConfigError;
use super::section::section;
use super::value::Secret;

/// More than any of the spans below can mean, and far from where adding it to a time overflows.
const TEN_YEARS_SECONDS: u64 = 10 * 366 * 24 * 3600;

section! {
    /// How pipelines run: workers that services register, and the object storage that they share with the server.
    pub struct Pipelines = "pipelines" {
        /// Where inputs, outputs, assets and logs lie. Each has `id`, `provider` (`local`, `aws-s3`, `gcs`, `minio`),
        /// `endpoint`, `bucket`, `region`, `isDefault`, `description` and `credentials`: `basePath` for `local`,
        /// `accessKeyId`, `secretAccessKey` and `sessionToken` for `aws-s3`, `accessKey` and `secretKey` for `minio`,
        /// `projectId`, `clientEmail` and `privateKey` for `gcs`; credentials may be `env:NAME` or `file:PATH`. Default:
        /// none, which is one `local` backend in `<data_dir>/objects`. Set it where workers run on other machines.
        /// `STORAGE_BACKENDS` sets it too, as JSON; so do, for a single one, `STORAGE_PROVIDER`, `S3_ENDPOINT`,
        /// `S3_BUCKET`, `S3_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `S3_ACCESS_KEY`, `S3_SECRET_KEY`,
        /// `MINIO_ACCESS_KEY`, `MINIO_SECRET_KEY`, `GCP_PROJECT_ID`, `GCP_CLIENT_EMAIL`, `GCP_PRIVATE_KEY` and
        /// `LOCAL_STORAGE_BASE_PATH`.
        pub storage_backends: StorageBackends = StorageBackends::default(),
        /// Id of the backend that runs use. Default: none, which is the first one with `isDefault`, or else the first.
        /// `DEFAULT_STORAGE_BACKEND_ID` sets it too.
        pub default_storage_backend: Option<String> = None,
        /// Secret that the server shares with its workers; with it they read where the storage is. It may be `env:NAME`
        /// or `file:PATH`. Default: none, which makes a random one at the first need and keeps it in
        /// `<data_dir>/pipelines.key`. Set it where several nodes work on one store, and where workers get it from a
        /// secret store. `PIPEWEAVE_SECRET_KEY` sets it too.
        pub secret_key: Option<Secret> = None,
        /// `standalone` hands tasks to workers as soon as they are due; `serverless` only when `POST /api/process` or
        /// `POST /api/tick` says so. Default: `standalone`. `MODE` sets it too.
        pub mode: Mode = Mode::Standalone,
        /// Tasks that run at a time, over all nodes; 0 is no limit. Default: 10. `MAX_CONCURRENCY` sets it too.
        pub max_concurrency: u32 = 10,
        /// Milliseconds between two rounds of upkeep: maintenance that can begin, objects and letters that were kept long
        /// enough, services that are silent. Due tasks do not wait for it: they are handed out at once. Default: 1000.
        /// `POLL_INTERVAL_MS` sets it too.
        pub poll_interval_ms: u64 = 1_000,
        /// Days after which what failed for good is removed from the dead letter queue, retried or not. Default: 30.
        /// `DLQ_RETENTION_DAYS` sets it too.
        pub dlq_retention_days: u32 = 30,
        /// Seconds for which an idempotency key stands for the result that it led to, of tasks that do not say it
        /// themselves; 0 only joins what is under way. Default: 86400. `IDEMPOTENCY_TTL_SECONDS` sets it too.
        pub idempotency_ttl_seconds: u64 = 86_400,
        /// Milliseconds that a retry waits at most, of tasks that do not say it themselves. Default: 86400000 (a day).
        /// `MAX_RETRY_DELAY_MS` sets it too.
        pub max_retry_delay_ms: u64 = 86_400_000,
        /// Form of the storage token that workers get: `sdk` is the one that the worker SDK reads, `pbkdf2` the one that
        /// the original server wrote. Default: `sdk`. Set it only for workers that read the other one.
        /// `PIPEWEAVE_TOKEN_FORMAT` sets it too.
        pub token_format: TokenFormat = TokenFormat::Sdk,
        /// What a task's `retries` counts: `extra` is attempts after the first, `total` all of them. Default: `extra`.
        /// Set `total` where tasks were tuned to the original server. `RETRY_SEMANTICS` sets it too.
        pub retry_semantics: RetrySemantics = RetrySemantics::Extra,
        /// What workers show to register, send heartbeats and call back. The SDK cannot send a key, so it is the path of
        /// the server's URL that they are given: `orchestratorUrl: "http://HOST:PORT/w/TOKEN"`. It may be `env:NAME` or
        /// `file:PATH`. Default: none, so that workers need nothing where nobody needs a key, and else a key of
        /// `operator`. Set it where others can reach the server.
        pub worker_token: Option<Secret> = None,
        /// URLs by service id, for services whose own is not the one that the server can reach; the SDK always says
        /// `http://localhost:PORT`. Default: none, which takes the service's own, with the address that it registered
        /// from in place of `localhost`. `PIPEWEAVE_WORKER_URLS` sets it too.
        pub worker_urls: BTreeMap<String, String> = BTreeMap::new(),
        /// The namespace that pipelines and their runs belong to. Default: `default`.
        pub namespace: String = "default".to_owned(),
        /// Error codes of workers that another attempt cannot mend: such a task fails at once. Default: none.
        pub non_retryable_error_codes: Vec<String> = Vec::new(),
    }
}

/// Who decides when due tasks are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The server.
    Standalone,
    /// Somebody who calls it.
    Serverless,
}

/// What `retries` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetrySemantics {
    /// Attempts after the first.
    Extra,
    /// All attempts.
    Total,
}

impl RetrySemantics {
    /// How many attempts `retries` allows; at least one.
    pub fn attempts(self, retries: u32) -> u32 {
        match self {
            Self::Extra => retries.saturating_add(1),
            Self::Total => retries.max(1),
        }
    }
}

impl Pipelines {
    /// The secret that is shared with workers: the configured one, or the one that is kept in the data folder, which is
    /// made if it is not there.
    pub fn shared_secret(&self, data_dir: &Path) -> Result<String, ConfigError> {
        let wrong = |reason: String| ConfigError::senseless("pipelines.secret_key", reason);
        let secret = match &self.secret_key {
            Some(secret) => secret.reveal(),
            None => key::kept(data_dir),
        };
        match secret.map_err(wrong)? {
            secret if secret.is_empty() => Err(wrong(
                "is empty: set a secret of at least 32 characters, or leave it out".to_owned(),
            )),
            secret => Ok(secret),
        }
    }

    /// What workers have to show, if anything.
    pub fn worker_secret(&self) -> Result<Option<String>, ConfigError> {
        let wrong = |reason: &str| ConfigError::senseless("pipelines.worker_token", reason);
        let Some(token) = &self.worker_token else {
            return Ok(None);
        };
        let token = token.reveal().map_err(|reason| wrong(&reason))?;
        let is_path = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if token.is_empty() || !token.chars().all(is_path) {
            return Err(wrong(
                "must consist of letters, digits and -._~, because it becomes part of a URL",
            ));
        }
        Ok(Some(token))
    }

    /// Where objects lie, with credentials in clear; where nothing is configured, in the data folder.
    pub fn storage(&self, data_dir: &Path) -> Result<BackendSet, ConfigError> {
        self.backends(data_dir, References::Follow)
    }

    fn backends(&self, data_dir: &Path, references: References) -> Result<BackendSet, ConfigError> {
        let default_id = self.default_storage_backend.as_deref();
        if self.storage_backends.is_empty() {
            return storage::in_folder(&data_dir.join("objects"), default_id);
        }
        self.storage_backends.set(default_id, references)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, reason: String| Err(ConfigError::senseless(format!("pipelines.{key}"), reason));
        self.backends(Path::new(""), References::Keep)?;
        if self.poll_interval_ms == 0 || self.poll_interval_ms > TEN_YEARS_SECONDS {
            return wrong("poll_interval_ms", format!("must be from 1 to {TEN_YEARS_SECONDS}"));
        }
        if !(1..=3_660).contains(&self.dlq_retention_days) {
            return wrong("dlq_retention_days", "must be from 1 to 3660".to_owned());
        }
        if self.idempotency_ttl_seconds > TEN_YEARS_SECONDS {
            return wrong(
                "idempotency_ttl_seconds",
                format!("must be at most {TEN_YEARS_SECONDS}"),
            );
        }
        if self.max_retry_delay_ms == 0 || self.max_retry_delay_ms > TEN_YEARS_SECONDS * 1_000 {
            return wrong(
                "max_retry_delay_ms",
                format!("must be from 1 to {}", TEN_YEARS_SECONDS * 1_000),
            );
        }
        if self.namespace.is_empty() {
            return wrong("namespace", "must not be empty".to_owned());
        }
        let is_http = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        match self.worker_urls.iter().find(|(_, url)| !is_http(url)) {
            Some((service, _)) => wrong(
                "worker_urls",
                format!("the URL of `{service}` must begin with http:// or https://"),
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
