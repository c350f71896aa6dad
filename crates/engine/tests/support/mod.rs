//! An engine on a store that can be made to fail.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::outcome::{Failure, Outcome, Success, Work};
use quintet_core::plan::{Digest, Plan, PlanSpec, StepSpec};
use quintet_core::time::Time;
use quintet_engine::clock::{SystemClock, TimeOrderedIds};
use quintet_engine::executor::{Executor, Mode};
use quintet_engine::hooks::{Delivery, HookSource};
use quintet_engine::{Engine, EngineConfig, EngineParts, Registry, StartRun};
use quintet_store::*;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A store whose commits fail on demand.
pub struct Faulty {
    pub inner: Arc<dyn Store>,
    /// Commits that fail before anything is written.
    pub fail: AtomicU32,
    /// Commits that are written and then reported as unknown.
    pub execute_then_fail: AtomicU32,
    pub commits: AtomicUsize,
    /// Commits that the store refuses for good.
    pub refuse: AtomicU32,
    /// Nothing gets through any more.
    pub cut: AtomicBool,
    /// Hints get lost.
    pub is_deaf: AtomicBool,
    /// Answers about the queues `slow` and `cpu` are held back until there is a permit for each.
    pub holds_queue: AtomicBool,
    pub queue_asked: Semaphore,
    pub queue_answer: Semaphore,
    /// Answers about the next timer are held back until there is a permit for each.
    pub holds_wake: AtomicBool,
    pub wake_asked: Semaphore,
    pub wake_answer: Semaphore,
    /// Questions that got nowhere because it was cut.
    pub turned_away: AtomicUsize,
    /// Questions for messages that are due.
    pub outbox_asks: AtomicUsize,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fail: AtomicU32::new(0),
            execute_then_fail: AtomicU32::new(0),
            commits: AtomicUsize::new(0),
            refuse: AtomicU32::new(0),
            cut: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            holds_queue: AtomicBool::new(false),
            queue_asked: Semaphore::new(0),
            queue_answer: Semaphore::new(0),
            holds_wake: AtomicBool::new(false),
            wake_asked: Semaphore::new(0),
            wake_answer: Semaphore::new(0),
            turned_away: AtomicUsize::new(0),
            outbox_asks: AtomicUsize::new(0),
        })
    }
}

impl Faulty {
    fn through(&self) -> Result<(), StoreError> {
        if self.cut.load(Ordering::SeqCst) {
            self.turned_away.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Unavailable("cut off".into()));
        }
        Ok(())
    }
}

fn take(counter: &AtomicU32) -> bool {
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

#[async_trait]
impl Store for Faulty {
    async fn commit(&self, commit: Commit) -> Result<Vec<UnitResult>, StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        if take(&self.refuse) {
            return Err(StoreError::Refused("a flush failed: restart".into()));
        }
        self.through()?;
        if take(&self.fail) {
            return Err(StoreError::Unavailable("injected".into()));
        }
        let result = self.inner.commit(commit).await?;
        if take(&self.execute_then_fail) {
            return Err(StoreError::Unknown("injected".into()));
        }
        Ok(result)
    }
    async fn load(&self, namespace: &str, id: RunId) -> Result<Option<StoredRun>, StoreError> {
        self.through()?;
        self.inner.load(namespace, id).await
    }
    async fn run(&self, namespace: &str, id: RunId) -> Result<Option<RunRow>, StoreError> {
        self.through()?;
        self.inner.run(namespace, id).await
    }
    async fn commits(
        &self,
        namespace: &str,
        id: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, StoreError> {
        self.through()?;
        self.inner.commits(namespace, id, after, limit).await
    }
    async fn runs(
        &self,
        namespace: &str,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, StoreError> {
        self.inner.runs(namespace, filter, before, limit).await
    }
    async fn delete_run(&self, namespace: &str, id: RunId) -> Result<bool, StoreError> {
        self.inner.delete_run(namespace, id).await
    }
    async fn due(&self, claim: Claim, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.through()?;
        self.inner.due(claim, limit).await
    }
    async fn next_wake(&self) -> Result<Option<Time>, StoreError> {
        let found = self.inner.next_wake().await;
        if self.holds_wake.load(Ordering::SeqCst) {
            self.wake_asked.add_permits(1);
            self.wake_answer.acquire().await.expect("open").forget();
        }
        found
    }
    async fn reschedule(&self, wakes: &[(RunId, u64, Option<Time>)]) -> Result<(), StoreError> {
        self.through()?;
        self.inner.reschedule(wakes).await
    }
    async fn claimed(&self, alive: &[u64], after: Option<RunId>, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.through()?;
        self.inner.claimed(alive, after, limit).await
    }
    async fn queued(
        &self,
        asks: &[QueueAsk],
        turns: &Turns,
        claim: Claim,
        limit: usize,
    ) -> Result<Vec<QueueEntry>, StoreError> {
        self.through()?;
        let found = self.inner.queued(asks, turns, claim, limit).await;
        if self.holds_queue.load(Ordering::SeqCst) && asks.iter().any(|ask| matches!(&*ask.queue, "slow" | "cpu")) {
            self.queue_asked.add_permits(1);
            self.queue_answer.acquire().await.expect("open").forget();
        }
        found
    }
    async fn steps(
        &self,
        namespace: &str,
        filter: &StepFilter,
        offset: u64,
        limit: usize,
    ) -> Result<StepPage, StoreError> {
        self.inner.steps(namespace, filter, offset, limit).await
    }
    async fn live_runs(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
        self.inner.live_runs().await
    }
    async fn namespace_usage(&self, namespace: &str) -> Result<NamespaceUsage, StoreError> {
        self.inner.namespace_usage(namespace).await
    }
    async fn queue_counts(&self, namespace: &str) -> Result<Vec<QueueCount>, StoreError> {
        self.inner.queue_counts(namespace).await
    }

    async fn step_counts(&self, namespace: &str, action: &str) -> Result<StepCounts, StoreError> {
        self.inner.step_counts(namespace, action).await
    }
    async fn in_progress(&self, action: &str) -> Result<Vec<(Arc<str>, u32)>, StoreError> {
        self.through()?;
        self.inner.in_progress(action).await
    }
    async fn letters(
        &self,
        namespace: &str,
        filter: &LetterFilter,
        offset: u64,
        limit: usize,
    ) -> Result<LetterPage, StoreError> {
        self.inner.letters(namespace, filter, offset, limit).await
    }
    async fn letter(
        &self,
        namespace: &str,
        run: RunId,
        node: u32,
        attempt: Option<u32>,
    ) -> Result<Option<DeadLetter>, StoreError> {
        self.inner.letter(namespace, run, node, attempt).await
    }
    async fn purge_letters(&self, namespace: Option<&str>, before: Time, limit: usize) -> Result<u64, StoreError> {
        self.inner.purge_letters(namespace, before, limit).await
    }
    async fn put_records(&self, writes: Vec<RecordWrite>) -> Result<bool, StoreError> {
        self.inner.put_records(writes).await
    }
    async fn record(&self, namespace: &str, kind: &str, id: &str) -> Result<Option<Record>, StoreError> {
        self.inner.record(namespace, kind, id).await
    }
    async fn records(
        &self,
        namespace: &str,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.inner.records(namespace, kind, after, limit).await
    }
    async fn expired_records(&self, kind: &str, now: Time, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.inner.expired_records(kind, now, limit).await
    }
    async fn plan(&self, digest: Digest) -> Result<Option<String>, StoreError> {
        self.inner.plan(digest).await
    }
    async fn idempotency(
        &self,
        namespace: &str,
        scope: &str,
        key: &str,
        now: Time,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        self.inner.idempotency(namespace, scope, key, now).await
    }
    async fn put_workflow(&self, write: WorkflowWrite) -> Result<Option<WorkflowRow>, StoreError> {
        self.inner.put_workflow(write).await
    }
    async fn workflow(&self, namespace: &str, id: &str) -> Result<Option<WorkflowRow>, StoreError> {
        self.inner.workflow(namespace, id).await
    }
    async fn workflows(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<WorkflowRow>, StoreError> {
        self.inner.workflows(namespace, after, limit).await
    }
    async fn workflow_versions(&self, namespace: &str, id: &str) -> Result<Vec<WorkflowVersionRow>, StoreError> {
        self.inner.workflow_versions(namespace, id).await
    }
    async fn delete_workflow(&self, namespace: &str, id: &str) -> Result<bool, StoreError> {
        self.inner.delete_workflow(namespace, id).await
    }
    async fn outbox_due(&self, claim: Claim, ask: OutboxAsk<'_>) -> Result<Vec<OutboxEntry>, StoreError> {
        self.outbox_asks.fetch_add(1, Ordering::SeqCst);
        self.through()?;
        self.inner.outbox_due(claim, ask).await
    }
    async fn outbox_next(&self) -> Result<Option<Time>, StoreError> {
        self.inner.outbox_next().await
    }
    async fn outbox_delivered(&self, ids: &[i64]) -> Result<(), StoreError> {
        self.through()?;
        self.inner.outbox_delivered(ids).await
    }
    async fn outbox_failed(&self, id: i64, error: &str, retry_at: Option<Time>) -> Result<(), StoreError> {
        self.through()?;
        self.inner.outbox_failed(id, error, retry_at).await
    }
    async fn prune(&self, before: Time, now: Time, limit: usize) -> Result<u64, StoreError> {
        self.inner.prune(before, now, limit).await
    }
    async fn status(&self) -> Result<StoreStatus, StoreError> {
        self.inner.status().await
    }
    async fn backup(&self, path: &Path) -> Result<(), StoreError> {
        self.inner.backup(path).await
    }
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }
    async fn beat(&self, beat: &NodeBeat) -> Result<Beat, StoreError> {
        self.through()?;
        self.inner.beat(beat).await
    }
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.through()?;
        self.inner.nodes().await
    }
    async fn take_over(&self, dead: u64, by: u64, lease_ms: u64) -> Result<bool, StoreError> {
        self.through()?;
        self.inner.take_over(dead, by, lease_ms).await
    }
    async fn forget_node(&self, owner: u64) -> Result<(), StoreError> {
        self.through()?;
        self.inner.forget_node(owner).await
    }
    async fn heads(&self, runs: &[RunId]) -> Result<Vec<Head>, StoreError> {
        self.through()?;
        self.inner.heads(runs).await
    }
    fn hint(&self) {
        if !self.is_deaf.load(Ordering::SeqCst) {
            self.inner.hint();
        }
    }
    async fn hinted(&self) {
        if self.is_deaf.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.hinted().await;
    }
}

/// Does nothing, at once.
pub struct Nothing;

#[async_trait]
impl Executor for Nothing {
    fn actions(&self) -> Vec<String> {
        vec!["noop".into()]
    }
    fn mode(&self) -> Mode {
        Mode::Inline
    }
    fn execute_inline(&self, work: &Work) -> Outcome {
        if work.input == json!("panic") {
            panic!("asked to");
        }
        Outcome::Succeeded(Success {
            output: Arc::new(work.input.clone()),
            ..Success::default()
        })
    }
}

/// Answers when it is let, notes what it was given, and fails as often as the input says.
pub struct Slow {
    pub gate: Arc<Semaphore>,
    pub seen: Arc<Mutex<Vec<Work>>>,
    pub concurrency: usize,
}

#[async_trait]
impl Executor for Slow {
    fn actions(&self) -> Vec<String> {
        vec!["slow".into()]
    }
    fn mode(&self) -> Mode {
        Mode::Async {
            concurrency: self.concurrency,
        }
    }
    async fn execute(&self, work: Work) -> Outcome {
        self.seen.lock().unwrap().push(work.clone());
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        if u64::from(work.token.attempt) <= work.input["failures"].as_u64().unwrap_or(0) {
            return Outcome::Failed(Failure::new("test", "not yet"));
        }
        Outcome::Succeeded(Success {
            output: Arc::new(json!({ "attempt": work.token.attempt })),
            ..Success::default()
        })
    }
}

/// An engine and the strings it hangs on.
pub struct Rig {
    pub engine: Engine,
    pub gate: Arc<Semaphore>,
    pub seen: Arc<Mutex<Vec<Work>>>,
}

pub async fn rig(store: Arc<dyn Store>, concurrency: usize) -> Rig {
    rig_with(store, concurrency, EngineConfig::default()).await
}

pub async fn rig_with(store: Arc<dyn Store>, concurrency: usize, config: EngineConfig) -> Rig {
    rig_telling(store, concurrency, config, None).await
}

pub type Hooks = (Arc<dyn HookSource>, Arc<dyn Delivery>);

pub async fn rig_telling(store: Arc<dyn Store>, concurrency: usize, config: EngineConfig, hooks: Option<Hooks>) -> Rig {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::default());
    let slow = Slow {
        gate: Arc::clone(&gate),
        seen: Arc::clone(&seen),
        concurrency,
    };
    let registry = Registry::new([Arc::new(Nothing) as Arc<dyn Executor>, Arc::new(slow)]);
    let engine = Engine::start(EngineParts {
        store,
        registry,
        clock: Arc::new(SystemClock),
        ids: Box::new(TimeOrderedIds::new(SystemClock)),
        hooks,
        quota: None,
        config: EngineConfig {
            drain_ms: 200,
            ..config
        },
    });
    let engine = engine.await.unwrap();
    Rig { engine, gate, seen }
}

pub fn step(key: &str, action: &str, input: Value) -> StepSpec {
    StepSpec {
        input,
        ..StepSpec::new(key, action)
    }
}

pub fn begin(steps: Vec<StepSpec>) -> StartRun {
    let plan = Plan::compile(PlanSpec {
        steps,
        ..PlanSpec::default()
    })
    .unwrap();
    StartRun {
        workflow: "wf".into(),
        workflow_version: 1,
        context: Arc::new(json!({})),
        ..StartRun::of("default", Arc::new(plan))
    }
}
