//! Rows of step runs: lists and counts over all runs.

use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus, step};
use quintet_core::time::Time;

use super::support::*;
use crate::commit::{Unit, UnitResult};
use crate::steps::{StepCounts, StepFilter, StepRow};

async fn page(store: &AnyStore, filter: &StepFilter, offset: u64, limit: usize) -> (Vec<(u64, u32)>, u64) {
    let page = store.steps(DEFAULT, filter, offset, limit).await.unwrap();
    let rows = page.rows.iter().map(|row| (numbers([row.run])[0], row.node));
    (rows.collect(), page.total)
}

async fn listed_steps(store: &AnyStore, filter: &StepFilter) -> Vec<(u64, u32)> {
    let (rows, total) = page(store, filter, 0, usize::MAX).await;
    assert_eq!(rows.len() as u64, total, "{filter:?}");
    rows
}

/// A row with its state.
fn in_state(number: u64, node: u32, status: StepStatus) -> StepRow {
    step_row(number, node).with(|row| row.status = status)
}

pub async fn a_row_of_a_step_is_read_back_as_it_was_written(store: AnyStore) {
    for (at, status) in step::ALL.into_iter().enumerate() {
        let row = in_state(at as u64, u32::MAX, status).with(|row| {
            row.attempt = u32::MAX;
            row.priority = i32::MIN;
            row.created_at = Time(i64::MIN);
            row.updated_at = Time(i64::MAX);
        });
        put_steps(&store, [row.clone()]).await;
        let filter = StepFilter {
            run: Some(row.run),
            ..StepFilter::default()
        };
        assert_eq!(store.steps(DEFAULT, &filter, 0, 10).await.unwrap().rows, [row]);
    }
}

pub async fn writing_a_row_again_replaces_all_but_when_it_was_created(store: AnyStore) {
    let first = step_row(1, 0);
    let second = StepRow {
        namespace: "acme".into(),
        workflow: "other".into(),
        step: "other".into(),
        action: "other".into(),
        queue: "other".into(),
        status: StepStatus::Complete,
        attempt: 7,
        priority: -3,
        created_at: Time(99),
        updated_at: Time(100),
        ..first.clone()
    };
    put_steps(&store, [first.clone(), second.clone()]).await;
    assert!(listed_steps(&store, &StepFilter::default()).await.is_empty());
    let expected = StepRow {
        created_at: first.created_at,
        ..second
    };
    let page = store.steps("acme", &StepFilter::default(), 0, 10).await.unwrap();
    assert_eq!((page.rows, page.total), (vec![expected], 1));
    assert_eq!(store.step_counts(DEFAULT, "push").await.unwrap(), StepCounts::default());
    assert!(store.in_progress("push").await.unwrap().is_empty());
}

pub async fn rows_of_steps_come_by_priority_then_creation_then_run_then_step(store: AnyStore) {
    let of = |number, node, priority, created_at| {
        step_row(number, node).with(|row| {
            row.priority = priority;
            row.created_at = Time(created_at);
        })
    };
    let rows = [
        of(1, 0, 0, 5),
        of(2, 1, 0, 5),
        of(2, 0, 0, 5),
        of(3, 0, 0, 4),
        of(4, 0, 9, 9),
        of(5, 0, -1, 0),
    ];
    put_steps(&store, rows).await;
    let order = [(4, 0), (3, 0), (1, 0), (2, 0), (2, 1), (5, 0)];
    assert_eq!(listed_steps(&store, &StepFilter::default()).await, order);
    let open = filter(Some("push"), None, &[StepStatus::InProgress]);
    assert_eq!(listed_steps(&store, &open).await, order);
}

fn filter(action: Option<&str>, queue: Option<&str>, statuses: &[StepStatus]) -> StepFilter {
    StepFilter {
        action: action.map(Into::into),
        queue: queue.map(Into::into),
        run: None,
        statuses: statuses.to_vec(),
    }
}

/// Rows in all states, of two actions with two queues each, by which every filter is told from the others.
fn mixture() -> Vec<StepRow> {
    let place = |at: u32| (u64::from(at / 4), at % 4);
    let row = |at: u32| {
        let (number, node) = place(at);
        in_state(number, node, step::ALL[at as usize % step::ALL.len()]).with(|row| {
            row.action = ["push", "http"][at as usize % 2].into();
            row.queue = ["a", "b", "c"][at as usize % 3].into();
            row.created_at = Time(i64::from(at));
        })
    };
    (0..66).map(row).collect()
}

pub async fn filters_of_steps_combine(store: AnyStore) {
    put_steps(&store, mixture()).await;
    let states: [&[StepStatus]; 5] = [
        &[],
        &[StepStatus::Complete],
        &[StepStatus::Error, StepStatus::Error],
        &[StepStatus::Enqueued, StepStatus::InProgress, StepStatus::Skipped],
        &[StepStatus::Complete, StepStatus::Pending],
    ];
    for action in [None, Some("push"), Some("pus")] {
        for queue in [None, Some("b"), Some("B")] {
            for run in [None, Some(id(3))] {
                for statuses in states {
                    let wanted = StepFilter {
                        run,
                        ..filter(action, queue, statuses)
                    };
                    let fits = |row: &&StepRow| {
                        action.is_none_or(|action| action == &*row.action)
                            && queue.is_none_or(|queue| queue == &*row.queue)
                            && run.is_none_or(|run| run == row.run)
                            && (statuses.is_empty() || statuses.contains(&row.status))
                    };
                    let place = |row: &StepRow| (numbers([row.run])[0], row.node);
                    let expected: Vec<_> = mixture().iter().filter(fits).map(place).collect();
                    assert_eq!(listed_steps(&store, &wanted).await, expected, "{wanted:?}");
                }
            }
        }
    }
}

pub async fn a_page_of_steps_begins_at_its_offset_and_knows_the_total(store: AnyStore) {
    put_steps(&store, (0..5).map(|node| step_row(1, node))).await;
    let filters = [
        StepFilter::default(),
        filter(Some("push"), None, &[StepStatus::InProgress]),
        StepFilter {
            run: Some(id(1)),
            ..StepFilter::default()
        },
    ];
    for filter in filters {
        assert_eq!(page(&store, &filter, 0, 2).await, (vec![(1, 0), (1, 1)], 5));
        assert_eq!(page(&store, &filter, 3, 9).await, (vec![(1, 3), (1, 4)], 5));
        assert_eq!(page(&store, &filter, 5, 9).await, (vec![], 5));
        assert_eq!(page(&store, &filter, u64::MAX, 9).await, (vec![], 5));
        assert_eq!(page(&store, &filter, 0, 0).await, (vec![], 5));
    }
}

pub async fn steps_are_counted_by_state_in_one_namespace_and_action(store: AnyStore) {
    let other = |row: &mut StepRow| row.action = "http".into();
    let away = |row: &mut StepRow| row.namespace = "acme".into();
    let rows = step::ALL.into_iter().enumerate().flat_map(|(at, status)| {
        let node = move |node: u32| in_state(at as u64, node, status);
        (0..=at as u32)
            .map(node)
            .chain([node(50).with(other), node(51).with(away)])
    });
    put_steps(&store, rows.collect::<Vec<_>>()).await;
    let expected = step::ALL
        .into_iter()
        .enumerate()
        .map(|(at, status)| (status, at as u64 + 1));
    let counts = store.step_counts(DEFAULT, "push").await.unwrap();
    assert_eq!(counts.by_status, expected.collect::<Vec<_>>());
    assert_eq!(
        store.step_counts("nobody", "push").await.unwrap(),
        StepCounts::default()
    );
    assert_eq!(store.step_counts(DEFAULT, "pus").await.unwrap(), StepCounts::default());
}

pub async fn the_oldest_that_waits_is_enqueued_or_waits_for_a_retry(store: AnyStore) {
    use StepStatus::{Complete, Enqueued, Error, InProgress, Pending, WaitingForRetry};
    let at = |node: u32, status, at| in_state(1, node, status).with(|row| row.created_at = Time(at));
    let oldest = async || store.step_counts(DEFAULT, "push").await.unwrap().oldest_waiting;
    let rest = [
        at(0, Pending, 1),
        at(1, InProgress, 2),
        at(2, Error, 3),
        at(3, Complete, 4),
    ];
    put_steps(&store, rest).await;
    assert_eq!(oldest().await, None);
    put_steps(&store, [at(4, Enqueued, 30), at(5, Enqueued, 20)]).await;
    assert_eq!(oldest().await, Some(Time(20)));
    put_steps(&store, [at(6, WaitingForRetry, 10)]).await;
    assert_eq!(oldest().await, Some(Time(10)));
    put_steps(&store, [at(6, InProgress, 10), at(5, Complete, 20)]).await;
    assert_eq!(oldest().await, Some(Time(30)));
}

pub async fn what_is_in_progress_is_counted_by_queue_in_all_namespaces(store: AnyStore) {
    let of = |node, queue: &str, status| in_state(1, node, status).with(|row| row.queue = queue.into());
    let away = of(4, "a", StepStatus::InProgress).with(|row| row.namespace = "acme".into());
    let other = of(5, "a", StepStatus::InProgress).with(|row| row.action = "http".into());
    let rows = [
        of(0, "b", StepStatus::InProgress),
        of(1, "a", StepStatus::InProgress),
        of(2, "c", StepStatus::Enqueued),
        of(3, "b", StepStatus::Complete),
        away,
        other,
    ];
    put_steps(&store, rows).await;
    let found = store.in_progress("push").await.unwrap();
    assert_eq!(found, [("a".into(), 2), ("b".into(), 1)]);
    put_steps(
        &store,
        [
            of(1, "a", StepStatus::WaitingForRetry),
            of(0, "a", StepStatus::InProgress),
        ],
    )
    .await;
    assert_eq!(store.in_progress("push").await.unwrap(), [("a".into(), 2)]);
    assert!(store.in_progress("nothing").await.unwrap().is_empty());
}

pub async fn the_end_of_a_run_cancels_what_is_not_settled(store: AnyStore) {
    let rows = step::ALL
        .into_iter()
        .zip(0..)
        .map(|(status, node)| in_state(1, node, status));
    let other = in_state(2, 0, StepStatus::InProgress);
    put_steps(&store, rows.chain([other.clone()]).collect::<Vec<_>>()).await;
    // What the unit itself says of a step comes before the end.
    let unit = Unit {
        steps: vec![
            in_state(1, 90, StepStatus::InProgress),
            in_state(1, 91, StepStatus::Complete),
        ],
        ended_steps: vec![id(1), id(77)],
        ..Unit::default()
    };
    assert_eq!(commit_at(&store, 500, vec![unit]).await, [UnitResult::Applied]);
    let page = store.steps(DEFAULT, &StepFilter::default(), 0, 100).await.unwrap();
    assert_eq!(page.total, step::ALL.len() as u64 + 3);
    for row in page.rows {
        let was = match row.node {
            _ if row.run == other.run => other.clone(),
            90 => in_state(1, 90, StepStatus::InProgress),
            91 => in_state(1, 91, StepStatus::Complete),
            node => in_state(1, node, step::ALL[node as usize]),
        };
        let ends = row.run == id(1) && !was.status.is_settled();
        let expected = if ends {
            was.with(|row| {
                row.status = StepStatus::Cancelled;
                row.updated_at = Time(500);
            })
        } else {
            was
        };
        assert_eq!(row, expected);
    }
}

pub async fn a_unit_that_is_left_out_leaves_no_row_of_a_step(store: AnyStore) {
    apply(&store, start(1)).await;
    put_steps(&store, [in_state(1, 0, StepStatus::InProgress)]).await;
    put_letters(&store, [letter(1, 1, 1)]).await;
    let stale = Unit {
        steps: vec![in_state(1, 5, StepStatus::InProgress)],
        ended_steps: vec![id(1)],
        letters: vec![letter(1, 2, 1)],
        retried: vec![(id(1), 1)],
        ..unit([start(1)])
    };
    assert_eq!(commit(&store, stale).await, UnitResult::Conflict(id(1)));
    let rows = store.steps(DEFAULT, &StepFilter::default(), 0, 10).await.unwrap().rows;
    assert_eq!(rows, [in_state(1, 0, StepStatus::InProgress)]);
    let letters = store
        .letters(DEFAULT, &Default::default(), 0, 10)
        .await
        .unwrap()
        .letters;
    assert_eq!(letters, [letter(1, 1, 1)]);
}

/// A finished run with a row and a letter.
async fn ended(store: &AnyStore, number: u64, at: i64) {
    let first = start(number);
    let end = first.finish(RunStatus::Error, at);
    apply_all(store, [first, end]).await;
    put_steps(store, [in_state(number, 0, StepStatus::Error)]).await;
    put_letters(store, [letter(number, 0, 1)]).await;
}

async fn left(store: &AnyStore) -> (Vec<u64>, Vec<u64>) {
    let steps = store.steps(DEFAULT, &StepFilter::default(), 0, 10).await.unwrap();
    let letters = store.letters(DEFAULT, &Default::default(), 0, 10).await.unwrap();
    let ids = |ids: &mut dyn Iterator<Item = RunId>| {
        let mut found = numbers(ids);
        found.sort_unstable();
        found
    };
    (
        ids(&mut steps.rows.iter().map(|row| row.run)),
        ids(&mut letters.letters.iter().map(|letter| letter.run)),
    )
}

pub async fn rows_and_letters_go_with_a_run_that_is_deleted(store: AnyStore) {
    ended(&store, 1, 10).await;
    ended(&store, 2, 10).await;
    apply(&store, start(3)).await;
    put_steps(&store, [step_row(3, 0)]).await;
    assert!(!store.delete_run("acme", id(1)).await.unwrap());
    assert!(!store.delete_run(DEFAULT, id(3)).await.unwrap());
    assert_eq!(left(&store).await, (vec![1, 2, 3], vec![1, 2]));
    assert!(store.delete_run(DEFAULT, id(1)).await.unwrap());
    assert_eq!(left(&store).await, (vec![2, 3], vec![2]));
    assert_eq!(store.in_progress("push").await.unwrap(), [("task".into(), 1)]);
}

pub async fn letters_outlive_the_retention_of_their_run_and_rows_do_not(store: AnyStore) {
    ended(&store, 1, 10).await;
    ended(&store, 2, 90).await;
    assert_eq!(store.prune(Time(50), Time(0), 10).await.unwrap(), 1);
    assert_eq!(left(&store).await, (vec![2], vec![1, 2]));
}
