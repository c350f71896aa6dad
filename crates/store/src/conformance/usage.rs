//! What a namespace holds.

use quintet_core::machine::RunStatus;
use quintet_core::time::Time;

use super::support::*;
use crate::query::WorkflowWrite;
use crate::record::RecordWrite;
use crate::usage::{MEASURED_RUNS, NamespaceUsage};

const OTHER: &str = "acme";

fn document(namespace: &str, id: &str, text: &str) -> WorkflowWrite {
    WorkflowWrite {
        namespace: namespace.into(),
        id: id.into(),
        name: id.to_owned(),
        document: text.to_owned(),
        digest: digest(1),
        spec: "{}".into(),
        at: Time(1),
        expected: None,
    }
}

fn record(namespace: &str, id: &str, body: &str) -> RecordWrite {
    RecordWrite {
        namespace: namespace.into(),
        kind: "kind".into(),
        id: id.into(),
        expected: None,
        body: Some(body.to_owned()),
        expires_at: None,
        at: Time(1),
    }
}

async fn usage(store: &AnyStore, namespace: &str) -> NamespaceUsage {
    store.namespace_usage(namespace).await.expect("usage")
}

pub async fn unfinished_runs_are_counted_by_namespace(store: AnyStore) {
    assert!(store.live_runs().await.unwrap().is_empty());
    let (over, opened) = (start(3), start(5));
    let paused = start(4).with(|row| row.status = RunStatus::Paused);
    apply_all(
        &store,
        [start(1), start(2).within(OTHER), over.clone(), paused, opened.clone()],
    )
    .await;
    apply(&store, over.finish(RunStatus::Error, 9)).await;
    let ended = apply(&store, opened.finish(RunStatus::Error, 9)).await;
    let reopened = ended.next().with(|row| {
        row.status = RunStatus::StepsInProcess;
        row.finished_at = None;
    });
    apply(&store, reopened).await;
    let counts = store.live_runs().await.unwrap();
    assert_eq!(counts, [(OTHER.into(), 1), (DEFAULT.into(), 3)]);
}

pub async fn a_namespace_that_nobody_used_holds_nothing(store: AnyStore) {
    apply(&store, start(1)).await;
    assert!(usage(&store, "nobody").await.is_empty());
    assert!(!usage(&store, DEFAULT).await.is_empty());
}

pub async fn everything_of_a_namespace_is_counted_and_nothing_of_another(store: AnyStore) {
    for namespace in [DEFAULT, OTHER] {
        // Another number of things in each, so that no mix-up can look right.
        let more = usize::from(namespace == OTHER);
        let at = more as u64 * 100;
        let over = start(at + 1).within(namespace).saying("[\"ü\"]");
        apply_all(
            &store,
            (2..4 + at / 100).map(|n| start(at + n).within(namespace).saying("[1]")),
        )
        .await;
        apply(&store, over.clone()).await;
        apply(&store, over.finish(RunStatus::Complete, 9).saying("[]")).await;
        for text in ["{}", "{\"a\":1}"] {
            store.put_workflow(document(namespace, "w", text)).await.unwrap();
        }
        let records = (0..=more).map(|n| record(namespace, &n.to_string(), "ü"));
        assert!(store.put_records(records.collect()).await.unwrap());
        let open = letter(at + 1, 0, 1).with(|letter| letter.namespace = namespace.into());
        let retried = open.clone().with(|letter| {
            letter.attempt = 2;
            letter.retried_at = Some(Time(20));
        });
        put_letters(&store, [open, retried]).await;
    }
    let bodies = "{\"attempt\":1}".len() as u64 * 2;
    let mut expected = NamespaceUsage {
        live_runs: 2,
        finished_runs: 1,
        workflows: 1,
        records: 1,
        letters: 2,
        stored_bytes: 6 + 2 + 2 * 3 + 2 + 7 + 2 + bodies,
    };
    assert_eq!(usage(&store, DEFAULT).await, expected);
    expected.live_runs += 1;
    expected.records += 1;
    expected.stored_bytes += 3 + 2;
    assert_eq!(usage(&store, OTHER).await, expected);
}

pub async fn of_many_runs_the_newest_stand_for_all(store: AnyStore) {
    for namespace in [DEFAULT, OTHER] {
        let from = if namespace == OTHER { 1000 } else { 0 };
        let measured = MEASURED_RUNS as u64;
        let old = (1..=measured).map(|n| start(from + n).within(namespace).saying("[\"long and longer\"]"));
        apply_all(&store, old).await;
        let new = (measured + 1..=2 * measured).map(|n| start(from + n).within(namespace).saying("[1]"));
        apply_all(&store, new).await;
        let usage = usage(&store, namespace).await;
        assert_eq!((usage.live_runs, usage.stored_bytes), (2 * measured, 2 * measured * 3));
    }
}
