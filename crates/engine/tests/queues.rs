//! Work that this process does, out of queues with limits of their own.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::command::Command;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::outcome::{Outcome, Success, Work};
use quintet_core::plan::{Plan, PlanSpec, StepSpec, Timeouts};
use quintet_engine::clock::{SystemClock, TimeOrderedIds};
use quintet_engine::executor::{Executor, Mode};
use quintet_engine::{Engine, EngineConfig, EngineParts, Obstacle, Registry, Served, StartRun};
use quintet_store::{MemoryStore, RunFilter, Store};
use support::Faulty;
use tokio::sync::{mpsc, oneshot};

const NAMESPACE: &str = "default";
const ACTION: &str = "call";
const PATIENCE: Duration = Duration::from_secs(20);

/// An attempt that is being made, until it is answered.
type Call = (Work, oneshot::Sender<()>);

/// Passes on what it is to do, and waits for the answer.
struct Calls {
    begun: mpsc::UnboundedSender<Call>,
    called_off: mpsc::UnboundedSender<Work>,
}

#[async_trait]
impl Executor for Calls {
    fn actions(&self) -> Vec<String> {
        vec![ACTION.into()]
    }
    fn mode(&self) -> Mode {
        Mode::Async { concurrency: 64 }
    }
    fn has_queues(&self) -> bool {
        true
    }
    async fn execute(&self, work: Work) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let _ = self.begun.send((work, answer));
        let _ = answered.await;
        Outcome::Succeeded(Success::default())
    }
    async fn called_off(&self, work: Work) {
        let _ = self.called_off.send(work);
    }
}

struct Desk {
    engine: Engine,
    begun: mpsc::UnboundedReceiver<Call>,
    called_off: mpsc::UnboundedReceiver<Work>,
}

impl Desk {
    async fn open() -> Self {
        Self::on(Arc::new(MemoryStore::default())).await
    }

    async fn on(store: Arc<dyn Store>) -> Self {
        let (begun_sender, begun) = mpsc::unbounded_channel();
        let (called_off_sender, called_off) = mpsc::unbounded_channel();
        let calls = Calls {
            begun: begun_sender,
            called_off: called_off_sender,
        };
        let engine = Engine::start(EngineParts {
            store: Faulty::new(store) as Arc<dyn Store>,
            registry: Registry::new([Arc::new(calls) as Arc<dyn Executor>]),
            clock: Arc::new(SystemClock),
            ids: Box::new(TimeOrderedIds::new(SystemClock)),
            hooks: None,
            quota: None,
            config: EngineConfig {
                drain_ms: 50,
                ..EngineConfig::default()
            },
        });
        Self {
            engine: engine.await.unwrap(),
            begun,
            called_off,
        }
    }

    fn serve(&self, queues: impl IntoIterator<Item = Served>) {
        self.engine.registry().flow(ACTION).unwrap().serve(queues);
        self.engine.look_at(ACTION);
    }

    async fn start(&self, queue: &str, priority: i32) -> RunId {
        self.start_step(queue, priority, Timeouts::default()).await
    }

    async fn start_step(&self, queue: &str, priority: i32, timeouts: Timeouts) -> RunId {
        let step = StepSpec {
            queue: Some(queue.into()),
            timeouts,
            ..StepSpec::new("step", ACTION)
        };
        let spec = PlanSpec {
            steps: vec![step],
            ..PlanSpec::default()
        };
        let start = StartRun {
            priority,
            ..StartRun::of(NAMESPACE, Arc::new(Plan::compile(spec).unwrap()))
        };
        self.engine.start_runs(vec![start], None, false).await.unwrap().runs[0].id
    }

    async fn next(&mut self) -> Call {
        let begun = tokio::time::timeout(PATIENCE, self.begun.recv()).await;
        begun.expect("an attempt begins").unwrap()
    }

    /// Waits until so many runs have ended, and their places are free again.
    async fn ended(&self, count: usize) {
        let filter = RunFilter {
            statuses: vec![RunStatus::Complete],
            ..RunFilter::default()
        };
        let look = async {
            let flow = self.engine.registry().flow(ACTION).unwrap();
            loop {
                let page = self.engine.store().runs(NAMESPACE, &filter, None, count).await.unwrap();
                if page.rows.len() == count && flow.running("gpu") == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("they end");
    }

    /// Nothing begins although there is time: the scout has looked once more.
    async fn nothing_begins(&mut self) {
        self.engine.look_at(ACTION);
        let begun = tokio::time::timeout(Duration::from_millis(100), self.begun.recv()).await;
        assert!(
            begun.is_err(),
            "{:?} began",
            begun.map(|call| call.map(|call| call.0.token))
        );
    }
}

fn of_group(name: &str, max: u32) -> Served {
    Served {
        group: Some("gpu".into()),
        ..Served::new(name, Some(max))
    }
}

#[tokio::test]
async fn queues_of_a_group_never_pass_its_limit_and_each_end_lets_the_next_one_begin() {
    let mut desk = Desk::open().await;
    desk.serve([of_group("gpu", 2), of_group("gpu@ray", 2), Served::new("cpu", Some(1))]);
    for _ in 0..4 {
        desk.start("gpu", 0).await;
        desk.start("gpu@ray", 0).await;
    }
    let mut calls = vec![desk.next().await, desk.next().await];
    desk.nothing_begins().await;
    let cpu = desk.start("cpu", 0).await;
    let other = desk.next().await;
    assert_eq!(other.0.token.run, cpu, "another group has room of its own");
    for left in (0..6).rev() {
        let (_, answer) = calls.remove(0);
        answer.send(()).unwrap();
        calls.push(desk.next().await);
        assert_eq!(calls.len(), 2, "{left} are left");
    }
    desk.nothing_begins().await;
}

#[tokio::test]
async fn the_highest_priority_goes_first_over_all_queues_of_a_group() {
    let mut desk = Desk::open().await;
    desk.serve([of_group("gpu", 1), of_group("gpu@ray", 1)]);
    let first = desk.start("gpu", 0).await;
    let mut expected = vec![first];
    let low = desk.start("gpu", 1).await;
    let high = desk.start("gpu@ray", 9).await;
    let middle = desk.start("gpu", 5).await;
    expected.extend([high, middle, low]);
    let mut order = Vec::new();
    for _ in 0..4 {
        let (work, answer) = desk.next().await;
        order.push(work.token.run);
        answer.send(()).unwrap();
    }
    assert_eq!(order, expected);
}

#[tokio::test]
async fn nothing_of_a_closed_queue_begins_until_it_is_opened() {
    let mut desk = Desk::open().await;
    let closed = Served {
        closed: Some("ray is away".into()),
        ..of_group("gpu@ray", 2)
    };
    desk.serve([of_group("gpu", 2), closed]);
    desk.start("gpu@ray", 0).await;
    desk.nothing_begins().await;
    let obstacle = desk.engine.registry().flow(ACTION).unwrap().obstacle("gpu@ray");
    assert!(matches!(obstacle, Some(Obstacle::Closed { .. })));
    desk.start("gpu", 0).await;
    assert_eq!(&*desk.next().await.0.queue, "gpu");
    desk.serve([of_group("gpu", 2), of_group("gpu@ray", 2)]);
    assert_eq!(&*desk.next().await.0.queue, "gpu@ray");
}

#[tokio::test]
async fn an_executor_is_told_of_attempts_that_are_called_off_or_take_too_long() {
    let mut desk = Desk::open().await;
    desk.serve([Served::new("cpu", Some(2))]);
    let cancelled = desk.start("cpu", 0).await;
    let (_call, _held) = desk.next().await;
    let cancel = Command::Cancel { by: None, reason: None };
    desk.engine.command(&NAMESPACE.into(), cancelled, cancel).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, desk.called_off.recv()).await;
    assert_eq!(told.unwrap().unwrap().token.run, cancelled);
    let timeouts = Timeouts {
        total_ms: Some(30),
        ..Timeouts::default()
    };
    let slow = desk.start_step("cpu", 0, timeouts).await;
    let (_call, _held) = desk.next().await;
    let told = tokio::time::timeout(PATIENCE, desk.called_off.recv()).await;
    assert_eq!(told.unwrap().unwrap().token.run, slow);
}

#[tokio::test]
async fn what_a_stopping_process_leaves_behind_is_not_called_off_and_is_made_again() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let mut desk = Desk::on(Arc::clone(&store)).await;
    desk.serve([Served::new("cpu", Some(2))]);
    let run = desk.start("cpu", 0).await;
    let (_call, _held) = desk.next().await;
    desk.engine.shutdown().await;
    assert!(desk.called_off.try_recv().is_err());
    let mut next = Desk::on(store).await;
    next.serve([Served::new("cpu", Some(2))]);
    assert_eq!(next.next().await.0.token.run, run);
}

/// Room that comes back while the store is asked about other queues must not be missed.
#[tokio::test]
async fn a_place_that_is_given_back_during_a_look_is_filled() {
    let line = Faulty::new(Arc::new(MemoryStore::default()));
    let mut desk = Desk::on(Arc::clone(&line) as Arc<dyn Store>).await;
    desk.serve([of_group("gpu", 1), of_group("gpu@ray", 1), Served::new("cpu", Some(1))]);
    desk.start("gpu", 0).await;
    let (_, answer) = desk.next().await;
    let waiting = desk.start("gpu", 0).await;
    desk.nothing_begins().await;
    line.holds_queue.store(true, Ordering::SeqCst);
    desk.engine.look_at(ACTION);
    line.queue_asked.acquire().await.unwrap().forget();
    // The look, which left the full group out, is under way.
    answer.send(()).unwrap();
    desk.ended(1).await;
    line.holds_queue.store(false, Ordering::SeqCst);
    line.queue_answer.add_permits(1);
    assert_eq!(desk.next().await.0.token.run, waiting);
}
