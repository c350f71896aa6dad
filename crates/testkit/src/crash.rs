//! Random kills of the real binary, and an account of what came of every request.
//!
//! Clients start runs under idempotency keys, approve some and write into logs, while the server is killed
//! with SIGKILL again and again, sometimes out of a stop, sometimes in the middle of its recovery. They keep
//! a journal: what was intended, what was acknowledged, what is unknown. When it is over, every
//! acknowledged run must be there, each step's result recorded once, and each recorded result must be the
//! one that the receiver gave to exactly that attempt.

mod account;
mod clients;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::random::Random;
use crate::server::Server;
use crate::sink::Sink;

pub use account::Account;

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
    let sink = Sink::start()?;
    let mut random = Random::new(plan.seed);
    let workflows = {
        let server = Server::start(binary, dir.path())?;
        let workflows = clients::store_workflows(&server.address, &sink.address)?;
        server.kill()?;
        workflows
    };
    let journal = clients::Journal::default();
    for cycle in 0..plan.cycles {
        if random.below(10) == 0 {
            kill_during_recovery(binary, dir.path(), &mut random)?;
        }
        let server = Server::start(binary, dir.path()).context("the server does not come back")?;
        let lifetime = Duration::from_secs_f64(random.log_uniform(0.05, 1.5));
        let load = clients::Load {
            address: server.address.clone(),
            workflows: workflows.clone(),
            lifetime,
        };
        let seeds: Vec<u64> = (0..plan.clients).map(|_| random.bits()).collect();
        let stop = random.below(10) == 0;
        clients::run(&load, &journal, &seeds, || {
            if stop {
                server.signal("STOP")?;
            }
            server.kill()
        })?;
        progress(cycle + 1, &journal.summary());
    }
    let server = Server::start(binary, dir.path())?;
    let account = account::settle(&server.address, &workflows, &journal, &sink)?;
    anyhow::ensure!(server.terminate()? == Some(0), "the server does not end cleanly");
    let log = std::fs::read_to_string(dir.path().join("server.log"))?;
    anyhow::ensure!(!log.contains("panicked"), "the server panicked:\n{log}");
    Ok(account)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the moment of a crash is a moment by the clock"
)]
fn kill_during_recovery(binary: &Path, data: &Path, random: &mut Random) -> anyhow::Result<()> {
    let mut child = Server::spawn(binary, data)?;
    std::thread::sleep(Duration::from_secs_f64(random.log_uniform(0.001, 0.2)));
    child.kill()?;
    child.wait()?;
    Ok(())
}
