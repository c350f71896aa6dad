//! The embedded store is moved into another one as every store must be, and as only one that lies in a file can be.

use std::path::Path;
use std::sync::Arc;

use quintet_store::conformance::support::{AnyStore, apply, start};
use quintet_store::conformance::transfer::{Fixture, fill, picture};
use quintet_store::transfer::{Cursor, Kind, Mover, Portable, Records};
use quintet_store::{Store, StoreError, conformance_transfer};
use quintet_store_sqlite::{Options, SqliteStore, Synchronous};

const OPTIONS: Options = Options {
    read_connections: 2,
    synchronous: Synchronous::Normal,
};

fn open() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open_for_transfer(&dir.path().join("quintet.db"), OPTIONS).expect("a fresh store");
    let store = Arc::new(store);
    Fixture {
        store: store.clone(),
        portable: store,
        keep: Box::new(dir),
    }
}

conformance_transfer!(open);

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file")
}

#[tokio::test]
async fn a_source_that_was_closed_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quintet.db");
    let store: AnyStore = Arc::new(SqliteStore::open(&path, OPTIONS).unwrap());
    fill(&store, 5).await;
    let before = picture(&store).await;
    store.close().await.unwrap();
    drop(store);
    let file = bytes(&path);
    let source = SqliteStore::open_for_transfer(&path, OPTIONS).unwrap();
    let target = open();
    let mover = Mover::new(&source, &*target.portable);
    assert_eq!(mover.run(&mut |_| {}).await.unwrap().difference(), None);
    source.close().await.unwrap();
    assert!(bytes(&path) == file, "the source was changed");
    assert_eq!(picture(&target.store).await, before);
}

#[tokio::test]
async fn half_a_store_is_opened_by_nobody_until_the_move_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quintet.db");
    let source = open();
    apply(&source.store, start(1)).await;
    let (from, next) = (Cursor::start(Kind::Plans), Cursor::start(Kind::Workflows));
    {
        let half = SqliteStore::open_for_transfer(&path, OPTIONS).unwrap();
        let name = source.portable.origin().await.unwrap().id;
        half.begin_import(name, &from).await.unwrap();
        half.import(&from, Records::Plans(Vec::new()), &next).await.unwrap();
        half.close().await.unwrap();
    }
    let refused = SqliteStore::open(&path, OPTIONS).err();
    let Some(StoreError::Refused(why)) = refused else {
        panic!("half a store is opened: {refused:?}")
    };
    assert!(
        why.contains("quintet.db") && why.contains("goes on where it stopped"),
        "{why}"
    );
    let half = SqliteStore::open_for_transfer(&path, OPTIONS).unwrap();
    let mover = Mover::new(&*source.portable, &half);
    assert_eq!(mover.run(&mut |_| {}).await.unwrap().resumed, Some(next));
    half.close().await.unwrap();
    drop(half);
    let whole = SqliteStore::open(&path, OPTIONS).unwrap();
    assert_eq!(whole.counts().await.unwrap(), source.portable.counts().await.unwrap());
}

#[tokio::test]
async fn a_source_that_is_in_use_is_refused_with_the_pid() {
    let source = open();
    let path = source
        .keep
        .downcast_ref::<tempfile::TempDir>()
        .unwrap()
        .path()
        .join("quintet.db");
    let refused = SqliteStore::open_for_transfer(&path, OPTIONS).err();
    let pid = std::process::id().to_string();
    assert!(
        matches!(&refused, Some(StoreError::Refused(why)) if why.contains(&pid)),
        "{refused:?}"
    );
}
