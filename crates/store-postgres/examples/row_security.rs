//! What the second wall between namespaces costs: the same reads and commits with row-level security and without, in turns,
//! on one database that both stores share.
//!
//! Run it with `cargo run --release -p quintet-store-postgres --example row_security -- [URL]`; without a base URL it starts
//! a server with PostgreSQL's own settings. With `--plain` the stores log in as a user who is not a superuser.

use std::time::Instant;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{Commit, RunFilter, RunRow, RunWrite, Store, Unit, UnitResult};
use quintet_store_postgres::{Options, PostgresStore, RowSecurity};
use quintet_testkit::postgres::{self, Cluster, Database, Durability, Server};

/// Runs of each of the namespaces.
const RUNS: u64 = 2_000;
const NAMESPACES: [&str; 3] = ["default", "blue", "green"];

/// Entries of the long histories, of which there is one in each namespace.
const LONG: u64 = 2_000;

/// How often each thing is done by each store; the long histories and the flushes a tenth as often.
const TIMES: u64 = 3_000;

fn main() -> anyhow::Result<()> {
    let url = std::env::args()
        .skip(1)
        .find(|argument| argument.starts_with("postgres"));
    let own = url
        .is_none()
        .then(|| Cluster::start(&postgres::Options::new(Durability::Default)))
        .transpose()?;
    let server: Server = match (&own, url) {
        (Some(own), _) => (**own).clone(),
        (None, url) => Server::at(&url.unwrap_or_default())?,
    };
    let database = server.fresh_database()?;
    let url = if std::env::args().any(|argument| argument == "--plain") {
        plain(&database)?
    } else {
        database.url()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&url))
}

/// A user who owns the tables and is nothing besides.
fn plain(database: &Database) -> anyhow::Result<String> {
    let make = format!(
        "CREATE ROLE measured LOGIN CREATEROLE; GRANT CREATE ON DATABASE {} TO measured",
        database.name()
    );
    database.psql(&make)?;
    let url = database.url();
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let place = rest.split_once('@').map_or(rest, |(_, place)| place);
    Ok(format!("{scheme}://measured@{place}"))
}

async fn measure(url: &str) -> anyhow::Result<()> {
    let open = |row_security| {
        let options = Options {
            pool_size: 1,
            row_security,
            ..Options::default()
        };
        PostgresStore::open(url, options)
    };
    let (with, without) = (open(RowSecurity::On).await?, open(RowSecurity::Off).await?);
    fill(&without).await;
    let names = [
        "run()",
        "runs() of 50",
        "runs() of 50, by namespace",
        "load() of 3",
        "load() of 2,000",
        "commit of 1",
        "commit of 100",
    ];
    for (what, name) in names.iter().enumerate() {
        let times = if what < 4 { TIMES } else { TIMES / 10 };
        let mut taken = [Vec::new(), Vec::new()];
        // The first ones make the plans. Each is followed by the other store's, so that both have the same neighbours.
        for turn in 0..times + 50 {
            for at in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
                let begin = now();
                once(what, [&with, &without][at], turn * 2 + at as u64).await;
                taken[at].push(begin.elapsed());
            }
        }
        let [with, without] = taken.map(|mut times| {
            times.drain(..50);
            times.sort_unstable();
            times[times.len() / 2]
        });
        println!(
            "{name:<28}: {with:>9.1?} with, {without:>9.1?} without; ratio {:.2}",
            with.as_secs_f64() / without.as_secs_f64()
        );
    }
    Ok(())
}

fn id(number: u64) -> RunId {
    RunId::from_bits((0x0198_0000_0000_u128 + u128::from(number / 16)) << 80 | u128::from(number))
}

fn start(number: u64) -> RunWrite {
    let namespace = NAMESPACES[(number % 3) as usize];
    let row = RunRow {
        id: id(number),
        namespace: namespace.into(),
        workflow: "wf_greeting".into(),
        workflow_version: 1,
        plan: Digest([7; 32]),
        status: RunStatus::StepsInProcess,
        version: 1,
        priority: 0,
        claims: 1,
        wake_at: None,
        created_at: Time(1),
        updated_at: Time(1),
        finished_at: None,
    };
    RunWrite {
        expected: 0,
        row,
        events: "x".repeat(200),
        queue: Vec::new(),
    }
}

fn next(mut write: RunWrite) -> RunWrite {
    write.expected += 1;
    write.row.version += 1;
    write
}

async fn fill(store: &PostgresStore) {
    let mut runs: Vec<RunWrite> = (0..RUNS * 3).map(start).collect();
    for _ in 0..3 {
        for some in runs.chunks(500) {
            commit(store, some.to_vec()).await;
        }
        runs = runs.into_iter().map(next).collect();
    }
    let mut long: Vec<RunWrite> = runs.into_iter().take(3).collect();
    for _ in 3..LONG {
        commit(store, long.clone()).await;
        long = long.into_iter().map(next).collect();
    }
}

async fn commit(store: &PostgresStore, writes: Vec<RunWrite>) {
    let units = writes.into_iter().map(|write| Unit {
        runs: vec![write],
        ..Unit::default()
    });
    let units = units.collect();
    let meta = Meta { at: Time(5), owner: 1 };
    let results = store.commit(Commit { meta, units }).await.expect("committed");
    assert!(results.iter().all(|result| *result == UnitResult::Applied));
}

#[allow(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
fn now() -> Instant {
    Instant::now()
}

async fn once(what: usize, store: &PostgresStore, turn: u64) {
    let filter = RunFilter::default();
    // Not those with long histories.
    let number = 3 + turn * 7 % (RUNS * 3 - 3);
    let (run, namespace) = (id(number), NAMESPACES[(number % 3) as usize]);
    let fresh = (what as u64) * 100_000_000 + turn * 100;
    match what {
        0 => assert!(store.run(namespace, run).await.expect("a row").is_some()),
        1 => assert_eq!(page(store, "default", &filter).await, 50),
        2 => assert_eq!(page(store, "blue", &filter).await, 50),
        3 => assert_eq!(load(store, namespace, run).await, 3),
        4 => assert_eq!(load(store, "default", id(0)).await as u64, LONG),
        5 => commit(store, vec![start(fresh)]).await,
        _ => commit(store, (fresh..fresh + 100).map(start).collect()).await,
    }
}

async fn page(store: &PostgresStore, namespace: &str, filter: &RunFilter) -> usize {
    let page = store.runs(namespace, filter, None, 50).await;
    page.expect("a page").rows.len()
}

async fn load(store: &PostgresStore, namespace: &str, run: RunId) -> usize {
    let run = store.load(namespace, run).await.expect("a run");
    run.expect("it is there").commits.len()
}
