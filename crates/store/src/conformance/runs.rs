//! One run and its history; plans.

use quintet_core::machine::RunStatus;

use super::support::*;
use crate::commit::{PlanWrite, Unit, UnitResult};
use crate::node::Head;

pub async fn an_unknown_run_is_absent_everywhere(store: AnyStore) {
    assert_eq!(store.run(DEFAULT, id(1)).await.unwrap(), None);
    assert!(store.load(DEFAULT, id(1)).await.unwrap().is_none());
    assert!(store.commits(DEFAULT, id(1), 0, 10).await.unwrap().is_empty());
    assert!(!store.delete_run(DEFAULT, id(1)).await.unwrap());
}

pub async fn a_run_is_absent_from_other_namespaces(store: AnyStore) {
    apply(&store, start(1).within("acme")).await;
    for namespace in [DEFAULT, "", "ACME", "acme "] {
        assert_eq!(store.run(namespace, id(1)).await.unwrap(), None);
        assert!(store.load(namespace, id(1)).await.unwrap().is_none());
        assert!(store.commits(namespace, id(1), 0, 10).await.unwrap().is_empty());
    }
    assert!(store.load("acme", id(1)).await.unwrap().is_some());
}

pub async fn history_is_read_after_a_version_and_up_to_a_limit(store: AnyStore) {
    let mut write = apply(&store, start(1)).await;
    apply(&store, start(2)).await;
    for _ in 0..5 {
        write = apply(&store, write.next()).await;
    }
    for (after, limit, expected) in [
        (0, 100, &[1, 2, 3, 4, 5, 6][..]),
        (2, 2, &[3, 4]),
        (5, 9, &[6]),
        (6, 9, &[]),
        (0, 0, &[]),
        (u64::MAX, 9, &[]),
    ] {
        let commits = store.commits(DEFAULT, id(1), after, limit).await.unwrap();
        let seqs: Vec<u64> = commits.iter().map(|commit| commit.seq).collect();
        assert_eq!(seqs, expected, "after {after}, at most {limit}");
    }
}

pub async fn loading_gives_the_whole_history(store: AnyStore) {
    let mut write = apply(&store, start(1)).await;
    for _ in 0..20 {
        write = apply(&store, write.next()).await;
    }
    let run = store.load(DEFAULT, id(1)).await.unwrap().expect("the run is there");
    assert_eq!(run.row, write.row);
    assert_eq!(run.commits, store.commits(DEFAULT, id(1), 0, usize::MAX).await.unwrap());
    assert_eq!(run.commits.len(), 21);
}

pub async fn a_plan_is_found_by_its_digest(store: AnyStore) {
    let plan = Some(PlanWrite {
        digest: digest(3),
        spec: "{\"steps\":[]}".into(),
    });
    assert_eq!(
        commit(
            &store,
            Unit {
                plans: plan.into_iter().collect(),
                ..unit([start(1)])
            }
        )
        .await,
        UnitResult::Applied
    );
    assert_eq!(store.plan(digest(3)).await.unwrap().as_deref(), Some("{\"steps\":[]}"));
    assert_eq!(store.plan(digest(4)).await.unwrap(), None);
}

pub async fn storing_a_plan_again_is_no_conflict(store: AnyStore) {
    let plans = vec![PlanWrite {
        digest: digest(3),
        spec: "{}".into(),
    }];
    for number in 1..=3 {
        let again = Unit {
            plans: plans.clone(),
            ..unit([start(number)])
        };
        assert_eq!(commit(&store, again).await, UnitResult::Applied);
    }
    assert_eq!(store.plan(digest(3)).await.unwrap().as_deref(), Some("{}"));
}

pub async fn heads_tell_how_far_runs_have_come(store: AnyStore) {
    let first = apply(&store, start(1)).await;
    apply(&store, first.finish(RunStatus::Complete, 20)).await;
    apply(&store, start(2).within("acme")).await;
    let mut heads = store.heads(&[id(2), id(1), id(3)]).await.unwrap();
    heads.sort_by_key(|head| head.id);
    let head = |number, version, status| Head {
        id: id(number),
        version,
        status,
    };
    assert_eq!(
        heads,
        [head(1, 2, RunStatus::Complete), head(2, 1, RunStatus::StepsInProcess)]
    );
}
