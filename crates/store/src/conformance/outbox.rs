//! Messages to the outside: in order per target and key, and no key waits for another one.

use std::sync::Arc;

use quintet_core::time::Time;

use super::support::*;
use crate::query::Targets;

async fn send(store: &AnyStore, at: i64, bodies: &[(&str, &str, &str)]) {
    let units = bodies
        .iter()
        .map(|(target, key, body)| message(target, key, body))
        .collect();
    let _ = commit_at(store, at, units).await;
}

async fn deliver(store: &AnyStore, now: i64, body: &str) {
    let id = message_id(store, now, body).await;
    store.outbox_delivered(&[id]).await.unwrap();
}

async fn fail(store: &AnyStore, now: i64, body: &str, retry_at: Option<i64>) {
    let id = message_id(store, now, body).await;
    store.outbox_failed(id, "refused", retry_at.map(Time)).await.unwrap();
}

pub async fn a_message_is_read_back_as_it_was_written(store: AnyStore) {
    send(&store, 10, &[("hooks", "run 1", "body")]).await;
    assert!(
        store
            .outbox_due(claim(9), OutboxAsk::up_to(10))
            .await
            .unwrap()
            .is_empty()
    );
    let due = store.outbox_due(claim(10), OutboxAsk::up_to(10)).await.unwrap();
    let [entry] = &due[..] else { panic!("{due:?}") };
    assert_eq!((&*entry.target, &*entry.key, &*entry.body), ("hooks", "run 1", "body"));
    assert_eq!(
        (&*entry.message_id, entry.attempts, entry.created_at),
        ("id of body", 0, Time(10))
    );
}

pub async fn messages_of_one_key_leave_one_at_a_time_in_order(store: AnyStore) {
    send(&store, 10, &[("h", "k", "1"), ("h", "k", "2")]).await;
    send(&store, 11, &[("h", "k", "3")]).await;
    for body in ["1", "2", "3"] {
        assert_eq!(messages(&store, 100).await, [body]);
        assert_eq!(messages(&store, 100).await, [body]);
        deliver(&store, 100, body).await;
    }
    assert!(messages(&store, 100).await.is_empty());
}

pub async fn other_keys_and_targets_do_not_wait(store: AnyStore) {
    send(
        &store,
        10,
        &[
            ("h", "k", "1"),
            ("h", "k", "2"),
            ("h", "l", "3"),
            ("g", "k", "4"),
            ("g", "k", "5"),
        ],
    )
    .await;
    assert_eq!(messages(&store, 100).await, ["1", "3", "4"]);
    deliver(&store, 100, "4").await;
    assert_eq!(messages(&store, 100).await, ["1", "3", "5"]);
}

pub async fn a_failed_message_delays_only_its_key_until_its_retry(store: AnyStore) {
    send(&store, 10, &[("h", "k", "1"), ("h", "k", "2"), ("h", "l", "3")]).await;
    fail(&store, 10, "1", Some(50)).await;
    assert_eq!(messages(&store, 49).await, ["3"]);
    assert_eq!(messages(&store, 50).await, ["3", "1"]);
    fail(&store, 50, "1", Some(60)).await;
    let due = store.outbox_due(claim(60), OutboxAsk::up_to(10)).await.unwrap();
    assert_eq!(
        due.iter().find(|entry| entry.body == "1").map(|entry| entry.attempts),
        Some(2)
    );
    deliver(&store, 60, "1").await;
    assert_eq!(messages(&store, 60).await, ["2", "3"]);
}

pub async fn a_message_given_up_lets_the_next_one_through(store: AnyStore) {
    send(&store, 10, &[("h", "k", "1"), ("h", "k", "2"), ("h", "k", "3")]).await;
    fail(&store, 10, "1", None).await;
    assert_eq!(messages(&store, 10).await, ["2"]);
    let status = store.status().await.unwrap();
    assert_eq!((status.outbox, status.outbox_dead), (2, 1));
    send(&store, 10, &[("h", "k", "4")]).await;
    for body in ["2", "3", "4"] {
        assert_eq!(messages(&store, 10).await, [body]);
        deliver(&store, 10, body).await;
    }
}

pub async fn the_next_delivery_is_that_of_the_earliest_head(store: AnyStore) {
    send(&store, 10, &[("h", "k", "1"), ("h", "k", "2")]).await;
    send(&store, 20, &[("h", "l", "3")]).await;
    assert_eq!(store.outbox_next().await.unwrap(), Some(Time(10)));
    fail(&store, 10, "1", Some(90)).await;
    // Message 2 waits for message 1 and does not count.
    assert_eq!(store.outbox_next().await.unwrap(), Some(Time(20)));
    deliver(&store, 20, "3").await;
    assert_eq!(store.outbox_next().await.unwrap(), Some(Time(90)));
    deliver(&store, 90, "1").await;
    assert_eq!(store.outbox_next().await.unwrap(), Some(Time(10)));
}

pub async fn nothing_is_next_when_nothing_can_be_delivered(store: AnyStore) {
    assert_eq!(store.outbox_next().await.unwrap(), None);
    send(&store, 10, &[("h", "k", "1")]).await;
    fail(&store, 10, "1", None).await;
    assert_eq!(store.outbox_next().await.unwrap(), None);
    assert!(messages(&store, 1000).await.is_empty());
}

pub async fn the_longest_due_message_comes_first(store: AnyStore) {
    send(&store, 30, &[("h", "a", "1")]).await;
    send(&store, 10, &[("h", "b", "2"), ("h", "c", "3")]).await;
    assert_eq!(messages(&store, 100).await, ["2", "3", "1"]);
    let two = store.outbox_due(claim(100), OutboxAsk::up_to(2)).await.unwrap();
    assert_eq!(two.iter().map(|entry| &*entry.body).collect::<Vec<_>>(), ["2", "3"]);
    assert!(
        store
            .outbox_due(claim(100), OutboxAsk::up_to(0))
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn only_messages_that_are_asked_for_are_given_and_they_count_alone(store: AnyStore) {
    send(
        &store,
        10,
        &[
            ("g", "a", "1"),
            ("h", "b", "2"),
            ("h", "c", "3"),
            ("i", "d", "4"),
            ("i", "e", "5"),
        ],
    )
    .await;
    let (held, left_out) = (
        [message_id(&store, 10, "2").await],
        [Arc::from("g"), Arc::from("nobody")],
    );
    let all = OutboxAsk::up_to(10);
    let asks = [
        (OutboxAsk { except: &held, ..all }, vec!["1", "3", "4", "5"]),
        (
            OutboxAsk {
                limit: 2,
                except: &held,
                targets: Targets::Except(&left_out),
            },
            vec!["3", "4"],
        ),
        (
            OutboxAsk {
                targets: Targets::Only(&left_out),
                ..all
            },
            vec!["1"],
        ),
        (
            OutboxAsk {
                targets: Targets::Only(&[]),
                ..all
            },
            vec![],
        ),
    ];
    for (ask, expected) in asks {
        let due = store.outbox_due(claim(10), ask).await.unwrap();
        assert_eq!(
            due.iter().map(|entry| &*entry.body).collect::<Vec<_>>(),
            expected,
            "{ask:?}"
        );
    }
    // A message behind the one that is held waits for it.
    send(&store, 10, &[("h", "b", "6")]).await;
    let due = store
        .outbox_due(claim(10), OutboxAsk { except: &held, ..all })
        .await
        .unwrap();
    assert!(due.iter().all(|entry| entry.body != "6"), "{due:?}");
}

pub async fn ids_grow_and_are_not_given_twice(store: AnyStore) {
    let mut last = i64::MIN;
    for body in ["1", "2", "3"] {
        send(&store, 10, &[("h", "k", body)]).await;
        let id = message_id(&store, 10, body).await;
        assert!(id > last, "{id} after {last}");
        last = id;
        store.outbox_delivered(&[id]).await.unwrap();
    }
}

pub async fn delivering_out_of_order_keeps_the_order_of_the_rest(store: AnyStore) {
    send(
        &store,
        10,
        &[("h", "a", "1"), ("h", "b", "2"), ("h", "a", "3"), ("h", "a", "4")],
    )
    .await;
    let (first, other) = (message_id(&store, 10, "1").await, message_id(&store, 10, "2").await);
    // Ids are positions in one sequence: message 3 comes right after message 2.
    store.outbox_delivered(&[other + 1]).await.unwrap();
    assert_eq!(messages(&store, 10).await, ["1", "2"]);
    store.outbox_delivered(&[first, other]).await.unwrap();
    assert_eq!(messages(&store, 10).await, ["4"]);
}

pub async fn unknown_and_dead_messages_are_left_alone(store: AnyStore) {
    send(&store, 10, &[("h", "k", "1"), ("h", "k", "2")]).await;
    let dead = message_id(&store, 10, "1").await;
    store.outbox_failed(dead, "refused", None).await.unwrap();
    store.outbox_failed(dead, "refused", Some(Time(10))).await.unwrap();
    store.outbox_failed(dead, "refused", None).await.unwrap();
    store
        .outbox_failed(dead + 1000, "refused", Some(Time(10)))
        .await
        .unwrap();
    store.outbox_delivered(&[dead + 1000]).await.unwrap();
    store.outbox_delivered(&[]).await.unwrap();
    assert_eq!(messages(&store, 100).await, ["2"]);
    let status = store.status().await.unwrap();
    assert_eq!((status.outbox, status.outbox_dead), (1, 1));
}
