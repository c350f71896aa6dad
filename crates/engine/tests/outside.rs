//! Work that somebody outside takes and answers later: it outlives the process that handed it out, and what is in
//! progress stays within the limits.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::command::Command;
use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::outcome::{Failure, Outcome, Success, Token, Work};
use quintet_core::plan::{Plan, PlanSpec, Settings, StepSpec, Timeouts};
use quintet_core::state::{OUTSIDE, RunState};
use quintet_engine::clock::{Clock, SystemClock, TimeOrderedIds};
use quintet_engine::executor::{Executor, Handed, Mode};
use quintet_engine::{Engine, EngineConfig, EngineError, EngineParts, Gate, NodeConfig, Registry, Served, StartRun};
use quintet_store::{LetterFilter, MemoryStore, StepFilter, Store};
use serde_json::json;
use support::Faulty;
use tokio::sync::mpsc;

const NAMESPACE: &str = "default";
const PATIENCE: Duration = Duration::from_secs(20);

/// Passes on what it is handed.
struct Counter(mpsc::UnboundedSender<Work>);

#[async_trait]
impl Executor for Counter {
    fn actions(&self) -> Vec<String> {
        vec!["push".into()]
    }
    fn mode(&self) -> Mode {
        Mode::Outside { concurrency: 64 }
    }
    async fn hand_over(&self, work: Work) -> Handed {
        let _ = self.0.send(work);
        Handed::Accepted
    }
}

/// An engine, and what it hands out.
struct Desk {
    engine: Engine,
    line: Arc<Faulty>,
    handed: mpsc::UnboundedReceiver<Work>,
}

impl Desk {
    async fn on(store: &Arc<dyn Store>) -> Self {
        let line = Faulty::new(Arc::clone(store));
        let (sender, handed) = mpsc::unbounded_channel();
        let engine = Engine::start(EngineParts {
            store: Arc::clone(&line) as Arc<dyn Store>,
            registry: Registry::new([Arc::new(Counter(sender)) as Arc<dyn Executor>]),
            clock: Arc::new(SystemClock),
            ids: Box::new(TimeOrderedIds::new(SystemClock)),
            hooks: None,
            quota: None,
            config: EngineConfig {
                drain_ms: 200,
                node: NodeConfig {
                    lease_ms: 600,
                    ..NodeConfig::default()
                },
                ..EngineConfig::default()
            },
        });
        let desk = Self {
            engine: engine.await.unwrap(),
            line,
            handed,
        };
        desk.serve(None, None);
        desk
    }

    fn serve(&self, max: Option<u32>, of_queue: Option<u32>) {
        let flow = self.engine.registry().flow("push").unwrap();
        flow.set_max(max);
        flow.serve([Served::new("a", of_queue), Served::new("b", None)]);
        self.engine.look_at("push");
    }

    async fn next(&mut self) -> Work {
        let handed = tokio::time::timeout(PATIENCE, self.handed.recv()).await;
        handed.expect("something is handed out").unwrap()
    }

    async fn start(&self, start: StartRun) -> RunId {
        self.engine.start_runs(vec![start], None, false).await.unwrap().runs[0].id
    }

    async fn answer(&self, token: Token, outcome: Outcome) -> Result<Arc<RunState>, EngineError> {
        let command = Command::Complete { token, outcome };
        let applied = self.engine.command(&NAMESPACE.into(), token.run, command).await?;
        Ok(applied.state)
    }

    async fn until(&self, run: RunId, done: impl Fn(&RunState) -> bool) -> Arc<RunState> {
        let follow = async {
            let mut watch = self.engine.watch(&NAMESPACE.into(), run);
            loop {
                let state = self.engine.state(&NAMESPACE.into(), run).await.unwrap();
                if done(&state) {
                    return state;
                }
                let _ = tokio::time::timeout(Duration::from_millis(20), watch.changed()).await;
            }
        };
        tokio::time::timeout(PATIENCE, follow)
            .await
            .expect("the run gets there")
    }
}

fn well() -> Outcome {
    Outcome::Succeeded(Success::default())
}

fn badly() -> Outcome {
    Outcome::Failed(Failure::new("broken", "it broke"))
}

fn task(key: &str, queue: &str) -> StepSpec {
    StepSpec {
        queue: Some(queue.to_owned()),
        upstream: true,
        outside: true,
        ..StepSpec::new(key, "push")
    }
}

fn run_of(steps: Vec<StepSpec>) -> StartRun {
    let settings = Settings {
        list_steps: true,
        dead_letters: true,
        ..Settings::default()
    };
    let plan = Plan::compile(PlanSpec { steps, settings }).unwrap();
    StartRun::of(NAMESPACE, Arc::new(plan))
}

fn alone() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

#[tokio::test]
async fn an_attempt_that_was_accepted_outlives_the_process_that_handed_it_out() {
    let store = alone();
    let mut first = Desk::on(&store).await;
    let run = first.start(run_of(vec![task("a", "a")])).await;
    let work = first.next().await;
    first.until(run, |state| state.nodes[0].owner == OUTSIDE).await;
    first.line.cut.store(true, Ordering::SeqCst);
    let mut second = Desk::on(&store).await;
    let state = second.answer(work.token, well()).await.unwrap();
    assert_eq!((state.status, state.nodes[0].attempt), (RunStatus::Complete, 1));
    assert!(second.handed.try_recv().is_err(), "it was handed out again");
}

#[tokio::test]
async fn an_attempt_that_nobody_may_have_is_made_again_and_its_late_answer_refused() {
    let store = alone();
    let mut first = Desk::on(&store).await;
    first.start(run_of(vec![task("a", "a")])).await;
    let work = first.next().await;
    first.line.cut.store(true, Ordering::SeqCst);
    let mut second = Desk::on(&store).await;
    let again = second.next().await;
    assert_eq!(
        (again.token.attempt, again.attempt),
        (2, 1),
        "a lost attempt is not a failed one"
    );
    assert!(matches!(
        second.answer(work.token, well()).await,
        Err(EngineError::Rejected(_))
    ));
    assert_eq!(
        second.answer(again.token, well()).await.unwrap().status,
        RunStatus::Complete
    );
}

#[tokio::test]
async fn silence_ends_an_attempt_also_after_a_restart() {
    let store = alone();
    let mut first = Desk::on(&store).await;
    let spec = StepSpec {
        timeouts: Timeouts {
            heartbeat_ms: Some(600),
            ..Timeouts::default()
        },
        ..task("a", "a")
    };
    let run = first.start(run_of(vec![spec])).await;
    first.next().await;
    first.until(run, |state| state.nodes[0].owner == OUTSIDE).await;
    first.line.cut.store(true, Ordering::SeqCst);
    let second = Desk::on(&store).await;
    let state = second.until(run, |state| state.status.is_terminal()).await;
    let failure = state.nodes[0].failure.as_ref().unwrap();
    assert_eq!(failure.kind.as_deref(), Some("heartbeat_timeout"));
}

#[tokio::test]
async fn an_answer_that_overtakes_the_acceptance_counts() {
    let store = alone();
    let mut desk = Desk::on(&store).await;
    for _ in 0..200 {
        let run = desk.start(run_of(vec![task("a", "a")])).await;
        let work = desk.next().await;
        assert_eq!(
            desk.answer(work.token, well()).await.unwrap().status,
            RunStatus::Complete
        );
        assert_eq!(
            desk.until(run, |_| true).await.version,
            2,
            "nothing else was stored of it"
        );
    }
}

/// Starts `count` one-step runs and answers what is handed out; checks at each hand-out how many are in progress.
async fn all_end_within(desks: &mut [Desk], store: &Arc<dyn Store>, count: usize, limit: u32) {
    let mut runs = Vec::new();
    for at in 0..count {
        runs.push(desks[at % desks.len()].start(run_of(vec![task("s", "a")])).await);
    }
    for _ in 0..count {
        let ready = desks.iter_mut().map(|desk| Box::pin(desk.handed.recv()));
        let handed = tokio::time::timeout(PATIENCE, futures_util::future::select_all(ready)).await;
        let (work, _, _) = handed.expect("something is handed out");
        let now = store.in_progress("push").await.unwrap();
        let now: u32 = now.iter().map(|(_, count)| count).sum();
        assert!((1..=limit).contains(&now), "{now} in progress");
        let token = work.unwrap().token;
        let at = token.run.bits() as usize % desks.len();
        desks[at].answer(token, well()).await.unwrap();
    }
    for run in runs {
        desks[0].until(run, |state| state.status == RunStatus::Complete).await;
    }
}

#[tokio::test]
async fn a_limited_queue_never_has_more_in_progress() {
    let store = alone();
    let desk = Desk::on(&store).await;
    desk.serve(None, Some(2));
    all_end_within(&mut [desk], &store, 40, 2).await;
}

#[tokio::test]
async fn the_limit_of_all_queues_holds_over_several_nodes() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::shared(|| SystemClock.now()));
    let desks = [Desk::on(&store).await, Desk::on(&store).await];
    desks.iter().for_each(|desk| desk.serve(Some(2), None));
    let mut desks = desks;
    all_end_within(&mut desks, &store, 24, 2).await;
}

#[tokio::test]
async fn a_limit_holds_after_a_restart_with_work_in_progress() {
    let store = alone();
    let mut first = Desk::on(&store).await;
    first.serve(None, Some(1));
    let run = first.start(run_of(vec![task("s", "a")])).await;
    let work = first.next().await;
    first.until(run, |state| state.nodes[0].owner == OUTSIDE).await;
    let next = first.start(run_of(vec![task("s", "a")])).await;
    first.line.cut.store(true, Ordering::SeqCst);
    let mut second = Desk::on(&store).await;
    second.serve(None, Some(1));
    let state = second.until(next, |_| true).await;
    assert_eq!(state.nodes[0].status, StepStatus::Enqueued);
    second.answer(work.token, well()).await.unwrap();
    assert_eq!(second.next().await.token.run, next);
}

#[tokio::test]
async fn what_waits_goes_by_priority_and_then_in_order_of_arrival() {
    let store = alone();
    let mut desk = Desk::on(&store).await;
    desk.serve(Some(1), None);
    let first = desk.start(run_of(vec![task("s", "b")])).await;
    let of = |priority, queue| {
        run_of(vec![StepSpec {
            priority: Some(priority),
            ..task("s", queue)
        }])
    };
    let mut wanted = vec![first];
    let low = desk.start(of(-200, "a")).await;
    let middle = [desk.start(of(-100, "a")).await, desk.start(of(-100, "b")).await];
    let high = desk.start(of(-5, "b")).await;
    wanted.push(high);
    wanted.extend(middle);
    wanted.push(low);
    for run in wanted {
        let work = desk.next().await;
        assert_eq!(work.token.run, run);
        desk.answer(work.token, well()).await.unwrap();
    }
}

#[tokio::test]
async fn behind_a_shut_gate_only_a_pass_starts_anything() {
    let store = alone();
    let mut desk = Desk::on(&store).await;
    desk.engine.registry().flow("push").unwrap().set_gate(Gate::Shut);
    for _ in 0..3 {
        desk.start(run_of(vec![task("s", "a")])).await;
    }
    desk.engine.look_at("push");
    assert_eq!(desk.engine.pass("push", 2).await, 2);
    assert_eq!(desk.engine.pass("push", 2).await, 1);
    assert_eq!(desk.engine.pass("push", 2).await, 0);
    for _ in 0..3 {
        desk.next().await;
    }
}

#[tokio::test]
async fn a_step_that_failed_leaves_a_letter_until_it_is_tried_again() {
    let store = alone();
    let mut desk = Desk::on(&store).await;
    let steps = vec![
        task("a", "a"),
        StepSpec {
            depends_on: vec![quintet_core::plan::Dependency {
                step: "a".into(),
                on: Default::default(),
            }],
            ..task("b", "b")
        },
    ];
    let run = desk.start(run_of(steps)).await;
    let work = desk.next().await;
    desk.answer(work.token, well()).await.unwrap();
    let work = desk.next().await;
    assert_eq!(work.upstream.len(), 1, "the result of the step before comes along");
    desk.answer(work.token, badly()).await.unwrap();
    let open = LetterFilter::default();
    let page = store.letters(NAMESPACE, &open, 0, 10).await.unwrap();
    assert_eq!((page.total, &*page.letters[0].step), (1, "b"));
    let body: serde_json::Value = serde_json::from_str(&page.letters[0].body).unwrap();
    assert_eq!(body["attempts"][0]["failure"]["message"], json!("it broke"));
    let retry = Command::Retry {
        step: Some("b".into()),
        by: None,
    };
    desk.engine.command(&NAMESPACE.into(), run, retry).await.unwrap();
    assert_eq!(store.letters(NAMESPACE, &open, 0, 10).await.unwrap().total, 0);
    let work = desk.next().await;
    assert_eq!((work.token.attempt, work.attempt, work.past.len()), (2, 1, 0));
    let state = desk.answer(work.token, well()).await.unwrap();
    assert_eq!(state.status, RunStatus::Complete);
}

#[tokio::test]
async fn rows_of_steps_follow_their_run_to_its_end() {
    let store = alone();
    let mut desk = Desk::on(&store).await;
    let run = desk.start(run_of(vec![task("a", "a"), task("b", "nobody")])).await;
    let work = desk.next().await;
    let filter = StepFilter {
        run: Some(run),
        ..StepFilter::default()
    };
    let statuses = async || {
        let rows = store.steps(NAMESPACE, &filter, 0, 10).await.unwrap().rows;
        rows.iter().map(|row| row.status).collect::<Vec<_>>()
    };
    assert_eq!(statuses().await, [StepStatus::InProgress, StepStatus::Enqueued]);
    desk.answer(work.token, well()).await.unwrap();
    let cancel = Command::Cancel { by: None, reason: None };
    desk.engine.command(&NAMESPACE.into(), run, cancel).await.unwrap();
    assert_eq!(statuses().await, [StepStatus::Complete, StepStatus::Cancelled]);
}
