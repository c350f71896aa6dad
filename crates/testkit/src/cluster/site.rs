//! Everything that a torment takes place on: the database, the nodes, the receiver and the stored workflows.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::diary::Diary;
use super::nodes::{Node, Nodes};
use super::report::Report;
use super::{Plan, TAKE_OVER};
use crate::crash::way::Way;
use crate::crash::workflows::{Author, Workflows, store};
use crate::postgres::{Cluster, Database, Options};
use crate::proxy::Proxy;
use crate::random::Random;
use crate::server::Launch;
use crate::sink::Sink;

/// An action whose service is at another address for each node, so that the receiver knows who calls.
const ACTION: &str = "web.search";
/// Calls that a node makes at a time.
pub(super) const CONCURRENCY: usize = 16;
/// Branches of the widest workflow: more than one node takes.
const BRANCHES: usize = 24;
/// Histories shown of runs that something is wrong with.
const SHOWN: usize = 5;

/// See the module. The nodes end before their database does.
pub(super) struct Site {
    pub nodes: Nodes,
    pub workflows: Workflows,
    /// The workflow whose call hangs.
    pub held: String,
    /// The workflow with as many hanging calls as the nodes have hands.
    pub crowd: String,
    pub sink: Sink,
    pub lease: Duration,
    pub diary: Diary,
    _database: Database,
    postgres: Mutex<Cluster>,
}

/// How nodes of a site are set up.
pub(super) struct Setup<'a> {
    pub binary: &'a Path,
    pub dir: &'a Path,
    pub lease: Duration,
    /// Further settings by the names of their variables.
    pub settings: &'a [(&'a str, String)],
}

impl Site {
    /// Starts everything.
    pub fn open(binary: &Path, plan: &Plan, dir: &Path) -> anyhow::Result<Self> {
        let setup = Setup {
            binary,
            dir,
            lease: plan.lease,
            settings: &[],
        };
        let options = Options::new(plan.durability);
        Self::of(&setup, plan.nodes, plan.seed, &options)
    }

    /// Starts so many nodes of a setup.
    pub fn of(setup: &Setup<'_>, count: usize, seed: u64, options: &Options) -> anyhow::Result<Self> {
        let postgres = Cluster::start(options)?;
        let database = postgres.fresh_database()?;
        let time = database.psql("SELECT clock_timestamp() AT TIME ZONE 'UTC'")?;
        let diary = Diary::begin(&setup.dir.join("torment.log"), &time)?;
        let sink = Sink::start()?;
        let all: Vec<Node> = (0..count)
            .map(|number| node(setup, number, &postgres, &database, &sink))
            .collect::<anyhow::Result<_>>()?;
        let nodes = Nodes::new(all, Random::new(seed));
        nodes.start_all()?;
        let author = Author {
            action: ACTION,
            base: String::new(),
        };
        let store = |document| store(&nodes, &document);
        let (dag, items, gated) = (store(author.dag())?, store(author.items())?, store(author.gated())?);
        let (slow, wide) = (store(author.slow())?, store(author.wide(BRANCHES))?);
        let (held, crowd) = (store(author.held())?, store(author.crowd(CONCURRENCY * count))?);
        let started = [&dag, &dag, &items, &gated, &gated, &slow, &wide];
        let workflows = Workflows {
            started: started.into_iter().cloned().collect(),
            gated,
            action: ACTION,
        };
        Ok(Self {
            nodes,
            workflows,
            held,
            crowd,
            sink,
            lease: setup.lease,
            diary,
            _database: database,
            postgres: Mutex::new(postgres),
        })
    }

    /// Within which time another node must have made what a struck one held.
    pub fn take_over_limit(&self) -> Duration {
        self.lease + TAKE_OVER
    }

    /// Lets the database crash and recover.
    pub fn restart_database(&self) -> anyhow::Result<()> {
        self.postgres().restart_immediate()
    }

    /// Ends everything in good order; the nodes must agree, and none may have panicked.
    pub fn close(self, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
        for (number, node) in self.nodes.all.iter().enumerate() {
            let code = node.terminate()?;
            if code != Some(0) {
                report
                    .account
                    .unexpected
                    .push(format!("node {number} ended with {code:?} after SIGTERM"));
            }
            let log = std::fs::read_to_string(dir.join(format!("node-{number}.log")))?;
            let panics = log.lines().filter(|line| line.contains("panicked"));
            let told = panics.map(|line| format!("node {number} panicked: {line}"));
            report.account.unexpected.extend(told);
        }
        Ok(())
    }

    /// Puts the database's log beside those of the nodes.
    pub fn keep_database_log(&self, dir: &Path) -> anyhow::Result<()> {
        Ok(std::fs::write(dir.join("postgres.log"), self.postgres().log())?)
    }

    /// Writes the histories of these runs into files, and all calls into the diary; gives the first histories back.
    pub fn keep_histories(&self, dir: &Path, runs: &BTreeSet<String>) -> String {
        for call in self.sink.calls() {
            self.diary.note_at(call.at, &call);
        }
        let mut shown = String::new();
        for (nth, run) in runs.iter().enumerate() {
            let history = self.history(run);
            let written = std::fs::write(dir.join(format!("run-{run}.txt")), &history);
            if nth < SHOWN || written.is_err() {
                let _ = writeln!(shown, "history of {run}:\n{history}");
            }
        }
        shown
    }

    /// What is stored and what was seen of a run.
    pub fn history(&self, run: &str) -> String {
        let mut text = String::new();
        match self.nodes.page(&format!("/v1/runs/{run}/history?limit=1000")) {
            Ok((events, _)) => {
                let lines = events.iter().map(|event| format!("  {event}\n"));
                text.extend(lines);
            }
            Err(error) => {
                let _ = writeln!(text, "  it cannot be read: {error:#}");
            }
        }
        for call in self.sink.calls_of(run) {
            let _ = writeln!(text, "  called: {call}");
        }
        text
    }

    fn postgres(&self) -> MutexGuard<'_, Cluster> {
        self.postgres.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn node(
    setup: &Setup<'_>,
    number: usize,
    postgres: &Cluster,
    database: &Database,
    sink: &Sink,
) -> anyhow::Result<Node> {
    let proxy = Proxy::start(postgres.address())?;
    let (door, address) = sink.open_door()?;
    let data = setup.dir.join(format!("node-{number}"));
    std::fs::create_dir_all(&data)?;
    let config = setup.dir.join(format!("node-{number}.toml"));
    std::fs::write(
        &config,
        format!("[actions.base_urls]\nweb = \"http://{address}\"\n[http_action]\nconcurrency = {CONCURRENCY}\n"),
    )?;
    let launch = Launch::new(setup.binary, &data)
        .log(&setup.dir.join(format!("node-{number}.log")))
        .argument("--config", &config.display().to_string())
        .argument("--store", &database.url_through(proxy.address()))
        .variable("QUINTET_NODE__NAME", format!("node-{number}"))
        .variable("QUINTET_NODE__LEASE_MS", setup.lease.as_millis());
    let launch = setup
        .settings
        .iter()
        .fold(launch, |launch, (name, value)| launch.variable(name, value));
    Ok(Node::new(launch, proxy, door))
}
