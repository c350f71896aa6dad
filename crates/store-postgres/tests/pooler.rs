//! Behind a pooler that gives each transaction another session, the shared store passes the suite too.

mod support;

use quintet_store::conformance::{Fixture, differential};
use quintet_store::{MemoryStore, Store, StoreError, conformance, conformance_shared};
use quintet_store_postgres::{Options, Pooler, PostgresStore};
use quintet_testkit::pooler;
use quintet_testkit::postgres::Database;

/// A pooler before the server of the tests.
fn before(database: &Database) -> (pooler::Pooler, String) {
    let pooler = pooler::Pooler::start(support::server().address(), 3).expect("a pooler");
    let url = database.url_through(pooler.address());
    (pooler, url)
}

fn options() -> Options {
    Options {
        pooler: Pooler::Transaction,
        ..support::options()
    }
}

fn open() -> Fixture {
    let database = support::database();
    let (pooler, url) = before(&database);
    let store = support::wait(PostgresStore::open(&url, options())).expect("the store opens");
    Fixture::keeping(store, (pooler, database))
}

conformance!(open);
conformance_shared!(open);

#[tokio::test]
async fn random_commands_are_answered_as_the_model_does() {
    for seed in 100..105 {
        let (model, fixture) = (Fixture::new(MemoryStore::new()), open());
        differential::compare(model.store.clone(), fixture.store.clone(), seed, 150).await;
    }
}

#[test]
fn a_pooler_that_is_not_told_of_is_refused_with_the_setting() {
    let database = support::database();
    let (_pooler, url) = before(&database);
    match support::wait(PostgresStore::open(&url, support::options())).err() {
        Some(StoreError::Refused(sentence)) => {
            assert!(sentence.contains("database.pooler = \"transaction\""), "{sentence}");
        }
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn an_empty_database_is_migrated_through_a_pooler() {
    let database = support::server().fresh_database().unwrap();
    let (pooler, url) = before(&database);
    let store = support::wait(PostgresStore::open(&url, options())).unwrap();
    assert_eq!(support::wait(store.nodes()).unwrap(), []);
    assert!(pooler.transactions() > 0);
}
