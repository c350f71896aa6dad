//! The vault on a store in memory: what is stored, what opens it, and what does not.

use std::sync::Arc;

use quintet_engine::clock::SystemClock;
use quintet_executors::secrets::{Plain, Secrets as _};
use quintet_store::{MemoryStore, RecordWrite, Store};

use super::master::{Masters, Place};
use super::seal::{Key, SealError};
use super::*;

fn master() -> Key {
    Key::named_by_itself(zeroize::Zeroizing::new(*Key::random().unwrap().bytes()))
}

async fn opened(store: &Arc<MemoryStore>, current: &Key, previous: &[&Key]) -> Result<Vault, OpenError> {
    let previous = previous.iter().map(|key| (*key).clone()).collect();
    let masters = Masters::of(Some(current.clone()), previous, Place::Setting);
    Vault::with(masters, Arc::clone(store) as Arc<dyn Store>, Arc::new(SystemClock)).await
}

async fn give(vault: &Vault, namespace: &str, name: &str, value: &str) -> Known {
    vault
        .put(namespace, name, &Plain::new(value), Some("ann"))
        .await
        .unwrap()
}

async fn value(vault: &Vault, namespace: &str, name: &str) -> Option<String> {
    let found = vault.reveal(namespace, name).await.unwrap();
    found.map(|plain| plain.reveal().to_owned())
}

/// Everything that the vault has stored for a namespace, as text.
async fn stored(store: &MemoryStore, namespace: &str) -> String {
    let mut text = String::new();
    for kind in [KIND, ring::KIND, ring::SPACES, "secret.canary"] {
        for record in store.records(namespace, kind, None, 100).await.unwrap() {
            text.push_str(&record.body);
        }
    }
    text
}

/// Overwrites the body of a secret, as somebody who can write to the store could.
async fn overwrite(store: &MemoryStore, namespace: &str, name: &str, body: String) {
    let write = RecordWrite {
        namespace: namespace.into(),
        kind: KIND.into(),
        id: name.into(),
        expected: None,
        body: Some(body),
        expires_at: None,
        at: Time(0),
    };
    assert!(store.put_records(vec![write]).await.unwrap());
}

#[tokio::test]
async fn a_value_comes_out_where_it_is_sent_and_nowhere_else() {
    let store = Arc::new(MemoryStore::default());
    let key = master();
    let vault = opened(&store, &key, &[]).await.unwrap();
    let known = give(&vault, "a", "TOKEN", "correct horse").await;
    assert_eq!(
        (&*known.name, known.version, known.is_masked, known.by.as_deref()),
        ("TOKEN", 1, true, Some("ann"))
    );
    assert_eq!(give(&vault, "a", "TOKEN", "pin").await.version, 2);
    assert!(!vault.show("a", "TOKEN").await.unwrap().is_masked);
    give(&vault, "a", "OTHER", "correct horse").await;
    assert_eq!(value(&vault, "a", "TOKEN").await.as_deref(), Some("pin"));
    assert_eq!(value(&vault, "b", "TOKEN").await, None, "it is another namespace's");
    let names: Vec<_> = vault
        .list("a", None, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|known| known.name)
        .collect();
    assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["OTHER", "TOKEN"]);
    for namespace in ["a", OWN] {
        let text = stored(&store, namespace).await;
        assert!(
            !text.is_empty() && !text.contains("correct") && !text.contains("pin\""),
            "{text}"
        );
    }
    vault.remove("a", "TOKEN").await.unwrap();
    assert_eq!(value(&vault, "a", "TOKEN").await, None);
    assert!(matches!(vault.remove("a", "TOKEN").await, Err(SecretError::NotFound)));
}

#[tokio::test]
async fn a_ciphertext_opens_only_where_and_when_it_was_written() {
    let store = Arc::new(MemoryStore::default());
    let vault = opened(&store, &master(), &[]).await.unwrap();
    give(&vault, "a", "MINE", "value of mine").await;
    give(&vault, "a", "YOURS", "value of yours").await;
    give(&vault, "b", "MINE", "value of b").await;
    let body = |namespace: &'static str, name: &'static str| {
        let store = Arc::clone(&store);
        async move { store.record(namespace, KIND, name).await.unwrap().unwrap().body }
    };
    let old = body("a", "MINE").await;
    // Another secret's, another namespace's, and one that was replaced.
    overwrite(&store, "a", "YOURS", old.clone()).await;
    overwrite(&store, "b", "MINE", old.clone()).await;
    give(&vault, "a", "MINE", "newer value").await;
    overwrite(&store, "a", "MINE", old).await;
    for (namespace, name) in [("a", "YOURS"), ("b", "MINE"), ("a", "MINE")] {
        let error = vault.reveal(namespace, name).await.unwrap_err();
        assert!(
            !error.is_retryable && !error.reason.contains("value of"),
            "{namespace} {name}: {error}"
        );
    }
}

#[tokio::test]
async fn a_wrong_key_or_none_is_noticed_at_the_start() {
    let store = Arc::new(MemoryStore::default());
    let key = master();
    assert!(opened(&store, &master(), &[]).await.is_ok(), "nothing is stored yet");
    give(&opened(&store, &key, &[]).await.unwrap(), "a", "TOKEN", "correct horse").await;
    let wrong = opened(&store, &master(), &[]).await.err().unwrap();
    assert!(wrong.to_string().contains(&key.id.to_string()), "{wrong}");
    let nowhere = Masters::of(None, Vec::new(), Place::Setting);
    let lost = Vault::with(nowhere, Arc::clone(&store) as Arc<dyn Store>, Arc::new(SystemClock)).await;
    assert!(matches!(lost.err(), Some(OpenError::KeyLost { .. })));
    assert!(opened(&store, &key, &[]).await.is_ok());
}

#[tokio::test]
async fn a_server_with_another_key_cannot_begin_beside_the_first() {
    let store = Arc::new(MemoryStore::default());
    let first = opened(&store, &master(), &[]).await.unwrap();
    let second = opened(&store, &master(), &[]).await.unwrap();
    give(&first, "a", "TOKEN", "correct horse").await;
    let refused = second.put("b", "TOKEN", &Plain::new("x"), None).await.unwrap_err();
    assert!(
        matches!(refused, SecretError::Seal(SealError::UnknownKey(_))),
        "{refused}"
    );
    let shared = Masters::of(None, Vec::new(), Place::Setting);
    let store = Arc::new(MemoryStore::default());
    let shared = Vault::with(shared, store, Arc::new(SystemClock)).await.unwrap();
    let refused = shared.put("a", "TOKEN", &Plain::new("x"), None).await.unwrap_err();
    assert!(matches!(refused, SecretError::NoMasterKey), "{refused}");
}

#[tokio::test]
async fn a_new_master_key_takes_over_what_the_previous_one_sealed() {
    let store = Arc::new(MemoryStore::default());
    let (old, new) = (master(), master());
    let before = opened(&store, &old, &[]).await.unwrap();
    for namespace in ["a", "b"] {
        give(&before, namespace, "TOKEN", "correct horse").await;
    }
    assert!(opened(&store, &new, &[]).await.is_err());
    let during = opened(&store, &new, &[&old]).await.unwrap();
    assert_eq!(value(&during, "a", "TOKEN").await.as_deref(), Some("correct horse"));
    let after = opened(&store, &new, &[]).await.unwrap();
    for namespace in ["a", "b"] {
        assert_eq!(
            value(&after, namespace, "TOKEN").await.as_deref(),
            Some("correct horse")
        );
    }
    assert!(
        opened(&store, &old, &[]).await.is_err(),
        "the old key opens nothing any more"
    );
}

#[tokio::test]
async fn a_rotation_seals_everything_anew_and_forgets_the_old_key() {
    let store = Arc::new(MemoryStore::default());
    let key = master();
    let vault = opened(&store, &key, &[]).await.unwrap();
    assert!(matches!(vault.rotate("a").await, Err(SecretError::NotFound)));
    for nth in 0..5 {
        give(&vault, "a", &format!("S{nth}"), &format!("value number {nth}")).await;
    }
    let (ring, _) = vault.ring("a").await.unwrap().unwrap();
    let old = ring.current();
    let rotated = vault.rotate("a").await.unwrap();
    assert_eq!(rotated.secrets, 5);
    let (ring, _) = vault.ring("a").await.unwrap().unwrap();
    assert_eq!(ring.current(), rotated.key);
    assert!(ring.open(&vault.masters, "a", old).is_err(), "the old key is gone");
    let fresh = opened(&store, &key, &[]).await.unwrap();
    for nth in 0..5 {
        let name = format!("S{nth}");
        assert_eq!(value(&fresh, "a", &name).await, Some(format!("value number {nth}")));
        assert_eq!(fresh.show("a", &name).await.unwrap().by.as_deref(), Some("ann"));
    }
}

#[tokio::test]
async fn writers_and_rotations_at_the_same_time_lose_no_value() {
    let store = Arc::new(MemoryStore::default());
    let vault = Arc::new(opened(&store, &master(), &[]).await.unwrap());
    give(&vault, "a", "S0", "first").await;
    let rotating = {
        let vault = Arc::clone(&vault);
        async move {
            for _ in 0..5 {
                vault.rotate("a").await.unwrap();
            }
        }
    };
    let writing = {
        let vault = Arc::clone(&vault);
        async move {
            for nth in 0..40 {
                let (name, plain) = (format!("S{}", nth % 4), Plain::new(format!("value {nth}")));
                // Losing the race too often is an answer too; a value that cannot be opened is none.
                match vault.put("a", &name, &plain, None).await {
                    Ok(_) | Err(SecretError::Contended) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    tokio::join!(rotating, writing);
    for nth in 0..4 {
        assert!(value(&vault, "a", &format!("S{nth}")).await.is_some(), "S{nth}");
    }
}

#[tokio::test]
async fn names_and_values_have_their_limits() {
    let store = Arc::new(MemoryStore::default());
    let vault = opened(&store, &master(), &[]).await.unwrap();
    let put = |name: &str, value: &str| {
        let (vault, name, plain) = (&vault, name.to_owned(), Plain::new(value));
        async move { vault.put("a", &name, &plain, None).await.map(|known| known.version) }
    };
    for name in ["", "a b", "a/b", "é", &"n".repeat(129)] {
        assert!(
            matches!(put(name, "v").await, Err(SecretError::Invalid { field: "name", .. })),
            "{name:?}"
        );
    }
    for value in ["", &"v".repeat(MAX_VALUE + 1)] {
        assert!(matches!(
            put("A", value).await,
            Err(SecretError::Invalid { field: "value", .. })
        ));
    }
    assert_eq!(put("A.b-c_9", &"v".repeat(MAX_VALUE)).await.unwrap(), 1);
}
