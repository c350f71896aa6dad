//! `cargo xtask crash`: kills the release build in the middle of its work, starts it again, and compares what it kept
//! with what it had promised. The harness is the testkit's `crash` program; the seed is printed before anything runs,
//! and the same seed makes the same run.

use anyhow::Result;

use crate::{server, shell};

#[derive(clap::Args)]
pub struct Args {
    /// How often the server is killed.
    #[arg(long, default_value_t = 200)]
    cycles: u32,
    /// Repeats a run; a new one is drawn without it.
    #[arg(long)]
    seed: Option<u64>,
}

pub fn run(args: &Args) -> Result<()> {
    let binary = server::build(server::Profile::Release)?;
    let seed = args.seed.unwrap_or_else(server::fresh_seed);
    let (cycles, seed) = (args.cycles.to_string(), seed.to_string());
    shell::say(&format!("crash: cycles={cycles} seed={seed}"));
    let mut harness = shell::cargo_build(["run", "--quiet", "--package", "quintet-testkit", "--bin", "crash"]);
    harness
        .arg("--")
        .arg("--bin")
        .arg(binary)
        .args(["--cycles", &cycles, "--seed", &seed]);
    shell::step("crash", || shell::run(&mut harness))
}
