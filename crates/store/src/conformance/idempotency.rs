//! A request that comes twice takes effect once, and gets the first answer again.

use std::sync::Arc;

use quintet_core::time::Time;
use tokio::task::JoinSet;

use super::support::*;
use crate::commit::{IdempotencyRecord, IdempotencyWrite, PlanWrite, Unit, UnitResult};

fn keyed(key: IdempotencyWrite, number: u64) -> Unit {
    Unit {
        idempotency: Some(key),
        ..unit([start(number)])
    }
}

fn record(answer: &str) -> IdempotencyRecord {
    key("", answer).record
}

pub async fn a_key_used_before_is_a_duplicate_with_the_first_record(store: AnyStore) {
    assert_eq!(commit(&store, keyed(key("k", "first"), 1)).await, UnitResult::Applied);
    let other = IdempotencyWrite {
        record: IdempotencyRecord {
            request: [8; 32],
            answer: "second".into(),
        },
        ..key("k", "second")
    };
    assert_eq!(
        commit(&store, keyed(other, 2)).await,
        UnitResult::Duplicate(record("first"))
    );
    assert_eq!(
        store.idempotency(DEFAULT, "start", "k", Time(10)).await.unwrap(),
        Some(record("first"))
    );
}

pub async fn a_duplicate_leaves_nothing_of_its_unit(store: AnyStore) {
    assert_eq!(commit(&store, keyed(key("k", "first"), 1)).await, UnitResult::Applied);
    let again = Unit {
        idempotency: Some(key("k", "second")),
        plans: vec![PlanWrite {
            digest: digest(9),
            spec: "{}".into(),
        }],
        runs: vec![start(2).put(0, "noop")],
        ..message("hooks", "k", "never")
    };
    assert_eq!(commit(&store, again).await, UnitResult::Duplicate(record("first")));
    assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
    assert_eq!(store.plan(digest(9)).await.unwrap(), None);
    assert!(queued(&store, &["noop"], 10).await.is_empty());
    assert!(messages(&store, 1000).await.is_empty());
}

pub async fn the_second_unit_with_a_key_in_one_commit_is_a_duplicate(store: AnyStore) {
    let results = commit_at(
        &store,
        10,
        vec![keyed(key("k", "first"), 1), keyed(key("k", "second"), 2)],
    )
    .await;
    assert_eq!(results, [UnitResult::Applied, UnitResult::Duplicate(record("first"))]);
    assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
}

pub async fn the_key_of_a_conflicting_unit_can_be_used_again(store: AnyStore) {
    apply(&store, start(1)).await;
    let results = commit_at(
        &store,
        10,
        vec![keyed(key("k", "first"), 1), keyed(key("k", "second"), 2)],
    )
    .await;
    assert_eq!(results, [UnitResult::Conflict(id(1)), UnitResult::Applied]);
    assert_eq!(
        store.idempotency(DEFAULT, "start", "k", Time(10)).await.unwrap(),
        Some(record("second"))
    );
}

pub async fn a_duplicate_is_told_before_a_conflict(store: AnyStore) {
    assert_eq!(commit(&store, keyed(key("k", "first"), 1)).await, UnitResult::Applied);
    // The same request again: its run exists by now, but what the caller needs is the answer.
    assert_eq!(
        commit(&store, keyed(key("k", "first"), 1)).await,
        UnitResult::Duplicate(record("first"))
    );
}

pub async fn a_record_is_absent_from_the_moment_it_expires(store: AnyStore) {
    assert_eq!(commit(&store, keyed(key("k", "first"), 1)).await, UnitResult::Applied);
    assert_eq!(
        store.idempotency(DEFAULT, "start", "k", Time(999)).await.unwrap(),
        Some(record("first"))
    );
    assert_eq!(
        store.idempotency(DEFAULT, "start", "k", Time(1000)).await.unwrap(),
        None
    );
}

pub async fn an_expired_record_is_replaced(store: AnyStore) {
    assert_eq!(commit(&store, keyed(key("k", "first"), 1)).await, UnitResult::Applied);
    let later = IdempotencyWrite {
        expires_at: Time(2000),
        ..key("k", "second")
    };
    assert_eq!(
        commit_at(&store, 1000, vec![keyed(later, 2)]).await,
        [UnitResult::Applied]
    );
    assert_eq!(
        store.idempotency(DEFAULT, "start", "k", Time(1999)).await.unwrap(),
        Some(record("second"))
    );
    assert_eq!(
        store.idempotency(DEFAULT, "start", "k", Time(2000)).await.unwrap(),
        None
    );
}

pub async fn keys_of_other_scopes_and_namespaces_are_other_keys(store: AnyStore) {
    let scope = IdempotencyWrite {
        scope: "cancel".into(),
        ..key("k", "scope")
    };
    let namespace = IdempotencyWrite {
        namespace: "acme".into(),
        ..key("k", "namespace")
    };
    for (number, key) in [
        (1, key("k", "plain")),
        (2, scope),
        (3, namespace),
        (4, key("K", "case")),
    ] {
        assert_eq!(
            commit(&store, keyed(key, number)).await,
            UnitResult::Applied,
            "{number}"
        );
    }
    let asked = [
        (DEFAULT, "start", "plain"),
        (DEFAULT, "cancel", "scope"),
        ("acme", "start", "namespace"),
    ];
    for (namespace, scope, answer) in asked {
        let found = store.idempotency(namespace, scope, "k", Time(10)).await.unwrap();
        assert_eq!(found, Some(record(answer)));
    }
    assert_eq!(store.idempotency("acme", "cancel", "k", Time(10)).await.unwrap(), None);
}

pub async fn of_many_requests_with_one_key_exactly_one_takes_effect(store: AnyStore) {
    let mut requests = JoinSet::new();
    for number in 1..=32u64 {
        let (store, request) = (Arc::clone(&store), keyed(key("k", &number.to_string()), number));
        requests.spawn(async move { (number, commit(&store, request).await) });
    }
    let results = requests.join_all().await;
    let applied: Vec<u64> = results
        .iter()
        .filter(|(_, r)| *r == UnitResult::Applied)
        .map(|(n, _)| *n)
        .collect();
    let [winner] = applied[..] else {
        panic!("{applied:?} took effect")
    };
    let duplicate = UnitResult::Duplicate(record(&winner.to_string()));
    assert!(
        results
            .iter()
            .all(|(number, result)| *number == winner || *result == duplicate),
        "{results:?}"
    );
    assert_eq!(listed(&store, &Default::default()).await, [winner]);
}
