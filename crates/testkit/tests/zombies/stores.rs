//! The stores that the table is driven through, each as the processes that work on it see it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use quintet_store::Store;
use quintet_store_postgres::{self as pg, PostgresStore};
use quintet_store_sqlite::{self as lite, SqliteStore, Synchronous};
use quintet_testkit::postgres;

/// How long a writer waits for its turn.
const PATIENCE: Duration = Duration::from_secs(120);

/// A store with nothing in it, and whatever must live as long as it.
pub struct Fixture {
    /// One for each process: they have nothing in common but what is stored.
    pub processes: Vec<Arc<dyn Store>>,
    /// How often they waited for a server so far, where there is one.
    pub round_trips: Box<dyn Fn() -> u64 + Send>,
    _keep: Box<dyn Any + Send>,
}

impl Fixture {
    /// The store as the process of a number sees it.
    pub fn process(&self, number: usize) -> Arc<dyn Store> {
        Arc::clone(&self.processes[number % self.processes.len()])
    }
}

/// The embedded store, which only one process has: its writers are tasks, each with a copy of its own.
pub async fn sqlite() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    // What a power cut would take is no question of these tests, so they need not wait for the disk.
    let options = lite::Options {
        read_connections: 2,
        synchronous: Synchronous::Normal,
    };
    let store = SqliteStore::open(&dir.path().join("quintet.db"), options).expect("a fresh store");
    Fixture {
        processes: vec![Arc::new(store)],
        round_trips: Box::new(|| 0),
        _keep: Box::new(dir),
    }
}

/// The shared store, as two processes see it: each with connections of its own.
pub async fn postgres() -> Fixture {
    let fresh = || postgres::shared().and_then(postgres::Server::fresh_database);
    let database = tokio::task::spawn_blocking(fresh).await.expect("no panic");
    let database = database.expect("a fresh database");
    // A machine that is busy with other things is no reason to give up.
    let options = pg::Options {
        checkout_timeout: PATIENCE,
        answer_timeout: PATIENCE,
        ..pg::Options::default()
    };
    let mut stores: Vec<Arc<PostgresStore>> = Vec::new();
    for _ in 0..2 {
        let store = PostgresStore::open(&database.url(), options.clone()).await;
        stores.push(Arc::new(store.expect("the store opens")));
    }
    let processes = stores.iter().map(|store| Arc::clone(store) as Arc<dyn Store>).collect();
    Fixture {
        processes,
        round_trips: Box::new(move || stores.iter().map(|store| store.counters().round_trips).sum()),
        _keep: Box::new(database),
    }
}
