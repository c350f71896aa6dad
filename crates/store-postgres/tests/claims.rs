//! What one node takes, no other one gets.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quintet_core::time::Time;
use quintet_store::conformance::support::{
    AnyStore, apply, apply_all, asks, claim_of, commit_at, due_numbers, id, message, start, unit,
};
use quintet_store::{Commit, OutboxAsk, QueueAsk, RunWrite, Turns, Unit};
use quintet_store_postgres::{Options, PostgresStore};
use quintet_testkit::postgres::Database;
use tokio::task::JoinSet;

/// Far away.
const LATER: i64 = 1_000_000_000;

/// Nodes of their own.
fn stores(database: &Database, count: usize, pool_size: usize) -> Vec<AnyStore> {
    let url = database.url();
    // The machine may be busy with other tests.
    let answer_timeout = std::time::Duration::from_secs(60);
    let options = Options {
        pool_size,
        answer_timeout,
        ..support::options()
    };
    let open = || support::wait(PostgresStore::open(&url, options.clone())).expect("the store opens");
    (0..count).map(|_| Arc::new(open()) as AnyStore).collect()
}

fn one() -> (Database, AnyStore) {
    let database = support::database();
    let store = stores(&database, 1, 4).remove(0);
    (database, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_32_claimers_each_of_100_000_ready_steps_gets_to_exactly_one() {
    const RUNS: u64 = 1000;
    const STEPS: u32 = 100;
    let database = support::database();
    let stores = stores(&database, 4, 8);
    for first in (1..=RUNS).step_by(100) {
        let runs = (first..first + 100).map(|number| (0..STEPS).fold(start(number), |run, node| run.put(node, "work")));
        apply_all(&stores[0], runs).await;
    }
    let total = Arc::new(AtomicU64::new(0));
    let mut claimers = JoinSet::new();
    for claimer in 0..32u64 {
        let (store, total) = (stores[claimer as usize % stores.len()].clone(), total.clone());
        claimers.spawn(async move {
            let mut taken = Vec::new();
            // Each time as another owner: the same one would be shown again what it has.
            let mut owners = (1..).map(|round| round * 32 + claimer);
            while total.load(Ordering::SeqCst) < RUNS * u64::from(STEPS) {
                let claim = claim_of(owners.next().unwrap_or(claimer), 0, LATER);
                let some = store
                    .queued(&asks(&["work"]), &Turns::default(), claim, 1000)
                    .await
                    .unwrap();
                total.fetch_add(some.len() as u64, Ordering::SeqCst);
                taken.extend(some.into_iter().map(|entry| (entry.run, entry.node)));
            }
            taken
        });
    }
    let taken = claimers.join_all().await;
    let more = stores[0]
        .queued(&asks(&["work"]), &Turns::default(), claim_of(u64::MAX, 0, LATER), 1000)
        .await
        .unwrap();
    assert_eq!(more, []);
    let busy = taken.iter().filter(|taken| !taken.is_empty()).count();
    let all: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(all.len(), (RUNS * u64::from(STEPS)) as usize);
    assert_eq!(
        all.iter().collect::<BTreeSet<_>>().len(),
        all.len(),
        "some were taken twice"
    );
    assert!(busy > 16, "only {busy} claimers got any");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claimers_that_take_away_what_they_claimed_do_each_step_once() {
    let database = support::database();
    let stores = stores(&database, 4, 4);
    let steps = |number: u64| (0..10).fold(start(number), |run, node| run.put(node, ["a", "b"][node as usize % 2]));
    apply_all(&stores[0], (1..=100).map(steps)).await;
    let mut claimers = JoinSet::new();
    for owner in 1..=16u64 {
        let store = stores[owner as usize % stores.len()].clone();
        claimers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let some = store
                    .queued(&asks(&["a", "b"]), &Turns::default(), claim_of(owner, 0, LATER), 20)
                    .await
                    .unwrap();
                if some.is_empty() && store.status().await.unwrap().queued == 0 {
                    return done;
                }
                for entry in some {
                    done.push((entry.run, entry.node));
                    take_away(&store, owner, entry.run, entry.node).await;
                }
            }
        });
    }
    let done = claimers.join_all().await.concat();
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), 1000);
    assert_eq!(done.len(), 1000, "some were done twice");
}

/// Moves the run, whoever else moves it at the same time.
async fn take_away(store: &AnyStore, owner: u64, run: quintet_core::id::RunId, node: u32) {
    loop {
        let row = store.run("default", run).await.unwrap().unwrap();
        let write = RunWrite {
            expected: row.version,
            row,
            events: "[]".to_owned(),
            queue: Vec::new(),
        };
        let next = write.next().remove(node);
        let meta = quintet_core::event::Meta { at: Time(10), owner };
        let results = store
            .commit(Commit {
                meta,
                units: vec![unit([next])],
            })
            .await
            .unwrap();
        if results == [quintet_store::UnitResult::Applied] {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_claimers_each_due_run_gets_to_one() {
    let database = support::database();
    let stores = stores(&database, 4, 4);
    apply_all(&stores[0], (1..=2000).map(|number| start(number).waking(10))).await;
    let mut claimers = JoinSet::new();
    for claimer in 0..16u64 {
        let store = stores[claimer as usize % stores.len()].clone();
        claimers.spawn(async move {
            let mut taken = Vec::new();
            for owner in (1..).map(|round| round * 16 + claimer) {
                let some = store.due(claim_of(owner, 20, LATER), 50).await.unwrap();
                if some.is_empty() {
                    return taken;
                }
                taken.extend(due_numbers(&some));
            }
            taken
        });
    }
    let mut all = claimers.join_all().await.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=2000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_claim_ends_with_its_time_with_a_move_or_with_a_new_time_to_wake() {
    let (_database, store) = one();
    let runs: Vec<RunWrite> = (1..=3).map(|number| start(number).waking(10)).collect();
    apply_all(&store, runs.clone()).await;
    let due = async |owner, now| due_numbers(&store.due(claim_of(owner, now, now + 100), 10).await.unwrap());
    assert_eq!(due(1, 20).await, [1, 2, 3]);
    assert_eq!(due(2, 20).await, [0; 0]);
    assert_eq!(due(1, 20).await, [1, 2, 3], "its own owner may be shown it again");
    apply(&store, runs[0].next()).await;
    store.reschedule(&[(id(2), 1, Some(Time(15)))]).await.unwrap();
    assert_eq!(due(2, 20).await, [1, 2]);
    assert_eq!(due(2, 119).await, [1, 2]);
    assert_eq!(due(2, 120).await, [1, 3, 2]);
}

#[tokio::test]
async fn what_somebody_is_writing_is_stepped_over() {
    let database = support::database();
    let store: AnyStore = Arc::new(support::open(&database.url()));
    apply_all(&store, (1..=2).map(|number| start(number).waking(10).put(0, "a"))).await;
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let mut writer = JoinSet::new();
    writer.spawn(connection);
    let first = format!("'{:032x}'", id(1).bits());
    let locks = format!(
        "BEGIN; SELECT FROM quintet.runs WHERE id = {first} FOR UPDATE; \
         SELECT FROM quintet.queue WHERE run = {first} FOR UPDATE"
    );
    let queued = async |owner| {
        let entries = store
            .queued(&[QueueAsk::all("a")], &Turns::default(), claim_of(owner, 20, LATER), 10)
            .await;
        entries.unwrap().iter().map(|entry| entry.run).collect::<Vec<_>>()
    };
    let due = async |owner| due_numbers(&store.due(claim_of(owner, 20, LATER), 10).await.unwrap());
    client.batch_execute(&locks).await.unwrap();
    assert_eq!((due(1).await, queued(1).await), (vec![2], vec![id(2)]));
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!((due(2).await, queued(2).await), (vec![1], vec![id(1)]));
}

#[tokio::test]
async fn runs_with_attempts_are_listed_unless_all_their_holders_live() {
    let (_database, store) = one();
    let by = async |owner, write: RunWrite| {
        let meta = quintet_core::event::Meta { at: Time(10), owner };
        let units = vec![unit([write])];
        assert_eq!(
            store.commit(Commit { meta, units }).await.unwrap(),
            [quintet_store::UnitResult::Applied]
        );
    };
    let claims = |write: RunWrite, claims| write.with(|row| row.claims = claims);
    for (number, owner) in [(1, 7), (2, 8), (3, 7), (4, u64::MAX)] {
        by(owner, claims(start(number), 1)).await;
    }
    let second = claims(start(3).next(), 2);
    by(8, second.clone()).await;
    let listed = async |alive: &[u64]| due_numbers(&store.claimed(alive, None, 10).await.unwrap());
    assert_eq!(listed(&[]).await, [1, 2, 3, 4]);
    assert_eq!(listed(&[7, u64::MAX]).await, [2, 3]);
    assert_eq!(listed(&[7, 8, u64::MAX]).await, [3], "several may hold it");
    // When nobody holds any, the next one who does is the only one.
    let third = claims(second.next(), 0);
    by(7, third.clone()).await;
    assert_eq!(listed(&[]).await, [1, 2, 4]);
    by(8, claims(third.next(), 1)).await;
    assert_eq!(listed(&[8]).await, [1, 4]);
}

#[tokio::test]
async fn whichever_way_a_move_goes_it_ends_the_claim_and_keeps_the_book_of_holders() {
    let (_database, store) = one();
    // Alone, with an entry of the queue, and with a run that is started: the last goes the long way.
    let ways: [fn(RunWrite, u64) -> Vec<RunWrite>; 3] = [
        |write, _| vec![write],
        |write, _| vec![write.put(0, "a")],
        |write, another| vec![write, start(another)],
    ];
    let by = async |owner, runs: Vec<RunWrite>| {
        let meta = quintet_core::event::Meta { at: Time(10), owner };
        let units = vec![unit(runs)];
        let results = store.commit(Commit { meta, units }).await.unwrap();
        assert_eq!(results, [quintet_store::UnitResult::Applied]);
    };
    let due = async |owner| due_numbers(&store.due(claim_of(owner, 20, LATER), 10).await.unwrap());
    let listed = async |alive: &[u64]| due_numbers(&store.claimed(alive, None, 10).await.unwrap());
    for (number, way) in (1..).zip(ways) {
        let first = start(number).waking(10).with(|row| row.claims = 1);
        by(7, vec![first.clone()]).await;
        assert_eq!(due(1).await, [number]);
        let second = first.next().with(|row| row.claims = 2);
        by(8, way(second.clone(), number * 10)).await;
        assert_eq!(due(2).await, [number], "the claim has ended");
        assert_eq!(listed(&[7, 8]).await, [number], "several may hold it");
        let third = second.next().with(|row| row.claims = 0);
        by(7, way(third.clone(), number * 10 + 1)).await;
        let fourth = third.next().with(|row| row.claims = 1);
        by(8, way(fourth.clone(), number * 10 + 2)).await;
        assert_eq!(listed(&[8]).await, [0; 0], "one alone holds it again");
        by(8, vec![fourth.finish(quintet_core::machine::RunStatus::Complete, 30)]).await;
    }
}

#[tokio::test]
async fn whichever_way_a_taken_step_is_put_again_it_is_free() {
    let (_database, store) = one();
    let queued = async |owner| {
        let entries = store
            .queued(&[QueueAsk::all("a")], &Turns::default(), claim_of(owner, 0, LATER), 10)
            .await;
        entries.unwrap().iter().map(|entry| entry.run).collect::<Vec<_>>()
    };
    // Alone, and with a run that is started: that goes the long way.
    for (number, another) in [(1, None), (2, Some(start(20)))] {
        let first = apply(&store, start(number).put(0, "a")).await;
        assert_eq!(queued(1).await, [id(number)]);
        assert_eq!(queued(2).await, []);
        let second = first.next().put(0, "a");
        let both = unit([second.clone()].into_iter().chain(another));
        assert_eq!(
            commit_at(&store, 10, vec![both]).await,
            [quintet_store::UnitResult::Applied]
        );
        assert_eq!(queued(2).await, [id(number)]);
        apply(&store, second.next().remove(0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_key_leave_in_order_and_once_whoever_writes_and_delivers() {
    const STREAMS: u64 = 20;
    const MESSAGES: u64 = 25;
    let database = support::database();
    let stores = stores(&database, 4, 4);
    let mut tasks: JoinSet<Vec<(String, u64)>> = JoinSet::new();
    for writer in 0..4u64 {
        let store = stores[writer as usize].clone();
        tasks.spawn(async move {
            for number in 0..MESSAGES {
                let own = (0..STREAMS).filter(|stream| stream % 4 == writer);
                let units: Vec<Unit> = own
                    .map(|stream| message("h", &stream.to_string(), &number.to_string()))
                    .collect();
                let _ = commit_at(&store, 10, units).await;
            }
            Vec::new()
        });
    }
    let delivered = Arc::new(AtomicU64::new(0));
    for owner in 1..=6u64 {
        let (store, delivered) = (stores[owner as usize % 4].clone(), delivered.clone());
        tasks.spawn(async move {
            let mut sent = Vec::new();
            while delivered.load(Ordering::SeqCst) < STREAMS * MESSAGES {
                let due = store
                    .outbox_due(claim_of(owner, 20, LATER), OutboxAsk::up_to(7))
                    .await
                    .unwrap();
                let ids: Vec<i64> = due.iter().map(|entry| entry.id).collect();
                sent.extend(
                    due.iter()
                        .map(|entry| (entry.key.to_string(), entry.body.parse().unwrap())),
                );
                store.outbox_delivered(&ids).await.unwrap();
                delivered.fetch_add(ids.len() as u64, Ordering::SeqCst);
            }
            sent
        });
    }
    let all = tasks.join_all().await.concat();
    let mut times: BTreeMap<(String, u64), u64> = BTreeMap::new();
    all.into_iter().for_each(|sent| *times.entry(sent).or_default() += 1);
    assert_eq!(times.len() as u64, STREAMS * MESSAGES);
    assert!(times.values().all(|times| *times == 1), "some were sent twice");
    assert_eq!(
        database
            .psql("SELECT count(*) FROM quintet.outbox_streams")
            .unwrap()
            .trim(),
        "0"
    );
}

#[tokio::test]
async fn a_message_that_another_node_took_is_not_shown_and_what_follows_it_waits() {
    let (_database, store) = one();
    let _ = commit_at(
        &store,
        10,
        vec![message("h", "k", "1"), message("h", "k", "2"), message("h", "l", "3")],
    )
    .await;
    let due = async |owner, now, limit| {
        store
            .outbox_due(claim_of(owner, now, now + 100), OutboxAsk::up_to(limit))
            .await
            .unwrap()
    };
    let first = due(1, 20, 1).await;
    assert_eq!(first[0].body, "1");
    assert_eq!(
        due(2, 20, 10)
            .await
            .iter()
            .map(|entry| &*entry.body)
            .collect::<Vec<_>>(),
        ["3"]
    );
    store
        .outbox_failed(first[0].id, "refused", Some(Time(30)))
        .await
        .unwrap();
    assert_eq!(
        due(2, 30, 10)
            .await
            .iter()
            .map(|entry| &*entry.body)
            .collect::<Vec<_>>(),
        ["3", "1"]
    );
    store.outbox_delivered(&[first[0].id]).await.unwrap();
    assert_eq!(
        due(1, 30, 10)
            .await
            .iter()
            .map(|entry| &*entry.body)
            .collect::<Vec<_>>(),
        ["2"]
    );
    assert_eq!(
        due(3, 130, 10)
            .await
            .iter()
            .map(|entry| &*entry.body)
            .collect::<Vec<_>>(),
        ["2", "3"]
    );
}
