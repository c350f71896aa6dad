//! What only stores do that several nodes share: claims that others respect, leases, notices, hints.
//!
//! Leases are judged by the store's own clock, so the cases use leases that are over at once or not before the end of
//! the test.

use std::sync::Arc;
use std::time::Duration;

use quintet_core::time::Time;
use tokio::task::JoinSet;

use super::support::*;
use crate::commit::Unit;
use crate::node::{Beat, NodeBeat, Notice, NoticeWrite};
use crate::query::Targets;

/// Milliseconds that no test lasts.
const LONG: u64 = 600_000;

fn node(owner: u64, lease_ms: u64) -> NodeBeat {
    NodeBeat {
        owner,
        joins: false,
        name: format!("node {owner}").into(),
        url: "http://127.0.0.1:8080".into(),
        version: "0.1.0".into(),
        started_at: Time(5),
        lease_ms,
        draining: false,
        in_flight: 0,
    }
}

async fn renew(store: &AnyStore, owner: u64, lease_ms: u64) -> Beat {
    store.beat(&node(owner, lease_ms)).await.expect("the beat is answered")
}

/// Joins, or renews if it has.
async fn beat(store: &AnyStore, owner: u64, lease_ms: u64) -> Beat {
    let beat = NodeBeat {
        joins: true,
        ..node(owner, lease_ms)
    };
    store.beat(&beat).await.expect("the beat is answered")
}

async fn queued_by(store: &AnyStore, owner: u64, now: i64, until: i64, limit: usize) -> Vec<u32> {
    let entries = store
        .queued(&asks(&["a"]), &Turns::default(), claim_of(owner, now, until), limit)
        .await;
    entries.unwrap().iter().map(|entry| entry.node).collect()
}

pub async fn a_taken_step_is_not_shown_to_others_until_the_claim_ends(store: AnyStore) {
    apply(&store, start(1).put(0, "a").put(1, "a")).await;
    assert_eq!(queued_by(&store, 1, 100, 200, 1).await, [0]);
    assert_eq!(queued_by(&store, 2, 100, 150, 10).await, [1]);
    assert_eq!(queued_by(&store, 3, 149, 300, 10).await, [0; 0]);
    assert_eq!(queued_by(&store, 3, 150, 300, 10).await, [1]);
    assert_eq!(queued_by(&store, 3, 200, 300, 10).await, [0, 1]);
}

pub async fn its_own_owner_is_shown_a_taken_step_again(store: AnyStore) {
    apply(&store, start(1).put(0, "a")).await;
    assert_eq!(queued_by(&store, 1, 100, 200, 10).await, [0]);
    assert_eq!(queued_by(&store, 1, 100, 200, 10).await, [0]);
}

pub async fn putting_a_taken_step_again_frees_it(store: AnyStore) {
    let first = apply(&store, start(1).put(0, "a")).await;
    assert_eq!(queued_by(&store, 1, 100, 200, 10).await, [0]);
    apply(&store, first.next().put(0, "a")).await;
    assert_eq!(queued_by(&store, 2, 100, 200, 10).await, [0]);
}

pub async fn a_taken_timer_is_not_shown_to_others_until_the_run_moves(store: AnyStore) {
    let first = apply(&store, start(1).waking(10)).await;
    let due = async |owner, now| due_numbers(&store.due(claim_of(owner, now, now + 100), 10).await.unwrap());
    assert_eq!(due(1, 50).await, [1]);
    assert_eq!(due(1, 50).await, [1]);
    assert_eq!(due(2, 50).await, [0; 0]);
    assert_eq!(due(2, 150).await, [1]);
    assert_eq!(due(1, 151).await, [0; 0]);
    apply(&store, first.next().waking(20)).await;
    assert_eq!(due(1, 151).await, [1]);
    store.reschedule(&[(id(1), 2, Some(Time(30)))]).await.unwrap();
    assert_eq!(due(3, 151).await, [1]);
}

pub async fn a_taken_message_is_not_shown_to_others_until_it_failed(store: AnyStore) {
    let _ = commit_at(&store, 10, vec![message("h", "k", "1"), message("h", "k", "2")]).await;
    let due = async |owner, now| -> Vec<String> {
        let due = store
            .outbox_due(claim_of(owner, now, now + 100), OutboxAsk::up_to(10))
            .await
            .unwrap();
        due.into_iter().map(|entry| entry.body).collect()
    };
    assert_eq!(due(1, 50).await, ["1"]);
    assert!(due(2, 50).await.is_empty());
    assert_eq!(due(2, 150).await, ["1"]);
    let id = message_id_of(&store, 2, 150, "1").await;
    store.outbox_failed(id, "refused", Some(Time(151))).await.unwrap();
    assert_eq!(due(1, 151).await, ["1"]);
    store.outbox_delivered(&[id]).await.unwrap();
    assert_eq!(due(2, 151).await, ["2"]);
}

pub async fn what_a_forgotten_node_was_delivering_is_free_at_once(store: AnyStore) {
    let _ = commit_at(&store, 10, vec![message("h", "k", "1")]).await;
    let _ = message_id_of(&store, 1, 20, "1").await;
    let due = async |owner| {
        let claim = claim_of(owner, 30, 130);
        store.outbox_due(claim, OutboxAsk::up_to(10)).await.unwrap().len()
    };
    assert_eq!(due(2).await, 0);
    store.forget_node(3).await.unwrap();
    assert_eq!(due(2).await, 0, "another one has gone");
    store.forget_node(1).await.unwrap();
    assert_eq!(due(2).await, 1);
}

pub async fn a_message_that_was_not_asked_for_is_not_taken(store: AnyStore) {
    let _ = commit_at(&store, 10, vec![message("g", "k", "1"), message("h", "k", "2")]).await;
    let left_out: [Arc<str>; 1] = ["g".into()];
    let ask = OutboxAsk {
        targets: Targets::Except(&left_out),
        ..OutboxAsk::up_to(10)
    };
    let own = store.outbox_due(claim_of(1, 50, 150), ask).await.unwrap();
    assert_eq!(own.iter().map(|entry| &*entry.body).collect::<Vec<_>>(), ["2"]);
    // What its owner has and leaves out is not taken for longer.
    let held = OutboxAsk {
        except: &[own[0].id],
        ..OutboxAsk::up_to(10)
    };
    let first = store.outbox_due(claim_of(1, 100, 200), held).await.unwrap();
    assert_eq!(first.iter().map(|entry| &*entry.body).collect::<Vec<_>>(), ["1"]);
    let others = store
        .outbox_due(claim_of(2, 150, 250), OutboxAsk::up_to(10))
        .await
        .unwrap();
    assert_eq!(others.iter().map(|entry| &*entry.body).collect::<Vec<_>>(), ["2"]);
}

async fn message_id_of(store: &AnyStore, owner: u64, now: i64, body: &str) -> i64 {
    let due = store
        .outbox_due(claim_of(owner, now, now + 100), OutboxAsk::up_to(10))
        .await
        .unwrap();
    due.iter().find(|entry| entry.body == body).expect("it is due").id
}

pub async fn of_many_claimers_each_step_goes_to_one(store: AnyStore) {
    for number in 1..=40 {
        let run = (0..10).fold(start(number), |run, node| run.put(node, "a"));
        apply(&store, run).await;
    }
    let mut claimers = JoinSet::new();
    for owner in 1..=8 {
        let store = Arc::clone(&store);
        claimers.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let claim = claim_of(owner, 100, 1_000_000);
                let entries = store.queued(&asks(&["a"]), &Turns::default(), claim, 7).await.unwrap();
                // What it has already is shown again.
                let new: Vec<_> = entries.into_iter().map(|entry| (entry.run, entry.node)).collect();
                let before = taken.len();
                taken.extend(
                    new.iter()
                        .filter(|entry| !taken.contains(*entry))
                        .copied()
                        .collect::<Vec<_>>(),
                );
                if taken.len() == before {
                    return taken;
                }
                remove(&store, &taken[before..]).await;
            }
        });
    }
    let mut all: Vec<_> = claimers.join_all().await.concat();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((count, all.len()), (400, 400));
}

/// Takes entries out of the queue as an engine does, by a commit of their run.
async fn remove(store: &AnyStore, entries: &[(quintet_core::id::RunId, u32)]) {
    for (run, node) in entries {
        loop {
            let row = store.run(DEFAULT, *run).await.unwrap().expect("the run is there");
            let mut write = start(1).remove(*node);
            write.expected = row.version;
            write.row = row;
            write.row.version += 1;
            if commit(store, unit([write])).await == crate::commit::UnitResult::Applied {
                break;
            }
        }
    }
}

pub async fn a_node_that_beats_is_listed_as_it_is(store: AnyStore) {
    let first = beat(&store, 7, LONG).await;
    assert!(first.held);
    let rows = store.nodes().await.unwrap();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(
        (row.owner, &*row.name, &*row.url),
        (7, "node 7", "http://127.0.0.1:8080")
    );
    assert_eq!((&*row.version, row.started_at, row.draining), ("0.1.0", Time(5), false));
    assert_eq!((row.beat_at, row.expires_at), (first.now, first.now.plus_ms(LONG)));
    assert_eq!((row.in_flight, row.taken_by), (0, None));
    let second = NodeBeat {
        draining: true,
        in_flight: 12,
        ..node(7, LONG)
    };
    let second = store.beat(&second).await.unwrap();
    assert!(second.now >= first.now);
    let row = &store.nodes().await.unwrap()[0];
    assert_eq!((row.draining, row.in_flight, row.beat_at), (true, 12, second.now));
    assert_eq!(&second.nodes[0], row);
    beat(&store, 3, LONG).await;
    let owners: Vec<u64> = store.nodes().await.unwrap().iter().map(|node| node.owner).collect();
    assert_eq!(owners, [3, 7]);
}

pub async fn a_lease_that_runs_is_not_taken_over(store: AnyStore) {
    beat(&store, 1, LONG).await;
    beat(&store, 2, LONG).await;
    assert!(!store.take_over(1, 2, LONG).await.unwrap());
    assert!(!store.take_over(9, 2, LONG).await.unwrap());
    assert!(beat(&store, 1, LONG).await.held);
}

pub async fn a_node_whose_lease_ran_out_does_not_take_over_itself(store: AnyStore) {
    beat(&store, 1, 0).await;
    assert!(!store.take_over(1, 1, LONG).await.unwrap());
    assert!(beat(&store, 1, LONG).await.held);
}

pub async fn a_lease_that_ran_out_is_renewed_if_nobody_took_it_over(store: AnyStore) {
    beat(&store, 1, 0).await;
    assert!(beat(&store, 1, LONG).await.held);
    assert!(!store.take_over(1, 2, LONG).await.unwrap());
}

pub async fn a_node_that_was_taken_over_is_refused_until_it_is_another(store: AnyStore) {
    beat(&store, 1, 0).await;
    beat(&store, 2, LONG).await;
    assert!(store.take_over(1, 2, LONG).await.unwrap());
    assert_eq!(store.nodes().await.unwrap()[0].taken_by, Some(2));
    for answer in [renew(&store, 1, LONG).await, beat(&store, 1, LONG).await] {
        assert!(!answer.held);
        assert_eq!(store.nodes().await.unwrap()[0].taken_by, Some(2));
    }
    assert!(beat(&store, 11, LONG).await.held);
    assert!(renew(&store, 11, LONG).await.held);
}

pub async fn a_node_that_was_forgotten_has_nothing_to_renew(store: AnyStore) {
    beat(&store, 1, LONG).await;
    store.forget_node(1).await.unwrap();
    assert!(!renew(&store, 1, LONG).await.held);
    assert!(store.nodes().await.unwrap().is_empty());
    assert!(!renew(&store, 2, LONG).await.held, "it never joined");
}

pub async fn of_many_that_take_over_exactly_one_does(store: AnyStore) {
    beat(&store, 1, 0).await;
    let mut takers = JoinSet::new();
    for by in 2..10 {
        let store = Arc::clone(&store);
        takers.spawn(async move { store.take_over(1, by, LONG).await.unwrap() });
    }
    let won = takers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
}

pub async fn a_take_over_that_was_not_finished_is_taken_over(store: AnyStore) {
    beat(&store, 1, 0).await;
    assert!(store.take_over(1, 2, 0).await.unwrap());
    assert!(store.take_over(1, 3, LONG).await.unwrap());
    assert!(store.take_over(1, 3, LONG).await.unwrap(), "its own take-over goes on");
    assert!(!store.take_over(1, 2, LONG).await.unwrap());
    store.forget_node(1).await.unwrap();
    assert!(store.nodes().await.unwrap().is_empty());
}

pub async fn a_beat_tells_what_waits_and_is_not_taken_by_others(store: AnyStore) {
    let nothing = beat(&store, 1, LONG).await;
    assert_eq!(
        (nothing.next_wake, nothing.queued, nothing.outbox_next),
        (None, false, None)
    );
    apply(&store, start(1).waking(30).put(0, "a")).await;
    apply(&store, start(2).waking(20)).await;
    let _ = commit_at(&store, 10, vec![message("h", "k", "1")]).await;
    let all = beat(&store, 1, LONG).await;
    assert_eq!(
        (all.next_wake, all.queued, all.outbox_next),
        (Some(Time(20)), true, Some(Time(10)))
    );
    let claim = claim_of(2, 25, i64::MAX);
    assert_eq!(store.due(claim, 10).await.unwrap().len(), 1);
    assert_eq!(
        store
            .queued(&asks(&["a"]), &Turns::default(), claim, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(store.outbox_due(claim, OutboxAsk::up_to(10)).await.unwrap().len(), 1);
    let rest = beat(&store, 1, LONG).await;
    assert_eq!(
        (rest.next_wake, rest.queued, rest.outbox_next),
        (Some(Time(30)), false, None)
    );
    let own = beat(&store, 2, LONG).await;
    assert_eq!(
        (own.next_wake, own.queued, own.outbox_next),
        (Some(Time(20)), true, Some(Time(10)))
    );
}

pub async fn a_notice_is_told_once_to_whom_it_is_for(store: AnyStore) {
    let first = apply(&store, start(1).within("acme")).await;
    let to = |owner| NoticeWrite { owner, run: id(1) };
    let unit = Unit {
        notices: vec![to(1), to(2)],
        ..unit([first.next()])
    };
    let stale = Unit {
        notices: vec![to(3)],
        ..super::support::unit([first.next()])
    };
    let _ = commit(&store, unit).await;
    let _ = commit(&store, stale).await;
    let told = Notice {
        namespace: "acme".into(),
        run: id(1),
    };
    assert_eq!(beat(&store, 1, LONG).await.notices[..], std::slice::from_ref(&told)[..]);
    assert!(beat(&store, 1, LONG).await.notices.is_empty());
    assert_eq!(beat(&store, 2, LONG).await.notices, [told]);
    assert!(
        beat(&store, 3, LONG).await.notices.is_empty(),
        "a conflict tells nobody"
    );
}

pub async fn runs_that_only_living_owners_hold_need_not_be_listed(store: AnyStore) {
    let claiming = |number| start(number).with(|row| row.claims = 1);
    apply_all(&store, [claiming(1), claiming(2)]).await;
    // The support's commits are made by the owner 1.
    assert!(store.claimed(&[2, 3], None, 10).await.unwrap().len() == 2);
    let listed = store.claimed(&[1, 2], None, 10).await.unwrap();
    assert!(listed.len() <= 2);
}

pub async fn hinting_never_waits_and_never_fails(store: AnyStore) {
    store.hint();
    let hinted = tokio::time::timeout(Duration::from_millis(1), store.hinted()).await;
    drop(hinted);
    store.hint();
    apply(&store, start(1)).await;
}
