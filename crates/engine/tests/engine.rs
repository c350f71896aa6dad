//! The engine on a store that fails, on executors that hang, and across restarts.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quintet_core::command::Command;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::retry::RetryPolicy;
use quintet_core::state::RunState;
use quintet_engine::{Engine, EngineError, Idempotency, StartRun, fold};
use quintet_store::{MemoryStore, RunFilter, Store};
use serde_json::json;
use support::{Faulty, begin, rig, step};

const NAMESPACE: &str = "default";

async fn start(engine: &Engine, start: StartRun) -> RunId {
    engine.start_runs(vec![start], None, false).await.unwrap().runs[0].id
}

/// The run once `done` holds; follows it through its watch.
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
    tokio::time::timeout(Duration::from_secs(20), follow)
        .await
        .expect("the run gets there")
}

async fn ended(engine: &Engine, run: RunId) -> Arc<RunState> {
    until(engine, run, |state| state.status.is_terminal()).await
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

#[tokio::test]
async fn a_run_of_inline_steps_ends_and_its_watch_hears_of_it() {
    let rig = rig(memory(), 1).await;
    let steps = vec![step("a", "noop", json!(1)), step("b", "NOOP", json!(2))];
    let started = rig.engine.start_runs(vec![begin(steps)], None, true).await.unwrap();
    let mut watch = started.runs[0].watch.clone().unwrap();
    let heard = watch
        .wait_for(|progress| progress.finished.is_some())
        .await
        .unwrap()
        .clone();
    assert_eq!(heard.finished.unwrap().status, RunStatus::Complete);
}

#[tokio::test]
async fn the_stored_history_folds_to_the_state_that_was_answered() {
    let store = memory();
    let rig = rig(Arc::clone(&store), 1).await;
    let run = start(&rig.engine, begin(vec![step("a", "noop", json!({ "x": 1.5 }))])).await;
    let state = ended(&rig.engine, run).await;
    let stored = store.load(NAMESPACE, run).await.unwrap().unwrap();
    let folded = fold(&stored, Arc::clone(&state.plan)).unwrap();
    assert_eq!(format!("{folded:?}"), format!("{:?}", *state));
}

#[tokio::test]
async fn more_steps_than_slots_all_run_and_never_more_at_a_time() {
    let rig = rig(memory(), 3).await;
    let steps = (0..20).map(|nth| step(&format!("s{nth}"), "slow", json!({}))).collect();
    let run = start(&rig.engine, begin(steps)).await;
    for released in 0..20 {
        until(&rig.engine, run, |state| state.claims() == (20 - released).min(3)).await;
        rig.gate.add_permits(1);
        until(&rig.engine, run, |state| {
            state.claims() != 3 || rig.seen.lock().unwrap().len() > released as usize + 3
        })
        .await;
    }
    assert_eq!(ended(&rig.engine, run).await.status, RunStatus::Complete);
    assert_eq!(rig.seen.lock().unwrap().len(), 20);
}

#[tokio::test]
async fn a_retry_waits_for_its_time_and_then_succeeds() {
    let rig = rig(memory(), 1).await;
    rig.gate.add_permits(10);
    let mut slow = step("a", "slow", json!({ "failures": 2 }));
    slow.retry = RetryPolicy {
        max_attempts: 3,
        delay_ms: 20,
        ..RetryPolicy::default()
    };
    let run = start(&rig.engine, begin(vec![slow])).await;
    let state = ended(&rig.engine, run).await;
    assert_eq!((state.status, state.nodes[0].attempt), (RunStatus::Complete, 3));
}

/// A timer that is stored between a look at the clock's affairs and its end must not be forgotten.
#[tokio::test]
async fn a_timer_that_is_set_while_the_next_one_is_looked_up_fires() {
    let store = Faulty::new(memory());
    store.holds_wake.store(true, Ordering::SeqCst);
    let rig = rig(store.clone(), 1).await;
    store.wake_asked.acquire().await.unwrap().forget();
    // The answer, that there is none, is under way.
    rig.gate.add_permits(10);
    let mut slow = step("a", "slow", json!({ "failures": 1 }));
    slow.retry = RetryPolicy {
        max_attempts: 2,
        delay_ms: 200,
        ..RetryPolicy::default()
    };
    let run = start(&rig.engine, begin(vec![slow])).await;
    until(&rig.engine, run, |state| state.status == RunStatus::WaitingForRetry).await;
    store.holds_wake.store(false, Ordering::SeqCst);
    store.wake_answer.add_permits(1);
    assert_eq!(ended(&rig.engine, run).await.status, RunStatus::Complete);
}

#[tokio::test]
async fn a_failed_commit_tells_the_caller_and_starts_nothing() {
    let store = Faulty::new(memory());
    let rig = rig(store.clone(), 1).await;
    store.fail.store(1, Ordering::SeqCst);
    let refused = rig
        .engine
        .start_runs(vec![begin(vec![step("a", "slow", json!({}))])], None, false)
        .await;
    assert!(matches!(refused, Err(EngineError::Unavailable(_))));
    assert!(rig.seen.lock().unwrap().is_empty());
    let page = store.runs(NAMESPACE, &RunFilter::default(), None, 10).await.unwrap();
    assert!(page.rows.is_empty());
    rig.gate.add_permits(1);
    let run = start(&rig.engine, begin(vec![step("a", "slow", json!({}))])).await;
    assert_eq!(ended(&rig.engine, run).await.status, RunStatus::Complete);
}

#[tokio::test]
async fn an_answer_that_could_not_be_stored_is_offered_again() {
    let store = Faulty::new(memory());
    let rig = rig(store.clone(), 1).await;
    let run = start(
        &rig.engine,
        begin(vec![step("a", "slow", json!({})), step("b", "noop", json!(1))]),
    )
    .await;
    until(&rig.engine, run, |state| state.nodes[1].status.is_settled()).await;
    store.fail.store(3, Ordering::SeqCst);
    rig.gate.add_permits(1);
    assert_eq!(ended(&rig.engine, run).await.status, RunStatus::Complete);
    assert_eq!(rig.seen.lock().unwrap().len(), 1, "the work was done once");
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_neither_lost_nor_doubled() {
    let store = Faulty::new(memory());
    let rig = rig(store.clone(), 2).await;
    let run = start(&rig.engine, begin(vec![step("a", "slow", json!({}))])).await;
    until(&rig.engine, run, |state| state.claims() == 1).await;
    store.execute_then_fail.store(1, Ordering::SeqCst);
    rig.gate.add_permits(1);
    let state = ended(&rig.engine, run).await;
    assert_eq!((state.status, state.nodes[0].attempt), (RunStatus::Complete, 1));
    let key = Idempotency::new("start", "k", [1; 32]);
    store.execute_then_fail.store(1, Ordering::SeqCst);
    let again = begin(vec![step("a", "noop", json!(1))]);
    let unknown = rig
        .engine
        .start_runs(vec![again.clone()], Some(key.clone()), false)
        .await;
    assert!(matches!(unknown, Err(EngineError::Unknown(_))));
    let replayed = rig.engine.start_runs(vec![again], Some(key), false).await.unwrap();
    assert!(replayed.replayed);
    ended(&rig.engine, replayed.runs[0].id).await;
    let page = store.runs(NAMESPACE, &RunFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.rows.len(), 2);
}

#[tokio::test]
async fn sixty_four_starts_under_one_key_make_one_run() {
    let store = memory();
    let rig = Arc::new(rig(Arc::clone(&store), 1).await);
    let key = Idempotency::new("start", "k", [1; 32]);
    let starts = (0..64).map(|_| {
        let (rig, key) = (Arc::clone(&rig), key.clone());
        async move {
            rig.engine
                .start_runs(vec![begin(vec![step("a", "noop", json!(1))])], Some(key), false)
                .await
        }
    });
    let answers = futures_util::future::join_all(starts).await;
    let ids: std::collections::HashSet<RunId> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().runs[0].id)
        .collect();
    assert_eq!(ids.len(), 1);
    let other = Idempotency {
        request: [2; 32],
        ..key
    };
    let mismatch = rig
        .engine
        .start_runs(vec![begin(vec![step("a", "noop", json!(2))])], Some(other), false)
        .await;
    assert!(matches!(mismatch, Err(EngineError::IdempotencyMismatch)));
}

#[tokio::test]
async fn what_a_dead_process_held_is_made_again_under_a_new_attempt() {
    let store = memory();
    let first = rig(Arc::clone(&store), 2).await;
    let run = start(&first.engine, begin(vec![step("a", "slow", json!({}))])).await;
    until(&first.engine, run, |state| state.claims() == 1).await;
    // The first process is not shut down: it is as good as dead, and its attempt never answers.
    let second = rig(Arc::clone(&store), 2).await;
    second.gate.add_permits(1);
    let state = ended(&second.engine, run).await;
    assert_eq!((state.status, state.nodes[0].attempt), (RunStatus::Complete, 2));
    // It wakes up and answers: refused, and nothing changes.
    first.gate.add_permits(1);
    let version = state.version;
    let late = ended(&first.engine, run).await;
    assert_eq!((late.version, late.nodes[0].attempt), (version, 2));
}

#[tokio::test]
async fn queued_steps_of_a_stopped_process_are_claimed_by_the_next() {
    let store = Faulty::new(memory());
    let first = rig(store.clone(), 1).await;
    let steps = (0..5).map(|nth| step(&format!("s{nth}"), "slow", json!({}))).collect();
    let run = start(&first.engine, begin(steps)).await;
    until(&first.engine, run, |state| state.claims() == 1).await;
    first.engine.shutdown().await;
    let second = rig(store, 2).await;
    second.gate.add_permits(5);
    let state = ended(&second.engine, run).await;
    assert_eq!(state.status, RunStatus::Complete);
}

#[tokio::test]
async fn a_shutdown_lets_running_attempts_end_and_stores_what_they_say() {
    let store = Faulty::new(memory());
    let rig = rig(store.clone(), 1).await;
    let run = start(&rig.engine, begin(vec![step("a", "slow", json!({}))])).await;
    until(&rig.engine, run, |state| state.claims() == 1).await;
    let (gate, engine) = (Arc::clone(&rig.gate), rig.engine);
    gate.add_permits(1);
    engine.shutdown().await;
    let row = store.run(NAMESPACE, run).await.unwrap().unwrap();
    assert_eq!(row.status, RunStatus::Complete);
    let refused = engine.command(&NAMESPACE.into(), run, Command::Tick).await;
    assert!(matches!(refused, Err(EngineError::ShuttingDown)));
}

#[tokio::test]
async fn a_cancelled_attempt_is_dropped_and_its_slot_is_free_again() {
    let rig = rig(memory(), 1).await;
    let run = start(&rig.engine, begin(vec![step("a", "slow", json!({}))])).await;
    until(&rig.engine, run, |state| state.claims() == 1).await;
    let cancel = Command::Cancel { by: None, reason: None };
    rig.engine.command(&NAMESPACE.into(), run, cancel).await.unwrap();
    let next = start(&rig.engine, begin(vec![step("a", "slow", json!({}))])).await;
    rig.gate.add_permits(1);
    assert_eq!(ended(&rig.engine, next).await.status, RunStatus::Complete);
    assert_eq!(ended(&rig.engine, run).await.status, RunStatus::Cancelled);
}

#[tokio::test]
async fn an_executor_that_panics_fails_its_step_and_nothing_else() {
    let rig = rig(memory(), 1).await;
    let run = start(&rig.engine, begin(vec![step("a", "noop", json!("panic"))])).await;
    let state = ended(&rig.engine, run).await;
    assert_eq!(state.status, RunStatus::Error);
    assert!(state.first_failure().unwrap().1.message.contains("asked to"));
    let next = start(&rig.engine, begin(vec![step("a", "noop", json!(1))])).await;
    assert_eq!(ended(&rig.engine, next).await.status, RunStatus::Complete);
}

#[tokio::test]
async fn another_namespace_sees_no_run() {
    let rig = rig(memory(), 1).await;
    let run = start(&rig.engine, begin(vec![step("a", "slow", json!({}))])).await;
    let foreign = "other".into();
    assert!(matches!(
        rig.engine.state(&foreign, run).await,
        Err(EngineError::RunNotFound(_))
    ));
    let cancel = Command::Cancel { by: None, reason: None };
    let refused = rig.engine.command(&foreign, run, cancel).await;
    assert!(matches!(refused, Err(EngineError::RunNotFound(_))));
    assert_eq!(rig.engine.state(&NAMESPACE.into(), run).await.unwrap().claims(), 1);
}

#[tokio::test]
async fn an_idle_engine_makes_no_commits_and_a_wait_step_wakes_it() {
    let store = Faulty::new(memory());
    let rig = rig(store.clone(), 1).await;
    let wait = step("a", "wait", json!({ "ms": 60 }));
    let run = start(&rig.engine, begin(vec![wait])).await;
    assert_eq!(ended(&rig.engine, run).await.status, RunStatus::Complete);
    let commits = store.commits.load(Ordering::SeqCst);
    assert_eq!(commits, 2, "one for the start, one for the end of the wait");
}

#[tokio::test]
async fn a_store_that_refuses_for_good_is_reported_as_fatal_with_its_reason() {
    let store = Faulty::new(memory());
    let rig = rig(store.clone(), 1).await;
    store.refuse.store(1, Ordering::SeqCst);
    let refused = rig
        .engine
        .start_runs(vec![begin(vec![step("a", "noop", json!(1))])], None, false)
        .await;
    assert!(matches!(refused, Err(EngineError::Internal(_))));
    assert_eq!(rig.engine.failed().await, "a flush failed: restart");
}

#[tokio::test]
async fn a_step_that_finds_no_slot_while_the_queue_is_being_looked_at_is_not_forgotten() {
    let store = Faulty::new(memory());
    store.holds_queue.store(true, Ordering::SeqCst);
    let rig = rig(Arc::clone(&store) as Arc<dyn Store>, 1).await;
    store.queue_asked.acquire().await.unwrap().forget();
    // The only slot is reserved for what the look may find.
    let run = start(&rig.engine, begin(vec![step("a", "slow", json!({}))])).await;
    store.holds_queue.store(false, Ordering::SeqCst);
    store.queue_answer.add_permits(1);
    rig.gate.add_permits(1);
    ended(&rig.engine, run).await;
}
