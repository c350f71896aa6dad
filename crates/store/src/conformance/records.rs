//! Documents of faces: small, versioned, and written several at once.

use std::sync::Arc;

use quintet_core::time::Time;
use tokio::task::JoinSet;

use super::support::*;
use crate::record::{Record, RecordWrite};

fn write(id: &str, expected: Option<u64>, body: &str) -> RecordWrite {
    RecordWrite {
        namespace: DEFAULT.into(),
        kind: "kind".into(),
        id: id.into(),
        expected,
        body: Some(body.to_owned()),
        expires_at: None,
        at: Time(10),
    }
}

fn removal(id: &str, expected: Option<u64>) -> RecordWrite {
    RecordWrite {
        body: None,
        ..write(id, expected, "")
    }
}

impl RecordWrite {
    fn at(mut self, at: i64) -> Self {
        self.at = Time(at);
        self
    }

    fn expiring(mut self, at: i64) -> Self {
        self.expires_at = Some(Time(at));
        self
    }

    fn of(mut self, namespace: &str, kind: &str) -> Self {
        self.namespace = namespace.into();
        self.kind = kind.into();
        self
    }
}

async fn put(store: &AnyStore, writes: impl IntoIterator<Item = RecordWrite>) -> bool {
    store.put_records(writes.into_iter().collect()).await.unwrap()
}

async fn found(store: &AnyStore, id: &str) -> Option<Record> {
    store.record(DEFAULT, "kind", id).await.unwrap()
}

async fn version(store: &AnyStore, id: &str) -> Option<u64> {
    found(store, id).await.map(|record| record.version)
}

pub async fn a_document_is_read_back_as_it_was_written(store: AnyStore) {
    let text = "a\u{0}ü\u{10ffff}'; --";
    let (body, at) = (text.repeat(20_000), Time(i64::MIN));
    let written = RecordWrite {
        namespace: text.into(),
        kind: text.into(),
        id: text.into(),
        expected: Some(0),
        body: Some(body.clone()),
        expires_at: Some(Time(i64::MAX)),
        at,
    };
    assert!(put(&store, [written]).await);
    let expected = Record {
        namespace: text.into(),
        kind: text.into(),
        id: text.into(),
        version: 1,
        body,
        expires_at: Some(Time(i64::MAX)),
        created_at: at,
        updated_at: at,
    };
    assert!(store.record(text, text, text).await.unwrap().as_ref() == Some(&expected));
    assert!(store.records(text, text, None, 10).await.unwrap() == [expected.clone()]);
    assert!(store.expired_records(text, Time(i64::MAX), 10).await.unwrap() == [expected]);
}

pub async fn each_write_is_one_more_version_and_keeps_the_time_of_the_first(store: AnyStore) {
    assert!(put(&store, [write("a", None, "1").expiring(70)]).await);
    assert!(put(&store, [write("a", None, "2").at(20)]).await);
    assert!(put(&store, [write("a", Some(2), "3").at(30)]).await);
    let record = found(&store, "a").await.unwrap();
    assert_eq!((record.version, &*record.body, record.expires_at), (3, "3", None));
    assert_eq!((record.created_at, record.updated_at), (Time(10), Time(30)));
}

pub async fn of_several_documents_all_or_none_are_stored(store: AnyStore) {
    assert!(put(&store, [write("a", Some(0), "1"), write("b", Some(0), "1")]).await);
    assert!(
        !put(
            &store,
            [write("a", Some(1), "2"), removal("b", Some(7)), write("c", None, "1")]
        )
        .await
    );
    assert_eq!(
        (version(&store, "a").await, version(&store, "b").await),
        (Some(1), Some(1))
    );
    assert_eq!(version(&store, "c").await, None);
    assert!(
        put(
            &store,
            [write("a", Some(1), "2"), removal("b", Some(1)), write("c", None, "1")]
        )
        .await
    );
    assert_eq!(
        (version(&store, "a").await, version(&store, "b").await),
        (Some(2), None)
    );
    assert_eq!(version(&store, "c").await, Some(1));
    assert!(put(&store, []).await);
}

pub async fn every_expectation_is_about_what_was_there_before_the_call(store: AnyStore) {
    assert!(!put(&store, [write("a", Some(0), "1"), write("a", Some(1), "2")]).await);
    assert!(put(&store, [write("a", Some(0), "1"), write("a", Some(0), "2")]).await);
    let record = found(&store, "a").await.unwrap();
    assert_eq!((record.version, &*record.body), (2, "2"));
    assert!(put(&store, [removal("a", Some(2)), write("a", Some(2), "3").at(50)]).await);
    let record = found(&store, "a").await.unwrap();
    assert_eq!((record.version, &*record.body, record.created_at), (1, "3", Time(50)));
}

pub async fn a_document_that_was_removed_begins_again_at_one(store: AnyStore) {
    assert!(put(&store, [removal("a", None), removal("b", Some(0))]).await);
    assert!(!put(&store, [removal("a", Some(1))]).await);
    assert!(put(&store, [write("a", None, "1")]).await);
    assert!(put(&store, [write("a", None, "2")]).await);
    assert!(!put(&store, [removal("a", Some(1))]).await);
    assert!(put(&store, [removal("a", Some(2))]).await);
    assert_eq!(version(&store, "a").await, None);
    assert!(!put(&store, [write("a", Some(2), "3")]).await);
    assert!(put(&store, [write("a", Some(0), "3").at(90)]).await);
    let record = found(&store, "a").await.unwrap();
    assert_eq!((record.version, record.created_at), (1, Time(90)));
}

pub async fn documents_are_listed_by_id_after_one(store: AnyStore) {
    let ids = ["b", "", "a", "B", "aa", "ü"];
    assert!(put(&store, ids.map(|id| write(id, None, id))).await);
    let others = [
        write("x", None, "x").of("acme", "kind"),
        write("x", None, "x").of(DEFAULT, "kin"),
    ];
    assert!(put(&store, others).await);
    let listed = async |after, limit| -> Vec<String> {
        let found = store.records(DEFAULT, "kind", after, limit).await.unwrap();
        found.into_iter().map(|record| record.body).collect()
    };
    assert_eq!(listed(None, 100).await, ["", "B", "a", "aa", "b", "ü"]);
    assert_eq!(listed(None, 2).await, ["", "B"]);
    assert_eq!(listed(Some(""), 2).await, ["B", "a"]);
    assert_eq!(listed(Some("a"), 100).await, ["aa", "b", "ü"]);
    assert_eq!(listed(Some("ab"), 100).await, ["b", "ü"]);
    assert_eq!(listed(None, 0).await, [""; 0]);
    assert!(store.records("nobody", "kind", None, 10).await.unwrap().is_empty());
}

pub async fn documents_of_other_namespaces_and_kinds_are_other_documents(store: AnyStore) {
    let places = [(DEFAULT, "kind"), ("acme", "kind"), (DEFAULT, "other")];
    assert!(
        put(
            &store,
            places.map(|(namespace, kind)| write("a", Some(0), "1").of(namespace, kind))
        )
        .await
    );
    assert!(put(&store, [write("a", Some(1), "2").of("acme", "kind")]).await);
    assert!(put(&store, [removal("a", Some(1)).of(DEFAULT, "other")]).await);
    let mut versions = Vec::new();
    for (namespace, kind) in places {
        let found = store.record(namespace, kind, "a").await.unwrap();
        versions.push(found.map(|record| record.version));
    }
    assert_eq!(versions, [Some(1), Some(2), None]);
}

pub async fn expired_documents_come_earliest_first_in_every_namespace(store: AnyStore) {
    let writes = [
        write("a", None, "a").expiring(30),
        write("b", None, "b").expiring(20),
        write("d", None, "d").expiring(30).of("acme", "kind"),
        write("c", None, "c").expiring(30).of("acme", "kind"),
        write("e", None, "e").expiring(31),
        write("f", None, "f"),
        write("g", None, "g").expiring(1).of(DEFAULT, "other"),
    ];
    assert!(put(&store, writes).await);
    let expired = async |now, limit| -> Vec<String> {
        let found = store.expired_records("kind", Time(now), limit).await.unwrap();
        found.into_iter().map(|record| record.body).collect()
    };
    assert_eq!(expired(30, 100).await, ["b", "c", "d", "a"]);
    assert_eq!(expired(30, 2).await, ["b", "c"]);
    assert_eq!(expired(19, 100).await, [""; 0]);
    assert_eq!(version(&store, "b").await, Some(1), "being looked at removes nothing");
    assert!(put(&store, [write("b", None, "b"), write("e", None, "e").expiring(5)]).await);
    assert_eq!(expired(30, 100).await, ["e", "c", "d", "a"]);
}

pub async fn of_many_that_expect_one_version_exactly_one_writes(store: AnyStore) {
    assert!(put(&store, [write("a", Some(0), "first")]).await);
    let mut writers = JoinSet::new();
    for number in 0..32 {
        let store = Arc::clone(&store);
        let body = number.to_string();
        writers.spawn(async move {
            let own = format!("own {number}");
            let won = put(&store, [write("a", Some(1), &body), write(&own, Some(0), &body)]).await;
            (body, won)
        });
    }
    let results = writers.join_all().await;
    let winners: Vec<&String> = results.iter().filter(|(_, won)| *won).map(|(body, _)| body).collect();
    let [winner] = winners[..] else {
        panic!("{winners:?} wrote")
    };
    let record = found(&store, "a").await.unwrap();
    assert_eq!((record.version, &record.body), (2, winner));
    assert_eq!(store.records(DEFAULT, "kind", None, 100).await.unwrap().len(), 2);
}

pub async fn of_many_that_store_a_first_version_exactly_one_does(store: AnyStore) {
    let mut writers = JoinSet::new();
    for number in 0..32 {
        let store = Arc::clone(&store);
        writers.spawn(async move { put(&store, [write("a", Some(0), &number.to_string())]).await });
    }
    let won = writers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!((won, version(&store, "a").await), (1, Some(1)));
}
