//! `quintet bench`: the figures of `docs/performance.md`, always measured the same way.
//!
//! Servers of this very binary run as child processes on a fresh store; the load comes over HTTP from this
//! process, on keep-alive connections that each wait for their answer. The machine's own figures are taken
//! first, so that the ratio to what the disk, or the database, allows can be read off anywhere.

mod child;
mod load;
mod nodes;
mod pgbench;
mod report;
mod workloads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};

use report::Report;

/// Arguments of `quintet bench`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Directory for the stores that are measured; a temporary one when absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The store to measure on: `sqlite`, which is a fresh one in the directory, or `postgres://...`, a database in
    /// which nothing is kept yet.
    #[arg(long, default_value = "sqlite", env = "QUINTET_BENCH_STORE", hide_env_values = true)]
    store: String,
    /// Nodes that share the database; the load is spread over them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// What to measure; everything when absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Seconds of load for each figure at saturation.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections at saturation.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    json: bool,
}

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
enum Workload {
    /// Independent one-step runs from many clients.
    W1,
    /// A chain of ten steps.
    W2,
    /// One run of 1,000 to 100,000 parallel steps and a join.
    W3,
    /// One one-step run at a time on an idle server.
    W4,
    /// 100,000 runs that wait: memory of each, and the time of a restart.
    Waiting,
    /// What an idle server does.
    Idle,
}

const ALL: [Workload; 6] = [
    Workload::W4,
    Workload::W2,
    Workload::W1,
    Workload::W3,
    Workload::Waiting,
    Workload::Idle,
];

/// Runs the benchmark.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(measure(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let base = args.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&base)?;
    let mut report = Report::new(args.json);
    let target = Target::of(args)?;
    match &target.url {
        Some(url) => pgbench::measure(&mut report, url, args.seconds).await?,
        None => workloads::machine(&mut report, &base)?,
    }
    let chosen = if args.workload.is_empty() {
        &ALL[..]
    } else {
        &args.workload[..]
    };
    for workload in chosen {
        let dir = tempfile::tempdir_in(&base)?;
        match workload {
            Workload::W1 => workloads::independent(&mut report, &target.at(dir.path()), args).await?,
            Workload::W2 => workloads::chain(&mut report, &target.at(dir.path()), args).await?,
            Workload::W3 => workloads::fan_out(&mut report, &target.at(dir.path())).await?,
            Workload::W4 => workloads::single(&mut report, &target.at(dir.path())).await?,
            Workload::Waiting => workloads::waiting(&mut report, &target.at(dir.path())).await?,
            Workload::Idle => workloads::idle(&mut report, &target.at(dir.path())).await?,
        }
    }
    report.finish();
    Ok(())
}

/// What is measured, and on what.
#[derive(Debug, Clone)]
struct Target {
    /// The database, if it is not the embedded store.
    url: Option<String>,
    nodes: u16,
    data: PathBuf,
}

impl Target {
    fn of(args: &Args) -> anyhow::Result<Self> {
        let is_database = args.store.starts_with("postgres://") || args.store.starts_with("postgresql://");
        anyhow::ensure!(
            is_database || args.store == "sqlite",
            "--store is `sqlite` or postgres://...; its files go to --data"
        );
        anyhow::ensure!(
            is_database || args.nodes == 1,
            "--nodes: only a PostgreSQL database can be shared by several nodes"
        );
        Ok(Self {
            url: is_database.then(|| args.store.clone()),
            nodes: args.nodes,
            data: PathBuf::new(),
        })
    }

    fn at(&self, data: &Path) -> Self {
        let data = data.to_owned();
        Self { data, ..self.clone() }
    }
}
