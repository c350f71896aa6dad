//! A commit: each unit wholly or not at all, against the version that it expects.

use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use tokio::task::JoinSet;

use super::support::*;
use crate::commit::{Commit, PlanWrite, RunWrite, Unit, UnitResult};
use crate::error::StoreError;
use crate::node::WorkflowPin;
use crate::query::{RunFilter, StoredCommit, WorkflowWrite};

pub async fn a_started_run_is_read_back_as_it_was_written(store: AnyStore) {
    let write = start(1).waking(50).with(|row| {
        row.workflow = "greet".into();
        row.workflow_version = 3;
        row.priority = -2;
        row.claims = 4;
    });
    apply(&store, write.clone()).await;
    assert_eq!(row(&store, 1).await, write.row);
}

pub async fn a_moved_run_has_its_new_row_and_both_history_entries(store: AnyStore) {
    let first = apply(&store, start(1)).await;
    let second = first.next().with(|row| row.status = RunStatus::WaitingForRetry);
    let moved = Commit {
        meta: Meta {
            at: Time(20),
            owner: u64::MAX,
        },
        units: vec![unit([second.clone()])],
    };
    assert_eq!(store.commit(moved).await.unwrap(), [UnitResult::Applied]);
    assert_eq!(row(&store, 1).await, second.row);
    let history = store.commits(DEFAULT, id(1), 0, 10).await.unwrap();
    let expected = [
        StoredCommit {
            seq: 1,
            meta: meta(10),
            events: first.events,
        },
        StoredCommit {
            seq: 2,
            meta: Meta {
                at: Time(20),
                owner: u64::MAX,
            },
            events: second.events,
        },
    ];
    assert_eq!(history, expected);
}

pub async fn every_field_of_a_row_can_change(store: AnyStore) {
    let first = apply(&store, start(1).waking(5)).await;
    let second = first.next().with(|row| {
        row.workflow = "other".into();
        row.workflow_version = 9;
        row.plan = digest(2);
        row.status = RunStatus::Paused;
        row.priority = 6;
        row.claims = 2;
        row.wake_at = Some(Time(4));
        row.created_at = Time(-1);
        row.updated_at = Time(77);
    });
    apply(&store, second.clone()).await;
    assert_eq!(row(&store, 1).await, second.row);
    let third = apply(&store, second.finish(RunStatus::Cancelled, 80)).await;
    assert_eq!(row(&store, 1).await, third.row);
}

pub async fn units_are_answered_in_their_order(store: AnyStore) {
    apply(&store, start(2)).await;
    let units = vec![unit([start(1)]), unit([start(2)]), unit([start(3)])];
    let results = commit_at(&store, 10, units).await;
    assert_eq!(
        results,
        [UnitResult::Applied, UnitResult::Conflict(id(2)), UnitResult::Applied]
    );
}

pub async fn a_later_unit_builds_on_an_earlier_one_of_the_same_commit(store: AnyStore) {
    let first = start(1);
    let second = first.next();
    let third = second.finish(RunStatus::Complete, 9);
    apply_all(&store, [first, second, third.clone()]).await;
    assert_eq!(row(&store, 1).await, third.row);
    let seqs = store.commits(DEFAULT, id(1), 0, 10).await.unwrap();
    assert_eq!(seqs.iter().map(|commit| commit.seq).collect::<Vec<_>>(), [1, 2, 3]);
}

pub async fn a_wrong_expected_version_is_a_conflict_and_changes_nothing(store: AnyStore) {
    let first = apply(&store, start(1)).await;
    let second = apply(&store, first.next()).await;
    let late = first.next().with(|row| row.priority = 99);
    assert_eq!(commit(&store, unit([late])).await, UnitResult::Conflict(id(1)));
    let early = second.next().next();
    assert_eq!(commit(&store, unit([early])).await, UnitResult::Conflict(id(1)));
    assert_eq!(row(&store, 1).await, second.row);
    assert_eq!(store.commits(DEFAULT, id(1), 0, 10).await.unwrap().len(), 2);
}

pub async fn a_new_run_that_exists_is_a_conflict(store: AnyStore) {
    let first = apply(&store, start(1)).await;
    let again = start(1).with(|row| row.priority = 5);
    assert_eq!(commit(&store, unit([again])).await, UnitResult::Conflict(id(1)));
    assert_eq!(row(&store, 1).await, first.row);
}

pub async fn a_run_that_does_not_exist_cannot_be_moved(store: AnyStore) {
    assert_eq!(
        commit(&store, unit([start(1).next()])).await,
        UnitResult::Conflict(id(1))
    );
    assert_eq!(store.run(DEFAULT, id(1)).await.unwrap(), None);
}

pub async fn a_run_of_another_namespace_cannot_be_moved_or_started_again(store: AnyStore) {
    let first = apply(&store, start(1).within("acme")).await;
    let foreign = first.next().within("other");
    assert_eq!(commit(&store, unit([foreign])).await, UnitResult::Conflict(id(1)));
    assert_eq!(
        commit(&store, unit([start(1).within("other")])).await,
        UnitResult::Conflict(id(1))
    );
    assert_eq!(store.run("acme", id(1)).await.unwrap(), Some(first.row));
    assert_eq!(store.run("other", id(1)).await.unwrap(), None);
}

pub async fn a_conflicting_unit_leaves_nothing_of_itself(store: AnyStore) {
    apply(&store, start(1)).await;
    let refused = Unit {
        idempotency: Some(key("k", "answer")),
        plans: vec![PlanWrite {
            digest: digest(9),
            spec: "{}".into(),
        }],
        runs: vec![start(2).put(0, "noop"), start(1).put(0, "noop")],
        ..message("hooks", "k", "never")
    };
    assert_eq!(commit(&store, refused).await, UnitResult::Conflict(id(1)));
    assert_eq!(store.idempotency(DEFAULT, "start", "k", Time(0)).await.unwrap(), None);
    assert_eq!(store.plan(digest(9)).await.unwrap(), None);
    assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
    assert!(store.commits(DEFAULT, id(2), 0, 10).await.unwrap().is_empty());
    assert!(queued(&store, &["noop"], 10).await.is_empty());
    assert!(messages(&store, 1000).await.is_empty());
}

pub async fn a_move_that_is_refused_leaves_nothing_of_what_it_brings_along(store: AnyStore) {
    let first = apply(&store, start(1).within("acme").put(0, "noop")).await;
    let second = apply(&store, first.next()).await;
    let (late, early, foreign) = (first.next(), second.next().next(), second.next().within("other"));
    for wrong in [late, early, foreign] {
        let bringing = Unit {
            runs: vec![wrong.clone().put(1, "noop").remove(0)],
            ..message("hooks", "k", "never")
        };
        let with_another = unit([start(2), wrong]);
        for refused in [bringing, with_another] {
            assert_eq!(commit(&store, refused).await, UnitResult::Conflict(id(1)));
        }
    }
    assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
    assert_eq!(store.run("acme", id(1)).await.unwrap(), Some(second.row));
    assert_eq!(store.commits("acme", id(1), 0, 10).await.unwrap().len(), 2);
    assert_eq!(queued(&store, &["noop"], 10).await, [(1, 0)]);
    assert!(messages(&store, 1000).await.is_empty());
}

pub async fn a_conflict_does_not_stop_the_other_units(store: AnyStore) {
    let first = apply(&store, start(1)).await;
    let units = vec![
        unit([first.next()]),
        unit([first.next()]),
        unit([start(2)]),
        message("hooks", "k", "sent"),
    ];
    let results = commit_at(&store, 10, units).await;
    let (applied, conflict) = (UnitResult::Applied, UnitResult::Conflict(id(1)));
    assert_eq!(results, [applied.clone(), conflict, applied.clone(), applied]);
    assert_eq!(row(&store, 1).await.version, 2);
    assert_eq!(row(&store, 2).await.version, 1);
    assert_eq!(messages(&store, 1000).await, ["sent"]);
}

pub async fn a_unit_of_several_runs_is_applied_wholly(store: AnyStore) {
    let parent = apply(&store, start(1)).await;
    let both = unit([parent.next(), start(2)]);
    assert_eq!(commit(&store, both).await, UnitResult::Applied);
    assert_eq!((row(&store, 1).await.version, row(&store, 2).await.version), (2, 1));
}

pub async fn a_unit_of_several_runs_is_left_out_wholly(store: AnyStore) {
    let parent = apply(&store, start(1)).await;
    apply(&store, parent.next()).await;
    for runs in [[parent.next(), start(2)], [start(2), parent.next()]] {
        assert_eq!(commit(&store, unit(runs)).await, UnitResult::Conflict(id(1)));
        assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
        assert_eq!(row(&store, 1).await.version, 2);
    }
}

pub async fn the_conflict_names_the_first_run_that_was_moved(store: AnyStore) {
    apply_all(&store, [start(1), start(2)]).await;
    assert_eq!(
        commit(&store, unit([start(3), start(2), start(1)])).await,
        UnitResult::Conflict(id(2))
    );
}

pub async fn a_unit_can_move_one_run_twice(store: AnyStore) {
    let first = start(1);
    let second = first.next().waking(5);
    let third = second.finish(RunStatus::Error, 8);
    let all = unit([first, second, start(2), third.clone()]);
    assert_eq!(commit(&store, all).await, UnitResult::Applied);
    assert_eq!(row(&store, 1).await, third.row);
    assert_eq!(store.commits(DEFAULT, id(1), 0, 10).await.unwrap().len(), 3);
}

pub async fn a_unit_that_contradicts_itself_is_a_conflict(store: AnyStore) {
    let first = start(1);
    let contradicting = unit([first.clone(), first.next(), first.next()]);
    assert_eq!(commit(&store, contradicting).await, UnitResult::Conflict(id(1)));
    assert_eq!(
        commit(&store, unit([first.clone(), first])).await,
        UnitResult::Conflict(id(1))
    );
    assert_eq!(store.run(DEFAULT, id(1)).await.unwrap(), None);
}

pub async fn a_version_that_skips_one_refuses_the_whole_commit(store: AnyStore) {
    let skipping = start(1).with(|row| row.version = 2);
    let commit = Commit {
        meta: meta(10),
        units: vec![unit([start(2)]), unit([skipping])],
    };
    assert!(matches!(store.commit(commit).await, Err(StoreError::Internal(_))));
    assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
}

pub async fn an_end_that_disagrees_with_the_state_refuses_the_whole_commit(store: AnyStore) {
    let endless = start(1).with(|row| row.status = RunStatus::Complete);
    let ended = start(1).with(|row| row.finished_at = Some(Time(5)));
    for wrong in [endless, ended] {
        let commit = Commit {
            meta: meta(10),
            units: vec![unit([start(2)]), unit([wrong])],
        };
        assert!(matches!(store.commit(commit).await, Err(StoreError::Internal(_))));
    }
    assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
}

pub async fn an_empty_commit_answers_nothing(store: AnyStore) {
    assert!(commit_at(&store, 10, Vec::new()).await.is_empty());
}

pub async fn a_unit_without_runs_is_applied(store: AnyStore) {
    assert_eq!(commit(&store, Unit::default()).await, UnitResult::Applied);
    assert_eq!(
        commit(&store, message("hooks", "k", "alone")).await,
        UnitResult::Applied
    );
    assert_eq!(messages(&store, 10).await, ["alone"]);
}

pub async fn of_many_writers_with_one_expectation_exactly_one_wins(store: AnyStore) {
    let first = apply(&store, start(1)).await;
    let mut writers = JoinSet::new();
    for priority in 0..32 {
        let (store, write) = (Arc::clone(&store), first.next().with(|row| row.priority = priority));
        writers.spawn(async move { (priority, commit(&store, unit([write])).await) });
    }
    let results = writers.join_all().await;
    let winners: Vec<i32> = results
        .iter()
        .filter(|(_, r)| *r == UnitResult::Applied)
        .map(|(p, _)| *p)
        .collect();
    assert_eq!(winners, [row(&store, 1).await.priority]);
    assert_eq!(store.commits(DEFAULT, id(1), 0, 100).await.unwrap().len(), 2);
}

pub async fn a_unit_that_counts_on_another_version_of_a_workflow_is_outdated(store: AnyStore) {
    let write = WorkflowWrite {
        namespace: DEFAULT.into(),
        id: "w".into(),
        name: "w".to_owned(),
        document: "{}".to_owned(),
        digest: digest(1),
        spec: "[]".into(),
        at: Time(10),
        expected: None,
    };
    let pinned = |number, version| Unit {
        idempotency: Some(key(&format!("{number}"), "first")),
        pins: vec![WorkflowPin {
            namespace: DEFAULT.into(),
            id: "w".into(),
            version,
        }],
        ..unit([start(number)])
    };
    let outdated = |version| UnitResult::Outdated(pinned(0, version).pins[0].clone());
    assert_eq!(commit(&store, pinned(1, 1)).await, outdated(1));
    store.put_workflow(write.clone()).await.unwrap();
    let both = commit_at(&store, 10, vec![pinned(1, 1), pinned(2, 2)]).await;
    assert_eq!(both, [UnitResult::Applied, outdated(2)]);
    store.put_workflow(write).await.unwrap();
    assert_eq!(commit(&store, pinned(3, 1)).await, outdated(1));
    assert_eq!(listed(&store, &RunFilter::default()).await, [1]);
    // A replay is a replay, whatever has become of the workflow since.
    assert!(matches!(commit(&store, pinned(1, 1)).await, UnitResult::Duplicate(_)));
    assert_eq!(commit(&store, pinned(2, 2)).await, UnitResult::Applied);
    store.delete_workflow(DEFAULT, "w").await.unwrap();
    assert_eq!(commit(&store, pinned(4, 2)).await, outdated(2));
}

/// Puts a version of a workflow.
async fn put_workflow(store: &AnyStore, namespace: &str, id: &str) {
    let write = WorkflowWrite {
        namespace: namespace.into(),
        id: id.into(),
        name: "w".to_owned(),
        document: "{}".to_owned(),
        digest: digest(1),
        spec: "[]".into(),
        at: Time(10),
        expected: None,
    };
    store.put_workflow(write).await.unwrap();
}

fn pin(id: &str, version: u32) -> WorkflowPin {
    WorkflowPin {
        namespace: DEFAULT.into(),
        id: id.into(),
        version,
    }
}

pub async fn a_workflow_of_another_name_or_namespace_is_not_the_one_that_is_counted_on(store: AnyStore) {
    let plain = |number| Unit {
        pins: vec![pin("w", 1)],
        ..unit([start(number)])
    };
    let keyed = |number: u64| Unit {
        idempotency: Some(key(&number.to_string(), "first")),
        ..plain(number)
    };
    put_workflow(&store, DEFAULT, "v").await;
    put_workflow(&store, "acme", "w").await;
    for unit in [plain(1), keyed(2)] {
        assert_eq!(commit(&store, unit).await, UnitResult::Outdated(pin("w", 1)));
    }
    assert_eq!(listed(&store, &RunFilter::default()).await, [0; 0]);
    put_workflow(&store, DEFAULT, "w").await;
    for unit in [plain(1), keyed(2)] {
        assert_eq!(commit(&store, unit).await, UnitResult::Applied);
    }
    put_workflow(&store, DEFAULT, "w").await;
    for unit in [plain(3), keyed(4)] {
        assert_eq!(commit(&store, unit).await, UnitResult::Outdated(pin("w", 1)));
    }
}

pub async fn all_that_a_start_or_a_move_counts_on_is_looked_at_and_its_plans_are_stored(store: AnyStore) {
    put_workflow(&store, DEFAULT, "w").await;
    put_workflow(&store, DEFAULT, "v").await;
    let counting = |write: &RunWrite, pins: [WorkflowPin; 2]| Unit {
        pins: pins.into(),
        plans: vec![PlanWrite {
            digest: digest(10 + write.row.version as u8),
            spec: "{}".into(),
        }],
        ..unit([write.clone()])
    };
    let first = start(1);
    for write in [first.clone(), first.next()] {
        let outdated = commit(&store, counting(&write, [pin("w", 1), pin("v", 2)])).await;
        assert_eq!(outdated, UnitResult::Outdated(pin("v", 2)));
        let plan = digest(10 + write.row.version as u8);
        assert_eq!(store.plan(plan).await.unwrap(), None);
        let applied = commit(&store, counting(&write, [pin("w", 1), pin("v", 1)])).await;
        assert_eq!(applied, UnitResult::Applied);
        assert!(store.plan(plan).await.unwrap().is_some());
    }
    // A move with only one of the two.
    let third = first.next().next();
    let pinned = Unit {
        pins: vec![pin("v", 2)],
        ..unit([third.clone()])
    };
    assert_eq!(commit(&store, pinned).await, UnitResult::Outdated(pin("v", 2)));
    let mut planned = counting(&third, [pin("w", 1), pin("v", 1)]);
    planned.pins.clear();
    assert_eq!(commit(&store, planned).await, UnitResult::Applied);
    assert!(store.plan(digest(13)).await.unwrap().is_some());
}
