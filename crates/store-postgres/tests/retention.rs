//! A partition for each day: made when it is needed, and dropped whole.

mod support;

use std::time::Duration;

use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_store::RunWrite;
use quintet_store::conformance::support::{AnyStore, DEFAULT, apply, apply_all, start};
use quintet_testkit::patience;
use quintet_testkit::postgres::Database;

const DAY_MS: i64 = 86_400_000;

fn place() -> (Database, AnyStore) {
    let database = support::database();
    let store = support::open(&database.url());
    (database, std::sync::Arc::new(store))
}

fn partitions(database: &Database) -> Vec<String> {
    let names =
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'quintet.history'::regclass ORDER BY 1";
    database
        .psql(names)
        .unwrap()
        .lines()
        .map(|name| name.trim_start_matches("quintet.").to_owned())
        .collect()
}

fn rows(database: &Database, day: u64) -> String {
    database
        .psql(&format!("SELECT count(*) FROM quintet.history_d{day:07}"))
        .unwrap()
        .trim()
        .to_owned()
}

fn at(day: i64, ms: i64) -> Time {
    Time((day * DAY_MS + ms) * 1000)
}

/// A run that was made on a day.
fn of(day: i64, number: u64) -> RunWrite {
    let bits = ((day * DAY_MS + 1000) as u128) << 80 | u128::from(number);
    start(number).with(|row| row.id = RunId::from_bits(bits))
}

/// Starts runs of a day and ends them on another one.
async fn ended(store: &AnyStore, day: i64, numbers: std::ops::RangeInclusive<u64>, end: i64) -> Vec<RunWrite> {
    let runs: Vec<RunWrite> = numbers.map(|number| of(day, number)).collect();
    let ends = runs.iter().map(|run| run.finish(RunStatus::Complete, at(end, 0).0));
    apply_all(store, runs.iter().cloned().chain(ends)).await;
    runs
}

#[tokio::test]
async fn the_days_ahead_have_partitions_and_others_get_one_with_their_first_run() {
    let (database, store) = place();
    let ahead = partitions(&database);
    assert_eq!(ahead.len(), 4, "{ahead:?}");
    apply(&store, of(10, 1)).await;
    assert!(partitions(&database).contains(&"history_d0000010".to_owned()));
    assert_eq!(rows(&database, 10), "1");
}

#[tokio::test]
async fn a_day_that_is_over_goes_whole_and_its_histories_are_not_deleted_one_by_one() {
    let (database, store) = place();
    ended(&store, 10, 1..=30, 10).await;
    ended(&store, 11, 31..=40, 12).await;
    // Only a part of the day at first: its histories stay where they are, and are not to be seen.
    assert_eq!(store.prune(at(12, 0), at(12, 0), 20).await.unwrap(), 20);
    assert_eq!(rows(&database, 10), "60");
    assert!(
        store
            .commits(DEFAULT, of(10, 1).row.id, 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.load(DEFAULT, of(10, 1).row.id).await.unwrap().is_none());
    assert_eq!(store.prune(at(12, 0), at(12, 0), 20).await.unwrap(), 10);
    let left = partitions(&database);
    assert!(!left.contains(&"history_d0000010".to_owned()), "{left:?}");
    assert!(left.contains(&"history_d0000011".to_owned()), "{left:?}");
    // A run of that day can still come, from another store for instance.
    apply(&store, of(10, 99)).await;
    assert_eq!(rows(&database, 10), "1");
}

#[tokio::test]
async fn a_day_with_a_run_that_is_kept_stays_without_the_others_histories() {
    let (database, store) = place();
    ended(&store, 10, 1..=5, 10).await;
    let live = apply(&store, of(10, 6)).await;
    assert_eq!(store.prune(at(20, 0), at(20, 0), 100).await.unwrap(), 5);
    assert_eq!(rows(&database, 10), "1");
    // When it has ended as well, the day goes.
    apply(&store, live.finish(RunStatus::Error, at(20, 0).0)).await;
    assert_eq!(store.prune(at(21, 0), at(21, 0), 100).await.unwrap(), 1);
    assert!(!partitions(&database).contains(&"history_d0000010".to_owned()));
}

#[tokio::test]
async fn an_id_that_was_used_before_its_day_went_can_be_used_again() {
    let (_database, store) = place();
    ended(&store, 10, 1..=2, 10).await;
    assert_eq!(store.prune(at(12, 0), at(12, 0), 1).await.unwrap(), 1);
    let again = apply(&store, of(10, 1)).await;
    assert_eq!(
        store.load(DEFAULT, again.row.id).await.unwrap().unwrap().commits.len(),
        1
    );
}

#[tokio::test]
async fn other_nodes_find_out_that_a_day_went() {
    let (database, store) = place();
    let other: AnyStore = std::sync::Arc::new(support::open(&database.url()));
    apply(&other, of(10, 1)).await;
    ended(&store, 10, 2..=3, 10).await;
    apply(&other, of(10, 1).finish(RunStatus::Complete, at(10, 0).0)).await;
    assert_eq!(store.prune(at(12, 0), at(12, 0), 100).await.unwrap(), 3);
    assert!(!partitions(&database).contains(&"history_d0000010".to_owned()));
    apply(&other, of(10, 4)).await;
    assert_eq!(rows(&database, 10), "1");
}

#[tokio::test]
async fn a_partition_in_use_is_left_for_the_next_time() {
    let (database, store) = place();
    ended(&store, 10, 1..=3, 10).await;
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let mut reader = tokio::task::JoinSet::new();
    reader.spawn(connection);
    // As pg_dump does, for hours.
    client
        .batch_execute("BEGIN; SELECT count(*) FROM quintet.history")
        .await
        .unwrap();
    assert_eq!(store.prune(at(12, 0), at(12, 0), 100).await.unwrap(), 3);
    assert!(partitions(&database).contains(&"history_d0000010".to_owned()));
    apply(&store, of(20, 1)).await;
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.prune(at(12, 0), at(12, 0), 100).await.unwrap(), 0);
    assert!(!partitions(&database).contains(&"history_d0000010".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_opened_again_between_the_search_and_the_removal_is_kept() {
    let (database, store) = place();
    let runs = ended(&store, 10, 1..=3, 10).await;
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    // The search does not see yet that the first is under way again and that the second has ended anew.
    let open = (1, "status = 1, finished_at = NULL".to_owned());
    let again = [open, (2, format!("finished_at = {}", at(12, 0).0))].map(|(number, set)| {
        let id = of(10, number).row.id.bits();
        format!("UPDATE quintet.runs SET {set} WHERE id = '{id:032x}'")
    });
    client
        .batch_execute(&format!("BEGIN; {}", again.join("; ")))
        .await
        .unwrap();
    let pruning = store.clone();
    let mut removal = tokio::task::JoinSet::new();
    removal.spawn(async move { pruning.prune(at(12, 0), at(12, 0), 100).await.unwrap() });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = || database.psql(waiting).unwrap().trim() == "1";
    assert!(patience::until(Duration::from_secs(20), waits), "the removal waits");
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(removal.join_all().await, [1]);
    let mut kept = Vec::new();
    for run in runs {
        kept.extend(
            store
                .run(DEFAULT, run.row.id)
                .await
                .unwrap()
                .map(|row| row.id.bits() as u64),
        );
    }
    assert_eq!(kept, [1, 2]);
}
