//! Random kills of the real binary, and an account of what came of every request.
//!
//! Clients start runs under idempotency keys, approve some and write into logs, while the server is killed
//! with SIGKILL again and again, sometimes out of a stop, sometimes in the middle of its recovery. They keep
//! a journal: what was intended, what was acknowledged, what is unknown. When it is over, every
//! acknowledged run must be there, each step's result recorded once, and each recorded result must be the
//! one that the receiver gave to exactly that attempt.

pub(crate) mod account;
pub(crate) mod clients;
pub(crate) mod journal;
pub(crate) mod way;
pub(crate) mod workflows;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::random::Random;
use crate::server::{Launch, Server};
use crate::sink::Sink;
use account::{Books, Ends};
use clients::{AfterError, Load};
use journal::Journal;
use way::Only;
use workflows::{Author, Workflows};

pub use account::Account;

/// How long runs may take to end once nobody torments the server any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// How to torment.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Kills.
    pub cycles: u32,
    /// Of the order of kills and requests.
    pub seed: u64,
    /// Clients at a time.
    pub clients: u32,
}

/// Kills the binary `plan.cycles` times and accounts for everything afterwards.
pub fn torment(binary: &Path, plan: &Plan, progress: impl Fn(u32, &str)) -> anyhow::Result<Account> {
    let dir = tempfile::tempdir()?;
    let launch = Launch::new(binary, dir.path());
    let sink = Sink::start()?;
    let mut random = Random::new(plan.seed);
    let workflows = {
        let server = launch.start()?;
        let workflows = store_workflows(&server, &sink)?;
        server.kill()?;
        workflows
    };
    let journal = Journal::default();
    for cycle in 0..plan.cycles {
        if random.below(10) == 0 {
            kill_during_recovery(&launch, &mut random)?;
        }
        let server = launch.start().context("the server does not come back")?;
        live_and_die(server, &workflows, &journal, plan, &mut random)?;
        progress(cycle + 1, &journal.summary());
    }
    let server = launch.start()?;
    let books = Books {
        way: &Only::to(&server),
        workflows: &workflows,
        journal: &journal,
        sink: &sink,
        patience: PATIENCE,
        longest_wait: None,
        readers: 1,
    };
    let account = books.settle(&mut Ends::new())?;
    anyhow::ensure!(server.terminate()? == Some(0), "the server does not end cleanly");
    let log = std::fs::read_to_string(dir.path().join("server.log"))?;
    anyhow::ensure!(!log.contains("panicked"), "the server panicked:\n{log}");
    Ok(account)
}

fn store_workflows(server: &Server, sink: &Sink) -> anyhow::Result<Workflows> {
    let author = Author {
        action: "http",
        base: format!("http://{}", sink.address),
    };
    let way = Only::to(server);
    let documents = [author.dag(), author.items(), author.gated()];
    let started: Vec<String> = documents
        .iter()
        .map(|document| workflows::store(&way, document))
        .collect::<anyhow::Result<_>>()?;
    Ok(Workflows {
        gated: started[2].clone(),
        started,
        action: author.action,
    })
}

/// One lifetime of the server: clients work, and it ends under their hands.
#[allow(
    clippy::disallowed_methods,
    reason = "the moment of a crash is a moment by the clock"
)]
fn live_and_die(
    server: Server,
    workflows: &Workflows,
    journal: &Journal,
    plan: &Plan,
    random: &mut Random,
) -> anyhow::Result<()> {
    let lifetime = Duration::from_secs_f64(random.log_uniform(0.05, 1.5));
    let load = Load {
        way: &Only::to(&server),
        workflows,
        journal,
        pause: Duration::ZERO,
        after_error: AfterError::Stop,
    };
    let seeds: Vec<u64> = (0..plan.clients).map(|_| random.bits()).collect();
    let stop = random.below(10) == 0;
    load.during(&seeds, || {
        std::thread::sleep(lifetime);
        if stop {
            server.signal("STOP")?;
        }
        server.kill()
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "the moment of a crash is a moment by the clock"
)]
fn kill_during_recovery(launch: &Launch, random: &mut Random) -> anyhow::Result<()> {
    let mut child = launch.spawn()?;
    std::thread::sleep(Duration::from_secs_f64(random.log_uniform(0.001, 0.2)));
    child.kill()?;
    child.wait()?;
    Ok(())
}
