//! Setting the face up from its settings.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use quintet_engine::clock::Clock;
use quintet_engine::executor::Executor;
use quintet_engine::hooks::DeliveryError;
use quintet_executors::backend::{Backends, Remote, SettingsError};
use quintet_executors::egress::Client;
use quintet_executors::media;
use quintet_store::{Store, StoreError};
use serde_json::Value;

use super::bullmq;
use super::desk::Desk;
use super::effects::{Sender, Source, Starter, TARGETS};
use super::state::Tasks;
use super::{document, plan};
use crate::config::{Config, ConfigError, GraphErrors};
use crate::face::hooks::AllHooks;

/// The face cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("tasks.backends: {0}")]
    Backends(#[from] SettingsError),
    #[error("media: {0}")]
    Media(#[from] media::SettingsError),
    #[error("tasks.bullmq: {0}")]
    Bullmq(#[from] quintet_executors::bullmq::SettingsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the face is made of, besides itself.
pub(crate) struct Opened {
    pub tasks: Arc<Tasks>,
    pub executors: Vec<Arc<dyn Executor>>,
}

/// Reads what is kept, and prepares whoever does the work.
pub(crate) async fn open(
    config: &Config,
    store: &Arc<dyn Store>,
    client: &Client,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, OpenError> {
    let settings = config.tasks.clone();
    let (backends, rules) = settings.backend_settings()?;
    let backends = Arc::new(Backends::new(&backends, &rules, client, clock)?);
    let bridge = settings.bullmq_settings()?.map(|settings| bullmq::bridge(&settings));
    let bridge = bridge.transpose()?;
    let plan_rules = plan::Rules {
        queues: settings.queue_rules().into_keys().collect(),
        bullmq: bridge
            .iter()
            .flat_map(|bridge| bridge.queues())
            .map(str::to_owned)
            .collect(),
        backends: backends
            .names()
            .iter()
            .map(|name| name.to_string())
            .collect::<BTreeSet<String>>(),
        chunking: settings.chunking.0.clone(),
        call_timeout_ms: None,
        graph_errors: match settings.graph_errors {
            GraphErrors::AtSubmit => plan::GraphErrors::AtSubmit,
            GraphErrors::AtRun => plan::GraphErrors::AtRun,
        },
    };
    let desk = Arc::new(Desk);
    let mut executors: Vec<Arc<dyn Executor>> = vec![Arc::new(Remote::new(Arc::clone(&backends), desk.clone()))];
    let script: Arc<dyn media::Script> = desk;
    executors.extend(media::executors(&config.media.settings(), &script, clock)?);
    let workers = bridge
        .as_ref()
        .map(|bridge| Arc::new(bridge.workers()) as Arc<dyn Executor>);
    executors.extend(workers);
    let rules = (document::Rules::default(), plan_rules);
    let tasks = Tasks::new(settings, (backends, bridge), rules, store).await?;
    Ok(Opened {
        tasks: Arc::new(tasks),
        executors,
    })
}

/// Adds what effects tell others.
pub(crate) fn hooks(
    tasks: &Arc<Tasks>,
    config: &Config,
    client: &Client,
    clock: &Arc<dyn Clock>,
    all: &mut AllHooks,
) -> Result<(), ConfigError> {
    let starter = Arc::new(Children(Arc::downgrade(tasks)));
    let sender = Sender::new(config.tasks.effect_targets()?, client, clock, starter)?;
    all.add(TARGETS, (Arc::new(Source), Arc::new(sender)));
    Ok(())
}

/// Starts the tasks that effects enqueue.
struct Children(Weak<Tasks>);

#[async_trait]
impl Starter for Children {
    async fn start(&self, document: Value, key: String) -> Result<(), DeliveryError> {
        let error = |message: String, retryable| DeliveryError {
            message,
            retryable,
            retry_after_ms: None,
        };
        let tasks = self.0.upgrade();
        let tasks = tasks.ok_or_else(|| error("the server is stopping".to_owned(), true))?;
        let started = tasks.start(&document, Some(&key)).await;
        started
            .map(drop)
            .map_err(|refusal| error(refusal.text().to_owned(), refusal.is_passing()))
    }
}
