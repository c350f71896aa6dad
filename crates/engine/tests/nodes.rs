//! Several engines on one store: what one of them loses the others make again, and what one decides the others see.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quintet_core::command::Command;
use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::state::RunState;
use quintet_engine::clock::{Clock, SystemClock};
use quintet_engine::{Engine, EngineConfig, EngineError, NodeConfig, StartRun};
use quintet_store::{MemoryStore, Store, WorkflowWrite};
use serde_json::json;
use support::{Faulty, Rig, begin, rig_with, step};

const NAMESPACE: &str = "default";
const LEASE_MS: u64 = 600;

fn shared() -> Arc<dyn Store> {
    Arc::new(MemoryStore::shared(|| SystemClock.now()))
}

fn config(shards: usize) -> EngineConfig {
    EngineConfig {
        shards,
        node: NodeConfig {
            lease_ms: LEASE_MS,
            ..NodeConfig::default()
        },
        ..EngineConfig::default()
    }
}

/// A node with a line to the store that can be cut.
async fn node(store: &Arc<dyn Store>, concurrency: usize) -> (Rig, Arc<Faulty>) {
    let line = Faulty::new(Arc::clone(store));
    let rig = rig_with(Arc::clone(&line) as Arc<dyn Store>, concurrency, config(2)).await;
    (rig, line)
}

async fn start(engine: &Engine, start: StartRun) -> RunId {
    engine.start_runs(vec![start], None, false).await.unwrap().runs[0].id
}

async fn until(engine: &Engine, run: RunId, done: impl Fn(&RunState) -> bool) -> Arc<RunState> {
    let follow = async {
        let mut watch = engine.watch(&NAMESPACE.into(), run);
        loop {
            let state = engine.state(&NAMESPACE.into(), run).await.unwrap();
            if done(&state) {
                return state;
            }
            let _ = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(20), follow).await;
    reached.expect("the run gets there")
}

fn inline(spec: Vec<quintet_core::plan::StepSpec>) -> StartRun {
    StartRun {
        workflow: "".into(),
        workflow_version: 0,
        ..begin(spec)
    }
}

fn slow() -> StartRun {
    inline(vec![step("a", "slow", json!({}))])
}

fn in_progress(state: &RunState) -> bool {
    state.nodes[0].status == StepStatus::InProgress
}

#[tokio::test]
async fn what_a_dead_node_held_is_made_again_elsewhere_and_its_late_answer_changes_nothing() {
    let store = shared();
    let (dead, line) = node(&store, 1).await;
    let (alive, _) = node(&store, 1).await;
    let run = start(&dead.engine, slow()).await;
    until(&alive.engine, run, in_progress).await;
    line.cut.store(true, Ordering::SeqCst);
    let taken = until(&alive.engine, run, |state| state.nodes[0].attempt == 2).await;
    assert_eq!(taken.nodes[0].owner, alive.engine.owner());
    assert_eq!(taken.nodes[0].lost, 1);
    // It answers while it is cut off, and its answer reaches the store after the other's attempt began.
    dead.gate.add_permits(1);
    line.cut.store(false, Ordering::SeqCst);
    let before = dead.engine.owner();
    let comes_back = async {
        while dead.engine.owner() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), comes_back)
        .await
        .expect("it goes on as another owner");
    let state = alive.engine.state(&NAMESPACE.into(), run).await.unwrap();
    assert!(in_progress(&state) && state.nodes[0].attempt == 2);
    alive.gate.add_permits(1);
    let end = until(&alive.engine, run, |state| state.status.is_terminal()).await;
    assert_eq!(end.status, RunStatus::Complete);
    assert_eq!(*end.nodes[0].success.as_ref().unwrap().output, json!({ "attempt": 2 }));
    // The one that was dead works again; what it starts before it has joined anew may go to the other.
    [&dead, &alive].into_iter().for_each(|rig| rig.gate.add_permits(1));
    let run = start(&dead.engine, slow()).await;
    until(&dead.engine, run, |state| state.status == RunStatus::Complete).await;
    assert_eq!(dead.engine.metrics().leases_lost.get(), 1);
    assert_eq!(alive.engine.metrics().take_overs.get(), 1);
}

#[tokio::test]
async fn nodes_that_are_cut_off_together_keep_what_they_hold() {
    let store = shared();
    let (one, first) = node(&store, 1).await;
    let (two, second) = node(&store, 1).await;
    let run = start(&one.engine, slow()).await;
    until(&two.engine, run, in_progress).await;
    [&first, &second]
        .into_iter()
        .for_each(|line| line.cut.store(true, Ordering::SeqCst));
    let both_are_out = async {
        loop {
            let nodes = store.nodes().await.unwrap();
            if nodes
                .iter()
                .all(|node| node.expires_at.plus_ms(LEASE_MS) < SystemClock.now())
            {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), both_are_out)
        .await
        .expect("leases run out");
    [&first, &second]
        .into_iter()
        .for_each(|line| line.cut.store(false, Ordering::SeqCst));
    one.gate.add_permits(1);
    let end = until(&two.engine, run, |state| state.status.is_terminal()).await;
    assert_eq!(*end.nodes[0].success.as_ref().unwrap().output, json!({ "attempt": 1 }));
    assert_eq!(
        one.engine.metrics().leases_lost.get() + two.engine.metrics().leases_lost.get(),
        0
    );
}

#[tokio::test]
async fn steps_that_find_no_slot_here_are_taken_by_another_node() {
    for deaf in [false, true] {
        let store = shared();
        let (busy, one) = node(&store, 1).await;
        let (free, two) = node(&store, 8).await;
        [&one, &two]
            .into_iter()
            .for_each(|line| line.is_deaf.store(deaf, Ordering::SeqCst));
        let steps = ["a", "b", "c", "d"].map(|key| step(key, "slow", json!({})));
        let run = start(&busy.engine, inline(steps.into())).await;
        let all = until(&free.engine, run, |state| state.claims() == 4).await;
        let here = all
            .nodes
            .iter()
            .filter(|node| node.owner == busy.engine.owner())
            .count();
        assert_eq!(here, 1, "work goes first to the node that made it ready");
        free.gate.add_permits(3);
        busy.gate.add_permits(1);
        let end = until(&busy.engine, run, |state| state.status.is_terminal()).await;
        assert_eq!(end.status, RunStatus::Complete);
        assert!(end.nodes.iter().all(|node| node.attempt == 1));
    }
}

#[tokio::test]
async fn a_run_is_cancelled_on_another_node_and_its_attempt_is_dropped() {
    let store = shared();
    let (one, _) = node(&store, 1).await;
    let (two, _) = node(&store, 1).await;
    let run = start(&one.engine, slow()).await;
    until(&two.engine, run, in_progress).await;
    let cancel = Command::Cancel { by: None, reason: None };
    two.engine.command(&NAMESPACE.into(), run, cancel).await.unwrap();
    let dropped = async {
        while one.engine.metrics().attempts_in_flight.get() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), dropped)
        .await
        .expect("the attempt is dropped");
    let state = one.engine.state(&NAMESPACE.into(), run).await.unwrap();
    assert_eq!(state.status, RunStatus::Cancelled);
}

#[tokio::test]
async fn both_nodes_command_one_run_and_nothing_is_lost() {
    let store = shared();
    let (one, _) = node(&store, 1).await;
    let (two, _) = node(&store, 1).await;
    let run = start(&one.engine, slow()).await;
    let lines = 40;
    let write = async |engine: &Engine, by: &str| {
        for line in 0..lines {
            let text = format!("{by} {line}");
            let namespace = NAMESPACE.into();
            engine
                .command(&namespace, run, Command::AppendLog { text })
                .await
                .unwrap();
        }
    };
    tokio::join!(write(&one.engine, "one"), write(&two.engine, "two"));
    let stored = store.load(NAMESPACE, run).await.unwrap().unwrap();
    let lines_stored = stored
        .commits
        .iter()
        .map(|commit| commit.events.matches("log_appended").count());
    assert_eq!(lines_stored.sum::<usize>(), 2 * lines);
    one.gate.add_permits(1);
    until(&two.engine, run, |state| state.status == RunStatus::Complete).await;
}

#[tokio::test]
async fn a_watch_hears_the_end_of_a_run_that_another_node_ends() {
    let store = shared();
    let (one, _) = node(&store, 1).await;
    let (two, _) = node(&store, 1).await;
    let run = start(&one.engine, slow()).await;
    let mut watch = two.engine.watch(&NAMESPACE.into(), run);
    one.gate.add_permits(1);
    let heard = tokio::time::timeout(
        Duration::from_secs(10),
        watch.wait_for(|progress| progress.finished.is_some()),
    );
    let heard = heard.await.expect("it hears").unwrap().finished.clone().unwrap();
    assert_eq!(heard.status, RunStatus::Complete);
}

#[tokio::test]
async fn a_timer_of_a_dead_node_is_fired_by_another() {
    let store = shared();
    let (dead, line) = node(&store, 1).await;
    let (alive, _) = node(&store, 1).await;
    dead.gate.add_permits(1);
    let mut spec = step("a", "slow", json!({ "failures": 1 }));
    spec.retry.max_attempts = 3;
    spec.retry.delay_ms = 400;
    let run = start(&dead.engine, inline(vec![spec])).await;
    until(&alive.engine, run, |state| {
        state.nodes[0].status == StepStatus::WaitingForRetry
    })
    .await;
    line.cut.store(true, Ordering::SeqCst);
    alive.gate.add_permits(1);
    let end = until(&alive.engine, run, |state| state.status.is_terminal()).await;
    assert_eq!(end.status, RunStatus::Complete);
    assert_eq!(end.nodes[0].owner, alive.engine.owner());
}

#[tokio::test]
async fn a_start_that_counts_on_an_old_version_is_told_so() {
    let store = shared();
    let (one, _) = node(&store, 1).await;
    let (two, _) = node(&store, 1).await;
    let namespace: Arc<str> = NAMESPACE.into();
    let plan = begin(vec![step("a", "noop", json!(1))]).plan;
    let write = || WorkflowWrite {
        namespace: Arc::clone(&namespace),
        id: "wf".into(),
        name: "wf".to_owned(),
        document: "{}".to_owned(),
        digest: plan.digest,
        spec: serde_json::to_string(&plan.spec).unwrap().into(),
        at: SystemClock.now(),
        expected: None,
    };
    one.engine.workflows().put(&namespace, &plan, write()).await.unwrap();
    let known = two
        .engine
        .workflows()
        .to_start(&namespace, "wf")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(known.row.version, 1);
    start(&two.engine, begin(vec![step("a", "noop", json!(1))])).await;
    one.engine.workflows().put(&namespace, &plan, write()).await.unwrap();
    let old = begin(vec![step("a", "noop", json!(1))]);
    let refused = two.engine.start_runs(vec![old], None, false).await;
    assert!(matches!(refused, Err(EngineError::WorkflowChanged(id)) if id == "wf"));
    let known = two
        .engine
        .workflows()
        .to_start(&namespace, "wf")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(known.row.version, 2);
    let shown = two.engine.workflows().current(&namespace, "wf").await.unwrap().unwrap();
    assert_eq!(shown.row.version, 2);
}

#[tokio::test]
async fn a_node_that_leaves_hands_over_at_once() {
    let store = shared();
    let line = Faulty::new(Arc::clone(&store));
    // So long a lease that nothing but the hand-over can be the reason.
    let config = EngineConfig {
        node: NodeConfig {
            lease_ms: 600_000,
            ..NodeConfig::default()
        },
        ..EngineConfig::default()
    };
    let leaving = rig_with(line, 1, config.clone()).await;
    let staying = rig_with(Arc::clone(&store), 1, config).await;
    let run = start(&leaving.engine, slow()).await;
    until(&staying.engine, run, in_progress).await;
    leaving.engine.shutdown().await;
    let taken = until(&staying.engine, run, |state| {
        state.nodes[0].attempt == 2 && in_progress(state)
    })
    .await;
    assert_eq!(taken.nodes[0].owner, staying.engine.owner());
    assert_eq!(store.nodes().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_process_that_starts_anew_finds_what_its_predecessor_held() {
    let store = shared();
    let (dead, line) = node(&store, 1).await;
    let run = start(&dead.engine, slow()).await;
    line.cut.store(true, Ordering::SeqCst);
    let (next, _) = node(&store, 1).await;
    next.gate.add_permits(1);
    let end = until(&next.engine, run, |state| state.status.is_terminal()).await;
    assert_eq!(*end.nodes[0].success.as_ref().unwrap().output, json!({ "attempt": 2 }));
    let forgotten = async {
        while store.nodes().await.unwrap().len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), forgotten)
        .await
        .expect("the dead node is forgotten");
}
