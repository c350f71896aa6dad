//! A server that goes away, a connection that is cut or falls silent: what is told of a commit is true.

mod support;

use std::time::Duration;

use quintet_store::conformance::support::{DEFAULT, id, meta, start, unit};
use quintet_store::{Commit, RunWrite, Store, StoreError, Unit, UnitResult};
use quintet_store_postgres::{Options, PostgresStore};
use quintet_testkit::patience;
use quintet_testkit::postgres::{Cluster, Database, Replication};
use quintet_testkit::proxy::{Cut, Direction, Mode, Proxy};
use support::wait;

struct Place {
    store: PostgresStore,
    proxy: Proxy,
    /// Dropped last.
    _database: Database,
}

/// A store behind a proxy, with run 1 in it.
fn place(answer_timeout: Duration) -> Place {
    let database = support::database();
    let proxy = Proxy::start(support::server().address()).expect("a proxy");
    let options = Options {
        answer_timeout,
        ..support::options()
    };
    let store = wait(PostgresStore::open(&database.url_through(proxy.address()), options)).expect("the store opens");
    let place = Place {
        store,
        proxy,
        _database: database,
    };
    assert_eq!(place.commit(vec![unit([start(1)])]).unwrap(), [UnitResult::Applied]);
    // Statements that were used once are ready, so that what is cut below is no preparation.
    assert_eq!(
        place.commit(vec![unit([start(1).next()])]).unwrap(),
        [UnitResult::Applied]
    );
    place
}

impl Place {
    fn commit(&self, units: Vec<Unit>) -> Result<Vec<UnitResult>, StoreError> {
        wait(self.store.commit(Commit { meta: meta(10), units }))
    }

    fn version(&self, number: u64) -> u64 {
        let row = wait(self.store.run(DEFAULT, id(number))).expect("it answers again");
        row.map_or(0, |row| row.version)
    }

    fn cut(&self, direction: Direction, pattern: &str, cut: Cut) {
        let pattern = pattern.as_bytes().to_vec();
        self.proxy.set(Mode::CutAt {
            direction,
            pattern,
            cut,
        });
    }
}

fn second() -> RunWrite {
    start(1).next()
}

fn third() -> RunWrite {
    second().next()
}

fn is_unknown<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unknown(_)))
}

fn is_unavailable<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

const PATIENT: Duration = Duration::from_secs(20);

#[test]
fn a_commit_that_never_reached_the_server_is_unknown_and_asking_shows_that_it_was_not_applied() {
    let place = place(PATIENT);
    place.cut(Direction::Up, "[\"version 3\"]", Cut::BeforeForward);
    assert!(is_unknown(place.commit(vec![unit([third()])])));
    assert_eq!(place.version(1), 2);
    assert_eq!(place.commit(vec![unit([third()])]).unwrap(), [UnitResult::Applied]);
}

#[test]
fn a_commit_whose_answer_was_lost_is_unknown_and_asking_shows_that_it_was_applied() {
    let place = place(PATIENT);
    place.cut(Direction::Down, "SELECT 1\0", Cut::BeforeForward);
    assert!(is_unknown(place.commit(vec![unit([third()])])));
    assert_eq!(place.version(1), 3);
    assert_eq!(
        place.commit(vec![unit([third()])]).unwrap(),
        [UnitResult::Conflict(id(1))]
    );
}

#[test]
fn a_transaction_that_was_cut_before_its_commit_is_unknown_and_left_nothing() {
    let place = place(PATIENT);
    let both = || vec![unit([third()]), unit([start(2)])];
    place.cut(Direction::Up, "COMMIT\0", Cut::BeforeForward);
    assert!(is_unknown(place.commit(both())));
    // The server notices the end of the connection and gives up what was open on it.
    assert_eq!((place.version(1), place.version(2)), (2, 0));
    assert_eq!(
        place.commit(both()).unwrap(),
        [UnitResult::Applied, UnitResult::Applied]
    );
}

#[test]
fn a_transaction_whose_commit_was_answered_to_nobody_is_unknown_and_applied() {
    let place = place(PATIENT);
    let both = || vec![unit([third()]), unit([start(2)])];
    place.cut(Direction::Down, "COMMIT\0", Cut::BeforeForward);
    assert!(is_unknown(place.commit(both())));
    assert_eq!((place.version(1), place.version(2)), (3, 1));
}

#[test]
fn the_long_way_tells_the_same_when_it_is_cut() {
    for (direction, applied) in [(Direction::Up, 0), (Direction::Down, 1)] {
        let place = place(PATIENT);
        place.cut(direction, "COMMIT\0", Cut::BeforeForward);
        assert!(
            is_unknown(place.commit(vec![unit([start(2), third()])])),
            "{direction:?}"
        );
        assert_eq!(place.version(2), applied, "{direction:?}");
    }
}

#[test]
fn a_frozen_connection_ends_in_time_as_unknown_for_a_commit_and_unavailable_for_a_question() {
    let place = place(Duration::from_millis(500));
    place.proxy.set(Mode::Freeze);
    assert!(is_unknown(place.commit(vec![unit([third()])])));
    assert!(is_unavailable(wait(place.store.run(DEFAULT, id(1)))));
    place.proxy.heal();
    // What was held back arrives after all, or does not; the store goes on either way.
    assert!(patience::until(PATIENT, || wait(place.store.run(DEFAULT, id(1))).is_ok()));
    let version = place.version(1);
    assert!(version == 2 || version == 3, "{version}");
}

#[test]
fn nothing_was_sent_where_nothing_can_be_reached() {
    let place = place(PATIENT);
    place.proxy.set(Mode::Refuse);
    place.proxy.reset_connections();
    // Until the driver has noticed, it may still try the connections that it has.
    assert!(patience::until(PATIENT, || is_unavailable(wait(
        place.store.run(DEFAULT, id(1))
    ))));
    assert!(is_unavailable(place.commit(vec![unit([third()])])));
    place.proxy.heal();
    assert_eq!(place.version(1), 2);
}

#[test]
fn a_server_that_starts_again_is_found_again() {
    let mut cluster = Cluster::start(&quintet_testkit::postgres::Options::default()).unwrap();
    let database = cluster.fresh_database().unwrap();
    let store = support::open(&database.url());
    let commit = |write: RunWrite| {
        wait(store.commit(Commit {
            meta: meta(10),
            units: vec![unit([write])],
        }))
    };
    assert_eq!(commit(start(1)).unwrap(), [UnitResult::Applied]);
    cluster.restart_immediate().unwrap();
    // A connection that died meanwhile is told of once at most; then there are new ones.
    assert!(patience::until(PATIENT, || wait(store.run(DEFAULT, id(1))).is_ok()));
    assert_eq!(commit(start(1).next()).unwrap(), [UnitResult::Applied]);
    cluster.stop().unwrap();
    assert!(is_unavailable(wait(store.run(DEFAULT, id(1)))));
    cluster.start_again().unwrap();
    assert!(patience::until(PATIENT, || wait(store.run(DEFAULT, id(1))).is_ok()));
    wait(store.close()).unwrap();
}

#[test]
fn a_standby_is_no_place_to_write_and_says_so_until_it_is_promoted() {
    let cluster = Cluster::start(&quintet_testkit::postgres::Options::default()).unwrap();
    let database = cluster.create_database("quintet").unwrap();
    let store = support::open(&database.url());
    let first = Commit {
        meta: meta(10),
        units: vec![unit([start(1)])],
    };
    let _ = wait(store.commit(first)).unwrap();
    let warnings = wait(store.status()).unwrap().warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("fsync=on")),
        "{warnings:?}"
    );
    let mut standby = cluster.standby(Replication::Synchronous).unwrap();
    let waits = patience::until(PATIENT, || {
        wait(store.status()).is_ok_and(|status| !fails_over(&status.warnings))
    });
    assert!(waits, "{:?}", wait(store.status()));
    // What the primary has acknowledged by now is on the standby.
    let second = Commit {
        meta: meta(10),
        units: vec![unit([start(2)])],
    };
    let _ = wait(store.commit(second)).unwrap();
    let opened = wait(PostgresStore::open(&standby.url("quintet"), support::options()));
    match opened.err() {
        Some(StoreError::Unavailable(sentence)) => assert!(sentence.contains("standby"), "{sentence}"),
        other => panic!("{other:?} instead of a sentence about standbys"),
    }
    standby.promote().unwrap();
    let promoted = support::open(&standby.url("quintet"));
    assert!(wait(promoted.run(DEFAULT, id(2))).unwrap().is_some());
    wait(promoted.close()).unwrap();
    // The old primary waits for a standby that has gone its own way, so its database ends with it.
    std::mem::forget(database);
}

fn fails_over(warnings: &[String]) -> bool {
    warnings.iter().any(|warning| warning.contains("fail-over"))
}

#[test]
fn a_server_that_turns_read_only_is_unavailable_and_works_again_when_it_is_not() {
    let database = support::database();
    let store = support::open(&database.url());
    let commit = |write: RunWrite| {
        wait(store.commit(Commit {
            meta: meta(10),
            units: vec![unit([write])],
        }))
    };
    assert_eq!(commit(start(1)).unwrap(), [UnitResult::Applied]);
    let turn = |to: &str| {
        let name = database.name();
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {to}");
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        support::server().psql("postgres", &set).unwrap();
        database.psql(end).unwrap();
    };
    turn("on");
    let mut last = None;
    let refused = patience::until(PATIENT, || {
        last = commit(start(1).next()).err();
        matches!(&last, Some(StoreError::Unavailable(sentence)) if sentence.contains("standby"))
    });
    assert!(refused, "{last:?}");
    turn("off");
    assert!(patience::until(PATIENT, || commit(start(1).next()).is_ok()));
    assert_eq!(wait(store.run(DEFAULT, id(1))).unwrap().unwrap().version, 2);
}
