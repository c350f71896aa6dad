//! Lists of runs: order, pages and filters.

use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;

use super::support::*;
use crate::commit::RunWrite;
use crate::query::RunFilter;

/// Run `number` in the state with number `status`.
fn in_state(number: u64, status: u8) -> RunWrite {
    let status = RunStatus::from_number(status).expect("a state");
    start(number).with(|row| {
        row.status = status;
        row.finished_at = status.is_terminal().then_some(Time(100));
    })
}

fn statuses(statuses: &[RunStatus]) -> RunFilter {
    RunFilter {
        statuses: statuses.to_vec(),
        ..RunFilter::default()
    }
}

fn workflow(workflow: &str) -> RunFilter {
    RunFilter {
        workflow: Some(workflow.into()),
        ..RunFilter::default()
    }
}

/// Pages of `limit` until there is no next, joined; no page but the last is short.
async fn paged(store: &AnyStore, namespace: &str, filter: &RunFilter, limit: usize) -> Vec<u64> {
    let (mut all, mut before): (Vec<RunId>, Option<RunId>) = (Vec::new(), None);
    loop {
        let page = store.runs(namespace, filter, before, limit).await.unwrap();
        all.extend(page.rows.iter().map(|row| row.id));
        match page.next {
            Some(next) => {
                assert_eq!(page.rows.len(), limit);
                assert_eq!(Some(next), page.rows.last().map(|row| row.id));
                before = Some(next);
            }
            None => return numbers(all),
        }
    }
}

pub async fn runs_are_listed_newest_first(store: AnyStore) {
    apply_all(&store, [start(2), start(300), start(1), start(70_000)]).await;
    assert_eq!(listed(&store, &RunFilter::default()).await, [70_000, 300, 2, 1]);
}

pub async fn pages_join_without_gap_or_duplicate(store: AnyStore) {
    apply_all(&store, (1..=10).map(start)).await;
    let all: Vec<u64> = (1..=10).rev().collect();
    for limit in [1, 3, 7, 10, 11] {
        assert_eq!(
            paged(&store, DEFAULT, &RunFilter::default(), limit).await,
            all,
            "pages of {limit}"
        );
    }
}

pub async fn a_full_last_page_has_no_next(store: AnyStore) {
    apply_all(&store, (1..=4).map(start)).await;
    let page = store
        .runs(DEFAULT, &RunFilter::default(), Some(id(3)), 2)
        .await
        .unwrap();
    assert_eq!(numbers(page.rows.iter().map(|row| row.id)), [2, 1]);
    assert_eq!(page.next, None);
}

pub async fn a_page_of_nothing_is_empty(store: AnyStore) {
    let page = store.runs(DEFAULT, &RunFilter::default(), None, 10).await.unwrap();
    assert!(page.rows.is_empty() && page.next.is_none());
    apply(&store, start(5)).await;
    let below = store
        .runs(DEFAULT, &RunFilter::default(), Some(id(5)), 10)
        .await
        .unwrap();
    assert!(below.rows.is_empty() && below.next.is_none());
    let none = store.runs(DEFAULT, &RunFilter::default(), None, 0).await.unwrap();
    assert!(none.rows.is_empty() && none.next.is_none());
}

pub async fn a_workflow_lists_its_own_runs(store: AnyStore) {
    let of = |number, workflow: &str| start(number).with(|row| row.workflow = workflow.into());
    apply_all(
        &store,
        [of(1, "a"), of(2, "b"), of(3, "a"), of(4, "A"), of(5, "ab"), start(6)],
    )
    .await;
    assert_eq!(listed(&store, &workflow("a")).await, [3, 1]);
    assert_eq!(listed(&store, &workflow("c")).await, [0; 0]);
}

pub async fn an_empty_workflow_lists_runs_of_inline_plans(store: AnyStore) {
    apply_all(
        &store,
        [start(1), start(2).with(|row| row.workflow = "a".into()), start(3)],
    )
    .await;
    assert_eq!(listed(&store, &workflow("")).await, [3, 1]);
}

fn prefix(prefix: &str) -> RunFilter {
    RunFilter {
        workflow_prefix: Some(prefix.into()),
        ..RunFilter::default()
    }
}

/// Workflows whose ids are close to each other, and what a pattern would take for something else.
const ALIKE: [&str; 14] = [
    "",
    "a",
    "a:",
    "a:1",
    "a:%",
    "a:_",
    "a:\u{0}",
    "a:ü",
    "a:\u{10ffff}",
    "a;",
    "a9",
    "A:1",
    "b",
    "\u{d7ff}z",
];

pub async fn a_prefix_lists_runs_of_workflows_that_begin_so(store: AnyStore) {
    let of = |number: usize| start(number as u64).with(|row| row.workflow = ALIKE[number % ALIKE.len()].into());
    apply_all(&store, (0..3 * ALIKE.len()).map(of)).await;
    let prefixes = [
        "",
        "a",
        "a:",
        "a:1",
        "a:\u{0}",
        "a:\u{10ffff}",
        "\u{10ffff}",
        "\u{d7ff}",
        "%",
        "a_",
        "A",
        "c",
    ];
    for begin in prefixes {
        let begins = |number: &usize| ALIKE[number % ALIKE.len()].starts_with(begin);
        let expected = (0..3 * ALIKE.len()).rev().filter(begins).map(|number| number as u64);
        let expected: Vec<u64> = expected.collect();
        assert_eq!(listed(&store, &prefix(begin)).await, expected, "{begin:?}");
        assert_eq!(paged(&store, DEFAULT, &prefix(begin), 2).await, expected, "{begin:?}");
        assert_eq!(paged(&store, "acme", &prefix(begin), 2).await, [0; 0]);
    }
}

pub async fn a_prefix_combines_with_the_other_filters(store: AnyStore) {
    let of = |number: u64, workflow: &str, status| in_state(number, status).with(|row| row.workflow = workflow.into());
    let runs = [
        of(1, "t:a", 10),
        of(2, "t:b", 11),
        of(3, "u:a", 11),
        of(4, "t:a", 3),
        of(5, "t:b", 10),
        of(6, "u:b", 3),
        of(7, "t:a", 12).within("acme"),
    ];
    apply_all(&store, runs).await;
    let of = |statuses: &[RunStatus]| RunFilter {
        statuses: statuses.to_vec(),
        ..prefix("t:")
    };
    use RunStatus::{Cancelled, Complete, Error, StepsInProcess};
    assert_eq!(listed(&store, &of(&[Complete])).await, [5, 1]);
    assert_eq!(listed(&store, &of(&[Error, StepsInProcess])).await, [4, 2]);
    assert_eq!(listed(&store, &of(&[Cancelled])).await, [0; 0]);
    assert_eq!(paged(&store, "acme", &of(&[Cancelled]), 1).await, [7]);
    let range = RunFilter {
        created_from: Some(Time(2)),
        created_before: Some(Time(5)),
        ..prefix("t:")
    };
    assert_eq!(listed(&store, &range).await, [4, 2]);
    let both = |workflow: &str, statuses: &[RunStatus]| RunFilter {
        workflow: Some(workflow.into()),
        ..of(statuses)
    };
    assert_eq!(listed(&store, &both("t:a", &[])).await, [4, 1]);
    assert_eq!(listed(&store, &both("t:a", &[StepsInProcess])).await, [4]);
    assert_eq!(listed(&store, &both("u:a", &[])).await, [0; 0]);
    assert_eq!(listed(&store, &both("u:a", &[Error])).await, [0; 0]);
    assert_eq!(listed(&store, &both("", &[])).await, [0; 0]);
}

pub async fn each_state_lists_its_own_runs(store: AnyStore) {
    apply_all(&store, (0..28u8).map(|number| in_state(u64::from(number), number % 14))).await;
    for number in 0..14u8 {
        let status = RunStatus::from_number(number).expect("a state");
        assert_eq!(
            listed(&store, &statuses(&[status])).await,
            [u64::from(number) + 14, u64::from(number)]
        );
    }
}

pub async fn several_states_are_merged_in_order(store: AnyStore) {
    use RunStatus::{Cancelled, Complete, Error, Paused, ResolvedManually, WaitingForApproval};
    apply_all(&store, (0..28u8).map(|number| in_state(u64::from(number), number % 14))).await;
    assert_eq!(listed(&store, &statuses(&[Cancelled, Error])).await, [26, 25, 12, 11]);
    assert_eq!(listed(&store, &statuses(&[Error, Error])).await, [25, 11]);
    assert_eq!(
        listed(&store, &statuses(&[Paused, WaitingForApproval])).await,
        [23, 22, 9, 8]
    );
    assert_eq!(
        listed(&store, &statuses(&[ResolvedManually, Paused])).await,
        [27, 23, 13, 9]
    );
    assert_eq!(
        listed(&store, &statuses(&[Complete, Paused, Error])).await,
        [25, 24, 23, 11, 10, 9]
    );
}

pub async fn the_range_of_acceptance_is_half_open(store: AnyStore) {
    apply_all(&store, (1..=5).map(start)).await;
    let range = |from: Option<i64>, before: Option<i64>| RunFilter {
        created_from: from.map(Time),
        created_before: before.map(Time),
        ..RunFilter::default()
    };
    assert_eq!(listed(&store, &range(Some(2), Some(4))).await, [3, 2]);
    assert_eq!(listed(&store, &range(Some(4), None)).await, [5, 4]);
    assert_eq!(listed(&store, &range(None, Some(2))).await, [1]);
    assert_eq!(listed(&store, &range(Some(4), Some(4))).await, [0; 0]);
}

/// Runs of three workflows in all states, of which every filter finds some.
fn mixture() -> impl Iterator<Item = RunWrite> {
    (0..84u64).map(|number| {
        let workflow = ["", "a", "b"][(number % 3) as usize];
        in_state(number, (number % 14) as u8).with(|row| {
            row.workflow = workflow.into();
            row.claims = u32::from(number % 14 < 10 && number % 5 == 0);
        })
    })
}

fn mixed_filters() -> Vec<RunFilter> {
    use RunStatus::{Cancelled, Complete, Error, Paused, StepsInProcess};
    let mut filters = Vec::new();
    for workflow in [None, Some(""), Some("b")] {
        for statuses in [
            &[][..],
            &[Error],
            &[Error, Cancelled, Paused],
            &[StepsInProcess],
            &[Complete, Error],
        ] {
            for (range, claimed) in [(None, None), (Some((Time(20), Time(70))), None), (None, Some(false))] {
                filters.push(RunFilter {
                    claimed,
                    workflow: workflow.map(Into::into),
                    workflow_prefix: None,
                    statuses: statuses.to_vec(),
                    created_from: range.map(|(from, _)| from),
                    created_before: range.map(|(_, before)| before),
                });
            }
        }
        filters.push(RunFilter {
            claimed: Some(true),
            workflow: workflow.map(Into::into),
            ..RunFilter::default()
        });
        filters.push(RunFilter {
            claimed: Some(true),
            workflow: workflow.map(Into::into),
            statuses: vec![StepsInProcess, Paused, RunStatus::Pending, RunStatus::WaitingForRetry],
            ..RunFilter::default()
        });
    }
    filters
}

/// The definition of a filter, once more and in other words.
fn expected(filter: &RunFilter) -> Vec<u64> {
    let fits = |write: &RunWrite| {
        let row = &write.row;
        let (from, before) = (
            filter.created_from.unwrap_or(Time(0)),
            filter.created_before.unwrap_or(Time(999)),
        );
        let workflow = filter.workflow.as_deref().unwrap_or(&row.workflow) == &*row.workflow;
        let status = filter.statuses.is_empty() || filter.statuses.contains(&row.status);
        let claimed = filter.claimed.is_none_or(|claimed| (row.claims > 0) == claimed);
        workflow && status && claimed && (from.0..before.0).contains(&row.created_at.0)
    };
    let mut found = numbers(mixture().filter(fits).map(|write| write.row.id));
    found.reverse();
    found
}

pub async fn filters_combine(store: AnyStore) {
    apply_all(&store, mixture()).await;
    for filter in mixed_filters() {
        let expected = expected(&filter);
        assert!(!expected.is_empty(), "{filter:?} finds nothing and proves nothing");
        assert_eq!(listed(&store, &filter).await, expected, "{filter:?}");
    }
}

pub async fn filtered_pages_join_without_gap_or_duplicate(store: AnyStore) {
    apply_all(&store, mixture()).await;
    for filter in mixed_filters() {
        for limit in [1, 4] {
            let pages = paged(&store, DEFAULT, &filter, limit).await;
            assert_eq!(pages, expected(&filter), "{filter:?} in pages of {limit}");
        }
    }
}

pub async fn lists_are_isolated_by_namespace(store: AnyStore) {
    let of = |number, namespace: &str, status| {
        in_state(number, status)
            .within(namespace)
            .with(|row| row.workflow = "a".into())
    };
    for (at, namespace) in [DEFAULT, "acme", "acme2"].into_iter().enumerate() {
        let first = at as u64 * 10;
        apply_all(
            &store,
            [
                of(first + 1, namespace, 3),
                of(first + 2, namespace, 10),
                of(first + 3, namespace, 11),
            ],
        )
        .await;
    }
    for (at, namespace) in [DEFAULT, "acme", "acme2"].into_iter().enumerate() {
        let first = at as u64 * 10;
        let here = [first + 3, first + 2, first + 1];
        assert_eq!(paged(&store, namespace, &RunFilter::default(), 2).await, here);
        assert_eq!(paged(&store, namespace, &workflow("a"), 2).await, here);
        assert_eq!(
            paged(&store, namespace, &statuses(&[RunStatus::Error]), 2).await,
            here[..1]
        );
        assert_eq!(
            paged(&store, namespace, &statuses(&[RunStatus::Complete]), 2).await,
            here[1..2]
        );
        assert_eq!(
            paged(&store, namespace, &statuses(&[RunStatus::StepsInProcess]), 2).await,
            here[2..]
        );
    }
    assert_eq!(paged(&store, "nobody", &RunFilter::default(), 2).await, [0; 0]);
}
