//! Commits of several nodes at the same time do not pass a limit together.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::time::Time;
use quintet_store::conformance::support::{AnyStore, DEFAULT, apply_all, claim_of, commit_at, id, start, unit};
use quintet_store::{Commit, QueueAsk, RunWrite, StepFilter, StepLimit, StepRow, Turns, Unit, UnitResult};
use quintet_store_postgres::{Options, PostgresStore};
use quintet_testkit::postgres::Database;
use tokio::task::JoinSet;

const STEPS: u64 = 500;
const CLAIMERS: u64 = 8;
const MAX: i64 = 2;

fn node(database: &Database) -> AnyStore {
    // The machine may be busy with other tests.
    let options = Options {
        answer_timeout: Duration::from_secs(60),
        ..support::options()
    };
    Arc::new(support::wait(PostgresStore::open(&database.url(), options)).expect("the store opens"))
}

fn row(run: RunId, node: u32, queue: &str, status: StepStatus) -> StepRow {
    StepRow {
        run,
        node,
        namespace: DEFAULT.into(),
        workflow: "w".into(),
        step: "s".into(),
        action: "push".into(),
        queue: queue.into(),
        status,
        attempt: 1,
        priority: 0,
        created_at: Time(1),
        updated_at: Time(10),
    }
}

fn limit(queue: Option<&str>, max: u32) -> StepLimit {
    StepLimit {
        action: "push".into(),
        queue: queue.map(Into::into),
        max,
    }
}

fn starting(number: u64, node: u32, limits: Vec<StepLimit>) -> Unit {
    Unit {
        steps: vec![row(id(number), node, "a", StepStatus::InProgress)],
        limits,
        ..unit([start(number)])
    }
}

#[tokio::test]
async fn a_unit_beyond_a_limit_is_left_out_wholly_and_those_beside_it_are_not() {
    let database = support::database();
    let store = node(&database);
    let own = || vec![limit(Some("a"), 2)];
    let begin = vec![
        starting(1, 0, own()),
        unit([start(9)]),
        starting(2, 0, own()),
        starting(3, 0, own()),
    ];
    let full = UnitResult::Full(limit(Some("a"), 2));
    let applied = || UnitResult::Applied;
    assert_eq!(
        commit_at(&store, 10, begin).await,
        [applied(), applied(), applied(), full.clone()]
    );
    assert_eq!(store.run(DEFAULT, id(3)).await.unwrap(), None);
    assert_eq!(store.in_progress("push").await.unwrap(), [("a".into(), 2)]);
    // One that ends makes room for the units after it, and one that goes on needs none.
    let end = Unit {
        ended_steps: vec![id(1)],
        ..unit([start(1).finish(RunStatus::Error, 20)])
    };
    let again = Unit {
        steps: vec![row(id(2), 0, "a", StepStatus::InProgress)],
        limits: own(),
        ..unit([start(2).next()])
    };
    let results = commit_at(
        &store,
        20,
        vec![starting(3, 0, own()), end, again, starting(4, 0, own())],
    )
    .await;
    assert_eq!(results, [full, applied(), applied(), applied()]);
    assert_eq!(store.in_progress("push").await.unwrap(), [("a".into(), 2)]);
}

/// What every claimer knows.
struct Shared {
    /// Started and not ended, as the claimers count it themselves.
    running: AtomicI64,
    most: AtomicI64,
    done: AtomicU64,
    refused: AtomicU64,
}

/// Writes the run again, whoever else does at the same time, with a change of its step.
async fn change(store: &AnyStore, owner: u64, run: RunId, node: u32, status: StepStatus) -> UnitResult {
    loop {
        let stored = store.run(DEFAULT, run).await.unwrap().unwrap();
        let write = RunWrite {
            expected: stored.version,
            row: stored,
            events: "[]".to_owned(),
            queue: Vec::new(),
        };
        let starts = status == StepStatus::InProgress;
        let next = write.next();
        let next = if starts { next.remove(node) } else { next };
        let unit = Unit {
            steps: vec![row(run, node, "a", status)],
            limits: if starts {
                vec![limit(None, 1000), limit(Some("a"), MAX as u32)]
            } else {
                Vec::new()
            },
            ..unit([next])
        };
        let meta = Meta { at: Time(10), owner };
        let commit = Commit {
            meta,
            units: vec![unit],
        };
        match store.commit(commit).await.unwrap().remove(0) {
            UnitResult::Conflict(_) => {}
            other => return other,
        }
    }
}

async fn work(store: AnyStore, owner: u64, shared: Arc<Shared>) {
    let ask = [QueueAsk {
        queue: "a".into(),
        limit: MAX as usize,
    }];
    while shared.done.load(Ordering::SeqCst) < STEPS {
        let claim = claim_of(owner, 10, 1_000_000);
        for entry in store.queued(&ask, &Turns::default(), claim, 100).await.unwrap() {
            if change(&store, owner, entry.run, entry.node, StepStatus::InProgress).await != UnitResult::Applied {
                shared.refused.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let running = shared.running.fetch_add(1, Ordering::SeqCst) + 1;
            shared.most.fetch_max(running, Ordering::SeqCst);
            tokio::task::yield_now().await;
            shared.running.fetch_sub(1, Ordering::SeqCst);
            let ended = change(&store, owner, entry.run, entry.node, StepStatus::Complete).await;
            assert_eq!(ended, UnitResult::Applied);
            shared.done.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Counts by the state itself, without any index that was made for it, as long as there is work.
async fn watch(url: String, shared: Arc<Shared>) -> i64 {
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let looking = async {
        let mut most = 0;
        while shared.done.load(Ordering::SeqCst) < STEPS {
            let counted = client
                .query_one("SELECT count(*) FROM quintet.steps WHERE status + 0 = 2", &[])
                .await;
            most = most.max(counted.unwrap().get::<_, i64>(0));
        }
        most
    };
    tokio::select! {
        most = looking => most,
        ended = connection => panic!("{ended:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_that_start_500_steps_never_have_more_than_two_in_progress() {
    let database = support::database();
    let stores: Vec<AnyStore> = (0..CLAIMERS).map(|_| node(&database)).collect();
    let runs = (1..=STEPS / 10).map(|number| (0..10).fold(start(number), |run, node| run.put(node, "a")));
    apply_all(&stores[0], runs).await;
    let shared = Arc::new(Shared {
        running: AtomicI64::new(0),
        most: AtomicI64::new(0),
        done: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let mut claimers = JoinSet::new();
    for (owner, store) in (1..).zip(&stores) {
        claimers.spawn(work(store.clone(), owner, shared.clone()));
    }
    let mut watcher = JoinSet::new();
    watcher.spawn(watch(database.url(), shared.clone()));
    claimers.join_all().await;
    let watched = watcher.join_all().await.remove(0);
    let most = shared.most.load(Ordering::SeqCst);
    assert!(most <= MAX && watched <= MAX, "{most} and {watched} at a time");
    assert!(watched > 0, "the watcher saw no work");
    assert!(
        shared.refused.load(Ordering::SeqCst) > 0,
        "nobody was ever in another's way"
    );
    let complete = StepFilter {
        statuses: vec![StepStatus::Complete],
        ..StepFilter::default()
    };
    let found = stores[0].steps(DEFAULT, &complete, 0, 0).await.unwrap();
    assert_eq!((found.total, found.rows.len()), (STEPS, 0));
    assert_eq!(stores[0].status().await.unwrap().queued, 0);
    let counts = stores[0].step_counts(DEFAULT, "push").await.unwrap();
    assert_eq!(counts.by_status, [(StepStatus::Complete, STEPS)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_with_many_limits_in_any_order_block_each_other_never() {
    let database = support::database();
    let queues: Vec<String> = (0..20).map(|number| format!("q{number}")).collect();
    let mut tasks = JoinSet::new();
    for writer in 0..6u64 {
        let (store, mut queues) = (node(&database), queues.clone());
        if writer % 2 == 1 {
            queues.reverse();
        }
        tasks.spawn(async move {
            let mut started = 0;
            for round in 0..10u64 {
                let units: Vec<Unit> = (0..)
                    .zip(&queues)
                    .map(|(place, queue)| {
                        let number = 1 + writer * 1000 + round * 20 + place;
                        Unit {
                            steps: vec![row(id(number), 0, queue, StepStatus::InProgress)],
                            limits: vec![limit(Some(queue), 7), limit(None, 100)],
                            ..unit([start(number)])
                        }
                    })
                    .collect();
                let results = commit_at(&store, 10, units).await;
                started += results.iter().filter(|result| **result == UnitResult::Applied).count();
            }
            started
        });
    }
    let started: usize = tasks.join_all().await.into_iter().sum();
    let counts = node(&database).in_progress("push").await.unwrap();
    assert_eq!(started, 100);
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u32>(), 100);
    assert!(counts.iter().all(|(_, count)| *count <= 7), "{counts:?}");
}
