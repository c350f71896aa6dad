//! Namespaces over the model of a store, with a clock that only the tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quintet_core::time::Time;
use quintet_engine::Quota as _;
use quintet_engine::clock::Clock;
use quintet_store::conformance::support::{apply, apply_all, start};
use quintet_store::{MemoryStore, RecordWrite, Store};

use super::keeper::{Diary, Reason};
use super::*;

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

struct Rig {
    store: Arc<dyn Store>,
    hands: Arc<Hands>,
    tenancy: Arc<Tenancy>,
}

impl Rig {
    async fn new(open: bool, defaults: DefaultQuotas) -> Self {
        Self::on(Arc::new(MemoryStore::new()), open, defaults).await
    }

    async fn on(store: Arc<dyn Store>, open: bool, defaults: DefaultQuotas) -> Self {
        let hands = Arc::new(Hands(AtomicI64::new(1_000_000_000_000)));
        let clock = Arc::clone(&hands) as Arc<dyn Clock>;
        let settings = Namespaces { open };
        let tenancy = Tenancy::open(Arc::clone(&store), clock, &settings, &defaults);
        let tenancy = tenancy.await.expect("opened");
        Self { store, hands, tenancy }
    }

    fn pass(&self, ms: i64) {
        self.hands.0.fetch_add(ms * 1000, Ordering::SeqCst);
    }

    fn admits(&self, namespace: &str) -> bool {
        let admitted = self.tenancy.admit(namespace, 1, self.hands.now());
        admitted.is_ok()
    }

    fn starts(&self, namespace: &str) -> bool {
        let admitted = self.admits(namespace);
        if admitted {
            self.tenancy.started(namespace, 1);
        }
        admitted
    }

    fn find(&self, own: &str, asked: &Asked<'_>, access: Access) -> Result<String, Refusal> {
        let found = self.tenancy.resolve(&own.into(), asked, access);
        found.map(|name| name.to_string())
    }
}

fn quotas(quotas: Quotas) -> Spec {
    Spec {
        quotas,
        ..Spec::default()
    }
}

fn live(max: u64) -> Spec {
    quotas(Quotas {
        max_live_runs: Some(max),
        ..Quotas::default()
    })
}

#[tokio::test]
async fn who_belongs_to_one_is_there_and_who_belongs_to_all_says_where() {
    let rig = Rig::new(true, DefaultQuotas::default()).await;
    let read = |own, asked: &Asked<'_>| rig.find(own, asked, Access::Read);
    let (acme, path) = (Asked::Header("acme"), Asked::Path("acme".into()));
    assert_eq!(read("acme", &Asked::Nothing), Ok("acme".to_owned()));
    assert_eq!(read("acme", &acme), Ok("acme".to_owned()));
    assert_eq!(read("other", &acme), Err(Refusal::Unknown));
    assert_eq!(read("other", &path), Err(Refusal::UnknownTenant));
    assert_eq!(read(EVERY, &Asked::Nothing), Ok("default".to_owned()));
    assert_eq!(read(EVERY, &acme), Ok("acme".to_owned()));
    assert_eq!(read(EVERY, &path), Ok("acme".to_owned()));
    for reserved in [
        Asked::Header("quintet"),
        Asked::Path("quintet".into()),
        Asked::Path("*".into()),
    ] {
        assert!(read(EVERY, &reserved).is_err(), "{reserved:?}");
    }
    assert_eq!(read("quintet", &Asked::Nothing), Err(Refusal::Unknown));
}

#[tokio::test]
async fn where_not_everybody_is_served_only_created_ones_and_the_default_are_found() {
    let rig = Rig::new(false, DefaultQuotas::default()).await;
    assert_eq!(rig.find("acme", &Asked::Nothing, Access::Read), Err(Refusal::Unknown));
    assert_eq!(
        rig.find(EVERY, &Asked::Nothing, Access::Change),
        Ok("default".to_owned())
    );
    rig.tenancy.create("acme", Spec::default()).await.expect("created");
    assert_eq!(rig.find("acme", &Asked::Nothing, Access::Change), Ok("acme".to_owned()));
    rig.tenancy.remove("acme").await.expect("removed");
    assert_eq!(rig.find("acme", &Asked::Nothing, Access::Read), Err(Refusal::Unknown));
}

#[tokio::test]
async fn a_suspended_one_is_read_and_managed_and_neither_changes_nor_starts() {
    let rig = Rig::new(true, DefaultQuotas::default()).await;
    rig.tenancy
        .set_state("default", State::Suspended)
        .await
        .expect("suspended");
    let find = |access| rig.find(EVERY, &Asked::Nothing, access);
    assert_eq!(find(Access::Change), Err(Refusal::Suspended));
    assert_eq!(find(Access::Read), Ok("default".to_owned()));
    assert_eq!(find(Access::Manage), Ok("default".to_owned()));
    assert!(!rig.tenancy.is_active("default") && !rig.admits("default"));
    assert!(rig.tenancy.is_active("other") && rig.admits("other"));
    rig.tenancy.set_state("default", State::Active).await.expect("resumed");
    assert!(rig.tenancy.is_active("default") && rig.admits("default"));
}

#[tokio::test]
async fn of_two_that_create_one_name_one_does_and_senseless_ones_are_refused() {
    let rig = Rig::new(true, DefaultQuotas::default()).await;
    let created = rig.tenancy.create("acme", live(5)).await.expect("created");
    assert_eq!((created.version, created.spec.quotas.max_live_runs), (1, Some(5)));
    let again = rig.tenancy.create("acme", Spec::default()).await;
    assert!(matches!(again, Err(NamespaceError::Exists)));
    for name in ["quintet", "", "a/b"] {
        let refused = rig.tenancy.create(name, Spec::default()).await;
        assert!(matches!(refused, Err(NamespaceError::Invalid { .. })), "{name}");
    }
    let refused = rig.tenancy.create("b", live(0)).await.expect_err("refused");
    assert!(
        refused
            .to_string()
            .starts_with("quotas.max_live_runs: must be at least 1"),
        "{refused}"
    );
    let names: Vec<_> = rig
        .tenancy
        .list(None, 10)
        .iter()
        .map(|known| known.name.to_string())
        .collect();
    assert_eq!(names, ["acme", "default"]);
    assert_eq!(rig.tenancy.list(Some("acme"), 10).len(), 1);
}

#[tokio::test]
async fn only_an_empty_namespace_is_removed() {
    let rig = Rig::new(true, DefaultQuotas::default()).await;
    rig.tenancy.create("acme", Spec::default()).await.expect("created");
    let of = |kind: &str, body: Option<&str>| RecordWrite {
        namespace: "acme".into(),
        kind: kind.into(),
        id: "s".into(),
        expected: None,
        body: body.map(str::to_owned),
        expires_at: None,
        at: Time(1),
    };
    rig.store
        .put_records(vec![of("schedule", Some("{}")), of("secret.key", Some("{}"))])
        .await
        .expect("stored");
    let refused = rig.tenancy.remove("acme").await.expect_err("refused");
    assert!(refused.to_string().contains("1 documents"), "{refused}");
    rig.store
        .put_records(vec![of("schedule", None)])
        .await
        .expect("removed");
    rig.tenancy.remove("acme").await.expect("removed");
    assert!(matches!(rig.tenancy.get("acme"), Err(NamespaceError::NotFound)));
    let left = rig.store.namespace_usage("acme").await.expect("usage");
    assert!(left.is_empty(), "what its secrets were sealed with is gone: {left:?}");
    assert!(rig.tenancy.remove("default").await.is_err());
}

#[tokio::test]
async fn runs_that_are_there_count_from_the_first_start_on() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Rig::on(Arc::clone(&store), true, DefaultQuotas::default()).await;
    first.tenancy.create("acme", live(3)).await.expect("created");
    apply_all(&store, (1..=2).map(|n| start(n).within("acme"))).await;
    let second = Rig::on(Arc::clone(&store), true, DefaultQuotas::default()).await;
    assert!(second.starts("acme"));
    assert!(!second.starts("acme"), "two were there");
    // A limit that is set later counts what is there by then.
    apply(&store, start(9).within("late")).await;
    assert!(first.starts("late"));
    first.tenancy.create("late", live(1)).await.expect("created");
    assert!(!first.starts("late"));
}

#[tokio::test]
async fn a_count_that_was_too_high_is_put_right_when_somebody_is_refused() {
    let rig = Rig::new(true, DefaultQuotas::default()).await;
    rig.tenancy.create("acme", live(1)).await.expect("created");
    assert!(rig.starts("acme"));
    assert!(!rig.starts("acme"));
    // It ended elsewhere: the store has none.
    let mut diary = Diary::default();
    rig.tenancy.tick(&mut diary, Reason::Asked, 0).await.expect("tick");
    assert!(rig.starts("acme"));
    assert!(!rig.starts("acme"));
    rig.tenancy.tick(&mut diary, Reason::Asked, 0).await.expect("tick");
    assert!(!rig.starts("acme"), "it rests between two counts");
    rig.pass(1_000);
    rig.tenancy.tick(&mut diary, Reason::Time, 0).await.expect("tick");
    assert!(!rig.starts("acme"), "nothing was committed since");
    rig.tenancy.tick(&mut diary, Reason::Time, 1).await.expect("tick");
    assert!(rig.starts("acme"));
    let refused = rig
        .tenancy
        .metrics()
        .refused
        .get_or_create(&metrics::Limit { what: "max_live_runs" })
        .get();
    assert_eq!(refused, 4);
}

#[tokio::test]
async fn a_run_that_ends_here_makes_room_at_once() {
    let rig = Rig::new(true, DefaultQuotas::default()).await;
    rig.tenancy.create("acme", live(1)).await.expect("created");
    assert!(rig.starts("acme") && !rig.starts("acme"));
    rig.tenancy.ended("acme");
    assert!(rig.admits("acme") && !rig.admits("acme"));
    rig.tenancy.undo("acme", 1);
    assert!(rig.admits("acme"));
}

#[tokio::test]
async fn what_was_never_created_has_the_default_quotas_and_what_was_has_its_own() {
    let defaults = DefaultQuotas {
        max_live_runs: Some(1),
        max_running_steps: Some(2),
        ..DefaultQuotas::default()
    };
    let rig = Rig::new(true, defaults).await;
    assert!(rig.starts("anybody") && !rig.starts("anybody"));
    assert!(rig.starts("somebody"), "each has its own");
    assert_eq!(rig.tenancy.max_running_steps("anybody"), Some(2));
    rig.tenancy.create("anybody", Spec::default()).await.expect("created");
    assert!(rig.starts("anybody"));
    assert_eq!(rig.tenancy.max_running_steps("anybody"), None);
}

#[tokio::test]
async fn too_much_in_the_store_stops_starts_until_it_is_measured_again() {
    let rig = Rig::new(true, DefaultQuotas::default()).await;
    let most = quotas(Quotas {
        max_stored_bytes: Some(100),
        ..Quotas::default()
    });
    rig.tenancy.create("acme", most).await.expect("created");
    let run = apply(
        &rig.store,
        start(1).within("acme").saying(&format!("[\"{}\"]", "x".repeat(100))),
    )
    .await;
    let mut diary = Diary::default();
    assert!(rig.starts("acme"), "nobody has measured yet");
    rig.tenancy.tick(&mut diary, Reason::Asked, 0).await.expect("tick");
    assert!(!rig.starts("acme"));
    apply(&rig.store, run.finish(quintet_core::machine::RunStatus::Complete, 9)).await;
    assert!(rig.store.delete_run("acme", run.row.id).await.expect("deleted"));
    rig.pass(9_000);
    rig.tenancy.tick(&mut diary, Reason::Time, 1).await.expect("tick");
    assert!(!rig.starts("acme"));
    rig.pass(2_000);
    rig.tenancy.tick(&mut diary, Reason::Time, 2).await.expect("tick");
    assert!(rig.starts("acme"));
}

#[tokio::test]
async fn what_another_node_says_is_known_after_the_next_look() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::shared(|| Time(5)));
    let one = Rig::on(Arc::clone(&store), false, DefaultQuotas::default()).await;
    let two = Rig::on(Arc::clone(&store), false, DefaultQuotas::default()).await;
    one.tenancy.create("acme", Spec::default()).await.expect("created");
    assert_eq!(two.tenancy.state("acme"), None);
    let mut diary = Diary::default();
    two.tenancy.tick(&mut diary, Reason::Time, 0).await.expect("tick");
    assert_eq!(two.tenancy.state("acme"), Some(State::Active));
    one.tenancy
        .set_state("acme", State::Suspended)
        .await
        .expect("suspended");
    // Changes with what it knows are made again with what is there.
    let changed = two.tenancy.change("acme", |spec| {
        spec.labels.insert("a".to_owned(), "b".to_owned());
        Ok(())
    });
    let changed = changed.await.expect("changed");
    assert_eq!((changed.version, changed.spec.state), (3, State::Suspended));
    one.tenancy.remove("acme").await.expect_err("another version is known");
}

#[tokio::test]
async fn a_new_workflow_needs_room_and_a_new_version_does_not() {
    let rig = Rig::new(true, DefaultQuotas::default()).await;
    let most = quotas(Quotas {
        max_workflows: Some(1),
        ..Quotas::default()
    });
    rig.tenancy.create("acme", most).await.expect("created");
    let acme: Arc<str> = "acme".into();
    rig.tenancy.room_for_workflow(&acme, Some("w")).await.expect("room");
    let write = quintet_store::WorkflowWrite {
        namespace: Arc::clone(&acme),
        id: "w".into(),
        name: "w".to_owned(),
        document: "{}".to_owned(),
        digest: quintet_store::conformance::support::digest(1),
        spec: "{}".into(),
        at: Time(1),
        expected: None,
    };
    rig.store.put_workflow(write).await.expect("stored");
    rig.tenancy
        .room_for_workflow(&acme, Some("w"))
        .await
        .expect("it is there");
    for id in [Some("v"), None] {
        let full = rig.tenancy.room_for_workflow(&acme, id).await;
        assert!(matches!(full, Err(RoomError::Full(_))), "{id:?}");
    }
    rig.tenancy
        .room_for_workflow(&"other".into(), None)
        .await
        .expect("no limit");
}
