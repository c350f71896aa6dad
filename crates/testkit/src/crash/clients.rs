//! The clients and their journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use crate::http::call;
use crate::random::Random;

/// What was asked for and what came of it.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Entries {
    /// Idempotency key to workflow, for every start that was sent.
    pub intended: BTreeMap<String, String>,
    /// Idempotency key to run, for every start that was acknowledged.
    pub acked: BTreeMap<String, String>,
    /// Log lines that were acknowledged, with their run.
    pub lines: BTreeMap<String, String>,
    /// Log lines that were sent.
    pub sent_lines: BTreeSet<String>,
    /// Runs whose cancellation was acknowledged.
    pub cancelled: BTreeSet<String>,
    /// Runs whose cancellation was sent.
    pub cancels: BTreeSet<String>,
    /// A second answer to a key named another run.
    pub split: Vec<String>,
}

impl Journal {
    pub fn write<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        change(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn summary(&self) -> String {
        self.write(|entries| {
            let unknown = entries.intended.len() - entries.acked.len();
            format!(
                "{} started, {} acknowledged, {unknown} unknown",
                entries.intended.len(),
                entries.acked.len()
            )
        })
    }
}

/// One lifetime of the server.
pub(super) struct Load {
    pub address: String,
    pub workflows: Vec<String>,
    pub lifetime: Duration,
}

/// Stores the workflows that the clients start.
pub(super) fn store_workflows(address: &str, sink: &str) -> anyhow::Result<Vec<String>> {
    let http = |id: &str, path: &str, after: &[&str]| {
        json!({ "id": id, "name": id, "action": "http", "depends_on": after, "timeout_ms": 5000,
            "input": { "url": format!("http://{sink}{path}"), "body": { "step": id } },
            "retry": { "max": 8, "backoff_ms": 20 } })
    };
    let dag = json!({ "name": "dag", "steps": [
        http("a", "/ok", &[]), http("b", "/flaky", &[]), http("c", "/slow?ms=60", &[]),
        { "id": "join", "name": "join", "action": "transform", "depends_on": ["a", "b", "c"],
          "input": { "set": { "words": "{{ [steps.a.output.word, steps.b.output.word, steps.c.output.word] }}" } } },
        { "id": "pause", "name": "pause", "action": "wait", "depends_on": ["join"], "input": { "ms": 40 } },
        http("end", "/ok", &["pause"]),
    ] });
    let items = json!({ "name": "items", "steps": [
        { "id": "each", "name": "each", "action": "http", "for_each": { "items": [1, 2, 3, 4], "concurrency": 2 }, "depends_on": [],
          "input": { "url": format!("http://{sink}/flaky"), "body": "{{ item }}" },
          "retry": { "max": 8, "backoff_ms": 10 } },
        http("end", "/ok", &["each"]),
    ] });
    let gated = json!({ "name": "gated", "steps": [
        http("before", "/ok", &[]),
        { "id": "gate", "name": "gate", "action": "approval", "depends_on": ["before"] },
        http("after", "/ok", &["gate"]),
    ] });
    let mut ids = Vec::new();
    for workflow in [dag, items, gated] {
        let stored = call(address, "POST", "/v1/workflows", &[], &workflow.to_string())?.ok()?;
        ids.push(stored["id"].as_str().context("no id")?.to_owned());
    }
    Ok(ids)
}

/// Lets clients work until their time is over, then ends the server under their hands.
#[allow(
    clippy::disallowed_methods,
    reason = "the moment of a crash is a moment by the clock"
)]
pub(super) fn run(
    load: &Load,
    journal: &Journal,
    seeds: &[u64],
    end: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in seeds {
            let over = &over;
            scope.spawn(move || client(load, journal, Random::new(*seed), over));
        }
        std::thread::sleep(load.lifetime);
        let ended = end();
        over.store(true, Ordering::Release);
        ended
    })
}

/// One client: any error means that the server is gone, and that nobody knows what came of the request.
fn client(load: &Load, journal: &Journal, mut random: Random, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        let done = match random.below(10) {
            0 => repeat(load, journal, &mut random),
            1 => write_line(load, journal, &mut random),
            2 => approve(load, journal, &mut random),
            3 if random.below(4) == 0 => cancel(load, journal, &mut random),
            _ => start(load, journal, &mut random),
        };
        if done.is_err() {
            return;
        }
    }
}

fn start(load: &Load, journal: &Journal, random: &mut Random) -> anyhow::Result<()> {
    let workflow = &load.workflows[random.below(load.workflows.len() as u64) as usize];
    let key = format!("k-{:016x}", random.bits());
    journal.write(|entries| entries.intended.insert(key.clone(), workflow.clone()));
    start_as(&load.address, journal, &key, workflow).map(drop)
}

/// Starts a run under a key, for the first time or again.
pub(super) fn start_as(address: &str, journal: &Journal, key: &str, workflow: &str) -> anyhow::Result<String> {
    let body = json!({ "workflow_id": workflow, "context": { "key": key } }).to_string();
    let run = call(address, "POST", "/v1/runs", &[("idempotency-key", key)], &body)?.ok()?;
    let id = run["id"].as_str().context("no id")?.to_owned();
    journal.write(|entries| {
        let before = entries.acked.insert(key.to_owned(), id.clone());
        if before.as_ref().is_some_and(|before| *before != id) {
            entries.split.push(key.to_owned());
        }
    });
    Ok(id)
}

fn pick(journal: &Journal, random: &mut Random, unknown: bool) -> Option<(String, String)> {
    journal.write(|entries| {
        let candidates: Vec<_> = if unknown {
            entries
                .intended
                .iter()
                .filter(|(key, _)| !entries.acked.contains_key(*key))
                .collect()
        } else {
            entries.acked.iter().collect()
        };
        let at = random.below(candidates.len() as u64) as usize;
        candidates
            .get(at)
            .map(|(key, value)| ((*key).clone(), (*value).clone()))
    })
}

/// Asks again for a start whose answer was lost, as a careful client does.
fn repeat(load: &Load, journal: &Journal, random: &mut Random) -> anyhow::Result<()> {
    match pick(journal, random, true) {
        Some((key, workflow)) => start_as(&load.address, journal, &key, &workflow).map(drop),
        None => Ok(()),
    }
}

fn write_line(load: &Load, journal: &Journal, random: &mut Random) -> anyhow::Result<()> {
    let Some((_, run)) = pick(journal, random, false) else {
        return Ok(());
    };
    let line = format!("line {:016x}", random.bits());
    journal.write(|entries| entries.sent_lines.insert(line.clone()));
    call(&load.address, "POST", &format!("/v1/runs/{run}/logs"), &[], &line)?.ok()?;
    journal.write(|entries| entries.lines.insert(line, run));
    Ok(())
}

fn approve(load: &Load, journal: &Journal, random: &mut Random) -> anyhow::Result<()> {
    let Some((_, run)) = pick(journal, random, false) else {
        return Ok(());
    };
    let answer = call(&load.address, "POST", &format!("/v1/runs/{run}/approve"), &[], "")?;
    anyhow::ensure!(answer.status < 500, "status {}", answer.status);
    Ok(())
}

fn cancel(load: &Load, journal: &Journal, random: &mut Random) -> anyhow::Result<()> {
    let Some((_, run)) = pick(journal, random, false) else {
        return Ok(());
    };
    journal.write(|entries| entries.cancels.insert(run.clone()));
    let answer = call(&load.address, "POST", &format!("/v1/runs/{run}/cancel"), &[], "")?.ok()?;
    if answer["status"] == "CANCELED" {
        journal.write(|entries| entries.cancelled.insert(run));
    }
    Ok(())
}
