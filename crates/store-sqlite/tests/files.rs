//! The database as a file: owners, reopening, backups, damage.

use std::path::{Path, PathBuf};

use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_store::conformance::support::{self, AnyStore, DEFAULT, apply, id, message, start};
use quintet_store::{RunFilter, Store, StoreError};
use quintet_store_sqlite::{Counters, Options, SCHEMA, SqliteStore};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("quintet.db")
    }

    fn open(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(&self.database(), Options::default())
    }

    fn store(&self) -> AnyStore {
        std::sync::Arc::new(self.open().unwrap())
    }

    /// The database after some runs and a proper close.
    async fn filled(runs: u64) -> Self {
        let place = Self::new();
        let store = place.store();
        support::apply_all(&store, (1..=runs).map(start)).await;
        store.close().await.unwrap();
        place
    }
}

fn refusal(result: Result<SqliteStore, StoreError>) -> String {
    match result.err() {
        Some(StoreError::Refused(sentence)) => sentence,
        other => panic!("{other:?} instead of a refusal"),
    }
}

fn damage(result: Result<SqliteStore, StoreError>) -> String {
    match result.err() {
        Some(StoreError::Corrupt(sentence)) => sentence,
        other => panic!("{other:?} instead of a report of damage"),
    }
}

fn raw(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

#[tokio::test]
async fn everything_is_there_after_closing_and_opening_again() {
    let place = Place::new();
    let store = place.store();
    let first = apply(&store, start(1).waking(10).put(0, "noop")).await;
    apply(&store, start(2)).await;
    let _ = support::commit(&store, message("hooks", "k", "body")).await;
    store.close().await.unwrap();
    drop(store);

    let store = place.store();
    let run = store.load(DEFAULT, id(1)).await.unwrap().unwrap();
    assert_eq!((run.row, run.commits.len()), (first.row.clone(), 1));
    assert_eq!(support::due(&store, 10).await, [1]);
    assert_eq!(support::queued(&store, &["noop"], 10).await, [(1, 0)]);
    assert_eq!(support::messages(&store, 10).await, ["body"]);
    assert_eq!(store.status().await.unwrap().runs, [(RunStatus::StepsInProcess, 2)]);
    apply(&store, first.next()).await;
}

#[tokio::test]
async fn dropping_without_closing_loses_nothing_and_lets_go_of_the_file() {
    let place = Place::new();
    apply(&place.store(), start(1)).await;
    assert_eq!(support::listed(&place.store(), &RunFilter::default()).await, [1]);
}

#[tokio::test]
async fn a_proper_close_leaves_neither_log_nor_owner() {
    let place = Place::filled(3).await;
    assert!(!place.path("quintet.db-wal").exists());
    assert_eq!(std::fs::read_to_string(place.path("quintet.db.lock")).unwrap(), "");
}

#[tokio::test]
async fn a_second_owner_is_refused_with_the_pid_of_the_first() {
    let place = Place::new();
    let first = place.store();
    let sentence = refusal(place.open());
    assert!(sentence.contains(&format!("pid {}", std::process::id())), "{sentence}");
    assert!(sentence.contains("quintet.db"), "{sentence}");
    apply(&first, start(1)).await;
    first.close().await.unwrap();
    apply(&place.store(), start(2)).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_an_owned_database_is_refused_too() {
    let place = Place::new();
    let _first = place.store();
    std::os::unix::fs::symlink(place.database(), place.path("link.db")).unwrap();
    let sentence = refusal(SqliteStore::open(&place.path("link.db"), Options::default()));
    assert!(sentence.contains("pid"), "{sentence}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let place = Place::filled(1).await;
    raw(&place.database())
        .pragma_update(None, "user_version", SCHEMA + 1)
        .unwrap();
    let sentence = refusal(place.open());
    assert!(
        sentence.contains(&format!("schema version {}", SCHEMA + 1)),
        "{sentence}"
    );
    let version: u32 = raw(&place.database())
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, SCHEMA + 1);
    raw(&place.database())
        .pragma_update(None, "user_version", SCHEMA)
        .unwrap();
    assert_eq!(support::listed(&place.store(), &RunFilter::default()).await, [1]);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let place = Place::new();
    raw(&place.database())
        .execute_batch("CREATE TABLE notes (text TEXT)")
        .unwrap();
    let sentence = refusal(place.open());
    assert!(sentence.contains("another program"), "{sentence}");
    let tables: i64 = raw(&place.database())
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_file_that_is_no_database_is_damage_and_says_how_to_restore() {
    let place = Place::new();
    std::fs::write(
        place.database(),
        "this is not a database, it only looks like one from afar\n".repeat(200),
    )
    .unwrap();
    let sentence = damage(place.open());
    assert!(
        sentence.contains("quintet db backup") && sentence.contains("quintet.db"),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_truncated_database_is_damage_and_says_how_to_restore() {
    let place = Place::filled(2000).await;
    let file = std::fs::OpenOptions::new().write(true).open(place.database()).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length / 2 / 4096 * 4096).unwrap();
    let sentence = damage(place.open());
    assert!(sentence.contains("quintet db backup"), "{sentence}");
}

#[tokio::test]
async fn damage_inside_is_found_at_the_start_after_an_unclean_end() {
    let place = Place::filled(2000).await;
    let mut bytes = std::fs::read(place.database()).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(place.database(), bytes).unwrap();
    // A process that ended without closing leaves its pid behind.
    std::fs::write(place.path("quintet.db.lock"), "4194304").unwrap();
    let sentence = damage(place.open());
    assert!(sentence.contains("quintet db backup"), "{sentence}");
}

#[tokio::test]
async fn an_unclean_end_alone_is_no_damage() {
    let place = Place::filled(100).await;
    std::fs::write(place.path("quintet.db.lock"), "4194304").unwrap();
    assert_eq!(support::listed(&place.store(), &RunFilter::default()).await.len(), 100);
}

#[tokio::test]
async fn a_history_with_a_hole_is_damage_of_that_run_only() {
    let place = Place::new();
    let store = place.store();
    let first = apply(&store, start(1)).await;
    apply(&store, first.next()).await;
    apply(&store, start(2)).await;
    store.close().await.unwrap();
    drop(store);
    raw(&place.database())
        .execute("DELETE FROM history WHERE run = ?1 AND seq = 1", [id(1).to_bytes()])
        .unwrap();
    let store = place.store();
    assert!(matches!(store.load(DEFAULT, id(1)).await, Err(StoreError::Corrupt(_))));
    assert!(store.load(DEFAULT, id(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_directory_that_does_not_exist_is_unavailable() {
    let place = Place::new();
    let opened = SqliteStore::open(&place.path("nowhere").join("quintet.db"), Options::default());
    assert!(matches!(opened.err(), Some(StoreError::Unavailable(_))));
    let store = SqliteStore::open_in(&place.path("made").join("on demand")).unwrap();
    assert!(store.path().ends_with("made/on demand/quintet.db"));
}

#[tokio::test]
async fn a_backup_is_the_whole_store_at_one_moment() {
    let place = Place::new();
    let store = place.store();
    support::apply_all(&store, (1..=500).map(start)).await;
    store.backup(&place.path("copy.db")).await.unwrap();
    apply(&store, start(1000)).await;

    let copy: AnyStore = std::sync::Arc::new(SqliteStore::open(&place.path("copy.db"), Options::default()).unwrap());
    assert_eq!(support::listed(&copy, &RunFilter::default()).await.len(), 500);
    assert_eq!(copy.load(DEFAULT, id(7)).await.unwrap().unwrap().row, start(7).row);
    let here: Vec<String> = std::fs::read_dir(place.dir.path())
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!here.iter().any(|name| name.contains("partial")), "{here:?}");
}

#[tokio::test]
async fn a_backup_never_writes_over_a_file() {
    let place = Place::new();
    let store = place.store();
    std::fs::write(place.path("precious"), "keep me").unwrap();
    let refused = store.backup(&place.path("precious")).await;
    assert!(matches!(refused, Err(StoreError::Refused(sentence)) if sentence.contains("exists")));
    assert_eq!(std::fs::read_to_string(place.path("precious")).unwrap(), "keep me");
    let nowhere = store.backup(&place.path("nowhere").join("copy.db")).await;
    assert!(matches!(nowhere, Err(StoreError::Unavailable(_))));
}

fn commit_of(write: quintet_store::RunWrite) -> quintet_store::Commit {
    quintet_store::Commit {
        meta: support::meta(10),
        units: vec![support::unit([write])],
    }
}

async fn support_apply(store: &SqliteStore, number: u64) -> Result<(), StoreError> {
    store.commit(commit_of(start(number))).await.map(drop)
}

#[tokio::test]
async fn the_counters_give_rows_and_flushes_per_transition() {
    let place = Place::new();
    let store = place.open().unwrap();
    let units: Vec<_> = (1..=100).map(|number| support::unit([start(number)])).collect();
    let before = store.counters();
    assert_eq!(before, Counters::default());
    let _ = store
        .commit(quintet_store::Commit {
            meta: support::meta(10),
            units,
        })
        .await
        .unwrap();
    let after = store.counters();
    assert_eq!((after.commits, after.rows_written, after.statements), (1, 200, 300));
    // A commit in which everything conflicts writes nothing and flushes nothing.
    support_apply(&store, 1).await.unwrap();
    assert_eq!((store.counters().commits, store.counters().rows_written), (1, 200));
}

#[tokio::test]
async fn a_move_between_unfinished_states_keeps_the_earlier_wake_until_it_is_rescheduled() {
    let place = Place::new();
    let store = place.store();
    let first = apply(&store, start(1).waking(10)).await;
    apply(&store, first.next().waking(50)).await;
    assert_eq!(support::row(&store, 1).await.wake_at, Some(Time(10)));
    store.reschedule(&[(id(1), 2, Some(Time(50)))]).await.unwrap();
    assert_eq!(support::row(&store, 1).await.wake_at, Some(Time(50)));
}

#[tokio::test]
async fn the_status_says_what_a_commit_survives() {
    let place = Place::new();
    let store = place.store();
    apply(&store, start(1)).await;
    let status = store.status().await.unwrap();
    assert_eq!((&*status.kind, status.schema), ("sqlite", SCHEMA));
    assert!(
        status.durability.contains("power cut") && status.durability.contains("FULL"),
        "{}",
        status.durability
    );
    assert!(status.bytes.is_some_and(|bytes| bytes > 4096));
}

#[test]
fn the_probe_measures_and_leaves_nothing_behind() {
    let place = Place::new();
    let probe = quintet_store_sqlite::probe(place.dir.path(), 5).unwrap();
    assert!(probe.commit_us_p50 > 0, "{probe:?}");
    assert_eq!(std::fs::read_dir(place.dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_few_of_a_workflow_are_found_behind_any_number_of_others() {
    let place = Place::new();
    let store = place.store();
    let of = |number: u64| {
        start(number).with(|row| {
            row.workflow = "queue:a".into();
            row.claims = u32::from(number == 3);
        })
    };
    support::apply_all(&store, (1..=2_500).map(of)).await;
    let filter = |claimed| RunFilter {
        workflow: Some("queue:a".into()),
        statuses: vec![RunStatus::StepsInProcess],
        claimed: Some(claimed),
        ..RunFilter::default()
    };
    let page = async |claimed, before| store.runs(DEFAULT, &filter(claimed), before, 2).await.unwrap();
    let ids = |page: &quintet_store::RunPage| page.rows.iter().map(|row| row.id).collect::<Vec<_>>();
    let running = page(true, None).await;
    assert_eq!((ids(&running), running.next), (vec![id(3)], None));
    let waiting = page(false, None).await;
    assert_eq!(
        (ids(&waiting), waiting.next),
        (vec![id(2_500), id(2_499)], Some(id(2_499)))
    );
    let last = page(false, Some(id(4))).await;
    assert_eq!((ids(&last), last.next), (vec![id(2), id(1)], None));
}

#[tokio::test]
async fn the_finished_and_the_unfinished_of_a_workflow_come_as_one_list() {
    let place = Place::new();
    let store = place.store();
    let of = |number: u64| {
        let run = start(number).with(|row| row.workflow = "queue:a".into());
        match number % 3 {
            0 => run
                .with(|row| row.status = RunStatus::Complete)
                .with(|row| row.finished_at = Some(row.created_at)),
            1 => run
                .with(|row| row.status = RunStatus::Error)
                .with(|row| row.finished_at = Some(row.created_at)),
            _ => run,
        }
    };
    support::apply_all(&store, (1..=9).map(of)).await;
    let found = async |statuses: &[RunStatus], before| {
        let filter = RunFilter {
            workflow: Some("queue:a".into()),
            statuses: statuses.to_vec(),
            ..RunFilter::default()
        };
        let page = store.runs(DEFAULT, &filter, before, 4).await.unwrap();
        support::numbers(page.rows.iter().map(|row| row.id))
    };
    use RunStatus::{Complete, Error, StepsInProcess};
    assert_eq!(found(&[], None).await, [9, 8, 7, 6]);
    assert_eq!(found(&[], Some(id(6))).await, [5, 4, 3, 2]);
    assert_eq!(found(&[Complete], None).await, [9, 6, 3]);
    assert_eq!(found(&[Error], None).await, [7, 4, 1]);
    assert_eq!(found(&[Complete, Error], Some(id(7))).await, [6, 4, 3, 1]);
    assert_eq!(found(&[StepsInProcess, Error], None).await, [8, 7, 5, 4]);
}
