//! `crash --bin PATH --cycles N --seed S`: torments the real binary and prints the account.

use std::path::PathBuf;
use std::process::ExitCode;

use quintet_testkit::crash::{Plan, torment};

fn main() -> anyhow::Result<ExitCode> {
    let mut binary = PathBuf::from("target/release/quintet");
    let mut plan = Plan {
        cycles: 200,
        seed: 1,
        clients: 4,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().unwrap_or_default();
        match name.as_str() {
            "--bin" => binary = value.into(),
            "--cycles" => plan.cycles = value.parse()?,
            "--seed" => plan.seed = value.parse()?,
            "--clients" => plan.clients = value.parse()?,
            _ => anyhow::bail!("unknown argument {name}; known are --bin, --cycles, --seed, --clients"),
        }
    }
    println!("{} kills of {}, seed {}", plan.cycles, binary.display(), plan.seed);
    let account = torment(&binary, &plan, |cycle, summary| println!("cycle {cycle}: {summary}"))?;
    println!("{account:#?}");
    Ok(if account.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
