//! The engine as everybody else sees it: start runs, command them, look at them, follow them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quintet_core::command::Command;
use quintet_core::effect::Effect;
use quintet_core::id::{IdSource, RunId};
use quintet_core::state::RunState;
use quintet_core::time::Time;
use quintet_store::{Store, StoreError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::dispatch::Dispatcher;
use crate::error::EngineError;
use crate::flow::Reach;
use crate::hooks::{Delivery, HookSource, NoHooks};
use crate::metrics::Metrics;
use crate::node::{Identity, Node, NodeConfig};
use crate::plans::Plans;
use crate::pump::Pump;
use crate::quota::{Admitted, Quota};
use crate::registry::{Registry, Slots};
use crate::request::{Applied, Idempotency, Request, StartRun, Started};
use crate::scout::{Recovery, Scout, Wanted};
use crate::shards::{Shard, ShardIds, Shards};
use crate::shares::Shares;
use crate::watch::{Progress, Watchers};
use crate::workflows::Workflows;
use crate::{load, outbox, tasks};

/// How often a pass looks whether what it started is handed over.
const HANDING_OVER: Duration = Duration::from_millis(5);

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
    /// Loops that decide and commit side by side.
    pub shards: usize,
    /// How this process presents itself where several share the store.
    pub node: NodeConfig,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            inbox: 8192,
            admission_ms: 2_000,
            drain_ms: 10_000,
            shards: 1,
            node: NodeConfig::default(),
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
    /// How much each namespace may use; `None` is as much as there is.
    pub quota: Option<Arc<dyn Quota>>,
    /// Sizes and times.
    pub config: EngineConfig,
}

/// What the engine's parts share.
pub(crate) struct Shared {
    pub store: Arc<dyn Store>,
    pub registry: Arc<Registry>,
    pub clock: Arc<dyn Clock>,
    pub plans: Arc<Plans>,
    pub workflows: Arc<Workflows>,
    pub watchers: Watchers,
    pub hooks: Arc<dyn HookSource>,
    pub has_hooks: bool,
    pub outbox_filled: Notify,
    pub metrics: Metrics,
    pub config: EngineConfig,
    /// How much each namespace may use.
    pub quota: Option<Arc<dyn Quota>>,
    /// What each namespace has under way here.
    pub shares: Arc<Shares>,
    /// This process, among all that ever worked on the store.
    pub identity: Identity,
    /// What is to be looked for in the store.
    pub wanted: Arc<Wanted>,
    /// Owners that lived when the store was last asked.
    living: Mutex<Arc<[u64]>>,
    /// Set once: no new work.
    pub stop: CancellationToken,
    /// Why the engine cannot go on, once that is so.
    pub fatal: watch::Sender<Option<String>>,
}

impl Shared {
    pub async fn load(&self, namespace: &str, run: RunId) -> Result<Option<RunState>, StoreError> {
        load::load(self.store.as_ref(), &self.plans, namespace, run).await
    }

    pub fn owner(&self) -> u64 {
        self.identity.owner()
    }

    pub fn may_begin(&self, now: Time) -> bool {
        self.identity.is_valid(now)
    }

    /// The free executors as the core sees them.
    pub fn slots<'a>(&'a self, namespace: &'a Arc<str>, now: Time) -> Slots<'a> {
        Slots {
            registry: &self.registry,
            may_begin: self.may_begin(now),
            is_shared: self.store.is_shared(),
            shares: &self.shares,
            namespace,
        }
    }

    pub fn living(&self) -> Arc<[u64]> {
        Arc::clone(&self.living.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set_living(&self, owners: &[u64]) {
        *self.living.lock().unwrap_or_else(PoisonError::into_inner) = owners.into();
    }

    /// A batch could not be stored: look at everything again. What is done is then found done.
    pub fn look_again(&self) {
        self.wanted.recover(self.own_attempts());
        self.wanted.wake_by(Time(0));
        self.steps_may_wait();
        self.outbox_filled.notify_one();
    }

    /// A look at what this process holds by the book. Where it is alone, nobody else holds anything.
    pub fn own_attempts(&self) -> Recovery {
        let as_of = if self.store.is_shared() {
            Time(0)
        } else {
            Time(i64::MAX)
        };
        Recovery {
            alive: self.living().to_vec(),
            as_of,
            own: true,
            dead: None,
        }
    }

    /// The queues in the store are to be looked at.
    pub fn steps_may_wait(&self) {
        self.registry.lanes().for_each(|lane| lane.set_waiting(true));
        self.wanted.poke();
    }

    /// A step of a run lies in its queue now. It was put there for want of a slot, and one may have become free since.
    pub fn step_waits(&self, state: &RunState, node: u32) {
        let step = state.nodes.get(node as usize).map(|node| node.step as usize);
        let action = step
            .and_then(|step| state.plan.spec.steps.get(step))
            .map(|step| &step.action);
        if let Some(lane) = action.and_then(|action| self.registry.lane(action)) {
            lane.set_waiting(true);
            if lane.free() > 0 {
                self.wanted.poke();
            }
        }
    }

    /// Gives back the slots of attempts that will not begin.
    pub fn give_back(&self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Dispatch(work) = effect
                && let Some(lane) = self.registry.lane(&work.action)
            {
                lane.undo(&work.queue, &work.namespace, &self.shares);
            }
        }
    }
}

/// A running engine.
pub struct Engine {
    shared: Arc<Shared>,
    shards: Arc<Shards>,
    ids: Arc<Mutex<Box<dyn IdSource>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts an engine on a store. Must be called on a Tokio runtime.
    ///
    /// # Errors
    /// Where several nodes share the store: it could not be told that there is one more.
    pub async fn start(parts: EngineParts) -> Result<Engine, StoreError> {
        let (ids, delivery, shared) = share(parts);
        let ids = Arc::new(Mutex::new(ids));
        let count = shared.config.shards.max(1);
        let (mut shards, mut pumps) = (Vec::new(), Vec::new());
        for shard in 0..count {
            let (inbox, requests) = mpsc::channel(shared.config.inbox);
            let (urgent, answers) = mpsc::channel(shared.config.inbox);
            let dispatcher = Arc::new(Dispatcher::new(
                Arc::clone(&shared.registry),
                urgent.clone(),
                shared.metrics.clone(),
                Arc::clone(&shared.shares),
                Arc::clone(&shared.wanted),
                shared.stop.clone(),
            ));
            let ids = ShardIds::new(Arc::clone(&ids), shard, count);
            pumps.push(Pump::new(
                Arc::clone(&shared),
                ids,
                answers,
                requests,
                Arc::clone(&dispatcher),
            ));
            shards.push(Shard {
                inbox,
                urgent,
                dispatcher,
            });
        }
        let flows = shared.registry.lanes().filter_map(|lane| lane.flow.as_ref());
        for flow in flows.filter(|flow| flow.reach() == Reach::Store) {
            // Before anything starts or ends: from here on each is counted as it happens.
            flow.set_counts(shared.store.in_progress(flow.action()).await?);
        }
        let shards = Arc::new(Shards::new(shards));
        let mut tasks = Vec::new();
        if shared.store.is_shared() {
            let mut node = Node::new(Arc::clone(&shared), Arc::clone(&shards), shared.config.node.clone());
            node.join().await?;
            tasks.push(tasks::spawn("node", node.run()));
        } else {
            shared.wanted.recover(shared.own_attempts());
        }
        tasks.extend(pumps.into_iter().map(|pump| tasks::spawn("engine", pump.run())));
        let scout = Scout::new(Arc::clone(&shared), Arc::clone(&shards));
        tasks.push(tasks::spawn("scout", scout.run()));
        if let Some(delivery) = delivery {
            tasks.push(tasks::spawn("outbox", outbox::run(Arc::clone(&shared), delivery)));
        }
        Ok(Engine {
            shared,
            shards,
            ids,
            tasks: Mutex::new(tasks),
        })
    }

    /// Starts runs, all or none, and answers once they are stored. With `watch` each new run comes with a
    /// receiver that misses nothing.
    pub async fn start_runs(
        &self,
        starts: Vec<StartRun>,
        idempotency: Option<Idempotency>,
        watch: bool,
    ) -> Result<Started, EngineError> {
        let admitted = self.admit(&starts)?;
        let (reply, answer) = oneshot::channel();
        let first = starts.iter().find_map(|start| start.id);
        let start = Request::Start {
            starts,
            idempotency,
            watch,
            reply,
        };
        let shard = first.map_or_else(|| self.shards.next(), |id| self.shards.of(id));
        self.submit(shard, start).await?;
        let started = answer.await.map_err(|_| EngineError::ShuttingDown)??;
        if !started.replayed {
            admitted.keep();
        }
        Ok(started)
    }

    /// Counts runs that are to be started against the limits of their namespaces.
    fn admit(&self, starts: &[StartRun]) -> Result<Admitted, EngineError> {
        let mut admitted = Admitted::of(self.shared.quota.as_ref());
        let now = self.shared.clock.now();
        for group in starts.chunk_by(|a, b| a.namespace == b.namespace) {
            admitted.add(&group[0].namespace, group.len(), now)?;
        }
        Ok(admitted)
    }

    /// Ids for runs that are to be started together: for those who must know them before.
    pub fn mint(&self, count: usize) -> Vec<RunId> {
        let mut ids = self.shards.ids(&self.ids);
        (0..count).map(|_| ids.next_run()).collect()
    }

    /// Looks at the queues of an action again: its limits or the queues that are served have changed.
    pub fn look_at(&self, action: &str) {
        if let Some(lane) = self.shared.registry.lane(action) {
            lane.set_waiting(true);
            self.shared.wanted.poke();
        }
    }

    /// Looks at all queues again: what namespaces may use has changed.
    pub fn look_at_all(&self) {
        self.shared.steps_may_wait();
    }

    /// Starts at most `limit` steps of an action whose gate is shut, and says how many, once they are handed over.
    pub async fn pass(&self, action: &str, limit: usize) -> usize {
        let Some(lane) = self.shared.registry.lane(action).filter(|lane| lane.flow.is_some()) else {
            return 0;
        };
        let (reply, started) = oneshot::channel();
        self.shared.wanted.pass(Arc::clone(lane), limit, reply);
        let started = started.await.unwrap_or(0);
        while !lane.is_idle() && !self.shared.stop.is_cancelled() {
            tasks::pause(Some(HANDING_OVER)).await;
        }
        started
    }

    /// Carries out a command and answers once its effect is stored.
    pub async fn command(&self, namespace: &Arc<str>, run: RunId, command: Command) -> Result<Applied, EngineError> {
        let (reply, answer) = oneshot::channel();
        let namespace = Arc::clone(namespace);
        let command = Request::Command {
            namespace,
            run,
            command,
            reply: Some(reply),
            tries: 0,
            ticket: None,
        };
        self.submit(self.shards.of(run), command).await?;
        answer.await.map_err(|_| EngineError::ShuttingDown)?
    }

    /// The run as it is stored.
    pub async fn state(&self, namespace: &Arc<str>, run: RunId) -> Result<Arc<RunState>, EngineError> {
        let (reply, answer) = oneshot::channel();
        let peek = Request::Peek {
            namespace: Arc::clone(namespace),
            run,
            reply,
        };
        self.submit(self.shards.of(run), peek).await?;
        if let Ok(Some(state)) = answer.await {
            if !self.shared.store.is_shared() {
                return Ok(state);
            }
            return Ok(load::catch_up(self.shared.store.as_ref(), state).await?);
        }
        let loaded = self.shared.load(namespace, run).await?;
        loaded.map(Arc::new).ok_or(EngineError::RunNotFound(run))
    }

    /// Follows a run from now on.
    pub fn watch(&self, namespace: &Arc<str>, run: RunId) -> watch::Receiver<Progress> {
        self.shared.watchers.watch(namespace, run)
    }

    /// Workflows of the store, with their plans compiled.
    pub fn workflows(&self) -> &Workflows {
        &self.shared.workflows
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
        !self.shared.stop.is_cancelled() && self.shards.are_open()
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

    /// Runs of which this process has an attempt under way, the newest first.
    pub fn held_runs(&self) -> Vec<RunId> {
        self.shards.held_runs()
    }

    /// This process, among all that ever worked on the store.
    pub fn owner(&self) -> u64 {
        self.shared.owner()
    }

    /// Stops: starts nothing new, lets what is under way end within the configured time, stores its results
    /// and closes the store. What does not end in time is made again: by other nodes at once, if there are any, or
    /// after the next start.
    pub async fn shutdown(&self) {
        self.shared.registry.drain();
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
                let given_up = self.shards.cancel_all();
                tracing::warn!(attempts = given_up, "attempts did not end in time; they will be made again");
                running.await;
            }
        }
        if self.shared.store.is_shared() {
            self.leave().await;
        }
        if let Err(error) = self.shared.store.close().await {
            tracing::error!(error = %error, "the store could not be closed");
        }
    }

    /// Says goodbye: nothing is held any more.
    async fn leave(&self) {
        let owner = self.shared.owner();
        match self.shared.store.forget_node(owner).await {
            Ok(()) => self.shared.store.hint(),
            Err(error) => tracing::warn!(error = %error, "the store could not be told that this node leaves"),
        }
    }

    async fn submit(&self, shard: &Shard, request: Request) -> Result<(), EngineError> {
        let request = match shard.inbox.try_send(request) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(EngineError::ShuttingDown),
            Err(mpsc::error::TrySendError::Full(request)) => request,
        };
        let patience = Some(Duration::from_millis(self.shared.config.admission_ms));
        tokio::select! {
            sent = shard.inbox.send(request) => sent.map_err(|_| EngineError::ShuttingDown),
            () = tasks::pause(patience) => Err(EngineError::Overloaded),
        }
    }
}

type Parts = (Box<dyn IdSource>, Option<Arc<dyn Delivery>>, Arc<Shared>);

fn share(parts: EngineParts) -> Parts {
    let EngineParts {
        store,
        registry,
        clock,
        ids,
        hooks,
        quota,
        config,
    } = parts;
    let (hooks, delivery) = match hooks {
        Some((hooks, delivery)) => (hooks, Some(delivery)),
        None => (Arc::new(NoHooks) as Arc<dyn HookSource>, None),
    };
    let plans = Arc::new(Plans::default());
    let shared = Arc::new(Shared {
        identity: if store.is_shared() {
            Identity::shared()
        } else {
            Identity::alone()
        },
        workflows: Arc::new(Workflows::new(Arc::clone(&store), Arc::clone(&plans))),
        store,
        registry: Arc::new(registry),
        clock,
        plans,
        watchers: Watchers::default(),
        hooks,
        has_hooks: delivery.is_some(),
        outbox_filled: Notify::new(),
        metrics: Metrics::default(),
        wanted: Arc::default(),
        living: Mutex::new(Arc::from([])),
        stop: CancellationToken::new(),
        fatal: watch::channel(None).0,
        shares: Arc::new(Shares::new(quota.clone())),
        quota,
        config,
    });
    (ids, delivery, shared)
}
