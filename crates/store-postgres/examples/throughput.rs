//! Transitions per second of the shared store, by the size of the commits and the number of writers, next to what
//! PostgreSQL's own `pgbench` reaches on the same server.
//!
//! Each transition updates the row of a run that is under way and appends 200 bytes of history. Run it with
//! `cargo run --release -p quintet-store-postgres --example throughput -- [URL]`; without a base URL it starts a server
//! with PostgreSQL's own settings.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{Commit, RunRow, RunWrite, Store, Unit, UnitResult};
use quintet_store_postgres::{Counters, Options, PostgresStore};
use quintet_testkit::postgres::{self, Cluster, Database, Durability, Server};
use tokio::task::JoinSet;

/// Runs under way at once, of all writers.
const RUNS: u64 = 10_000;

/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(4);

fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1);
    let own = url
        .is_none()
        .then(|| Cluster::start(&postgres::Options::new(Durability::Default)))
        .transpose()?;
    let server: Server = match (&own, url) {
        (Some(own), _) => (**own).clone(),
        (None, url) => Server::at(&url.unwrap_or_default())?,
    };
    pgbench(&server)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for writers in [1, 4] {
        for batch in [1, 10, 100, 500] {
            let database = server.fresh_database()?;
            runtime.block_on(moves(&database, writers, batch))?;
            println!("    {}", hot(&database)?);
        }
        for batch in [1, 100, 500] {
            let database = server.fresh_database()?;
            runtime.block_on(whole_runs(&database, writers, batch))?;
        }
    }
    Ok(())
}

/// The measure of the machine: one client, three updates and an insert in each transaction without `-N`, two of them with.
fn pgbench(server: &Server) -> anyhow::Result<()> {
    let database = server.fresh_database()?;
    let url = database.url();
    let pgbench = postgres::program_dir()?.join("pgbench");
    let run = |args: &[&str]| Command::new(&pgbench).args(args).arg(&url).output();
    run(&["-i", "-q", "-s", "10"])?;
    for clients in ["1", "4"] {
        let output = run(&["-N", "-n", "-M", "prepared", "-T", "5", "-c", clients])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures = text
            .lines()
            .filter(|line| line.starts_with("latency average") || line.starts_with("tps"));
        println!(
            "pgbench -N -M prepared -c {clients}: {}",
            figures.collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}

fn start(number: u64) -> RunWrite {
    let row = RunRow {
        id: RunId::from_bits((0x0198_0000_0000_u128 + u128::from(number / 16)) << 80 | u128::from(number)),
        namespace: "default".into(),
        workflow: "wf_greeting".into(),
        workflow_version: 1,
        plan: Digest([7; 32]),
        status: RunStatus::StepsInProcess,
        version: 1,
        priority: 0,
        claims: 1,
        wake_at: Some(Time(1_000_000)),
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
    write.row.updated_at = Time(write.row.updated_at.0 + 1);
    write
}

fn finish(write: RunWrite) -> RunWrite {
    let mut write = next(write);
    write.row.status = RunStatus::Complete;
    write.row.claims = 0;
    write.row.wake_at = None;
    write.row.finished_at = Some(write.row.updated_at);
    write
}

async fn commit(store: &PostgresStore, writes: impl Iterator<Item = RunWrite>) {
    let units = writes
        .map(|write| Unit {
            runs: vec![write],
            ..Unit::default()
        })
        .collect();
    let meta = Meta { at: Time(5), owner: 1 };
    let results = store.commit(Commit { meta, units }).await.expect("committed");
    assert!(results.iter().all(|result| *result == UnitResult::Applied));
}

#[allow(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
fn now() -> Instant {
    Instant::now()
}

async fn open(database: &Database, writers: usize) -> anyhow::Result<Arc<PostgresStore>> {
    let options = Options {
        pool_size: writers,
        ..Options::default()
    };
    Ok(Arc::new(PostgresStore::open(&database.url(), options).await?))
}

/// Moves of runs that are under way and stay so; each writer has runs of its own.
async fn moves(database: &Database, writers: usize, batch: usize) -> anyhow::Result<()> {
    let store = open(database, writers).await?;
    let mut runs: Vec<RunWrite> = (0..RUNS).map(start).collect();
    for some in runs.chunks(1000) {
        commit(&store, some.iter().cloned()).await;
    }
    let (before, mut tasks) = (store.counters(), JoinSet::new());
    for _ in 0..writers {
        let (mut own, store) = (runs.split_off(runs.len() - RUNS as usize / writers), store.clone());
        tasks.spawn(async move {
            let (begin, mut latencies, mut at) = (now(), Vec::new(), 0);
            while begin.elapsed() < SPAN {
                let range = at..at + batch;
                for run in &mut own[range.clone()] {
                    *run = next(run.clone());
                }
                let sent = now();
                commit(&store, own[range].iter().cloned()).await;
                latencies.push(sent.elapsed());
                at = (at + batch) % own.len();
            }
            latencies
        });
    }
    let latencies = tasks.join_all().await.concat();
    report(
        &store,
        &format!("moves, {writers} writers, batch {batch}"),
        before,
        latencies,
        batch,
    );
    store.close().await?;
    Ok(())
}

/// Runs that start in one commit and end in the next.
async fn whole_runs(database: &Database, writers: usize, batch: u64) -> anyhow::Result<()> {
    let store = open(database, writers).await?;
    let (before, mut tasks) = (store.counters(), JoinSet::new());
    for writer in 0..writers as u64 {
        let store = store.clone();
        tasks.spawn(async move {
            let (begin, mut latencies, mut first) = (now(), Vec::new(), writer << 40);
            while begin.elapsed() < SPAN {
                let runs: Vec<RunWrite> = (first..first + batch).map(start).collect();
                let sent = now();
                commit(&store, runs.iter().cloned()).await;
                latencies.push(sent.elapsed());
                let sent = now();
                commit(&store, runs.into_iter().map(finish)).await;
                latencies.push(sent.elapsed());
                first += batch;
            }
            latencies
        });
    }
    let latencies = tasks.join_all().await.concat();
    report(
        &store,
        &format!("start+end, {writers} writers, batch {batch}"),
        before,
        latencies,
        batch as usize,
    );
    store.close().await?;
    Ok(())
}

fn report(store: &PostgresStore, name: &str, before: Counters, mut latencies: Vec<Duration>, batch: usize) {
    latencies.sort_unstable();
    let after = store.counters();
    let transitions = (latencies.len() * batch) as f64;
    let per = |figure: u64| figure as f64 / transitions;
    println!(
        "{name:<32}: {:>7.0} transitions/s, commit p50 {:?}, p99 {:?}; {:.2} rows, {:.3} statements, {:.3} round trips each",
        transitions / SPAN.as_secs_f64(),
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100],
        per(after.rows_written - before.rows_written),
        per(after.statements - before.statements),
        per(after.round_trips - before.round_trips),
    );
}

/// How many updates of runs touched no index. The server gathers its figures when a session ends.
fn hot(database: &Database) -> anyhow::Result<String> {
    let figures = "SELECT n_tup_upd || ' updates of runs, of which HOT: ' || n_tup_hot_upd FROM pg_stat_user_tables \
                   WHERE schemaname = 'quintet' AND relname = 'runs'";
    Ok(database.psql(figures)?.trim().to_owned())
}
