//! The trail on a store in memory.

use quintet_core::time::Time;
use quintet_engine::clock::SystemClock;
use quintet_store::MemoryStore;
use serde_json::{Map, Value};

use super::chain::Verifier;
use super::*;

pub(super) fn draft(actor: &str) -> Draft {
    Draft {
        at: Time(1_700_000_000_000_000),
        actor: actor.into(),
        credential: None,
        namespace: "default".into(),
        client: "127.0.0.1".to_owned(),
        request_id: "r".to_owned(),
        action: "cancelRun".to_owned(),
        route: "POST /v1/runs/{id}/cancel".to_owned(),
        object: Map::from_iter([("id".to_owned(), Value::from("run_1"))]),
        created: None,
        outcome: Outcome::Done,
        status: Some(200),
        repeated: 0,
    }
}

fn open(store: &Arc<dyn Store>, node: &str) -> Arc<Audit> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Audit::open(&config::Audit::default(), Arc::clone(store), &clock, node)
}

async fn verified(audit: &Audit) -> u64 {
    let (mut verifier, mut after) = (Verifier::from_start(None), 0);
    while let Some((last, texts)) = audit.texts(None, after, u64::MAX).await.unwrap() {
        texts.iter().for_each(|text| verifier.check(text).unwrap());
        after = last;
    }
    let head = audit.head().await.unwrap();
    verifier.finish(Some(&head)).unwrap().0
}

#[tokio::test]
async fn entries_of_several_writers_make_one_chain_and_each_is_stored_when_it_is_answered() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let nodes = [open(&store, "a"), open(&store, "b"), open(&store, "c")];
    let requests = (0..300).map(|nth| {
        let audit = Arc::clone(&nodes[nth % 3]);
        async move {
            let name = format!("actor-{nth}");
            audit.store(draft(&name)).await.unwrap();
            let filter = Filter {
                actor: Some(name),
                ..Filter::default()
            };
            assert_eq!(audit.page(&filter, None, 10).await.unwrap().items.len(), 1);
        }
    });
    futures_util::future::join_all(requests).await;
    assert_eq!(verified(&nodes[0]).await, 300);
    for audit in nodes {
        audit.close().await;
    }
}

#[tokio::test]
async fn what_waits_when_it_is_closed_is_stored_before_it_ends() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let audit = open(&store, "a");
    for _ in 0..WAITING {
        audit.offer(draft("a"));
    }
    audit.close().await;
    assert_eq!(verified(&audit).await, WAITING as u64);
    assert!(audit.store(draft("late")).await.is_err(), "nobody would store it");
}

#[tokio::test]
async fn pages_go_from_the_newest_back_and_filters_leave_out_the_others() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let audit = open(&store, "a");
    for nth in 0..1_203 {
        let mut draft = draft(if nth % 2 == 0 { "even" } else { "odd" });
        draft.created = (nth == 7).then(|| "wf_7".to_owned());
        audit.store(draft).await.unwrap();
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = audit.page(&Filter::default(), before, 100).await.unwrap();
        seen.extend(page.items.iter().map(|entry| entry["seq"].as_u64().unwrap()));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    assert!(seen.iter().copied().eq((1..=1_203).rev()));
    let found = async |filter: Filter| audit.page(&filter, None, 1_000).await.unwrap().items.len();
    let actor = Some("odd".to_owned());
    assert_eq!(
        found(Filter {
            actor,
            ..Filter::default()
        })
        .await,
        601
    );
    let object = Some("wf_7".to_owned());
    assert_eq!(
        found(Filter {
            object,
            ..Filter::default()
        })
        .await,
        1
    );
    let outcome = Some(Outcome::Refused);
    assert_eq!(
        found(Filter {
            outcome,
            ..Filter::default()
        })
        .await,
        0
    );
    let namespace = Some("acme".to_owned());
    assert_eq!(
        found(Filter {
            namespace,
            ..Filter::default()
        })
        .await,
        0
    );
    let from = Some(Time(1_700_000_000_000_001));
    assert_eq!(
        found(Filter {
            from,
            ..Filter::default()
        })
        .await,
        0
    );
}

#[tokio::test]
async fn a_head_that_was_removed_is_found_again_at_the_last_entry() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let audit = open(&store, "a");
    audit.store(draft("a")).await.unwrap();
    audit.store(draft("b")).await.unwrap();
    audit.close().await;
    let removal = quintet_store::RecordWrite {
        namespace: NAMESPACE.into(),
        kind: HEAD.into(),
        id: HEAD.into(),
        expected: None,
        body: None,
        expires_at: None,
        at: Time(0),
    };
    assert!(store.put_records(vec![removal]).await.unwrap());
    let audit = open(&store, "b");
    audit.store(draft("c")).await.unwrap();
    assert_eq!(verified(&audit).await, 3);
}

#[tokio::test]
async fn what_is_switched_off_notes_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let off = config::Audit {
        enabled: false,
        ..config::Audit::default()
    };
    let audit = Audit::open(&off, store, &clock, "a");
    assert!(!audit.is_on() && !audit.notes_data());
    audit.store(draft("a")).await.unwrap();
    audit.offer(draft("a"));
    audit.refused(draft("a"));
    assert_eq!(audit.head().await.unwrap().seq, 0);
}
