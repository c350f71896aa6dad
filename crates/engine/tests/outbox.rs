//! Messages to receivers that hang, fail and panic, and to others that must not notice.

mod support;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::event::{Event, Meta};
use quintet_core::state::RunState;
use quintet_engine::hooks::{Delivery, DeliveryError, HookSource};
use quintet_engine::{EngineConfig, StartRun};
use quintet_store::{MemoryStore, OutboxEntry, OutboxWrite, Store};
use serde_json::json;
use support::{Faulty, Hooks, Rig, begin, rig_telling, step};
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(20);

/// Tells each receiver that the run's context lists under `tell` that the run was created.
struct Source;

impl HookSource for Source {
    fn messages(&self, state: &RunState, _meta: Meta, events: &[Event]) -> Vec<OutboxWrite> {
        let is_new = events.iter().any(|event| matches!(event, Event::RunCreated(_)));
        let told = state.context["tell"].as_array().filter(|_| is_new);
        let message = |(nth, target): (usize, &serde_json::Value)| OutboxWrite {
            target: target.as_str().unwrap().into(),
            key: state.context["key"]
                .as_str()
                .map_or_else(|| state.id.to_string(), str::to_owned)
                .into(),
            message_id: format!("msg_{}_{nth}", state.id),
            body: nth.to_string(),
        };
        told.into_iter().flatten().enumerate().map(message).collect()
    }
}

#[derive(Debug, Default, Clone)]
struct Seen {
    begun: Vec<(String, String)>,
    under_way: HashMap<String, usize>,
    most: HashMap<String, usize>,
}

impl Seen {
    fn of(&self, target: &str) -> usize {
        self.begun.iter().filter(|(known, _)| known == target).count()
    }
}

/// Receivers whose names begin with `hang` answer once they are released; `panic` panics the first time.
struct Receivers {
    seen: watch::Sender<Seen>,
    released: watch::Sender<bool>,
    panicked: Mutex<bool>,
}

impl Receivers {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: watch::Sender::default(),
            released: watch::Sender::new(false),
            panicked: Mutex::new(false),
        })
    }

    async fn until(&self, done: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.subscribe();
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| done(seen))).await;
        waited
            .unwrap_or_else(|_| panic!("{:?}", self.seen.borrow()))
            .unwrap()
            .clone()
    }
}

#[async_trait]
impl Delivery for Receivers {
    async fn deliver(&self, entry: &OutboxEntry) -> Result<(), DeliveryError> {
        let target = entry.target.to_string();
        self.seen.send_modify(|seen| {
            seen.begun.push((target.clone(), entry.message_id.clone()));
            let under_way = seen.under_way.entry(target.clone()).or_default();
            *under_way += 1;
            let under_way = *under_way;
            let most = seen.most.entry(target.clone()).or_default();
            *most = under_way.max(*most);
        });
        if target.starts_with("hang") {
            let _ = self.released.subscribe().wait_for(|released| *released).await;
        }
        self.seen
            .send_modify(|seen| *seen.under_way.get_mut(&target).unwrap() -= 1);
        let is_first = !std::mem::replace(&mut *self.panicked.lock().unwrap(), true);
        assert!(target != "panic" || !is_first, "asked to");
        Ok(())
    }
}

fn telling(targets: &[&str], key: Option<&str>) -> StartRun {
    StartRun {
        context: Arc::new(json!({ "tell": targets, "key": key })),
        ..begin(vec![step("a", "noop", json!(1))])
    }
}

async fn open(store: Arc<dyn Store>, receivers: &Arc<Receivers>) -> Rig {
    let hooks: Hooks = (Arc::new(Source), Arc::clone(receivers) as Arc<dyn Delivery>);
    rig_telling(store, 1, EngineConfig::default(), Some(hooks)).await
}

async fn start(rig: &Rig, runs: Vec<StartRun>) {
    rig.engine.start_runs(runs, None, false).await.unwrap();
}

async fn emptied(store: &dyn Store) {
    let empty = async {
        while store.status().await.unwrap().outbox > 0 {
            quintet_engine::tasks::pause(Some(Duration::from_millis(5))).await;
        }
    };
    tokio::time::timeout(PATIENCE, empty)
        .await
        .expect("everything is delivered");
}

#[tokio::test]
async fn receivers_that_hang_delay_nobody_else() {
    let (store, receivers) = (Arc::new(MemoryStore::new()), Receivers::new());
    let rig = open(store.clone(), &receivers).await;
    start(&rig, (0..300).map(|_| telling(&["hang"], None)).collect()).await;
    start(&rig, (0..50).map(|_| telling(&["hang too", "quick"], None)).collect()).await;
    let seen = receivers.until(|seen| seen.of("quick") == 50).await;
    assert_eq!((seen.of("hang"), seen.of("hang too")), (8, 8));
    receivers.released.send_replace(true);
    let seen = receivers
        .until(|seen| seen.of("hang") == 300 && seen.of("hang too") == 50)
        .await;
    emptied(store.as_ref()).await;
    assert_eq!(seen.begun.len(), 400, "none is made twice");
    assert!(seen.most.values().all(|most| *most <= 8), "{:?}", seen.most);
}

#[tokio::test]
async fn more_receivers_hang_than_there_are_places_and_a_known_one_is_still_told() {
    let (store, receivers) = (Arc::new(MemoryStore::new()), Receivers::new());
    let rig = open(store.clone(), &receivers).await;
    start(&rig, vec![telling(&["quick"], None)]).await;
    emptied(store.as_ref()).await;
    let names: Vec<String> = (0..200).map(|n| format!("hang {n}")).collect();
    start(&rig, names.iter().map(|name| telling(&[name], None)).collect()).await;
    receivers
        .until(|seen| seen.under_way.values().sum::<usize>() == 32)
        .await;
    start(&rig, vec![telling(&["quick"], None)]).await;
    receivers.until(|seen| seen.of("quick") == 2).await;
    receivers.released.send_replace(true);
    emptied(store.as_ref()).await;
}

#[tokio::test]
async fn messages_of_one_key_arrive_one_at_a_time_in_order() {
    let (store, receivers) = (Arc::new(MemoryStore::new()), Receivers::new());
    let rig = open(store.clone(), &receivers).await;
    let runs = (0..30).map(|_| telling(&["quick"], Some("k"))).collect();
    let started = rig.engine.start_runs(runs, None, false).await.unwrap();
    emptied(store.as_ref()).await;
    let seen = receivers.seen.borrow().clone();
    let ids: Vec<&str> = seen.begun.iter().map(|(_, id)| &**id).collect();
    let expected: Vec<String> = started.runs.iter().map(|run| format!("msg_{}_0", run.id)).collect();
    assert_eq!(ids, expected);
    assert_eq!(seen.most["quick"], 1);
}

#[tokio::test]
async fn what_the_store_could_not_be_told_is_not_delivered_again_meanwhile() {
    let (store, receivers) = (Faulty::new(Arc::new(MemoryStore::new())), Receivers::new());
    let rig = open(store.clone(), &receivers).await;
    start(&rig, vec![telling(&["hang"], None)]).await;
    receivers.until(|seen| seen.of("hang") == 1).await;
    store.cut.store(true, Ordering::SeqCst);
    receivers.released.send_replace(true);
    receivers.until(|seen| seen.under_way["hang"] == 0).await;
    while store.turned_away.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.inner.status().await.unwrap().outbox, 1);
    store.cut.store(false, Ordering::SeqCst);
    emptied(store.inner.as_ref()).await;
    assert_eq!(receivers.seen.borrow().of("hang"), 1);
}

#[tokio::test]
async fn a_delivery_that_panics_is_made_again() {
    let (store, receivers) = (Arc::new(MemoryStore::new()), Receivers::new());
    let rig = open(store.clone(), &receivers).await;
    start(&rig, vec![telling(&["panic", "quick"], None)]).await;
    receivers
        .until(|seen| seen.of("panic") == 2 && seen.of("quick") == 1)
        .await;
    emptied(store.as_ref()).await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_receiver_that_hangs() {
    let (store, receivers) = (Faulty::new(Arc::new(MemoryStore::new())), Receivers::new());
    let rig = open(store.clone(), &receivers).await;
    start(&rig, vec![telling(&["hang", "quick"], None)]).await;
    receivers
        .until(|seen| seen.of("hang") == 1 && seen.of("quick") == 1)
        .await;
    let down = rig.engine.shutdown();
    tokio::time::timeout(Duration::from_secs(5), down)
        .await
        .expect("it ends");
    assert_eq!(
        store.status().await.unwrap().outbox,
        1,
        "the other one is there after the next start"
    );
}

#[tokio::test]
async fn runs_that_tell_nothing_do_not_wake_the_outbox() {
    let (store, receivers) = (Faulty::new(Arc::new(MemoryStore::new())), Receivers::new());
    let rig = open(store.clone(), &receivers).await;
    start(&rig, vec![telling(&["quick"], None)]).await;
    emptied(store.as_ref()).await;
    let asked = store.outbox_asks.load(Ordering::SeqCst);
    for _ in 0..20 {
        start(&rig, vec![telling(&[], None)]).await;
    }
    // At most the one question that follows the last delivery.
    assert!(store.outbox_asks.load(Ordering::SeqCst) <= asked + 1);
    start(&rig, vec![telling(&["quick"], None)]).await;
    receivers.until(|seen| seen.of("quick") == 2).await;
}
