//! Timers and recovery: which runs have something to do.
//!
//! A store may keep an earlier time than it was given last, until it is told the exact one; the cases ask for the exact
//! one only where the trait promises it.

use quintet_core::machine::RunStatus;
use quintet_core::time::Time;

use super::support::*;
use crate::query::DueRun;

pub async fn due_runs_come_earliest_first_up_to_a_limit(store: AnyStore) {
    apply_all(
        &store,
        [
            start(1).waking(30),
            start(2).waking(10),
            start(3),
            start(4).waking(20),
            start(5).waking(10),
        ],
    )
    .await;
    assert_eq!(due(&store, 100).await, [2, 5, 4, 1]);
    assert_eq!(due_numbers(&store.due(claim(100), 3).await.unwrap()), [2, 5, 4]);
    assert_eq!(due_numbers(&store.due(claim(100), 0).await.unwrap()), [0; 0]);
}

pub async fn a_run_is_due_from_its_time_on_in_every_namespace(store: AnyStore) {
    apply_all(&store, [start(1).waking(30).within("acme"), start(2).waking(30)]).await;
    assert!(store.due(claim(29), 10).await.unwrap().is_empty());
    let due = store.due(claim(30), 10).await.unwrap();
    let run = |namespace: &str, number| DueRun {
        namespace: namespace.into(),
        id: id(number),
    };
    assert_eq!(due, [run("acme", 1), run(DEFAULT, 2)]);
}

pub async fn the_next_wake_is_the_earliest(store: AnyStore) {
    assert_eq!(store.next_wake().await.unwrap(), None);
    apply(&store, start(1)).await;
    assert_eq!(store.next_wake().await.unwrap(), None);
    apply_all(&store, [start(2).waking(30), start(3).waking(-5), start(4).waking(20)]).await;
    assert_eq!(store.next_wake().await.unwrap(), Some(Time(-5)));
}

pub async fn an_earlier_wake_takes_effect_at_once(store: AnyStore) {
    let late = apply(&store, start(1).waking(50)).await;
    let none = apply(&store, start(2)).await;
    apply_all(&store, [late.next().waking(20), none.next().waking(10)]).await;
    assert_eq!(due(&store, 20).await, [2, 1]);
    assert_eq!(store.next_wake().await.unwrap(), Some(Time(10)));
}

pub async fn a_later_wake_takes_effect_with_reschedule_at_the_latest(store: AnyStore) {
    let early = apply(&store, start(1).waking(10)).await;
    apply(&store, early.next().waking(50)).await;
    let kept = row(&store, 1).await.wake_at.expect("a time to wake");
    assert!(kept <= Time(50), "{kept:?} would be too late");
    store.reschedule(&[(id(1), 2, Some(Time(50)))]).await.unwrap();
    assert_eq!(row(&store, 1).await.wake_at, Some(Time(50)));
    assert_eq!(due(&store, 49).await, [0; 0]);
    assert_eq!(due(&store, 50).await, [1]);
}

pub async fn a_timer_that_is_gone_is_gone_with_reschedule_at_the_latest(store: AnyStore) {
    let early = apply(&store, start(1).waking(10)).await;
    apply(&store, early.next().with(|row| row.wake_at = None)).await;
    store.reschedule(&[(id(1), 2, None)]).await.unwrap();
    assert_eq!(row(&store, 1).await.wake_at, None);
    assert_eq!(due(&store, 1000).await, [0; 0]);
    assert_eq!(store.next_wake().await.unwrap(), None);
}

pub async fn rescheduling_leaves_version_and_history(store: AnyStore) {
    let write = apply(&store, start(1).waking(10)).await;
    apply(&store, start(2).waking(11)).await;
    store
        .reschedule(&[(id(1), 1, Some(Time(40))), (id(2), 1, Some(Time(30)))])
        .await
        .unwrap();
    assert_eq!(due(&store, 100).await, [2, 1]);
    assert_eq!(row(&store, 1).await, write.clone().waking(40).row);
    assert_eq!(store.commits(DEFAULT, id(1), 0, 10).await.unwrap().len(), 1);
    apply(&store, write.next()).await;
}

pub async fn rescheduling_another_version_changes_nothing(store: AnyStore) {
    let first = apply(&store, start(1).waking(10)).await;
    let second = apply(&store, first.next().waking(5)).await;
    store
        .reschedule(&[(id(1), 1, Some(Time(90))), (id(1), 3, None)])
        .await
        .unwrap();
    assert_eq!(row(&store, 1).await, second.row);
}

pub async fn rescheduling_finished_or_unknown_runs_changes_nothing(store: AnyStore) {
    let first = apply(&store, start(1).waking(10)).await;
    let end = apply(&store, first.finish(RunStatus::Complete, 20)).await;
    store
        .reschedule(&[(id(1), 2, Some(Time(30))), (id(2), 1, Some(Time(30)))])
        .await
        .unwrap();
    assert_eq!(row(&store, 1).await, end.row);
    assert_eq!(due(&store, 100).await, [0; 0]);
    store.reschedule(&[]).await.unwrap();
}

pub async fn finished_runs_are_neither_due_nor_claimed(store: AnyStore) {
    let ends = [
        RunStatus::Complete,
        RunStatus::Error,
        RunStatus::Cancelled,
        RunStatus::ResolvedManually,
    ];
    for (number, end) in (1..).zip(ends) {
        let first = apply(&store, start(number).waking(10).with(|row| row.claims = 1)).await;
        assert_eq!(due(&store, 100).await, [number]);
        // Even if the row still says that it has something to do.
        apply(&store, first.finish(end, 20).waking(10).with(|row| row.claims = 1)).await;
        assert_eq!(due(&store, 100).await, [0; 0]);
        assert_eq!(store.next_wake().await.unwrap(), None);
        assert!(store.claimed(&[], None, 10).await.unwrap().is_empty());
    }
}

pub async fn a_run_that_is_opened_again_is_due_again(store: AnyStore) {
    let first = apply(&store, start(1).waking(10)).await;
    let end = apply(&store, first.finish(RunStatus::Error, 20)).await;
    let again = end.next().waking(30).with(|row| {
        row.status = RunStatus::StepsInProcess;
        row.finished_at = None;
        row.claims = 2;
    });
    apply(&store, again.clone()).await;
    assert_eq!(row(&store, 1).await, again.row);
    assert_eq!(due(&store, 30).await, [1]);
    assert_eq!(due_numbers(&store.claimed(&[], None, 10).await.unwrap()), [1]);
    let failed = crate::query::RunFilter {
        statuses: vec![RunStatus::Error],
        ..Default::default()
    };
    assert_eq!(listed(&store, &failed).await, [0; 0]);
}

pub async fn claimed_runs_are_listed_by_id_after_one(store: AnyStore) {
    let claiming = |number, claims| start(number).with(|row| row.claims = claims);
    let other = claiming(3, 1).within("acme").waking(1);
    apply_all(
        &store,
        [
            claiming(5, 2),
            claiming(1, 1),
            claiming(2, 0),
            other,
            claiming(4, 1).waking(9),
        ],
    )
    .await;
    let claimed = store.claimed(&[], None, 10).await.unwrap();
    assert_eq!(due_numbers(&claimed), [1, 3, 4, 5]);
    assert_eq!(&*claimed[1].namespace, "acme");
    assert_eq!(due_numbers(&store.claimed(&[], Some(id(1)), 2).await.unwrap()), [3, 4]);
    assert_eq!(due_numbers(&store.claimed(&[], Some(id(5)), 10).await.unwrap()), [0; 0]);
}

pub async fn claims_that_are_answered_are_no_longer_listed(store: AnyStore) {
    let first = apply(&store, start(1).with(|row| row.claims = 2)).await;
    let second = apply(&store, first.next().with(|row| row.claims = 1)).await;
    assert_eq!(due_numbers(&store.claimed(&[], None, 10).await.unwrap()), [1]);
    apply(&store, second.next().with(|row| row.claims = 0)).await;
    assert_eq!(due_numbers(&store.claimed(&[], None, 10).await.unwrap()), [0; 0]);
}
