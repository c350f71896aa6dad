//! The shared store is moved into another one as every store must be, and as only one that nodes share can be.

mod support;

use std::sync::Arc;

use quintet_core::time::Time;
use quintet_store::conformance::support::{apply, start};
use quintet_store::conformance::transfer::{Fixture, fill, picture};
use quintet_store::transfer::{Cursor, Kind, Mover, Portable, Records, TransferError};
use quintet_store::{NodeBeat, StoreError, conformance_transfer};
use quintet_store_postgres::{Options, Pooler, PostgresStore};
use quintet_testkit::postgres::Database;

/// Databases that were copied from one template would all be the same store.
fn database() -> Database {
    let database = support::database();
    let name = "UPDATE quintet.origin SET id = decode(md5(current_database()), 'hex')";
    database.psql(name).expect("a name of its own");
    database
}

fn open_with(database: &Database, options: Options) -> PostgresStore {
    support::wait(PostgresStore::open_for_transfer(&database.url(), options)).expect("the store opens")
}

fn fixture(store: PostgresStore, database: Database) -> Fixture {
    let store = Arc::new(store);
    Fixture {
        store: store.clone(),
        portable: store,
        keep: Box::new(database),
    }
}

fn open() -> Fixture {
    let database = database();
    fixture(open_with(&database, support::options()), database)
}

conformance_transfer!(open);

fn beat(owner: u64, lease_ms: u64) -> NodeBeat {
    NodeBeat {
        owner,
        joins: true,
        name: "alpha".into(),
        url: "http://alpha:8080".into(),
        version: "0".into(),
        started_at: Time(0),
        lease_ms,
        draining: false,
        in_flight: 0,
    }
}

#[tokio::test]
async fn a_database_whose_nodes_are_alive_is_neither_source_nor_target() {
    let (used, free) = (open(), open());
    used.store.beat(&beat(7, 60_000)).await.unwrap();
    let from = Mover::new(&*used.portable, &*free.portable).run(&mut |_| {}).await;
    let into = Mover::new(&*free.portable, &*used.portable).run(&mut |_| {}).await;
    for refused in [from, into] {
        let (Err(TransferError::Source(error)) | Err(TransferError::Target(error))) = refused else {
            panic!("a database in use is moved")
        };
        let why = error.to_string();
        assert!(
            why.contains("node alpha at http://alpha:8080") && why.contains("stop them and try again"),
            "{why}"
        );
    }
    assert_eq!(free.portable.origin().await.unwrap().source, None);
    // A node whose lease has run out is a dead one.
    used.store.forget_node(7).await.unwrap();
    used.store.beat(&beat(8, 0)).await.unwrap();
    Mover::new(&*used.portable, &*free.portable)
        .run(&mut |_| {})
        .await
        .unwrap();
}

#[tokio::test]
async fn half_a_store_is_opened_by_no_node_until_the_move_is_over() {
    let (source, half) = (open(), database());
    apply(&source.store, start(1)).await;
    let (from, next) = (Cursor::start(Kind::Plans), Cursor::start(Kind::Workflows));
    let target = open_with(&half, support::options());
    target
        .begin_import(source.portable.origin().await.unwrap().id, &from)
        .await
        .unwrap();
    target.import(&from, Records::Plans(Vec::new()), &next).await.unwrap();
    let refused = PostgresStore::open(&half.url(), support::options()).await.err();
    let Some(StoreError::Refused(why)) = refused else {
        panic!("half a store is opened: {refused:?}")
    };
    assert!(why.contains("goes on where it stopped"), "{why}");
    let summary = Mover::new(&*source.portable, &target).run(&mut |_| {}).await.unwrap();
    assert_eq!((summary.resumed.clone(), summary.difference()), (Some(next), None));
    PostgresStore::open(&half.url(), support::options()).await.unwrap();
}

#[tokio::test]
async fn attempts_that_came_with_the_store_are_nobodys() {
    let (source, target) = (open(), open());
    apply(&source.store, start(1).with(|row| row.claims = 2)).await;
    Mover::new(&*source.portable, &*target.portable)
        .run(&mut |_| {})
        .await
        .unwrap();
    let claimed = target.store.claimed(&[1, 2, 3], None, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
}

#[tokio::test]
async fn a_move_needs_no_session_of_its_own() {
    let pooled = Options {
        pooler: Pooler::Transaction,
        ..support::options()
    };
    let (source, target) = (open(), database());
    fill(&source.store, 11).await;
    let target = fixture(open_with(&target, pooled), target);
    let summary = Mover::new(&*source.portable, &*target.portable)
        .run(&mut |_| {})
        .await
        .unwrap();
    assert_eq!(summary.difference(), None);
    assert_eq!(picture(&source.store).await, picture(&target.store).await);
}
