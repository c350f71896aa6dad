//! Transitions per second of the embedded store, by the size of the commits.
//!
//! Each transition updates the row of a run that is under way and appends 200 bytes of history. Run it with
//! `cargo run --release -p quintet-store-sqlite --example throughput -- [DIR] [steps]`; DIR decides which disk is measured.
//! With `steps` it measures only what it costs to keep rows of step runs.

use std::path::Path;
use std::time::Instant;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{Commit, RunRow, RunWrite, StepRow, Store, Unit, UnitResult};
use quintet_store_sqlite::{Options, SqliteStore, probe};

/// Runs under way at once.
const RUNS: u64 = 10_000;

fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let dir = tempfile::tempdir_in(dir).expect("a directory to measure in");
    println!("{:?}", probe(dir.path(), 200).expect("the disk can be measured"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    if std::env::args().nth(2).is_some_and(|what| what == "steps") {
        for rows in [0, 1, 4] {
            runtime.block_on(listed_steps(dir.path(), rows, 1_000, 60));
        }
        return;
    }
    for (batch, commits) in [(1, 4_000), (10, 2_000), (100, 1_000), (1_000, 200)] {
        runtime.block_on(transitions(dir.path(), batch, commits));
    }
    runtime.block_on(whole_runs(dir.path(), 1_000, 100));
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

async fn commit(store: &SqliteStore, writes: impl Iterator<Item = RunWrite>) {
    let units = writes.map(|write| Unit {
        runs: vec![write],
        ..Unit::default()
    });
    commit_units(store, units.collect()).await;
}

async fn commit_units(store: &SqliteStore, units: Vec<Unit>) {
    let results = store
        .commit(Commit {
            meta: Meta { at: Time(5), owner: 1 },
            units,
        })
        .await
        .expect("committed");
    assert!(results.iter().all(|result| *result == UnitResult::Applied));
}

fn open(dir: &Path, name: &str) -> SqliteStore {
    SqliteStore::open(&dir.join(name), Options::default()).expect("a fresh store")
}

#[allow(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// Moves of runs that are under way and stay so.
async fn transitions(dir: &Path, batch: usize, commits: usize) {
    let store = open(dir, &format!("batch-{batch}.db"));
    let mut runs: Vec<RunWrite> = (0..RUNS).map(start).collect();
    for some in runs.chunks(1000) {
        commit(&store, some.iter().cloned()).await;
    }
    let (before, begin, mut at) = (store.counters(), now(), 0);
    for _ in 0..commits {
        let range = at..at + batch;
        for run in &mut runs[range.clone()] {
            *run = next(run.clone());
        }
        commit(&store, runs[range].iter().cloned()).await;
        at = (at + batch) % runs.len();
    }
    report(&store, &format!("batch {batch:>4}"), before, begin, batch * commits);
    store.close().await.expect("closed");
}

/// Runs that start in one commit and end in the next.
async fn whole_runs(dir: &Path, batch: u64, commits: u64) {
    let store = open(dir, "whole.db");
    let (before, begin) = (store.counters(), now());
    for round in 0..commits {
        let runs: Vec<RunWrite> = (round * batch..(round + 1) * batch).map(start).collect();
        commit(&store, runs.iter().cloned()).await;
        commit(&store, runs.into_iter().map(finish)).await;
    }
    report(
        &store,
        &format!("start+end {batch:>4}"),
        before,
        begin,
        (batch * commits * 2) as usize,
    );
    store.close().await.expect("closed");
}

/// Runs that start in one commit and end ten commits later, with some rows of steps that do the same.
async fn listed_steps(dir: &Path, rows: u32, batch: u64, commits: u64) {
    const UNDER_WAY: u64 = 10;
    let store = open(dir, &format!("steps-{rows}.db"));
    let (before, begin) = (store.counters(), now());
    let unit = |write: RunWrite, status| Unit {
        steps: (0..rows).map(|node| step(&write.row, node, status)).collect(),
        runs: vec![write],
        ..Unit::default()
    };
    for round in 0..commits + UNDER_WAY {
        let numbers = |round: u64| round * batch..(round + 1) * batch;
        if round < commits {
            let begun = numbers(round).map(|number| unit(start(number), StepStatus::InProgress));
            commit_units(&store, begun.collect()).await;
        }
        if let Some(round) = round.checked_sub(UNDER_WAY) {
            let ended = numbers(round).map(|number| unit(finish(start(number)), StepStatus::Complete));
            commit_units(&store, ended.collect()).await;
        }
    }
    let transitions = (batch * commits * 2) as usize;
    report(&store, &format!("{rows} rows of steps"), before, begin, transitions);
    let begin = now();
    let counts = store.step_counts("default", "push").await.expect("counted");
    println!("    {:?} counted in {:?}", counts.by_status, begin.elapsed());
    store.close().await.expect("closed");
}

fn step(run: &RunRow, node: u32, status: StepStatus) -> StepRow {
    StepRow {
        run: run.id,
        node,
        namespace: run.namespace.clone(),
        workflow: run.workflow.clone(),
        step: "resize-image".into(),
        action: "push".into(),
        queue: format!("task-{}", run.id.bits() % 40).into(),
        status,
        attempt: 1,
        priority: 0,
        created_at: run.created_at,
        updated_at: run.updated_at,
    }
}

fn report(store: &SqliteStore, name: &str, before: quintet_store_sqlite::Counters, begin: Instant, transitions: usize) {
    let seconds = begin.elapsed().as_secs_f64();
    let after = store.counters();
    let per = |figure: u64| figure as f64 / transitions as f64;
    println!(
        "{name}: {:>8.0} transitions/s, {:.2} rows, {:.2} statements and {:.4} flushes per transition",
        transitions as f64 / seconds,
        per(after.rows_written - before.rows_written),
        per(after.statements - before.statements),
        per(after.commits - before.commits),
    );
}
