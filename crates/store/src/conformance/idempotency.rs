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

pub async fn a_key_that_expires_at_once_is_free_for_the_next_unit(store: AnyStore) {
    let expiring = |answer| IdempotencyWrite {
        expires_at: Time(10),
        ..key("k", answer)
    };
    let units = vec![keyed(expiring("first"), 1), keyed(expiring("second"), 2)];
    let results = commit_at(&store, 10, units).await;
    assert_eq!(results, [UnitResult::Applied, UnitResult::Applied]);
    assert_eq!(
        store.idempotency(DEFAULT, "start", "k", Time(9)).await.unwrap(),
        Some(record("second"))
    );
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

fn replacing(number: u64, answer: &str, replaces: &str) -> Unit {
    let key = IdempotencyWrite {
        replaces: Some(replaces.to_owned()),
        ..key("k", answer)
    };
    keyed(key, number)
}

pub async fn an_answer_that_does_not_hold_any_more_is_replaced(store: AnyStore) {
    assert_eq!(commit(&store, keyed(key("k", "first"), 1)).await, UnitResult::Applied);
    assert_eq!(
        commit(&store, replacing(2, "second", "another")).await,
        UnitResult::Duplicate(record("first"))
    );
    assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
    assert_eq!(
        commit(&store, replacing(2, "second", "first")).await,
        UnitResult::Applied
    );
    assert_eq!(
        store.idempotency(DEFAULT, "start", "k", Time(10)).await.unwrap(),
        Some(record("second"))
    );
    assert_eq!(
        commit(&store, replacing(3, "third", "first")).await,
        UnitResult::Duplicate(record("second"))
    );
    assert_eq!(
        commit(&store, keyed(key("k", "third"), 3)).await,
        UnitResult::Duplicate(record("second"))
    );
}

pub async fn what_is_not_there_or_has_expired_need_not_be_replaced(store: AnyStore) {
    assert_eq!(
        commit(&store, replacing(1, "first", "nothing")).await,
        UnitResult::Applied
    );
    let late = commit_at(&store, 1000, vec![replacing(2, "second", "nothing")]).await;
    assert_eq!(late, [UnitResult::Applied]);
}

pub async fn a_conflict_replaces_no_answer(store: AnyStore) {
    assert_eq!(commit(&store, keyed(key("k", "first"), 1)).await, UnitResult::Applied);
    assert_eq!(
        commit(&store, replacing(1, "second", "first")).await,
        UnitResult::Conflict(id(1))
    );
    assert_eq!(
        commit(&store, replacing(2, "second", "first")).await,
        UnitResult::Applied
    );
}

pub async fn of_many_that_replace_one_answer_exactly_one_does(store: AnyStore) {
    assert_eq!(commit(&store, keyed(key("k", "first"), 100)).await, UnitResult::Applied);
    let mut racers = JoinSet::new();
    for number in 1..=64u64 {
        let (store, request) = (Arc::clone(&store), replacing(number, &number.to_string(), "first"));
        racers.spawn(async move { (number, commit(&store, request).await) });
    }
    let results = racers.join_all().await;
    let applied = results.iter().filter(|(_, result)| *result == UnitResult::Applied);
    let applied: Vec<u64> = applied.map(|(number, _)| *number).collect();
    let [winner] = applied[..] else {
        panic!("{applied:?} replaced it")
    };
    let duplicate = UnitResult::Duplicate(record(&winner.to_string()));
    let lost = |(number, result): &(u64, UnitResult)| *number == winner || *result == duplicate;
    assert!(results.iter().all(lost), "{results:?}");
    assert_eq!(listed(&store, &Default::default()).await, [100, winner]);
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
