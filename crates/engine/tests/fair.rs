//! Namespaces beside each other: nobody starves, and nobody has more than its limits permit.

mod support;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::outcome::{Outcome, Success, Work};
use quintet_core::plan::{Plan, PlanSpec, StepSpec};
use quintet_core::time::Time;
use quintet_engine::clock::{SystemClock, TimeOrderedIds};
use quintet_engine::executor::{Executor, Mode};
use quintet_engine::{Engine, EngineConfig, EngineError, EngineParts, Quota, QuotaExceeded, Registry, StartRun};
use quintet_store::{MemoryStore, Store};
use support::Faulty;
use tokio::sync::{mpsc, oneshot};

const ACTION: &str = "call";
const PATIENCE: Duration = Duration::from_secs(20);

/// An attempt that is being made, until it is answered.
type Call = (Work, oneshot::Sender<()>);

struct Calls {
    slots: usize,
    begun: mpsc::UnboundedSender<Call>,
}

#[async_trait]
impl Executor for Calls {
    fn actions(&self) -> Vec<String> {
        vec![ACTION.into()]
    }
    fn mode(&self) -> Mode {
        Mode::Async {
            concurrency: self.slots,
        }
    }
    async fn execute(&self, work: Work) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let _ = self.begun.send((work, answer));
        let _ = answered.await;
        Outcome::Succeeded(Success::default())
    }
}

/// Limits by namespace.
#[derive(Default)]
struct Limits {
    running_steps: HashMap<String, u32>,
    runs: HashMap<String, usize>,
    admitted: Mutex<HashMap<String, usize>>,
    is_asleep: AtomicBool,
}

impl Quota for Limits {
    fn admit(&self, namespace: &str, runs: usize, _: Time) -> Result<(), QuotaExceeded> {
        let mut admitted = self.admitted.lock().unwrap();
        let known = admitted.entry(namespace.to_owned()).or_default();
        let limit = self.runs.get(namespace).copied().unwrap_or(usize::MAX);
        if *known + runs > limit {
            let what = "runs";
            return Err(QuotaExceeded {
                what,
                limit: limit as u64,
                retry_after_ms: 1_000,
            });
        }
        *known += runs;
        Ok(())
    }
    fn undo(&self, namespace: &str, runs: usize) {
        *self.admitted.lock().unwrap().get_mut(namespace).unwrap() -= runs;
    }
    fn max_running_steps(&self, namespace: &str) -> Option<u32> {
        self.running_steps.get(namespace).copied()
    }
    fn is_active(&self, namespace: &str) -> bool {
        namespace != "asleep" || !self.is_asleep.load(Ordering::SeqCst)
    }
}

struct Desk {
    engine: Engine,
    begun: mpsc::UnboundedReceiver<Call>,
    held: VecDeque<Call>,
}

impl Desk {
    async fn open(slots: usize, quota: Option<Arc<dyn Quota>>) -> Self {
        let (sender, begun) = mpsc::unbounded_channel();
        let calls = Calls { slots, begun: sender };
        let engine = Engine::start(EngineParts {
            store: Faulty::new(Arc::new(MemoryStore::default())) as Arc<dyn Store>,
            registry: Registry::new([Arc::new(calls) as Arc<dyn Executor>]),
            clock: Arc::new(SystemClock),
            ids: Box::new(TimeOrderedIds::new(SystemClock)),
            hooks: None,
            quota,
            config: EngineConfig {
                drain_ms: 50,
                ..EngineConfig::default()
            },
        });
        Self {
            engine: engine.await.unwrap(),
            begun,
            held: VecDeque::new(),
        }
    }

    async fn start(&self, namespace: &str, count: usize) -> Result<(), EngineError> {
        let spec = PlanSpec {
            steps: vec![StepSpec::new("step", ACTION)],
            ..PlanSpec::default()
        };
        let plan = Arc::new(Plan::compile(spec).unwrap());
        let starts = (0..count).map(|_| StartRun::of(namespace, Arc::clone(&plan)));
        self.engine.start_runs(starts.collect(), None, false).await.map(drop)
    }

    /// Waits for the next attempt to begin, and says whose it is.
    async fn next(&mut self) -> String {
        let begun = tokio::time::timeout(PATIENCE, self.begun.recv()).await;
        let call = begun.expect("an attempt begins").unwrap();
        let namespace = call.0.namespace.to_string();
        self.held.push_back(call);
        namespace
    }

    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(self.next().await);
        }
        taken
    }

    /// Ends the attempt that has been under way for longest.
    fn end(&mut self) {
        self.held.pop_front().unwrap().1.send(()).unwrap();
    }

    fn held_by(&self, namespace: &str) -> usize {
        self.held
            .iter()
            .filter(|(work, _)| &*work.namespace == namespace)
            .count()
    }

    async fn nothing_begins(&mut self) {
        self.engine.look_at_all();
        let begun = tokio::time::timeout(Duration::from_millis(100), self.begun.recv()).await;
        assert!(begun.is_err(), "{:?} began", begun.unwrap().unwrap().0.namespace);
    }
}

#[tokio::test]
async fn who_comes_with_little_does_not_wait_behind_who_came_with_much() {
    let mut desk = Desk::open(1, None).await;
    desk.start("noisy", 60).await.unwrap();
    assert_eq!(desk.next().await, "noisy");
    desk.start("quiet", 3).await.unwrap();
    let mut order = Vec::new();
    for _ in 0..8 {
        desk.end();
        order.push(desk.next().await);
    }
    let expected = ["quiet", "noisy", "quiet", "noisy", "quiet", "noisy", "noisy", "noisy"];
    assert_eq!(order, expected);
}

#[tokio::test]
async fn beside_others_nobody_has_all_slots() {
    let mut desk = Desk::open(16, None).await;
    desk.start("noisy", 100).await.unwrap();
    assert_eq!(desk.take(16).await, ["noisy"; 16], "alone it may have all");
    desk.start("quiet", 1).await.unwrap();
    desk.end();
    assert_eq!(desk.next().await, "quiet");
    for _ in 0..30 {
        desk.end();
        if desk.held_by("noisy") < 14 {
            desk.next().await;
        }
    }
    assert_eq!(desk.held_by("noisy"), 14);
    desk.nothing_begins().await;
    desk.start("quiet", 1).await.unwrap();
    assert_eq!(desk.next().await, "quiet", "there is room at once");
}

#[tokio::test]
async fn a_namespace_never_has_more_under_way_than_its_limit() {
    let limits = Limits {
        running_steps: [("small".to_owned(), 2)].into(),
        ..Limits::default()
    };
    let mut desk = Desk::open(64, Some(Arc::new(limits))).await;
    desk.start("small", 5).await.unwrap();
    desk.take(2).await;
    desk.nothing_begins().await;
    desk.start("large", 10).await.unwrap();
    assert_eq!(desk.take(10).await, ["large"; 10]);
    for _ in 0..3 {
        desk.end();
        assert_eq!(desk.next().await, "small");
        assert_eq!(desk.held_by("small"), 2);
        let large = desk
            .held
            .iter()
            .position(|(work, _)| &*work.namespace == "small")
            .unwrap();
        desk.held.rotate_left(large);
    }
    desk.nothing_begins().await;
}

#[tokio::test]
async fn nothing_of_a_namespace_that_is_asleep_begins_until_it_wakes() {
    let limits = Arc::new(Limits::default());
    let mut desk = Desk::open(4, Some(Arc::clone(&limits) as Arc<dyn Quota>)).await;
    limits.is_asleep.store(true, Ordering::SeqCst);
    desk.start("asleep", 2).await.unwrap();
    desk.start("awake", 1).await.unwrap();
    assert_eq!(desk.next().await, "awake");
    desk.nothing_begins().await;
    limits.is_asleep.store(false, Ordering::SeqCst);
    desk.engine.look_at_all();
    assert_eq!(desk.take(2).await, ["asleep"; 2]);
}

#[tokio::test]
async fn a_start_beyond_the_limit_is_refused_whole_and_counts_nothing() {
    let limits = Limits {
        runs: [("small".to_owned(), 3)].into(),
        ..Limits::default()
    };
    let limits = Arc::new(limits);
    let desk = Desk::open(4, Some(Arc::clone(&limits) as Arc<dyn Quota>)).await;
    desk.start("small", 2).await.unwrap();
    let refused = desk.start("small", 2).await.unwrap_err();
    assert!(
        matches!(&refused, EngineError::Quota(exceeded) if exceeded.limit == 3),
        "{refused}"
    );
    desk.start("small", 1).await.unwrap();
    assert_eq!(limits.admitted.lock().unwrap()["small"], 3);
}
