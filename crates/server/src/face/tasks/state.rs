//! Everything that the face keeps between requests, and what keeps its queues served.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use quintet_engine::{Engine, EngineError, Obstacle, Served, tasks};
use quintet_executors::backend::{ACTION, Backends};
use quintet_executors::bullmq::Mode;
use quintet_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::acquainted::Acquainted;
use super::pauses::Pauses;
use super::{bullmq, document, ids, plan};
use crate::config::{DEFAULT_QUEUE, QueueRule, Tasks as Settings};

/// Workflow ids of this face's runs begin so.
pub(crate) const OF_QUEUE: &str = "queue:";
/// How often what other nodes say of queues is read.
const REFRESH: Duration = Duration::from_secs(5);

/// The face's state.
pub struct Tasks {
    pub(super) settings: Settings,
    pub(crate) namespace: Arc<str>,
    /// All queues, each with how it is served.
    pub(super) queues: BTreeMap<String, QueueRule>,
    pub(super) backends: Arc<Backends>,
    pub(super) rules: document::Rules,
    pub(super) plan_rules: plan::Rules,
    pub(super) pauses: Pauses,
    acquainted: Acquainted,
    /// Queues that are shared with BullMQ.
    bridge: Option<Arc<bullmq::Bridge>>,
    engine: OnceLock<Weak<Engine>>,
}

impl Tasks {
    pub(super) async fn new(
        settings: Settings,
        (backends, bridge): (Arc<Backends>, Option<Arc<bullmq::Bridge>>),
        (rules, plan_rules): (document::Rules, plan::Rules),
        store: &Arc<dyn Store>,
    ) -> Result<Self, StoreError> {
        let namespace: Arc<str> = settings.namespace.as_str().into();
        let acquainted = Acquainted::open(Arc::clone(store), Arc::clone(&namespace), &backends).await?;
        Ok(Self {
            queues: settings.queue_rules(),
            pauses: Pauses::open(Arc::clone(store), Arc::clone(&namespace)).await?,
            backends,
            bridge,
            rules,
            plan_rules,
            acquainted,
            engine: OnceLock::new(),
            namespace,
            settings,
        })
    }

    /// The queue that takes tasks of a queue of this name.
    pub(super) fn known_queue<'a>(&'a self, name: &'a str) -> &'a str {
        match self.queues.get_key_value(name) {
            Some((known, _)) => known,
            None => DEFAULT_QUEUE,
        }
    }

    /// Whether tasks of a queue are done by workers outside.
    pub(super) fn is_outside(&self, queue: &str) -> bool {
        self.plan_rules.bullmq.contains(queue)
    }

    /// The engine that its tasks run on.
    pub(super) fn engine(&self) -> Result<Arc<Engine>, EngineError> {
        let engine = self.engine.get().and_then(Weak::upgrade);
        engine.ok_or(EngineError::ShuttingDown)
    }

    /// Lets tasks run.
    pub(crate) fn begin(&self, engine: &Arc<Engine>) {
        let _ = self.engine.set(Arc::downgrade(engine));
        self.serve(engine);
    }

    /// Says which queues are served, and which are closed for the time being.
    pub(super) fn serve(&self, engine: &Engine) {
        if let Some(flow) = engine.registry().flow(ACTION) {
            flow.serve(self.queues.keys().flat_map(|queue| self.served(queue)));
            engine.look_at(ACTION);
        }
        if let Some(bridge) = &self.bridge {
            bullmq::serve(bridge, engine, |queue| self.pauses.reason(queue));
        }
    }

    /// What a queue is shared with BullMQ for.
    pub(super) fn bridge_of(&self, queue: &str) -> Option<&'static str> {
        self.settings
            .bullmq
            .queues
            .get(queue)
            .map(|settings| match settings.mode {
                Mode::Workers => "workers",
                Mode::Producers => "producers",
            })
    }

    /// A queue, as it is for steps that any backend may do, and for those that name one.
    fn served(&self, queue: &str) -> Vec<Served> {
        let rule = self.queues[queue];
        let paused = self.pauses.reason(queue);
        let is_open = |name: &Arc<str>| self.backends.is_open(name);
        let automatic = self.backends.automatic();
        let all_down = (!automatic.is_empty() && automatic.iter().all(is_open))
            .then(|| "no backend answers: every circuit is open".to_owned());
        let of = |name: String, closed: Option<String>| Served {
            name: name.into(),
            group: Some(queue.into()),
            max: Some(rule.concurrency),
            ageing_ms: rule.ageing_ms,
            closed: closed.map(Into::into),
        };
        let any = of(queue.to_owned(), paused.clone().or(all_down));
        let named = self.backends.names();
        let named = named.iter().map(|backend| {
            let reason =
                is_open(backend).then(|| format!("the backend {backend} does not answer: its circuit is open"));
            of(ids::engine_queue(queue, Some(backend)), paused.clone().or(reason))
        });
        std::iter::once(any).chain(named).collect()
    }

    /// How many steps of a queue are in progress on this node, and why nothing more starts, if it does not.
    pub(super) fn progress_of(&self, engine: &Engine, queue: &str) -> (u32, Option<String>) {
        let Some(flow) = engine.registry().flow(ACTION) else {
            return (0, None);
        };
        let backends = self.backends.names();
        let named = backends.iter().map(|backend| ids::engine_queue(queue, Some(backend)));
        let parts = std::iter::once(queue.to_owned()).chain(named);
        let running = parts.map(|part| flow.running(&part)).sum();
        let closed = match flow.obstacle(queue) {
            Some(Obstacle::Closed { reason }) => Some(reason.to_string()),
            _ => None,
        };
        (running, closed)
    }

    /// Follows what changes of queues and backends, until the server stops.
    pub(crate) async fn keep(self: Arc<Self>, engine: Arc<Engine>, stopping: CancellationToken) {
        let carry = self.bridge.clone().map(|bridge| {
            let carry = bullmq::carry(bridge, Arc::clone(&self), Arc::clone(&engine), stopping.clone());
            tasks::spawn("bullmq", carry)
        });
        self.follow(&engine, &stopping).await;
        if let Some(carry) = carry {
            // A panic in it has been logged where it happened.
            let _ = carry.await;
        }
    }

    async fn follow(&self, engine: &Engine, stopping: &CancellationToken) {
        let mut changes = self.backends.changes();
        let refresh = engine.store().is_shared().then_some(REFRESH);
        loop {
            let is_new = tokio::select! {
                changed = changes.changed() => {
                    let kept = self.acquainted.keep(&self.backends, engine.clock().now()).await;
                    if let Err(error) = kept {
                        tracing::warn!(error = %error, "which backends have been healthy cannot be stored");
                    }
                    changed.is_ok()
                }
                () = tasks::pause(refresh) => self.pauses.refresh().await.unwrap_or_else(|error| {
                    tracing::warn!(error = %error, "which queues are paused cannot be read");
                    false
                }),
                () = stopping.cancelled() => return,
            };
            if is_new {
                self.serve(engine);
            }
        }
    }
}
