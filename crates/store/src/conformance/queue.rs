//! Steps that wait for an executor.

use super::support::*;
use crate::query::{QueueAsk, QueueEntry};

pub async fn entries_come_by_priority_then_age_then_step(store: AnyStore) {
    let of = |number, priority| {
        start(number)
            .with(|row| row.priority = priority)
            .put(2, "noop")
            .put(1, "noop")
    };
    apply_all(&store, [of(3, 0), of(2, -5), of(4, 9), of(1, 0)]).await;
    let expected = [(4, 1), (4, 2), (1, 1), (1, 2), (3, 1), (3, 2), (2, 1), (2, 2)];
    assert_eq!(queued(&store, &["noop"], 100).await, expected);
}

pub async fn only_the_actions_asked_for_are_answered(store: AnyStore) {
    apply(&store, start(1).put(0, "http").put(1, "noop").put(2, "http2")).await;
    assert_eq!(queued(&store, &["http"], 100).await, [(1, 0)]);
    assert_eq!(queued(&store, &["http2", "noop"], 100).await, [(1, 1), (1, 2)]);
    assert_eq!(queued(&store, &["HTTP", "htt", ""], 100).await, []);
}

pub async fn an_action_asked_for_twice_is_answered_once(store: AnyStore) {
    apply(&store, start(1).put(0, "http")).await;
    assert_eq!(queued(&store, &["http", "http"], 100).await, [(1, 0)]);
}

pub async fn no_actions_get_no_entries(store: AnyStore) {
    apply(&store, start(1).put(0, "http")).await;
    assert_eq!(queued(&store, &[], 100).await, []);
}

pub async fn a_limit_takes_the_first_of_all_actions(store: AnyStore) {
    let of = |number, priority, action| start(number).with(|row| row.priority = priority).put(0, action);
    apply_all(&store, [of(1, 0, "a"), of(2, 5, "b"), of(3, 3, "a"), of(4, 4, "b")]).await;
    assert_eq!(queued(&store, &["a", "b"], 3).await, [(2, 0), (4, 0), (3, 0)]);
    assert_eq!(queued(&store, &["a", "b"], 0).await, []);
}

pub async fn an_entry_goes_where_it_says_itself(store: AnyStore) {
    let first = start(1).with(|row| row.priority = 100);
    apply(
        &store,
        first.put_at(0, "a", -5).put_at(1, "a", 7).put_at(2, "a", i32::MIN),
    )
    .await;
    apply(&store, start(2).put_at(0, "a", i32::MAX).put_at(1, "a", 7)).await;
    let expected = [(2, 0), (1, 1), (2, 1), (1, 0), (1, 2)];
    assert_eq!(queued(&store, &["a"], 100).await, expected);
}

pub async fn a_queue_gives_no_more_than_was_asked_of_it(store: AnyStore) {
    let of = |number, priority, queue| start(number).put_at(0, queue, priority);
    apply_all(
        &store,
        [
            of(1, 9, "a"),
            of(2, 8, "a"),
            of(3, 7, "b"),
            of(4, 6, "a"),
            of(5, 5, "b"),
            of(6, 4, "c"),
        ],
    )
    .await;
    let found = async |asks: &[(&str, usize)], limit| {
        let ask = |(queue, limit): &(&str, usize)| QueueAsk {
            queue: (*queue).into(),
            limit: *limit,
        };
        let asks: Vec<QueueAsk> = asks.iter().map(ask).collect();
        let entries = store.queued(&asks, &Turns::default(), claim(0), limit).await.unwrap();
        numbers(entries.iter().map(|entry| entry.run))
    };
    assert_eq!(found(&[("a", 1), ("b", 5)], 100).await, [1, 3, 5]);
    assert_eq!(found(&[("a", 2), ("b", 1), ("c", 1)], 100).await, [1, 2, 3, 6]);
    assert_eq!(found(&[("a", 2), ("b", 2)], 3).await, [1, 2, 3]);
    assert_eq!(found(&[("a", 0), ("b", 1)], 100).await, [3]);
    assert_eq!(
        found(&[("a", 1), ("a", 3)], 100).await,
        [1, 2, 4],
        "the most of what is asked"
    );
}

pub async fn an_entry_stays_until_it_is_removed(store: AnyStore) {
    let first = apply(&store, start(1).put(0, "a").put(1, "a")).await;
    let second = apply(&store, first.next()).await;
    assert_eq!(queued(&store, &["a"], 100).await, [(1, 0), (1, 1)]);
    assert_eq!(queued(&store, &["a"], 100).await, [(1, 0), (1, 1)]);
    apply(&store, second.next().remove(0)).await;
    assert_eq!(queued(&store, &["a"], 100).await, [(1, 1)]);
}

pub async fn removing_an_absent_entry_is_no_conflict(store: AnyStore) {
    let first = apply(&store, start(1).remove(7)).await;
    let other = apply(&store, start(2).put(7, "a")).await;
    apply(&store, first.next().remove(7)).await;
    assert_eq!(queued(&store, &["a"], 100).await, [(2, 7)]);
    apply(&store, other.next().remove(7).remove(7)).await;
    assert_eq!(queued(&store, &["a"], 100).await, []);
}

pub async fn putting_a_step_again_replaces_its_entry(store: AnyStore) {
    let first = apply(&store, start(1).put(0, "a")).await;
    apply(&store, start(2).with(|row| row.priority = 5).put(0, "b")).await;
    apply(&store, first.next().with(|row| row.priority = 9).put(0, "b")).await;
    assert_eq!(queued(&store, &["a"], 100).await, []);
    assert_eq!(queued(&store, &["b"], 100).await, [(1, 0), (2, 0)]);
}

pub async fn an_entry_can_be_put_and_removed_in_one_commit(store: AnyStore) {
    let first = start(1).put(0, "a").put(1, "a").remove(1);
    let second = first.next().remove(0).put(2, "a");
    apply_all(&store, [first, second]).await;
    assert_eq!(queued(&store, &["a"], 100).await, [(1, 2)]);
}

pub async fn entries_carry_their_namespace(store: AnyStore) {
    apply(&store, start(1).within("acme").put(3, "a")).await;
    let entry = QueueEntry {
        namespace: "acme".into(),
        run: id(1),
        node: 3,
        queue: "a".into(),
    };
    assert_eq!(
        store
            .queued(&asks(&["a"]), &Turns::default(), claim(0), 10)
            .await
            .unwrap(),
        [entry]
    );
}

pub async fn what_waits_is_counted_by_queue_in_one_namespace(store: AnyStore) {
    let elsewhere = start(9).within("other");
    let of = |number, queue| start(number).put(0, queue);
    let first = of(1, "b").put(1, "a");
    apply_all(&store, [of(2, "b"), of(3, "a"), first.clone(), elsewhere.put(0, "c")]).await;
    let counts = async || {
        let counts = store.queue_counts(DEFAULT).await.expect("counts");
        let each = counts
            .into_iter()
            .map(|count| (count.queue.to_string(), count.waiting, count.oldest));
        each.collect::<Vec<_>>()
    };
    assert_eq!(counts().await, [("a".to_owned(), 2, id(1)), ("b".to_owned(), 2, id(1))]);
    apply(&store, first.next().remove(0).remove(1)).await;
    assert_eq!(counts().await, [("a".to_owned(), 1, id(3)), ("b".to_owned(), 1, id(2))]);
}

/// Puts steps of some namespaces into one queue: each is a namespace, a number and a priority.
async fn put_for(store: &AnyStore, steps: &[(&str, u64, i32)]) {
    let of =
        |(namespace, number, priority): &(&str, u64, i32)| start(*number).within(namespace).put_at(0, "a", *priority);
    apply_all(store, steps.iter().map(of)).await;
}

async fn dealt(store: &AnyStore, behind: &[&str], without: &[&str], limit: usize) -> Vec<u64> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let turns = Turns {
        behind: names(behind),
        without: names(without),
    };
    let entries = store.queued(&asks(&["a"]), &turns, claim(0), limit).await.unwrap();
    numbers(entries.iter().map(|entry| entry.run))
}

pub async fn namespaces_come_in_turn_and_priorities_count_within_them(store: AnyStore) {
    let steps = [
        ("noisy", 1, 9),
        ("noisy", 2, 9),
        ("noisy", 3, 10),
        ("noisy", 4, 9),
        ("quiet", 5, 0),
        ("third", 6, 1),
        ("third", 7, 2),
    ];
    put_for(&store, &steps).await;
    assert_eq!(dealt(&store, &[], &[], 6).await, [3, 7, 5, 1, 6]);
    assert_eq!(dealt(&store, &["noisy", "third"], &[], 6).await, [5, 3, 7, 1, 6]);
    assert_eq!(dealt(&store, &["noisy", "third"], &["noisy"], 6).await, [5, 7, 6]);
    assert_eq!(dealt(&store, &["noisy"], &["third", "quiet"], 3).await, [3, 1, 2]);
}

pub async fn with_room_for_few_those_that_were_served_last_wait(store: AnyStore) {
    put_for(&store, &[("a", 1, 5), ("a", 2, 5), ("b", 3, 0), ("c", 4, 9)]).await;
    assert_eq!(
        dealt(&store, &[], &[], 1).await,
        [1],
        "the first by name, among those that nobody served"
    );
    assert_eq!(dealt(&store, &["a"], &[], 1).await, [3]);
    assert_eq!(dealt(&store, &["b", "a"], &[], 1).await, [4]);
    assert_eq!(dealt(&store, &["c", "b", "a"], &[], 2).await, [4, 3]);
    assert_eq!(dealt(&store, &["c", "b", "a"], &["c"], 1).await, [3]);
    assert!(dealt(&store, &[], &["a", "b", "c"], 9).await.is_empty());
}
