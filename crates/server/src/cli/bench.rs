//! `quintet bench`: the figures of `docs/performance.md`, always measured the same way.
//!
//! Servers of this very binary run as child processes on a fresh store; the load comes over HTTP from this
//! process, on keep-alive connections that each wait for their answer. The machine's own figures are taken
//! first, so that the ratio to what the disk, or the database, allows can be read off anywhere. Steps are done in
//! the server's own process, or by a push worker, which is a process of its own beside it.

mod child;
mod hired;
mod load;
mod nodes;
mod pgbench;
mod push;
mod report;
mod wire;
pub mod worker;
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
    /// Who does the steps; `noop` when absent, and both when everything is measured.
    #[arg(long, value_enum)]
    worker: Option<Who>,
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

/// Who does the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Who {
    /// The server itself, which does nothing.
    Noop,
    /// A process that the server calls over HTTP and that calls back; of W1 and W4 only.
    Push,
}

const ALL: [Workload; 6] = [
    Workload::W4,
    Workload::W2,
    Workload::W1,
    Workload::W3,
    Workload::Waiting,
    Workload::Idle,
];
/// Those that a push worker can do.
const PUSHED: [Workload; 2] = [Workload::W4, Workload::W1];

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
    let chosen = chosen(args)?;
    let commit_ms = match &target.url {
        Some(url) => pgbench::measure(&mut report, url, args.seconds).await?,
        None => workloads::machine(&mut report, &base)?,
    };
    // Removed at the end only: a file system that has just lost many files makes new ones more slowly.
    let dir = tempfile::tempdir_in(&base)?;
    for (nth, (workload, who)) in chosen.into_iter().enumerate() {
        let target = target.at(&dir.path().join(nth.to_string()));
        match (workload, who) {
            (Workload::W1, Who::Push) => push::independent(&mut report, &target, args).await?,
            (_, Who::Push) => push::single(&mut report, &target, commit_ms).await?,
            (Workload::W1, Who::Noop) => workloads::independent(&mut report, &target, args).await?,
            (Workload::W2, Who::Noop) => workloads::chain(&mut report, &target, args).await?,
            (Workload::W3, Who::Noop) => workloads::fan_out(&mut report, &target).await?,
            (Workload::W4, Who::Noop) => workloads::single(&mut report, &target).await?,
            (Workload::Waiting, Who::Noop) => workloads::waiting(&mut report, &target).await?,
            (Workload::Idle, Who::Noop) => workloads::idle(&mut report, &target).await?,
        }
    }
    report.finish();
    Ok(())
}

/// What to measure, in order.
fn chosen(args: &Args) -> anyhow::Result<Vec<(Workload, Who)>> {
    let by = |workloads: &[Workload], who| -> Vec<_> { workloads.iter().map(|&workload| (workload, who)).collect() };
    match (&args.workload[..], args.worker) {
        ([], None) => Ok([by(&ALL, Who::Noop), by(&PUSHED, Who::Push)].concat()),
        ([], Some(Who::Noop)) => Ok(by(&ALL, Who::Noop)),
        ([], Some(Who::Push)) => Ok(by(&PUSHED, Who::Push)),
        (some, None | Some(Who::Noop)) => Ok(by(some, Who::Noop)),
        (some, Some(Who::Push)) => {
            let is_pushed = some.iter().all(|workload| PUSHED.contains(workload));
            anyhow::ensure!(
                is_pushed,
                "--worker push: only W1 and W4 are measured through a push worker"
            );
            Ok(by(some, Who::Push))
        }
    }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn chosen_by(line: &str) -> anyhow::Result<Vec<(Workload, Who)>> {
        chosen(&Line::try_parse_from(line.split(' '))?.args)
    }

    #[test]
    fn everything_includes_the_push_worker_and_a_chosen_workload_does_not() {
        let everything = chosen_by("bench").unwrap();
        assert!(everything.contains(&(Workload::W1, Who::Push)) && everything.contains(&(Workload::W1, Who::Noop)));
        assert_eq!(chosen_by("bench --workload W1").unwrap(), [(Workload::W1, Who::Noop)]);
        assert_eq!(
            chosen_by("bench --worker push").unwrap(),
            [(Workload::W4, Who::Push), (Workload::W1, Who::Push)]
        );
    }

    #[test]
    fn what_no_push_worker_does_is_refused_with_one() {
        let refused = chosen_by("bench --worker push --workload W1,W2").unwrap_err();
        assert!(refused.to_string().contains("only W1 and W4"), "{refused}");
    }
}
