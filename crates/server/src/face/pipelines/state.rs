//! Everything that the face keeps between requests.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_engine::{Engine, Gate, tasks};
use quintet_executors::egress::Client;
use quintet_executors::push::{ACTION, Push};
use quintet_executors::storage::{Backends, Provider, SystemRandomness, TokenCipher, TokenMint};
use quintet_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::contacts::{Contacts, Dispatched};
use super::desk::{Assets, Workers};
use super::directory::Directory;
use super::maintenance::Switch;
use super::plan::PlanRules;
use super::reply::Refusal;
use crate::config::{Config, ConfigError, Mode, Pipelines as Settings};

/// The workers' SDK uses so many bytes of the secret, and repeats a shorter one.
const SECRET_BYTES: usize = 32;

/// The face's state.
pub struct Pipelines {
    pub(super) settings: Settings,
    pub(super) namespace: Arc<str>,
    pub(super) directory: Arc<Directory>,
    pub(super) assets: Arc<LazyAssets>,
    pub(super) rules: PlanRules,
    pub(super) contacts: Arc<Contacts>,
    pub(super) dispatched: Arc<Dispatched>,
    pub(super) switch: Switch,
    pub(super) worker_secret: Option<String>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) client: Client,
    pub(super) started_at: Time,
}

/// Storage and secret, made ready at the first need: a server without pipelines has neither folder nor key.
pub(super) struct LazyAssets {
    settings: Settings,
    data_dir: PathBuf,
    opened: OnceLock<Result<Assets, String>>,
}

impl LazyAssets {
    /// # Errors
    /// Why storage or secret cannot be had, in words for the operator; it stays so until a restart.
    pub fn open(&self) -> Result<&Assets, String> {
        let opened = self.opened.get_or_init(|| self.make());
        opened.as_ref().map_err(Clone::clone)
    }

    /// The same for a handler.
    pub fn ready(&self) -> Result<&Assets, Refusal> {
        self.open()
            .map_err(|reason| Refusal::unavailable("Storage unavailable").because(reason))
    }

    fn make(&self) -> Result<Assets, String> {
        let set = self
            .settings
            .storage(&self.data_dir)
            .map_err(|error| error.to_string())?;
        let storage = Backends::open(set).map_err(|error| error.to_string())?;
        if storage.default_bucket().backend().provider == Provider::Gcs {
            tracing::warn!(
                "the worker SDK cannot use the provider gcs, and says nothing when it meets it: give the bucket's \
                 S3-compatible endpoint as aws-s3 or minio instead"
            );
        }
        let secret = self
            .settings
            .shared_secret(&self.data_dir)
            .map_err(|error| error.to_string())?;
        if secret.len() < SECRET_BYTES {
            tracing::warn!(
                "the secret of the pipelines has fewer than {SECRET_BYTES} characters: whoever sees a token could guess it, \
                 and has the storage then (`pipelines.secret_key`)"
            );
        }
        let cipher = TokenCipher::new(self.settings.token_format, &secret, Arc::new(SystemRandomness));
        let cipher = cipher.map_err(|error| error.to_string())?;
        Ok(Assets::new(storage, TokenMint::new(cipher)))
    }
}

impl Pipelines {
    /// Reads what is registered.
    pub(crate) async fn open(
        config: &Config,
        store: &Arc<dyn Store>,
        client: &Client,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let settings = config.pipelines.clone();
        let namespace: Arc<str> = settings.namespace.as_str().into();
        let assets = Arc::new(LazyAssets {
            settings: settings.clone(),
            data_dir: config.data_dir.clone(),
            opened: OnceLock::new(),
        });
        if !settings.storage_backends.is_empty() {
            assets.open().map_err(OpenError::Storage)?;
        }
        Ok(Self {
            rules: PlanRules {
                retries: settings.retry_semantics,
                non_retryable: settings.non_retryable_error_codes.clone(),
            },
            worker_secret: settings.worker_secret()?,
            directory: Arc::new(Directory::open(Arc::clone(store), &namespace).await?),
            switch: Switch::open(Arc::clone(store), &namespace).await?,
            contacts: Arc::default(),
            dispatched: Arc::default(),
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            client: client.clone(),
            started_at: clock.now(),
            namespace,
            assets,
            settings,
        })
    }

    /// What hands tasks to workers.
    pub(crate) fn executor(&self) -> Push {
        let workers = Workers {
            directory: Arc::clone(&self.directory),
            assets: Arc::clone(&self.assets),
            clock: Arc::clone(&self.clock),
            contacts: Arc::clone(&self.contacts),
            dispatched: Arc::clone(&self.dispatched),
        };
        Push::new(self.client.clone(), Arc::new(workers))
    }

    /// Lets tasks run, as far as the settings and what is registered allow.
    pub(crate) fn begin(&self, engine: &Engine) {
        if let Some(flow) = engine.registry().flow(ACTION) {
            flow.set_max((self.settings.max_concurrency > 0).then_some(self.settings.max_concurrency));
            flow.set_gate(match self.settings.mode {
                Mode::Standalone => Gate::Open,
                Mode::Serverless => Gate::Shut,
            });
        }
        self.serve(engine);
    }

    /// The registered tasks are done from now on, and no others.
    pub(super) fn serve(&self, engine: &Engine) {
        if let Some(flow) = engine.registry().flow(ACTION) {
            flow.serve(self.directory.picture().queues());
            engine.look_at(ACTION);
        }
    }

    /// Reads what other nodes have registered; says whether that is anything new.
    pub(super) async fn catch_up(&self, engine: &Engine) -> Result<bool, StoreError> {
        let is_new = self.directory.refresh().await?;
        if is_new {
            self.serve(engine);
        }
        Ok(is_new)
    }

    /// Does from time to time what nobody asks for, until the server stops.
    pub(crate) async fn keep(self: Arc<Self>, engine: Arc<Engine>, stopping: CancellationToken) {
        let mut rounds = super::upkeep::Rounds::default();
        let pause = Duration::from_millis(self.settings.poll_interval_ms);
        loop {
            tokio::select! {
                () = tasks::pause(Some(pause)) => {}
                () = stopping.cancelled() => return,
            }
            super::upkeep::round(&self, &engine, &mut rounds).await;
        }
    }
}

/// The face cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the storage of the pipelines: {0}")]
    Storage(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}
