//! The embedded store passes the suite, and answers as the model does.

use quintet_store::conformance::{Fixture, differential};
use quintet_store::{MemoryStore, conformance};
use quintet_store_sqlite::{Options, SqliteStore, Synchronous};

fn open() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    // What a power cut would take is no question of these tests, so they need not wait for the disk.
    let options = Options {
        read_connections: 2,
        synchronous: Synchronous::Normal,
    };
    let store = SqliteStore::open(&dir.path().join("quintet.db"), options).expect("a fresh store");
    Fixture::keeping(store, dir)
}

conformance!(open);

/// Replay one seed with `QUINTET_SEED=<number>`, or run more of them with `QUINTET_SEEDS=<count>`.
#[tokio::test]
async fn the_embedded_store_answers_random_commands_as_the_model_does() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = number("QUINTET_SEED").map_or(0..number("QUINTET_SEEDS").unwrap_or(60), |seed| seed..seed + 1);
    for seed in seeds {
        println!("seed {seed}");
        let (model, fixture) = (Fixture::new(MemoryStore::new()), open());
        differential::compare(model.store.clone(), fixture.store.clone(), seed, 150).await;
    }
}
