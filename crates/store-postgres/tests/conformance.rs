//! The shared store passes the suite, and answers as the model does.

mod support;

use quintet_store::conformance::{Fixture, differential};
use quintet_store::{MemoryStore, conformance, conformance_shared};

fn open() -> Fixture {
    let database = support::database();
    Fixture::keeping(support::open(&database.url()), database)
}

conformance!(open);
conformance_shared!(open);

/// Replay one seed with `QUINTET_SEED=<number>`, or run more of them with `QUINTET_SEEDS=<count>`.
#[tokio::test]
async fn the_shared_store_answers_random_commands_as_the_model_does() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = number("QUINTET_SEED").map_or(0..number("QUINTET_SEEDS").unwrap_or(20), |seed| seed..seed + 1);
    for seed in seeds {
        println!("seed {seed}");
        let (model, fixture) = (Fixture::new(MemoryStore::new()), open());
        differential::compare(model.store.clone(), fixture.store.clone(), seed, 150).await;
    }
}
