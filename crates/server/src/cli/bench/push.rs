//! W1 and W4 through a push worker: every step is a dispatch to another process and a callback from it.
//!
//! The moments of a step are noted where they happen, by the clock that all processes of a machine share: submitted
//! here, dispatched and called back at the worker. A run is complete when its callback is acknowledged, which is after
//! the commit. What the figures rest on is checked at the end: each run that was accepted was dispatched and
//! acknowledged exactly once, and the queue says that it is completed.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use quintet_core::time::Time;
use serde::Deserialize;
use serde_json::json;

use super::child::{Usage, ms_since, now};
use super::hired::Hired;
use super::load::{Answer, Connection};
use super::nodes::{Metrics, Nodes};
use super::report::{Report, quantile};
use super::worker::{Noted, Step, TASK};
use super::workloads::{SINGLE_RUNS, WARM_UP};
use super::{Args, Target};

/// Runs before the clock starts, where many clients submit.
const WARM_UP_MANY: usize = 500;

/// A run that was accepted.
struct Submitted {
    run: String,
    begun: Time,
    accepted: Time,
}

/// Servers and a worker beside them.
struct Works {
    nodes: Nodes,
    worker: Hired,
    /// What was completed in the store before.
    completed_before: u64,
    submitted: Vec<Submitted>,
}

/// W4 through a push worker: one run at a time. `commit_ms` is what the store needs for a commit by itself.
pub(super) async fn single(report: &mut Report, target: &Target, commit_ms: f64) -> anyhow::Result<()> {
    let mut works = Works::start(target).await?;
    let mut connection = works.nodes.connect(0).await?;
    let request = queue_task(&connection);
    works.one_by_one(&mut connection, &request, WARM_UP).await?;
    let before = works.nodes.metrics().await?;
    works.one_by_one(&mut connection, &request, SINGLE_RUNS).await?;
    let after = works.nodes.metrics().await?;
    let noted = works.checked().await?;
    let pairs = works.pairs(&noted, WARM_UP)?;
    let mut times = Times::of(&pairs);
    let (own_ms, complete_ms) = (times.own.at(0.5), times.complete.at(0.5));
    let grown = |name: &str| after.sum(name) - before.sum(name);
    report.add(
        "W4-push",
        &[
            ("commit_p50_ms", commit_ms),
            ("server_commit_mean_ms", commit_mean_ms(&before, &after)),
            ("commits_per_step", grown("quintet_commits_total") / SINGLE_RUNS as f64),
            ("submit_p50_ms", times.submit.at(0.5)),
            ("submit_to_dispatch_p50_ms", times.dispatch.at(0.5)),
            ("submit_to_dispatch_p99_ms", times.dispatch.at(0.99)),
            ("worker_accept_p50_ms", times.accept.at(0.5)),
            ("worker_call_p50_ms", times.call.at(0.5)),
            ("callback_p50_ms", times.callback.at(0.5)),
            ("submit_to_complete_p50_ms", complete_ms),
            ("submit_to_complete_p99_ms", times.complete.at(0.99)),
            ("bound_4_commits_and_worker_ms", 4.0 * commit_ms + own_ms),
            ("commits_worth", (complete_ms - own_ms) / commit_ms),
            ("connections", noted.connections as f64),
            ("requests", noted.requests as f64),
            ("callback_connections", noted.callback_connections as f64),
        ],
    );
    works.stop().await
}

/// W1 through a push worker: many clients submit one-step runs for a while; the time runs until the last one of them
/// has ended.
pub(super) async fn independent(report: &mut Report, target: &Target, args: &Args) -> anyhow::Result<()> {
    let mut works = Works::start(target).await?;
    works.warm_up().await?;
    let (before, usage_before, worker_before) =
        (works.nodes.metrics().await?, works.nodes.usage(), works.worker.usage());
    let begun = now();
    works.saturate(begun.plus_ms(args.seconds * 1000), args.clients).await?;
    let submitted_s = ms_since(begun) / 1e3;
    works.worker.wait(works.submitted.len()).await?;
    let seconds = ms_since(begun) / 1e3;
    let (after, usage, worker_usage) = (works.nodes.metrics().await?, works.nodes.usage(), works.worker.usage());
    let noted = works.checked().await?;
    let pairs = works.pairs(&noted, WARM_UP_MANY)?;
    let (steps, mut times) = (pairs.len() as f64, Times::of(&pairs));
    let grown = |name: &str| after.sum(name) - before.sum(name);
    let cpu = |before: Usage, after: Usage| (after.cpu_s - before.cpu_s) * 1000.0 / steps;
    report.add(
        "W1-push",
        &[
            ("nodes", f64::from(target.nodes)),
            ("clients", args.clients as f64),
            ("steps", steps),
            ("steps_per_s", steps / seconds),
            ("seconds_until_last", seconds - submitted_s),
            ("submit_p50_ms", times.submit.at(0.5)),
            ("submit_p99_ms", times.submit.at(0.99)),
            ("submit_to_dispatch_p50_ms", times.dispatch.at(0.5)),
            ("submit_to_complete_p50_ms", times.complete.at(0.5)),
            ("submit_to_complete_p99_ms", times.complete.at(0.99)),
            ("callback_p50_ms", times.callback.at(0.5)),
            ("callback_p99_ms", times.callback.at(0.99)),
            ("server_cpu_s_per_1000_steps", cpu(usage_before, usage)),
            ("worker_cpu_s_per_1000_steps", cpu(worker_before, worker_usage)),
            ("resident_mib", usage.resident / f64::from(1 << 20)),
            ("server_commit_mean_ms", commit_mean_ms(&before, &after)),
            ("fsyncs_per_step", grown("quintet_commits_total") / steps),
            (
                "rows_written_per_step",
                grown("quintet_store_rows_written_total") / steps,
            ),
            ("statements_per_step", grown("quintet_store_statements_total") / steps),
            ("conflicts_per_step", grown("quintet_commit_conflicts_total") / steps),
            ("queued_per_step", grown("quintet_steps_queued_total") / steps),
            ("connections", noted.connections as f64),
            ("requests", noted.requests as f64),
            ("callback_connections", noted.callback_connections as f64),
        ],
    );
    works.stop().await
}

fn commit_mean_ms(before: &Metrics, after: &Metrics) -> f64 {
    let grown = |name: &str| after.sum(name) - before.sum(name);
    grown("quintet_commit_seconds_sum") * 1e3 / grown("quintet_commit_seconds_count")
}

fn queue_task(connection: &Connection) -> Vec<u8> {
    let body = json!({ "taskId": TASK, "input": {} }).to_string();
    connection.request("POST", "/api/queue/task", &body)
}

async fn submit(connection: &mut Connection, request: &[u8]) -> anyhow::Result<Submitted> {
    let begun = now();
    let answer = connection.send(request).await?;
    let accepted = now();
    let run = run_of(&answer)?;
    Ok(Submitted { run, begun, accepted })
}

fn run_of(answer: &Answer) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Queued {
        run_id: String,
    }
    let said = || String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == 200, "status {}: {}", answer.status, said());
    let queued: Queued = serde_json::from_slice(&answer.body).with_context(said)?;
    Ok(queued.run_id)
}

impl Works {
    async fn start(target: &Target) -> anyhow::Result<Self> {
        let nodes = Nodes::start(target).await?;
        let worker = Hired::start(&nodes).await?;
        let mut works = Self {
            nodes,
            worker,
            completed_before: 0,
            submitted: Vec::new(),
        };
        works.completed_before = works.queue("completed").await?;
        Ok(works)
    }

    /// Submits runs, each when the one before has ended.
    async fn one_by_one(&mut self, connection: &mut Connection, request: &[u8], runs: usize) -> anyhow::Result<()> {
        for _ in 0..runs {
            self.submitted.push(submit(connection, request).await?);
            self.worker.wait(self.submitted.len()).await?;
        }
        Ok(())
    }

    async fn warm_up(&mut self) -> anyhow::Result<()> {
        for client in 0..WARM_UP_MANY {
            let mut connection = self.nodes.connect(client).await?;
            let request = queue_task(&connection);
            self.submitted.push(submit(&mut connection, &request).await?);
        }
        self.worker.wait(self.submitted.len()).await
    }

    /// Many clients submit for a while, each waiting for its answers.
    async fn saturate(&mut self, until: Time, clients: usize) -> anyhow::Result<()> {
        let mut submitting = Vec::new();
        for client in 0..clients {
            let mut connection = self.nodes.connect(client).await?;
            submitting.push(async move {
                let (request, mut submitted) = (queue_task(&connection), Vec::new());
                while now() < until {
                    submitted.push(submit(&mut connection, &request).await?);
                }
                anyhow::Ok(submitted)
            });
        }
        for submitted in futures_util::future::join_all(submitting).await {
            self.submitted.extend(submitted?);
        }
        Ok(())
    }

    /// A count of `GET /api/queue/status`.
    async fn queue(&self, name: &str) -> anyhow::Result<u64> {
        let mut connection = self.nodes.connect(0).await?;
        let status = connection.call("GET", "/api/queue/status", "").await?.json()?;
        status[name]
            .as_u64()
            .with_context(|| format!("no `{name}` in {status}"))
    }

    /// What the worker noted, if nothing was lost and nothing was done twice.
    async fn checked(&mut self) -> anyhow::Result<Noted> {
        let noted = self.worker.noted().await?;
        let submitted = self.submitted.len();
        let completed = self.queue("completed").await? - self.completed_before;
        ensure!(
            completed == submitted as u64,
            "{submitted} runs were submitted, {completed} are completed"
        );
        for name in ["pending", "running", "waiting", "failed", "dlq"] {
            let count = self.queue(name).await?;
            ensure!(count == 0, "at the end {count} are {name}");
        }
        ensure!(
            noted.requests == submitted && noted.steps.len() == submitted,
            "{submitted} runs were submitted, {} dispatched and {} acknowledged",
            noted.requests,
            noted.steps.len()
        );
        Ok(noted)
    }

    /// Each run with what the worker noted of it, without the first ones.
    fn pairs<'a>(&'a self, noted: &'a Noted, warm_up: usize) -> anyhow::Result<Vec<(&'a Submitted, &'a Step)>> {
        let mut steps: HashMap<&str, &Step> = noted.steps.iter().map(|step| (&*step.run, step)).collect();
        let mut pairs = Vec::with_capacity(self.submitted.len());
        for submitted in &self.submitted {
            let step = steps.remove(&*submitted.run);
            let step = step.with_context(|| format!("the worker never had {}", submitted.run))?;
            pairs.push((submitted, step));
        }
        Ok(pairs.split_off(warm_up))
    }

    async fn stop(self) -> anyhow::Result<()> {
        // The servers first: while they live, their connections to the worker may.
        self.nodes.stop().await?;
        self.worker.stop().await
    }
}

/// Milliseconds of one part, of each step.
struct Spans(Vec<f64>);

impl Spans {
    fn at(&mut self, q: f64) -> f64 {
        quantile(&mut self.0, q)
    }
}

/// The parts of the steps' times.
struct Times {
    /// Submitted, to accepted by the server.
    submit: Spans,
    /// Submitted, to seen by the worker.
    dispatch: Spans,
    /// Seen by the worker, to its 202 written.
    accept: Spans,
    /// 202 written, to the callback about to be written.
    call: Spans,
    /// Both: the worker's own time.
    own: Spans,
    /// The callback, to its acknowledgement.
    callback: Spans,
    /// Submitted, to the callback acknowledged.
    complete: Spans,
}

impl Times {
    fn of(pairs: &[(&Submitted, &Step)]) -> Self {
        let between = |from: fn(&Submitted, &Step) -> Time, to: fn(&Submitted, &Step) -> Time| {
            let ms = |(submitted, step): &(&Submitted, &Step)| {
                (to(submitted, step).0 - from(submitted, step).0) as f64 / 1e3
            };
            Spans(pairs.iter().map(ms).collect())
        };
        Self {
            submit: between(|submitted, _| submitted.begun, |submitted, _| submitted.accepted),
            dispatch: between(|submitted, _| submitted.begun, |_, step| step.seen),
            accept: between(|_, step| step.seen, |_, step| step.accepted),
            call: between(|_, step| step.accepted, |_, step| step.called),
            own: between(|_, step| step.seen, |_, step| step.called),
            callback: between(|_, step| step.called, |_, step| step.answered),
            complete: between(|submitted, _| submitted.begun, |_, step| step.answered),
        }
    }
}
