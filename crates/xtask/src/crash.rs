//! `cargo xtask crash`: kills the release build in the middle of its work, starts it again, and compares what it kept
//! with what it had promised. The harness is the testkit's `crash` program; the seed is printed before anything runs,
//! and the same seed makes the same run.
//!
//! With `--nodes 3` several nodes share a PostgreSQL database, and more happens to them: they are killed and stopped,
//! their connections freeze, and the database crashes, in each round at least once each.

use anyhow::{Result, ensure};

use crate::{needs, server, shell};

#[derive(clap::Args)]
pub struct Args {
    /// How often the only server is killed.
    #[arg(long, default_value_t = 200)]
    cycles: u32,
    /// Nodes that share a database; 1 is a server on its embedded store.
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// Rounds with several nodes.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Plays all rounds, also after one that was not clean.
    #[arg(long)]
    all_rounds: bool,
    /// Repeats a run; a new one is drawn without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Ends with one line of JSON; needs several nodes.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    ensure!(
        !args.json || args.nodes > 1,
        "--json needs several nodes: add --nodes 3"
    );
    let binary = server::build(server::Profile::Release)?;
    let seed = args.seed.unwrap_or_else(server::fresh_seed).to_string();
    let mut harness = shell::cargo_build(["run", "--quiet", "--package", "quintet-testkit", "--bin", "crash"]);
    harness.arg("--").arg("--bin").arg(binary).args(["--seed", &seed]);
    if args.nodes > 1 {
        needs::POSTGRESQL.ensure()?;
        let (nodes, rounds) = (args.nodes.to_string(), args.rounds.to_string());
        shell::say(&format!("crash: nodes={nodes} rounds={rounds} seed={seed}"));
        harness.args(["--nodes", &nodes, "--rounds", &rounds]);
        harness.args(args.all_rounds.then_some("--all-rounds"));
        harness.args(args.json.then_some("--json"));
    } else {
        let cycles = args.cycles.to_string();
        shell::say(&format!("crash: cycles={cycles} seed={seed}"));
        harness.args(["--cycles", &cycles]);
    }
    shell::step("crash", || shell::run(&mut harness))
}
