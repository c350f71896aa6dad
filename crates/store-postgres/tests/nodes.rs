//! Nodes, beyond what the suite asks of every shared store: the clock of the database, words, and hints.

mod support;

use std::sync::Arc;
use std::time::Duration;

use quintet_core::time::Time;
use quintet_store::conformance::support::{AnyStore, commit, id, start, unit};
use quintet_store::{Beat, NodeBeat, Notice, NoticeWrite, Unit, UnitResult};
use quintet_testkit::postgres::Database;

/// A lease that does not run out during a test.
const LONG: u64 = 3_600_000;

fn place() -> (Database, AnyStore) {
    let database = support::database();
    let store = support::open(&database.url());
    (database, Arc::new(store))
}

fn node(owner: u64, lease_ms: u64) -> NodeBeat {
    NodeBeat {
        owner,
        joins: true,
        name: format!("node {owner}").into(),
        url: "http://127.0.0.1:1".into(),
        version: "1.2.3".into(),
        started_at: Time(5),
        lease_ms,
        draining: false,
        in_flight: 3,
    }
}

async fn beat(store: &AnyStore, owner: u64, lease_ms: u64) -> Beat {
    store.beat(&node(owner, lease_ms)).await.unwrap()
}

fn owners(beat: &Beat) -> Vec<u64> {
    beat.nodes.iter().map(|node| node.owner).collect()
}

#[tokio::test]
async fn a_beat_shows_the_node_as_it_is_after_it_among_the_others() {
    let (_database, store) = place();
    assert!(store.is_shared());
    let first = beat(&store, u64::MAX, LONG).await;
    assert!(first.held);
    let [row] = &first.nodes[..] else { panic!("{first:?}") };
    assert_eq!(
        (row.owner, &*row.name, &*row.url, &*row.version),
        (u64::MAX, "node 18446744073709551615", "http://127.0.0.1:1", "1.2.3")
    );
    assert_eq!(
        (row.started_at, row.beat_at, row.expires_at),
        (Time(5), first.now, first.now.plus_ms(LONG))
    );
    assert_eq!((row.draining, row.in_flight, row.taken_by), (false, 3, None));
    assert!(
        first.now > Time(1_700_000_000_000_000),
        "{:?} is not the time",
        first.now
    );
    let second = beat(&store, 4, LONG).await;
    assert_eq!(owners(&second), [4, u64::MAX]);
    let draining = NodeBeat {
        draining: true,
        in_flight: 0,
        ..node(4, LONG)
    };
    let third = store.beat(&draining).await.unwrap();
    assert_eq!((third.nodes[0].draining, third.nodes[0].in_flight), (true, 0));
    assert!(third.now > second.now);
    assert_eq!(store.nodes().await.unwrap(), third.nodes);
}

#[tokio::test]
async fn words_are_told_once_and_only_to_their_owner() {
    let (_database, store) = place();
    let word = |owner, run| NoticeWrite { owner, run: id(run) };
    let notices = vec![word(1, 7), word(2, 7), word(1, 7), word(1, 99)];
    let told = Unit {
        notices,
        ..unit([start(7).within("acme")])
    };
    assert_eq!(commit(&store, told).await, UnitResult::Applied);
    let expected = [Notice {
        namespace: "acme".into(),
        run: id(7),
    }];
    assert_eq!(
        beat(&store, 1, LONG).await.notices,
        expected,
        "a run that is not there is not told of"
    );
    assert_eq!(beat(&store, 1, LONG).await.notices, []);
    assert_eq!(beat(&store, 2, LONG).await.notices, expected);
    let again = Unit {
        notices: vec![word(1, 7)],
        ..unit([start(7).within("acme").next()])
    };
    assert_eq!(commit(&store, again).await, UnitResult::Applied);
    store.forget_node(1).await.unwrap();
    assert_eq!(beat(&store, 1, LONG).await.notices, []);
}

/// Far longer than a hint takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_reaches_the_other_nodes() {
    let (database, store) = place();
    let other: AnyStore = Arc::new(support::open(&database.url()));
    // The first hint is the one that begins with listening.
    for store in [&store, &other] {
        tokio::time::timeout(PATIENCE, store.hinted())
            .await
            .expect("it listens");
    }
    for _ in 0..3 {
        (0..100).for_each(|_| store.hint());
        tokio::time::timeout(PATIENCE, other.hinted())
            .await
            .expect("a hint arrives");
    }
    // Nobody wakes itself: what the other one sends is the next that arrives.
    other.hint();
    tokio::time::timeout(PATIENCE, store.hinted())
        .await
        .expect("a hint arrives");
    let own = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'NOTIFY%'";
    assert_eq!(
        database.psql(own).unwrap().trim(),
        "2",
        "hints are sent on the connection that listens"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_come_again_after_their_connection_was_ended() {
    let (database, store) = place();
    let other: AnyStore = Arc::new(support::open(&database.url()));
    for store in [&store, &other] {
        tokio::time::timeout(PATIENCE, store.hinted())
            .await
            .expect("it listens");
    }
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.psql(ended).unwrap();
    // Whatever was sent meanwhile is made up for by looking once.
    tokio::time::timeout(PATIENCE, other.hinted())
        .await
        .expect("it listens again");
    tokio::time::timeout(PATIENCE, store.hinted())
        .await
        .expect("it listens again");
    store.hint();
    tokio::time::timeout(PATIENCE, other.hinted())
        .await
        .expect("a hint arrives");
}
