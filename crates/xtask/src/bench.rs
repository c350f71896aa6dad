//! `cargo xtask bench`: the release build measures itself, and its JSON lines come out as they are.

use anyhow::Result;

use crate::{server, shell};

#[derive(clap::Args)]
pub struct Args {
    /// The store to measure on: `sqlite`, or a store URL.
    #[arg(long)]
    store: Option<String>,
    /// How long each workload runs.
    #[arg(long)]
    seconds: Option<u64>,
    /// Anything else that `quintet bench` understands, after `--`.
    #[arg(last = true)]
    more: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let binary = server::build(server::Profile::Release)?;
    let mut bench = shell::command(binary);
    bench.args(["bench", "--json"]);
    if let Some(store) = &args.store {
        bench.args(["--store", store]);
    }
    if let Some(seconds) = args.seconds {
        bench.args(["--seconds", &seconds.to_string()]);
    }
    shell::step("bench", || shell::run(bench.args(&args.more)))
}
