//! Several equal nodes on one PostgreSQL database, under load and under everything that happens to machines.
//!
//! Clients spread their requests over the nodes and go on to another one, under the same idempotency key, when one does
//! not answer. Meanwhile nodes are killed and stopped, their connections to the database freeze, and the database itself
//! crashes, in an order that a seed gives; each of the four in every round, sometimes two at once. A round ends with
//! peace: every node must take requests again, everything must end, and the account ([`crate::crash`]) must be clean.
//!
//! Take-over is measured with runs whose call hangs: the receiver knows which node made the call, that node is struck,
//! and the clock runs until the same step is called for by the next attempt.

mod diary;
mod hand_over;
mod measure;
mod nemesis;
mod nodes;
mod peace;
mod report;
mod round;
mod site;
mod strike;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::postgres::Durability;
use round::Rounds;
use site::Site;

pub use hand_over::{HandOver, hand_over};
pub use report::{Report, TakeOver};

/// Beyond the lease, how long it may take until another node has made what a dead one held.
pub const TAKE_OVER: Duration = Duration::from_secs(5);

/// When to stop tormenting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After the first round that is not clean: the logs then end where something went wrong.
    FirstFault,
    /// After the last round in any case.
    Last,
}

/// How to torment.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Nodes.
    pub nodes: usize,
    /// Rounds; in each, everything happens at least once.
    pub rounds: u32,
    /// Whether all of them are played.
    pub until: Until,
    /// Of what happens and of the requests.
    pub seed: u64,
    /// Clients at a time.
    pub clients: u32,
    /// About how long a client pauses between two requests.
    pub pause: Duration,
    /// The nodes' lease.
    pub lease: Duration,
    /// What PostgreSQL does for the case that the machine loses power.
    pub durability: Durability,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nodes: 3,
            rounds: 20,
            until: Until::FirstFault,
            seed: 1,
            clients: 4,
            pause: Duration::from_millis(120),
            lease: Duration::from_secs(3),
            durability: Durability::Default,
        }
    }
}

/// Torments nodes of the binary for some rounds. The folder with the logs is kept when something is wrong.
pub fn torment(binary: &Path, plan: &Plan, mut progress: impl FnMut(&str)) -> anyhow::Result<Report> {
    anyhow::ensure!(plan.nodes > 1, "a node that fails needs another one to take over");
    let dir = tempfile::Builder::new().prefix("quintet-cluster-").tempdir()?;
    let path = dir.path().to_owned();
    let outcome = play(binary, plan, &path, &mut progress);
    let is_good = matches!(&outcome, Ok(report) if report.is_clean());
    if !is_good {
        let kept = dir.keep();
        progress(&format!("seed {}: the logs are kept in {}", plan.seed, kept.display()));
    }
    outcome.with_context(|| format!("seed {}, logs in {}", plan.seed, path.display()))
}

fn play(binary: &Path, plan: &Plan, dir: &Path, progress: &mut impl FnMut(&str)) -> anyhow::Result<Report> {
    let site = Site::open(binary, plan, dir)?;
    let mut rounds = Rounds::new(&site, plan);
    for number in 1..=plan.rounds {
        let known: BTreeSet<String> = rounds.report.problems().into_iter().collect();
        let played = rounds.play();
        site.keep_database_log(dir)?;
        played.with_context(|| format!("round {number}"))?;
        progress(&format!("round {number}: {}", rounds.report.summary()));
        let problems = rounds.report.problems();
        let new = problems.iter().filter(|problem| !known.contains(*problem));
        new.for_each(|problem| progress(problem));
        if !rounds.report.is_clean() && plan.until == Until::FirstFault {
            break;
        }
    }
    let mut report = rounds.report;
    if !report.is_clean() {
        progress(&site.keep_histories(dir, report.offenders()));
    }
    site.close(dir, &mut report)?;
    Ok(report)
}
