//! Removing what is over, and nothing else.

use quintet_core::machine::RunStatus;
use quintet_core::time::Time;

use super::support::*;
use crate::commit::{IdempotencyWrite, Unit, UnitResult};
use crate::query::RunFilter;

/// Starts a run and ends it.
async fn ended(store: &AnyStore, number: u64, at: i64) {
    let first = start(number).put(0, "left behind");
    let end = first.finish(RunStatus::Complete, at);
    apply_all(store, [first, end]).await;
}

async fn prune(store: &AnyStore, before: i64, limit: usize) -> u64 {
    store.prune(Time(before), Time(0), limit).await.unwrap()
}

async fn remaining(store: &AnyStore) -> Vec<u64> {
    listed(store, &RunFilter::default()).await
}

pub async fn only_what_ended_before_the_time_is_removed(store: AnyStore) {
    for (number, at) in [(1, 10), (2, 20), (3, 5), (4, 19)] {
        ended(&store, number, at).await;
    }
    assert_eq!(prune(&store, 20, 100).await, 3);
    assert_eq!(remaining(&store).await, [2]);
    assert_eq!(prune(&store, 20, 100).await, 0);
}

pub async fn an_unfinished_run_is_never_removed(store: AnyStore) {
    let unfinished = (0..10u8).map(|status| {
        let status = RunStatus::from_number(status).expect("a state");
        start(u64::from(status.number()) + 1).with(|row| row.status = status)
    });
    apply_all(&store, unfinished).await;
    assert_eq!(prune(&store, i64::MAX, 100).await, 0);
    assert_eq!(remaining(&store).await.len(), 10);
}

pub async fn a_run_that_was_opened_again_is_not_removed(store: AnyStore) {
    let first = start(1);
    let end = first.finish(RunStatus::Error, 10);
    let open = end.next().with(|row| {
        row.status = RunStatus::StepsInProcess;
        row.finished_at = None;
    });
    apply_all(&store, [first, end, open]).await;
    assert_eq!(prune(&store, 1000, 100).await, 0);
    assert_eq!(row(&store, 1).await.version, 3);
}

pub async fn at_most_the_limit_is_removed_and_the_rest_later(store: AnyStore) {
    for number in 1..=250 {
        ended(&store, number, 10).await;
    }
    assert_eq!(prune(&store, 20, 0).await, 0);
    assert_eq!(prune(&store, 20, 3).await, 3);
    assert_eq!(remaining(&store).await.len(), 247);
    assert_eq!(prune(&store, 20, 240).await, 240);
    assert_eq!(prune(&store, 20, 240).await, 7);
    assert_eq!(remaining(&store).await, [0; 0]);
}

pub async fn history_and_queue_go_with_their_run(store: AnyStore) {
    ended(&store, 1, 10).await;
    ended(&store, 2, 30).await;
    assert_eq!(prune(&store, 20, 100).await, 1);
    assert_eq!(queued(&store, &["left behind"], 10).await, [(2, 0)]);
    // A new run under the id shows whether anything of the old one is left.
    apply(&store, start(1)).await;
    assert_eq!(store.commits(DEFAULT, id(1), 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.commits(DEFAULT, id(2), 0, 10).await.unwrap().len(), 2);
}

pub async fn only_expired_records_are_forgotten(store: AnyStore) {
    for (name, at) in [("a", 100), ("b", 101), ("c", 99)] {
        let write = IdempotencyWrite {
            expires_at: Time(at),
            ..key(name, name)
        };
        let unit = Unit {
            idempotency: Some(write),
            ..Unit::default()
        };
        assert_eq!(commit(&store, unit).await, UnitResult::Applied);
    }
    assert_eq!(store.prune(Time(0), Time(100), 10).await.unwrap(), 0);
    // Asked at an earlier time, what is left shows.
    for (name, left) in [("a", false), ("b", true), ("c", false)] {
        let found = store.idempotency(DEFAULT, "start", name, Time(0)).await.unwrap();
        assert_eq!(found.is_some(), left, "{name}");
    }
}

pub async fn a_finished_run_is_deleted_with_its_history(store: AnyStore) {
    ended(&store, 1, 10).await;
    ended(&store, 2, 10).await;
    assert!(store.delete_run(DEFAULT, id(1)).await.unwrap());
    assert!(!store.delete_run(DEFAULT, id(1)).await.unwrap());
    assert_eq!(store.run(DEFAULT, id(1)).await.unwrap(), None);
    assert_eq!(remaining(&store).await, [2]);
    assert_eq!(queued(&store, &["left behind"], 10).await, [(2, 0)]);
    apply(&store, start(1)).await;
    assert_eq!(store.commits(DEFAULT, id(1), 0, 10).await.unwrap().len(), 1);
}

pub async fn an_unfinished_run_is_not_deleted(store: AnyStore) {
    let run = apply(&store, start(1)).await;
    assert!(!store.delete_run(DEFAULT, id(1)).await.unwrap());
    assert_eq!(row(&store, 1).await, run.row);
}

pub async fn a_run_of_another_namespace_is_not_deleted(store: AnyStore) {
    ended(&store, 1, 10).await;
    assert!(!store.delete_run("acme", id(1)).await.unwrap());
    assert_eq!(remaining(&store).await, [1]);
}
