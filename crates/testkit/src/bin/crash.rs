//! `crash --bin PATH --seed S`: torments the real binary and prints the account. With `--cycles N` one server on its
//! embedded store is killed so often; with `--nodes N --rounds R` several share a PostgreSQL database.

use std::path::PathBuf;
use std::process::ExitCode;

use quintet_testkit::{cluster, crash};

struct Args {
    binary: PathBuf,
    nodes: usize,
    crash: crash::Plan,
    cluster: cluster::Plan,
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = read(std::env::args().skip(1))?;
    let is_clean = if args.nodes > 1 {
        torment_nodes(&args)?
    } else {
        torment_one(&args)?
    };
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Args> {
    let mut args = Args {
        binary: PathBuf::from("target/release/quintet"),
        nodes: 1,
        crash: crash::Plan {
            cycles: 200,
            seed: 1,
            clients: 4,
        },
        cluster: cluster::Plan::default(),
        json: false,
    };
    while let Some(name) = words.next() {
        match name.as_str() {
            "--json" => {
                args.json = true;
                continue;
            }
            "--all-rounds" => {
                args.cluster.until = cluster::Until::Last;
                continue;
            }
            _ => {}
        }
        let value = words.next().unwrap_or_default();
        match name.as_str() {
            "--bin" => args.binary = value.into(),
            "--cycles" => args.crash.cycles = value.parse()?,
            "--nodes" => args.nodes = value.parse()?,
            "--rounds" => args.cluster.rounds = value.parse()?,
            "--seed" => args.crash.seed = value.parse()?,
            "--clients" => args.crash.clients = value.parse()?,
            _ => anyhow::bail!(
                "unknown argument {name}; known are --bin, --cycles, --nodes, --rounds, --all-rounds, --seed, --clients, \
                 --json"
            ),
        }
    }
    args.cluster = cluster::Plan {
        nodes: args.nodes,
        seed: args.crash.seed,
        clients: args.crash.clients,
        ..args.cluster
    };
    Ok(args)
}

fn torment_one(args: &Args) -> anyhow::Result<bool> {
    anyhow::ensure!(!args.json, "--json needs --nodes 2 or more");
    let plan = &args.crash;
    println!("{} kills of {}, seed {}", plan.cycles, args.binary.display(), plan.seed);
    let account = crash::torment(&args.binary, plan, |cycle, summary| {
        println!("cycle {cycle}: {summary}")
    })?;
    println!("{account:#?}");
    Ok(account.is_clean())
}

fn torment_nodes(args: &Args) -> anyhow::Result<bool> {
    let plan = &args.cluster;
    let (rounds, nodes, seed) = (plan.rounds, plan.nodes, plan.seed);
    println!(
        "{rounds} rounds with {nodes} nodes of {}, seed {seed}",
        args.binary.display()
    );
    let report = cluster::torment(&args.binary, plan, |line| println!("{line}"))?;
    if args.json {
        println!("{}", report.json());
    }
    Ok(report.is_clean())
}
