//! The engine as everybody else sees it: start runs, command them, look at them, follow them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use quintet_core::command::Command;
use quintet_core::effect::Effect;
use quintet_core::id::{IdSource, RunId};
use quintet_core::state::RunState;
use quintet_core::step::StepError;
use quintet_store::{Store, StoreError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, random_u64};
use crate::dispatch::Dispatcher;
use crate::error::EngineError;
use crate::hooks::{Delivery, HookSource, NoHooks};
use crate::metrics::Metrics;
use crate::plans::Plans;
use crate::pump::Pump;
use crate::registry::Registry;
use crate::request::{Applied, Idempotency, Request, StartRun, Started};
use crate::watch::{Progress, Watchers};
use crate::workflows::Workflows;
use crate::{load, outbox, tasks};

/// Sizes and times of an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Bytes of run states kept beside those that are being worked on.
    pub cache_bytes: usize,
    /// Requests that may wait to be decided; one more waits for a place.
    pub inbox: usize,
    /// How long a request waits for a place before it is refused, in milliseconds.
    pub admission_ms: u64,
    /// How long attempts may take to end when the engine is shut down, in milliseconds.
    pub drain_ms: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            inbox: 8192,
            admission_ms: 2_000,
            drain_ms: 10_000,
        }
    }
}

/// What an engine is made of.
pub struct EngineParts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Who does the work.
    pub registry: Registry,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and jitter.
    pub ids: Box<dyn IdSource>,
    /// What to tell the outside, and how; `None` tells nothing.
    pub hooks: Option<(Arc<dyn HookSource>, Arc<dyn Delivery>)>,
    /// Sizes and times.
    pub config: EngineConfig,
}

/// What the engine's parts share.
pub(crate) struct Shared {
    pub store: Arc<dyn Store>,
    pub registry: Arc<Registry>,
    pub clock: Arc<dyn Clock>,
    pub plans: Arc<Plans>,
    pub watchers: Watchers,
    pub hooks: Arc<dyn HookSource>,
    pub has_hooks: bool,
    pub outbox_filled: Notify,
    pub metrics: Metrics,
    pub config: EngineConfig,
    /// This process, among all that ever worked on the store.
    pub owner: u64,
    /// Set once: no new work.
    pub stop: CancellationToken,
    /// Why the engine cannot go on, once that is so.
    pub fatal: watch::Sender<Option<String>>,
    pub draining: AtomicBool,
}

impl Shared {
    pub async fn load(&self, namespace: &str, run: RunId) -> Result<Option<RunState>, StoreError> {
        load::load(self.store.as_ref(), &self.plans, namespace, run).await
    }

    /// Gives back the slots of attempts that will not begin.
    pub fn give_back(&self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Dispatch(work) = effect
                && let Some(lane) = self.registry.lane(&work.action)
            {
                lane.give_back();
            }
        }
    }

    /// A claim that came too late gives its slot back; its entry goes with the commit that made it late.
    pub fn refuse_claim(&self, state: &RunState, node: u32, error: &StepError) {
        let step = state.nodes.get(node as usize).map(|node| node.step as usize);
        if let Some(lane) = step.and_then(|step| self.registry.lane(&state.plan.spec.steps[step].action)) {
            lane.give_back();
        }
        tracing::debug!(run = %state.id, node, error = %error, "claim refused");
    }
}

/// A running engine.
pub struct Engine {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Request>,
    dispatcher: Arc<Dispatcher>,
    workflows: Workflows,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts an engine on a store that nobody else uses. Must be called on a Tokio runtime.
    pub fn start(parts: EngineParts) -> Engine {
        let EngineParts {
            store,
            registry,
            clock,
            ids,
            hooks,
            config,
        } = parts;
        let (registry, plans) = (Arc::new(registry), Arc::new(Plans::default()));
        let (hooks, delivery) = match hooks {
            Some((hooks, delivery)) => (hooks, Some(delivery)),
            None => (Arc::new(NoHooks) as Arc<dyn HookSource>, None),
        };
        let shared = Arc::new(Shared {
            store: Arc::clone(&store),
            registry: Arc::clone(&registry),
            clock,
            plans: Arc::clone(&plans),
            watchers: Watchers::default(),
            hooks,
            has_hooks: delivery.is_some(),
            outbox_filled: Notify::new(),
            metrics: Metrics::default(),
            owner: random_u64() >> 1,
            stop: CancellationToken::new(),
            fatal: watch::channel(None).0,
            draining: AtomicBool::new(false),
            config,
        });
        let (inbox, requests) = mpsc::channel(shared.config.inbox);
        let (answers, urgent) = mpsc::channel(shared.config.inbox);
        let dispatcher = Arc::new(Dispatcher::new(registry, answers, shared.metrics.clone()));
        let pump = Pump::new(Arc::clone(&shared), ids, urgent, requests, Arc::clone(&dispatcher));
        let mut running = vec![tasks::spawn("engine", pump.run())];
        if let Some(delivery) = delivery {
            running.push(tasks::spawn("outbox", outbox::run(Arc::clone(&shared), delivery)));
        }
        let workflows = Workflows::new(store, plans);
        Engine {
            shared,
            inbox,
            dispatcher,
            workflows,
            tasks: std::sync::Mutex::new(running),
        }
    }

    /// Starts runs, all or none, and answers once they are stored. With `watch` each new run comes with a
    /// receiver that misses nothing.
    pub async fn start_runs(
        &self,
        starts: Vec<StartRun>,
        idempotency: Option<Idempotency>,
        watch: bool,
    ) -> Result<Started, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Request::Start {
            starts,
            idempotency,
            watch,
            reply,
        })
        .await?;
        answer.await.map_err(|_| EngineError::ShuttingDown)?
    }

    /// Carries out a command and answers once its effect is stored.
    pub async fn command(&self, namespace: &Arc<str>, run: RunId, command: Command) -> Result<Applied, EngineError> {
        let (reply, answer) = oneshot::channel();
        let namespace = Arc::clone(namespace);
        self.submit(Request::Command {
            namespace,
            run,
            command,
            reply: Some(reply),
            tries: 0,
        })
        .await?;
        answer.await.map_err(|_| EngineError::ShuttingDown)?
    }

    /// The run as it is stored.
    pub async fn state(&self, namespace: &Arc<str>, run: RunId) -> Result<Arc<RunState>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Request::Peek {
            namespace: Arc::clone(namespace),
            run,
            reply,
        })
        .await?;
        if let Ok(Some(state)) = answer.await {
            return Ok(state);
        }
        let loaded = self.shared.load(namespace, run).await?;
        loaded.map(Arc::new).ok_or(EngineError::RunNotFound(run))
    }

    /// Follows a run from now on.
    pub fn watch(&self, run: RunId) -> watch::Receiver<Progress> {
        self.shared.watchers.watch(run)
    }

    /// Workflows of the store, with their plans compiled.
    pub fn workflows(&self) -> &Workflows {
        &self.workflows
    }

    /// The store, for reading.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// The executors.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The time as the engine sees it.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Whether requests are taken.
    pub fn is_ready(&self) -> bool {
        !self.shared.stop.is_cancelled() && !self.inbox.is_closed()
    }

    /// Waits until the engine cannot go on and says why: the store refuses to be written by this process any
    /// more. Nothing that was acknowledged is lost; a restart finds everything as it is stored.
    pub async fn failed(&self) -> String {
        let mut fatal = self.shared.fatal.subscribe();
        match fatal.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops: starts nothing new, lets what is under way end within the configured time, stores its results
    /// and closes the store. What does not end in time is made again after the next start.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        let running: Vec<_> = self
            .tasks
            .lock()
            .map(|mut tasks| tasks.drain(..).collect())
            .unwrap_or_default();
        let drain = Some(Duration::from_millis(self.shared.config.drain_ms));
        let mut running = futures_util::future::join_all(running);
        tokio::select! {
            _ = &mut running => {}
            () = tasks::pause(drain) => {
                let given_up = self.dispatcher.cancel_all();
                tracing::warn!(attempts = given_up, "attempts did not end in time; they will be made again");
                running.await;
            }
        }
        if let Err(error) = self.shared.store.close().await {
            tracing::error!(error = %error, "the store could not be closed");
        }
    }

    async fn submit(&self, request: Request) -> Result<(), EngineError> {
        let request = match self.inbox.try_send(request) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(EngineError::ShuttingDown),
            Err(mpsc::error::TrySendError::Full(request)) => request,
        };
        let patience = Some(Duration::from_millis(self.shared.config.admission_ms));
        tokio::select! {
            sent = self.inbox.send(request) => sent.map_err(|_| EngineError::ShuttingDown),
            () = tasks::pause(patience) => Err(EngineError::Overloaded),
        }
    }
}
