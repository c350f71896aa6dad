//! The workloads: W1 to W4 as the design names them, waiting runs, and idleness.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use quintet_core::time::Time;
use quintet_engine::tasks;
use serde_json::{Value, json};

use super::child::{Usage, ms_since, now};
use super::load::Connection;
use super::nodes::Nodes;
use super::report::{Report, quantile};
use super::{Args, Target};

/// Runs measured one at a time.
pub(super) const SINGLE_RUNS: usize = 500;
/// Runs before the clock starts.
pub(super) const WARM_UP: usize = 50;
/// Runs that wait: so many to fill the caches, and as many again.
const WAITING_RUNS: usize = 100_000;

/// The machine's own figures; gives the milliseconds that a commit takes.
pub(super) fn machine(report: &mut Report, dir: &Path) -> anyhow::Result<f64> {
    let probe = quintet_store_sqlite::probe(dir, 200)?;
    let commit_ms = probe.commit_us_p50 as f64 / 1e3;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    report.add(
        "machine",
        &[
            ("cores", cores as f64),
            ("fdatasync_p50_ms", probe.fdatasync_us_p50 as f64 / 1e3),
            ("sqlite_commit_p50_ms", commit_ms),
        ],
    );
    Ok(commit_ms)
}

/// A step that does nothing.
fn noop(id: &str, after: &[String]) -> Value {
    if after.is_empty() {
        json!({ "id": id, "name": id, "action": "noop" })
    } else {
        json!({ "id": id, "name": id, "action": "noop", "depends_on": after })
    }
}

fn chain_of_ten() -> Value {
    json!({ "name": "chain", "steps": (0..10).map(|nth| noop(&format!("s{nth}"), &[])).collect::<Vec<_>>() })
}

fn one_step() -> Value {
    json!({ "name": "one", "steps": [noop("only", &[])] })
}

/// Stores a workflow; gives the body that starts it.
async fn create(connection: &mut Connection, workflow: &Value) -> anyhow::Result<String> {
    let stored = connection
        .call("POST", "/v1/workflows", &workflow.to_string())
        .await?
        .json()?;
    Ok(json!({ "workflow_id": stored["id"], "context": {} }).to_string())
}

/// W4: one one-step run at a time.
pub(super) async fn single(report: &mut Report, target: &Target) -> anyhow::Result<()> {
    let nodes = Nodes::start(target).await?;
    let mut connection = nodes.connect(0).await?;
    let body = create(&mut connection, &one_step()).await?;
    let (mut started, mut completed) = (Vec::new(), Vec::new());
    for nth in 0..WARM_UP + SINGLE_RUNS {
        let begun = now();
        connection.call("POST", "/v1/runs", &body).await?.json()?;
        if nth >= WARM_UP {
            started.push(ms_since(begun));
        }
    }
    for nth in 0..WARM_UP + SINGLE_RUNS {
        let begun = now();
        finished_run(&mut connection, &body).await?;
        if nth >= WARM_UP {
            completed.push(ms_since(begun));
        }
    }
    report.add(
        "W4",
        &[
            ("ready_ms", nodes.ready_ms()),
            ("submit_to_start_p50_ms", quantile(&mut started, 0.5)),
            ("submit_to_start_p99_ms", quantile(&mut started, 0.99)),
            ("submit_to_complete_p50_ms", quantile(&mut completed, 0.5)),
            ("submit_to_complete_p99_ms", quantile(&mut completed, 0.99)),
        ],
    );
    nodes.stop().await
}

async fn finished_run(connection: &mut Connection, body: &str) -> anyhow::Result<()> {
    let run = connection.call("POST", "/v1/runs?wait=30s", body).await?.json()?;
    ensure!(run["status"] == "SUCCEEDED", "the run is {}", run["status"]);
    Ok(())
}

/// W2: a chain of ten steps, alone and at saturation.
pub(super) async fn chain(report: &mut Report, target: &Target, args: &Args) -> anyhow::Result<()> {
    let nodes = Nodes::start(target).await?;
    let mut connection = nodes.connect(0).await?;
    let body = create(&mut connection, &chain_of_ten()).await?;
    let mut latencies = Vec::new();
    for nth in 0..WARM_UP + SINGLE_RUNS / 2 {
        let begun = now();
        finished_run(&mut connection, &body).await?;
        if nth >= WARM_UP {
            latencies.push(ms_since(begun));
        }
    }
    let figures = [
        ("idle_p50_ms", quantile(&mut latencies, 0.5)),
        ("idle_p99_ms", quantile(&mut latencies, 0.99)),
    ];
    report.add("W2", &figures);
    saturate(report, ("W2", target), &nodes, &body, args, 10.0).await?;
    nodes.stop().await
}

/// W1: independent one-step runs at saturation.
pub(super) async fn independent(report: &mut Report, target: &Target, args: &Args) -> anyhow::Result<()> {
    let nodes = Nodes::start(target).await?;
    let mut connection = nodes.connect(0).await?;
    let body = create(&mut connection, &one_step()).await?;
    saturate(report, ("W1", target), &nodes, &body, args, 1.0).await?;
    nodes.stop().await
}

/// Many clients submit for a while; the time runs until the last of their runs has ended.
async fn saturate(
    report: &mut Report,
    (name, target): (&str, &Target),
    nodes: &Nodes,
    body: &str,
    args: &Args,
    steps: f64,
) -> anyhow::Result<()> {
    let (before, usage_before) = (nodes.metrics().await?, nodes.usage());
    let begun = now();
    let until = begun.plus_ms(args.seconds * 1000);
    let mut clients = Vec::new();
    for number in 0..args.clients {
        clients.push(client(nodes.connect(number).await?, body.to_owned(), until));
    }
    let mut latencies = Vec::new();
    for client in futures_util::future::join_all(clients).await {
        latencies.extend(client?);
    }
    let runs = latencies.len() as f64;
    let wanted = before.sum("quintet_runs_finished_total") + runs;
    let after = loop {
        let now = nodes.metrics().await?;
        if now.sum("quintet_runs_finished_total") >= wanted {
            break now;
        }
        ensure!(ms_since(begun) < 120_000.0, "runs did not end");
        tasks::pause(Some(Duration::from_millis(5))).await;
    };
    let (seconds, usage) = (ms_since(begun) / 1e3, nodes.usage());
    let grown = |name: &str| after.sum(name) - before.sum(name);
    let commits = grown("quintet_commits_total");
    report.add(
        name,
        &[
            ("nodes", f64::from(target.nodes)),
            ("clients", args.clients as f64),
            ("runs", runs),
            ("runs_per_s", runs / seconds),
            ("steps_per_s", runs * steps / seconds),
            ("submit_p50_ms", quantile(&mut latencies, 0.5)),
            ("submit_p99_ms", quantile(&mut latencies, 0.99)),
            (
                "server_cpu_s_per_1000_steps",
                cpu(usage_before, usage) * 1000.0 / (runs * steps),
            ),
            ("resident_mib", usage.resident / f64::from(1 << 20)),
            ("fsyncs_per_step", commits / (runs * steps)),
            (
                "rows_written_per_step",
                grown("quintet_store_rows_written_total") / (runs * steps),
            ),
            (
                "statements_per_step",
                grown("quintet_store_statements_total") / (runs * steps),
            ),
            (
                "conflicts_per_step",
                grown("quintet_commit_conflicts_total") / (runs * steps),
            ),
        ],
    );
    Ok(())
}

fn cpu(before: Usage, after: Usage) -> f64 {
    after.cpu_s - before.cpu_s
}

async fn client(mut connection: Connection, body: String, until: Time) -> anyhow::Result<Vec<f64>> {
    let request = connection.request("POST", "/v1/runs", &body);
    let mut latencies = Vec::new();
    while now() < until {
        let begun = now();
        let answer = connection.send(&request).await?;
        ensure!(answer.status == 200, "status {}", answer.status);
        latencies.push(ms_since(begun));
    }
    Ok(latencies)
}

/// W3: one run of many parallel steps and a join.
pub(super) async fn fan_out(report: &mut Report, target: &Target) -> anyhow::Result<()> {
    for steps in [1_000, 10_000, 99_999] {
        let nodes = Nodes::start(&target.at(&target.data.join(steps.to_string()))).await?;
        let mut connection = nodes.connect(0).await?;
        let names: Vec<String> = (0..steps).map(|nth| format!("s{nth}")).collect();
        let mut all: Vec<Value> = names.iter().map(|name| noop(name, &[])).collect();
        all.push(noop("join", &names));
        let body = create(&mut connection, &json!({ "name": "fan", "steps": all })).await?;
        let mut times = Vec::new();
        for _ in 0..if steps > 10_000 { 3 } else { 10 } {
            let begun = now();
            let run = connection.call("POST", "/v1/runs?wait=60s", &body).await?.json()?;
            times.push(ms_since(begun));
            ensure!(run["status"] == "SUCCEEDED", "the run is {}", run["status"]);
        }
        let resident = nodes.usage().resident / f64::from(1 << 20);
        let figures = [
            ("steps", steps as f64),
            ("wall_p50_ms", quantile(&mut times, 0.5)),
            ("resident_mib", resident),
        ];
        report.add("W3", &figures);
        nodes.stop().await?;
    }
    Ok(())
}

/// Runs that wait for a person: their memory, and what a restart among them costs.
pub(super) async fn waiting(report: &mut Report, target: &Target) -> anyhow::Result<()> {
    let nodes = Nodes::start(target).await?;
    let mut connection = nodes.connect(0).await?;
    let gated =
        json!({ "name": "gated", "steps": [{ "id": "a", "name": "a", "action": "noop", "requires_approval": true }] });
    let body: Value = serde_json::from_str(&create(&mut connection, &gated).await?)?;
    let batch = json!({ "runs": vec![body; 1000] }).to_string();
    connection.call("POST", "/v1/runs/batch", &batch).await?.json()?;
    let empty = nodes.usage();
    let begun = now();
    let mut grown = [empty; 2];
    for usage in &mut grown {
        for _ in 0..WAITING_RUNS / 1000 {
            connection.call("POST", "/v1/runs/batch", &batch).await?.json()?;
        }
        *usage = nodes.usage();
    }
    let started_ms = ms_since(begun);
    let per_run = |before: Usage, after: Usage| (after.resident - before.resident) / WAITING_RUNS as f64;
    nodes.stop().await?;
    let again = Nodes::start(target).await?;
    let mut connection = again.connect(0).await?;
    let page = connection
        .call("GET", "/v1/runs?status=WAITING_APPROVAL&limit=1", "")
        .await?
        .json()?;
    page["items"].get(0).context("the waiting runs are gone")?;
    report.add(
        "waiting",
        &[
            ("runs", 2.0 * WAITING_RUNS as f64),
            ("bytes_per_run_while_caches_fill", per_run(empty, grown[0])),
            ("bytes_per_further_run", per_run(grown[0], grown[1])),
            ("batch_starts_per_s", 2.0 * WAITING_RUNS as f64 / started_ms * 1e3),
            ("ready_ms", again.ready_ms()),
        ],
    );
    again.stop().await
}

/// What a server does that has nothing to do.
pub(super) async fn idle(report: &mut Report, target: &Target) -> anyhow::Result<()> {
    const SECONDS: f64 = 5.0;
    let nodes = Nodes::start(target).await?;
    let mut connection = nodes.connect(0).await?;
    let body = create(&mut connection, &one_step()).await?;
    finished_run(&mut connection, &body).await?;
    let before = nodes.metrics().await?;
    let usage = nodes.usage();
    tasks::pause(Some(Duration::from_secs_f64(SECONDS))).await;
    let cpu_ms = cpu(usage, nodes.usage()) * 1e3;
    let after = nodes.metrics().await?;
    let grown = |name: &str| after.sum(name) - before.sum(name);
    let statements = grown("quintet_store_statements_total") / f64::from(target.nodes);
    report.add(
        "idle",
        &[
            ("ready_ms", nodes.ready_ms()),
            ("statements_per_s_and_node", statements / SECONDS),
            ("cpu_ms_per_s", cpu_ms / SECONDS),
            ("resident_mib", usage.resident / f64::from(1 << 20)),
        ],
    );
    nodes.stop().await
}
