//! Workflows and their versions.

use std::sync::Arc;

use quintet_core::time::Time;
use tokio::task::JoinSet;

use super::support::*;
use crate::query::{WorkflowRow, WorkflowWrite};

fn workflow(id: &str, number: u8) -> WorkflowWrite {
    WorkflowWrite {
        namespace: DEFAULT.into(),
        id: id.into(),
        name: format!("name {number}"),
        document: format!("{{\"n\":{number}}}"),
        digest: digest(number),
        spec: format!("[{number}]").into(),
        at: Time(i64::from(number)),
        expected: None,
    }
}

fn expecting(expected: u32, write: WorkflowWrite) -> WorkflowWrite {
    WorkflowWrite {
        expected: Some(expected),
        ..write
    }
}

async fn put(store: &AnyStore, write: WorkflowWrite) -> WorkflowRow {
    store
        .put_workflow(write)
        .await
        .unwrap()
        .expect("the version is the expected one")
}

async fn ids(store: &AnyStore, after: Option<&str>, limit: usize) -> Vec<String> {
    let found = store.workflows(DEFAULT, after, limit).await.unwrap();
    found.iter().map(|workflow| workflow.id.to_string()).collect()
}

pub async fn the_first_version_is_one_and_is_read_back(store: AnyStore) {
    assert_eq!(store.workflow(DEFAULT, "w").await.unwrap(), None);
    let expected = WorkflowRow {
        id: "w".into(),
        name: "name 1".into(),
        version: 1,
        document: "{\"n\":1}".into(),
        digest: digest(1),
        created_at: Time(1),
        updated_at: Time(1),
    };
    assert_eq!(put(&store, workflow("w", 1)).await, expected);
    assert_eq!(store.workflow(DEFAULT, "w").await.unwrap(), Some(expected.clone()));
    assert_eq!(store.workflows(DEFAULT, None, 10).await.unwrap(), [expected]);
}

pub async fn versions_count_up_and_all_are_kept(store: AnyStore) {
    for number in 1..=3 {
        put(&store, workflow("w", number)).await;
    }
    let current = store.workflow(DEFAULT, "w").await.unwrap().expect("the workflow");
    assert_eq!(
        (current.version, &*current.name, &*current.document),
        (3, "name 3", "{\"n\":3}")
    );
    assert_eq!(
        (current.created_at, current.updated_at, current.digest),
        (Time(1), Time(3), digest(3))
    );
    let versions = store.workflow_versions(DEFAULT, "w").await.unwrap();
    let read: Vec<_> = versions
        .iter()
        .map(|v| (v.version, v.created_at, v.digest, v.document.clone()))
        .collect();
    let expected = (1..=3u8).map(|n| (u32::from(n), Time(i64::from(n)), digest(n), format!("{{\"n\":{n}}}")));
    assert_eq!(read, expected.collect::<Vec<_>>());
}

pub async fn many_writers_at_once_get_consecutive_versions(store: AnyStore) {
    let mut writers = JoinSet::new();
    for number in 1..=32u8 {
        let store = Arc::clone(&store);
        writers.spawn(async move { (number, put(&store, workflow("w", number)).await.version) });
    }
    let mut given = writers.join_all().await;
    given.sort_by_key(|(_, version)| *version);
    assert_eq!(
        given.iter().map(|(_, version)| *version).collect::<Vec<_>>(),
        (1..=32).collect::<Vec<_>>()
    );
    let versions = store.workflow_versions(DEFAULT, "w").await.unwrap();
    let stored: Vec<_> = versions
        .iter()
        .map(|version| (version.digest, version.version))
        .collect();
    assert_eq!(
        stored,
        given
            .iter()
            .map(|(number, version)| (digest(*number), *version))
            .collect::<Vec<_>>()
    );
}

pub async fn another_version_than_expected_stores_nothing(store: AnyStore) {
    assert_eq!(store.put_workflow(expecting(1, workflow("w", 1))).await.unwrap(), None);
    assert_eq!(store.workflow(DEFAULT, "w").await.unwrap(), None);
    let first = put(&store, workflow("w", 1)).await;
    for wrong in [0, 2, u32::MAX] {
        assert_eq!(
            store.put_workflow(expecting(wrong, workflow("w", 2))).await.unwrap(),
            None
        );
    }
    assert_eq!(store.workflow(DEFAULT, "w").await.unwrap(), Some(first));
    assert_eq!(store.workflow_versions(DEFAULT, "w").await.unwrap().len(), 1);
    assert_eq!(store.plan(digest(2)).await.unwrap(), None);
    assert_eq!(put(&store, expecting(1, workflow("w", 2))).await.version, 2);
}

pub async fn expecting_none_stores_only_the_first(store: AnyStore) {
    assert_eq!(put(&store, expecting(0, workflow("w", 1))).await.version, 1);
    assert_eq!(store.put_workflow(expecting(0, workflow("w", 2))).await.unwrap(), None);
}

pub async fn storing_a_workflow_stores_its_plan(store: AnyStore) {
    put(&store, workflow("w", 1)).await;
    put(&store, workflow("w", 2)).await;
    put(&store, workflow("other", 1)).await;
    assert_eq!(store.plan(digest(1)).await.unwrap().as_deref(), Some("[1]"));
    assert_eq!(store.plan(digest(2)).await.unwrap().as_deref(), Some("[2]"));
}

pub async fn workflows_are_listed_by_id_after_one(store: AnyStore) {
    for id in ["b", "a", "c", "B", "ab"] {
        put(&store, workflow(id, 1)).await;
    }
    put(&store, workflow("a", 2)).await;
    assert_eq!(ids(&store, None, 10).await, ["B", "a", "ab", "b", "c"]);
    assert_eq!(ids(&store, Some("a"), 2).await, ["ab", "b"]);
    assert_eq!(ids(&store, Some("bb"), 10).await, ["c"]);
    assert_eq!(ids(&store, Some("c"), 10).await, [""; 0]);
    assert_eq!(ids(&store, None, 0).await, [""; 0]);
}

pub async fn workflows_are_isolated_by_namespace(store: AnyStore) {
    let foreign = WorkflowWrite {
        namespace: "acme".into(),
        ..workflow("w", 7)
    };
    put(&store, workflow("w", 1)).await;
    let first = put(&store, foreign).await;
    assert_eq!((first.version, first.digest), (1, digest(7)));
    put(&store, workflow("w", 2)).await;
    assert_eq!(store.workflow("acme", "w").await.unwrap(), Some(first.clone()));
    assert_eq!(store.workflow_versions("acme", "w").await.unwrap().len(), 1);
    assert_eq!(store.workflows("acme", None, 10).await.unwrap(), [first]);
    assert!(!store.delete_workflow("other", "w").await.unwrap());
    assert!(store.delete_workflow("acme", "w").await.unwrap());
    assert_eq!(
        store
            .workflow(DEFAULT, "w")
            .await
            .unwrap()
            .map(|workflow| workflow.version),
        Some(2)
    );
}

pub async fn deleting_a_workflow_keeps_its_runs(store: AnyStore) {
    put(&store, workflow("w", 1)).await;
    let run = apply(&store, start(1).with(|row| row.workflow = "w".into())).await;
    assert!(store.delete_workflow(DEFAULT, "w").await.unwrap());
    assert_eq!(store.workflow(DEFAULT, "w").await.unwrap(), None);
    assert!(store.workflow_versions(DEFAULT, "w").await.unwrap().is_empty());
    assert!(store.workflows(DEFAULT, None, 10).await.unwrap().is_empty());
    assert!(!store.delete_workflow(DEFAULT, "w").await.unwrap());
    assert_eq!(row(&store, 1).await, run.row);
    // The run is pinned to its plan, so that stays as well.
    assert!(store.plan(digest(1)).await.unwrap().is_some());
}

pub async fn a_deleted_workflow_starts_again_at_one(store: AnyStore) {
    put(&store, workflow("w", 1)).await;
    put(&store, workflow("w", 2)).await;
    assert!(store.delete_workflow(DEFAULT, "w").await.unwrap());
    let again = put(&store, expecting(0, workflow("w", 3))).await;
    assert_eq!((again.version, again.created_at), (1, Time(3)));
}
