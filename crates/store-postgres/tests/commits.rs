//! What a commit costs, and which way it goes.

mod support;

use std::sync::Arc;
use std::time::Duration;

use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::time::Time;
use quintet_store::conformance::support::{
    AnyStore, DEFAULT, apply, apply_all, commit_at, digest, id, key, message, row, start, unit,
};
use quintet_store::conformance::{Fixture, differential};
use quintet_store::{
    DeadLetter, MemoryStore, NoticeWrite, PlanWrite, RunWrite, StepLimit, StepRow, Store, Unit, UnitResult,
};
use quintet_store_postgres::{Counters, Options, PostgresStore};
use quintet_testkit::patience;
use quintet_testkit::postgres::Database;
use tokio::task::JoinSet;

struct Place {
    store: Arc<PostgresStore>,
    any: AnyStore,
    database: Database,
}

fn place() -> Place {
    let database = support::database();
    let store = Arc::new(support::open(&database.url()));
    let any = store.clone();
    Place { store, any, database }
}

impl Place {
    /// Commits units, all of which must be applied, and tells what that took.
    async fn cost(&self, units: Vec<Unit>) -> Counters {
        let before = self.store.counters();
        let results = commit_at(&self.any, 10, units).await;
        assert!(
            results.iter().all(|result| *result == UnitResult::Applied),
            "{results:?}"
        );
        let after = self.store.counters();
        Counters {
            commits: after.commits - before.commits,
            long_commits: after.long_commits - before.long_commits,
            rows_written: after.rows_written - before.rows_written,
            statements: after.statements - before.statements,
            round_trips: after.round_trips - before.round_trips,
        }
    }
}

fn fast(statements: u64, rows_written: u64) -> Counters {
    Counters {
        commits: 1,
        long_commits: 0,
        rows_written,
        statements,
        round_trips: 1,
    }
}

fn each(writes: &[RunWrite]) -> Vec<Unit> {
    writes.iter().map(|write| unit([write.clone()])).collect()
}

#[tokio::test]
async fn a_usual_commit_is_one_round_trip_whatever_its_size() {
    let place = place();
    // The first one makes the partition of the day of these ids.
    apply(&place.any, start(1000)).await;
    let starts: Vec<RunWrite> = (1..=100).map(start).collect();
    assert_eq!(place.cost(each(&starts)).await, fast(1, 200));
    let moves: Vec<RunWrite> = starts.iter().map(RunWrite::next).collect();
    assert_eq!(place.cost(each(&moves)).await, fast(1, 200));
    let more = moves
        .iter()
        .map(RunWrite::next)
        .chain((101..=200).map(start))
        .collect::<Vec<_>>();
    assert_eq!(place.cost(each(&more)).await, fast(2, 400));
}

#[tokio::test]
async fn what_a_start_or_a_move_brings_along_costs_no_further_round_trip() {
    let place = place();
    apply(&place.any, start(1000)).await;
    let plan = PlanWrite {
        digest: digest(7),
        spec: "{}".into(),
    };
    let notice = NoticeWrite { owner: 9, run: id(1) };
    let begin = Unit {
        idempotency: Some(key("k", "answer")),
        plans: vec![plan],
        runs: vec![start(1).put(0, "noop").put(1, "noop"), start(2)],
        ..message("hooks", "k", "begun")
    };
    assert_eq!(place.cost(vec![begin]).await, fast(1, 9));
    let go_on = Unit {
        runs: vec![start(1).next().put(2, "noop").remove(0)],
        notices: vec![notice],
        ..message("hooks", "k", "gone on")
    };
    assert_eq!(place.cost(vec![go_on]).await, fast(1, 6));
}

fn step(number: u64, node: u32, status: StepStatus) -> StepRow {
    StepRow {
        run: id(number),
        node,
        namespace: DEFAULT.into(),
        workflow: "w".into(),
        step: "s".into(),
        action: "push".into(),
        queue: "a".into(),
        status,
        attempt: 1,
        priority: 0,
        created_at: Time(1),
        updated_at: Time(1),
    }
}

fn letter(number: u64) -> DeadLetter {
    DeadLetter {
        run: id(number),
        node: 0,
        attempt: 1,
        namespace: DEFAULT.into(),
        workflow: "w".into(),
        step: "s".into(),
        queue: "a".into(),
        body: "{}".into(),
        failed_at: Time(1),
        retried_at: None,
    }
}

#[tokio::test]
async fn rows_of_steps_go_along_on_the_fast_way() {
    let place = place();
    apply(&place.any, start(1000)).await;
    let begin = Unit {
        steps: (0..3).map(|node| step(1, node, StepStatus::Enqueued)).collect(),
        ..unit([start(1)])
    };
    assert_eq!(place.cost(vec![begin]).await, fast(2, 5));
    let go_on = Unit {
        steps: vec![step(1, 0, StepStatus::InProgress)],
        ..unit([start(1).next()])
    };
    assert_eq!(place.cost(vec![go_on]).await, fast(2, 3));
    // The step that failed, its letter, and the two others that end with their run.
    let end = Unit {
        steps: vec![step(1, 0, StepStatus::Error)],
        ended_steps: vec![id(1)],
        letters: vec![letter(1)],
        ..unit([start(1).next().finish(RunStatus::Error, 20)])
    };
    assert_eq!(place.cost(vec![end]).await, fast(2, 6));
    let counts = place.any.step_counts(DEFAULT, "push").await.unwrap();
    assert_eq!(counts.by_status, [(StepStatus::Error, 1), (StepStatus::Cancelled, 2)]);
}

#[tokio::test]
async fn a_step_that_is_tried_again_touches_no_index_while_it_waits() {
    let place = place();
    let mut write = apply(&place.any, start(1)).await;
    let failed = Unit {
        steps: vec![step(1, 0, StepStatus::WaitingForRetry)],
        ..unit([write.next()])
    };
    place.cost(vec![failed]).await;
    write = write.next();
    for number in 0..10u32 {
        let status = if number % 2 == 0 {
            StepStatus::Enqueued
        } else {
            StepStatus::WaitingForRetry
        };
        let mut row = step(1, 0, status);
        (row.attempt, row.updated_at) = (number, Time(number.into()));
        let again = Unit {
            steps: vec![row],
            ..unit([write.next()])
        };
        place.cost(vec![again]).await;
        write = write.next();
    }
    place.store.close().await.unwrap();
    // A session reports what it did when it ends.
    let figures = "SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'steps'";
    let mut found = String::new();
    let reported = patience::until(Duration::from_secs(20), || {
        found = place.database.psql(figures).unwrap().trim().to_owned();
        found == "10 10"
    });
    assert!(reported, "{found} instead of 10 HOT updates of 10");
}

#[tokio::test]
async fn what_is_unusual_goes_the_long_way_of_two_round_trips() {
    let place = place();
    apply_all(&place.any, [start(1), start(2), start(3), start(1000)]).await;
    let limit = StepLimit {
        action: "push".into(),
        queue: None,
        max: 1,
    };
    let unusual = [
        // Two runs of which one is moved, one run twice, a move that is remembered, and nothing but a message.
        vec![unit([start(1).next(), start(4)])],
        vec![unit([start(2).next()]), unit([start(2).next().next()])],
        vec![Unit {
            idempotency: Some(key("k", "answer")),
            ..unit([start(3).next()])
        }],
        vec![message("hooks", "k", "alone")],
        // A step that is tried again, one within a limit, and one of another run.
        vec![Unit {
            retried: vec![(id(2), 0)],
            ..unit([start(5)])
        }],
        vec![Unit {
            limits: vec![limit.clone()],
            ..unit([start(6)])
        }],
        vec![Unit {
            steps: vec![step(1, 0, StepStatus::Complete)],
            ..unit([start(7)])
        }],
    ];
    for units in unusual {
        let cost = place.cost(units.clone()).await;
        assert_eq!((cost.long_commits, cost.round_trips), (1, 2), "{units:?}");
    }
}

#[tokio::test]
async fn random_commands_go_both_ways() {
    let place = place();
    let model = Fixture::new(MemoryStore::new());
    differential::compare(model.store.clone(), place.any.clone(), 7, 600).await;
    let Counters {
        commits, long_commits, ..
    } = place.store.counters();
    assert!(
        long_commits > 20 && commits > long_commits,
        "{long_commits} of {commits} went the long way"
    );
}

#[tokio::test]
async fn a_start_that_exists_is_told_apart_from_the_others_of_its_commit() {
    let place = place();
    apply_all(&place.any, [start(1), start(5)]).await;
    let units = vec![unit([start(2)]), unit([start(1)]), unit([start(5).next()])];
    let results = commit_at(&place.any, 10, units).await;
    assert_eq!(
        results,
        [UnitResult::Applied, UnitResult::Conflict(id(1)), UnitResult::Applied]
    );
    assert_eq!(
        (row(&place.any, 2).await.version, row(&place.any, 5).await.version),
        (1, 2)
    );
}

#[tokio::test]
async fn the_usual_move_touches_no_index() {
    let place = place();
    let first = start(1).waking(50).with(|row| row.workflow = "w".into());
    let mut write = apply(&place.any, first).await;
    for number in 0..20 {
        let status = if number % 2 == 0 {
            RunStatus::WaitingForRetry
        } else {
            RunStatus::StepsInProcess
        };
        write = apply(
            &place.any,
            write.next().waking(60 + number).with(|row| {
                row.status = status;
                row.claims = number as u32;
            }),
        )
        .await;
    }
    place.store.close().await.unwrap();
    // A session reports what it did when it ends.
    let figures = "SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'runs'";
    let mut found = String::new();
    let reported = patience::until(Duration::from_secs(20), || {
        found = place.database.psql(figures).unwrap().trim().to_owned();
        found == "20 20"
    });
    assert!(reported, "{found} instead of 20 HOT updates of 20");
}

#[tokio::test]
async fn a_partition_that_somebody_dropped_is_made_again() {
    let place = place();
    apply(&place.any, start(1)).await;
    for (dropped, write) in [(1, start(2)), (2, start(3).put(0, "noop"))] {
        place.database.psql("DROP TABLE quintet.history_d0000000").unwrap();
        apply(&place.any, write).await;
        assert_eq!(row(&place.any, dropped + 1).await.version, 1);
    }
    place.database.psql("DROP TABLE quintet.history_d0000000").unwrap();
    let both = unit([start(4), start(5)]);
    assert_eq!(
        commit_at(&place.any, 10, vec![both, message("h", "k", "1")])
            .await
            .len(),
        2
    );
    assert_eq!(
        place.store.load(DEFAULT, id(5)).await.unwrap().unwrap().commits.len(),
        1
    );
}

#[tokio::test]
async fn writers_of_the_same_runs_in_any_order_block_each_other_never() {
    let database = support::database();
    let stores: Vec<AnyStore> = (0..4)
        .map(|_| Arc::new(support::open(&database.url())) as AnyStore)
        .collect();
    let runs: Vec<RunWrite> = (1..=50).map(start).collect();
    apply_all(&stores[0], runs.clone()).await;
    let mut tasks = JoinSet::new();
    for (number, store) in stores.iter().enumerate() {
        let (store, mut runs) = (store.clone(), runs.clone());
        if number % 2 == 1 {
            runs.reverse();
        }
        tasks.spawn(async move {
            let mut applied = [0u64; 50];
            for _ in 0..20 {
                let results = commit_at(&store, 10, each(&runs.iter().map(RunWrite::next).collect::<Vec<_>>())).await;
                for (run, result) in runs.iter_mut().zip(results) {
                    let number = run.row.id.bits() as usize;
                    applied[number - 1] += u64::from(result == UnitResult::Applied);
                    // Whoever was slower goes on from where the run stands.
                    run.row.version = store.run(DEFAULT, run.row.id).await.unwrap().unwrap().version;
                }
            }
            applied
        });
    }
    let mut sums = [0u64; 50];
    for applied in tasks.join_all().await {
        sums.iter_mut().zip(applied).for_each(|(sum, applied)| *sum += applied);
    }
    for (number, sum) in (1..).zip(sums) {
        let run = stores[0].load(DEFAULT, id(number)).await.unwrap().unwrap();
        assert_eq!((run.row.version, run.commits.len() as u64), (1 + sum, 1 + sum));
    }
}

/// A commit on the long way that is held up after its look at the store.
struct HeldUp {
    database: Database,
    store: AnyStore,
    client: tokio_postgres::Client,
    commit: JoinSet<Vec<UnitResult>>,
    _connection: JoinSet<Result<(), tokio_postgres::Error>>,
}

/// Commits a move of the first run and a start of the third under a key, and lets it wait before the last that it looks
/// at: the workflows.
async fn held_up() -> HeldUp {
    let database = support::database();
    let options = Options {
        pool_size: 1,
        ..support::options()
    };
    let store = PostgresStore::open(&database.url(), options).await.unwrap();
    let store: AnyStore = Arc::new(store);
    let both = |moved: &RunWrite, started: u64| Unit {
        idempotency: Some(key(&started.to_string(), "mine")),
        ..unit([moved.clone(), start(started)])
    };
    apply(&store, start(1)).await;
    // From then on its statements are prepared on its only connection, which takes a look at each table.
    let first = start(1).next();
    assert_eq!(
        commit_at(&store, 10, vec![both(&first, 2)]).await,
        [UnitResult::Applied]
    );
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let hold = "BEGIN; LOCK TABLE quintet.workflows IN ACCESS EXCLUSIVE MODE";
    client.batch_execute(hold).await.unwrap();
    let (writer, units) = (Arc::clone(&store), vec![both(&first.next(), 3)]);
    let mut commit = JoinSet::new();
    commit.spawn(async move { commit_at(&writer, 10, units).await });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = || database.psql(waiting).unwrap().trim() == "1";
    assert!(patience::until(Duration::from_secs(20), waits), "it is held up");
    HeldUp {
        database,
        store,
        client,
        commit,
        _connection: driver,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_long_way_has_looked_at_nobody_else_moves_before_it_has_written() {
    let held_up = held_up().await;
    let id = id(1).bits();
    let take = format!("SELECT FROM quintet.runs WHERE id = '{id:032x}' FOR UPDATE NOWAIT");
    let refused = held_up.database.psql(&take).unwrap_err().to_string();
    held_up.client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(held_up.commit.join_all().await, [[UnitResult::Applied]]);
    assert!(refused.contains("could not obtain lock"), "{refused}");
    held_up.database.psql(&take).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_somebody_uses_after_the_long_way_has_looked_makes_it_a_duplicate() {
    let held_up = held_up().await;
    let theirs = "INSERT INTO quintet.idempotency (namespace, scope, key, request, answer, expires_at) \
                  SELECT namespace, scope, '3', request, 'theirs', expires_at FROM quintet.idempotency";
    held_up.client.batch_execute(theirs).await.unwrap();
    held_up.client.batch_execute("COMMIT").await.unwrap();
    let record = key("3", "theirs").record;
    assert_eq!(held_up.commit.join_all().await, [[UnitResult::Duplicate(record)]]);
    assert_eq!(held_up.store.run(DEFAULT, id(3)).await.unwrap(), None);
}

#[tokio::test]
async fn a_record_that_has_just_expired_is_replaced_on_the_long_way_too() {
    let place = place();
    apply(&place.any, start(1)).await;
    let first = start(1).next();
    // Such a record expires at 1000; a move with a key goes the long way.
    for (at, write) in [(10, first.clone()), (1000, first.next())] {
        let keyed = Unit {
            idempotency: Some(key("k", &at.to_string())),
            ..unit([write])
        };
        assert_eq!(
            commit_at(&place.any, at, vec![keyed]).await,
            [UnitResult::Applied],
            "{at}"
        );
    }
}
