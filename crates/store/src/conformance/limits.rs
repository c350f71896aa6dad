//! Limits on how many steps are in progress, where several nodes start steps without asking each other.

use std::sync::Arc;

use quintet_core::machine::StepStatus;
use quintet_core::time::Time;
use tokio::task::JoinSet;

use super::support::*;
use crate::commit::{PlanWrite, Unit, UnitResult};
use crate::steps::{StepFilter, StepLimit, StepRow};

fn limit(queue: Option<&str>, max: u32) -> StepLimit {
    StepLimit {
        action: "push".into(),
        queue: queue.map(Into::into),
        max,
    }
}

fn with(steps: impl IntoIterator<Item = StepRow>, limits: impl IntoIterator<Item = StepLimit>) -> Unit {
    Unit {
        steps: steps.into_iter().collect(),
        limits: limits.into_iter().collect(),
        ..Unit::default()
    }
}

fn of(node: u32, queue: &str) -> StepRow {
    step_row(1, node).with(|row| row.queue = queue.into())
}

pub async fn a_unit_that_would_pass_a_limit_is_full(store: AnyStore) {
    put_steps(&store, [of(0, "a"), of(1, "b")]).await;
    let passes = async |unit| commit(&store, unit).await;
    assert_eq!(
        passes(with([of(2, "a")], [limit(Some("a"), 1)])).await,
        UnitResult::Full(limit(Some("a"), 1))
    );
    assert_eq!(
        passes(with([of(2, "a")], [limit(None, 2)])).await,
        UnitResult::Full(limit(None, 2))
    );
    let both = [
        limit(Some("a"), 5),
        limit(Some("b"), 5),
        limit(None, 2),
        limit(Some("a"), 1),
    ];
    assert_eq!(
        passes(with([of(2, "a")], both)).await,
        UnitResult::Full(limit(None, 2)),
        "the first of them"
    );
    let two = with([of(2, "a"), of(3, "a")], [limit(Some("a"), 2)]);
    assert_eq!(passes(two).await, UnitResult::Full(limit(Some("a"), 2)));
    assert_eq!(
        passes(with([of(2, "a")], [limit(Some("a"), 2), limit(None, 3)])).await,
        UnitResult::Applied
    );
    assert_eq!(
        store.in_progress("push").await.unwrap(),
        [("a".into(), 2), ("b".into(), 1)]
    );
}

pub async fn only_rows_in_progress_of_the_action_count_in_every_namespace(store: AnyStore) {
    let away = of(0, "a").with(|row| row.namespace = "acme".into());
    let other = of(1, "a").with(|row| row.action = "http".into());
    let done = of(2, "a").with(|row| row.status = StepStatus::Complete);
    let waiting = of(3, "a").with(|row| row.status = StepStatus::Enqueued);
    put_steps(&store, [away, other, done, waiting]).await;
    let one_more = with([of(4, "a")], [limit(Some("a"), 1)]);
    assert_eq!(commit(&store, one_more).await, UnitResult::Full(limit(Some("a"), 1)));
    let two = with([of(4, "a")], [limit(Some("a"), 2)]);
    assert_eq!(commit(&store, two).await, UnitResult::Applied);
}

pub async fn a_step_that_is_in_progress_already_counts_once(store: AnyStore) {
    put_steps(&store, [of(0, "a"), of(1, "a")]).await;
    let again = with([of(0, "a").with(|row| row.attempt = 2)], [limit(Some("a"), 2)]);
    assert_eq!(commit(&store, again).await, UnitResult::Applied);
    // One ends and another one begins in the same unit.
    let end = of(0, "a").with(|row| row.status = StepStatus::Complete);
    let exchange = with([end, of(2, "a")], [limit(Some("a"), 2), limit(None, 2)]);
    assert_eq!(commit(&store, exchange).await, UnitResult::Applied);
    let nothing_new = with([], [limit(Some("a"), 1)]);
    assert_eq!(commit(&store, nothing_new).await, UnitResult::Full(limit(Some("a"), 1)));
}

pub async fn a_later_unit_of_a_commit_counts_what_an_earlier_one_began(store: AnyStore) {
    let units = (0..4).map(|node| with([of(node, "a")], [limit(Some("a"), 2)]));
    let results = commit_at(&store, 10, units.collect()).await;
    let full = UnitResult::Full(limit(Some("a"), 2));
    assert_eq!(results, [UnitResult::Applied, UnitResult::Applied, full.clone(), full]);
}

pub async fn a_unit_that_is_full_leaves_nothing(store: AnyStore) {
    let run = apply(&store, start(1).put(0, "a")).await;
    put_steps(&store, [of(9, "a")]).await;
    put_letters(&store, [letter(1, 5, 1)]).await;
    let full = Unit {
        idempotency: Some(key("k", "never")),
        plans: vec![PlanWrite {
            digest: digest(9),
            spec: "{}".into(),
        }],
        runs: vec![run.next().remove(0), start(2)],
        steps: vec![of(0, "a")],
        ended_steps: vec![id(1)],
        letters: vec![letter(1, 6, 1)],
        retried: vec![(id(1), 5)],
        limits: vec![limit(Some("a"), 1)],
        ..message("hooks", "k", "never")
    };
    assert_eq!(commit(&store, full).await, UnitResult::Full(limit(Some("a"), 1)));
    assert_eq!(row(&store, 1).await.version, 1);
    assert_eq!(store.run(DEFAULT, id(2)).await.unwrap(), None);
    assert_eq!(queued(&store, &["a"], 10).await, [(1, 0)]);
    assert_eq!(store.plan(digest(9)).await.unwrap(), None);
    assert_eq!(store.idempotency(DEFAULT, "start", "k", Time(0)).await.unwrap(), None);
    assert!(messages(&store, 1000).await.is_empty());
    let steps = store.steps(DEFAULT, &StepFilter::default(), 0, 10).await.unwrap();
    assert_eq!(steps.rows, [of(9, "a")]);
    let letters = store.letters(DEFAULT, &Default::default(), 0, 10).await.unwrap();
    assert_eq!(letters.letters, [letter(1, 5, 1)]);
}

pub async fn a_limit_is_looked_at_last(store: AnyStore) {
    apply(&store, start(1)).await;
    let unit = |runs: Vec<crate::commit::RunWrite>| Unit {
        runs,
        ..with([of(0, "a")], [limit(Some("a"), 0)])
    };
    assert_eq!(commit(&store, unit(vec![start(1)])).await, UnitResult::Conflict(id(1)));
    assert_eq!(
        commit(&store, unit(vec![start(2)])).await,
        UnitResult::Full(limit(Some("a"), 0))
    );
}

pub async fn many_claimers_never_pass_a_limit(store: AnyStore) {
    const STARTS: u32 = 12;
    let mut claimers = JoinSet::new();
    for claimer in 0..8 {
        let store = Arc::clone(&store);
        claimers.spawn(async move {
            let mut most = (0, 0);
            for round in 0..STARTS {
                let queue = ["a", "b"][round as usize % 2];
                let begun = step_row(claimer, round).with(|row| row.queue = queue.into());
                let limits = [limit(Some("a"), 2), limit(Some("b"), 3), limit(None, 4)];
                let result = commit(&store, with([begun.clone()], limits)).await;
                let counts = store.in_progress("push").await.unwrap();
                let of = |queue: &str| {
                    counts
                        .iter()
                        .filter(|(name, _)| &**name == queue)
                        .map(|(_, n)| *n)
                        .sum::<u32>()
                };
                assert!(of("a") <= 2 && of("b") <= 3 && of("a") + of("b") <= 4, "{counts:?}");
                match result {
                    UnitResult::Applied => most.0 += 1,
                    UnitResult::Full(_) => most.1 += 1,
                    other => panic!("{other:?}"),
                }
                if result == UnitResult::Applied && round % 3 > 0 {
                    let end = begun.with(|row| row.status = StepStatus::Complete);
                    assert_eq!(commit(&store, with([end], [])).await, UnitResult::Applied);
                }
            }
            most
        });
    }
    let (begun, full) = claimers
        .join_all()
        .await
        .into_iter()
        .fold((0, 0), |sum, most| (sum.0 + most.0, sum.1 + most.1));
    assert_eq!(begun + full, 8 * STARTS);
    assert!(begun > 0 && full > 0, "{begun} began and {full} were refused");
    let left = store
        .in_progress("push")
        .await
        .unwrap()
        .iter()
        .map(|(_, n)| n)
        .sum::<u32>();
    assert!(left <= 4, "{left} are in progress");
}
