//! `cargo xtask check`: what must hold before a change lands, besides the tests.
//!
//! All four parts run even when an early one fails, so that one round shows everything there is to repair.

use anyhow::{Result, bail};

use crate::{deny, shell, tidy};

#[derive(clap::Args)]
pub struct Args {
    /// Install cargo-deny from its source first when it is not there (three minutes or more on two cores).
    #[arg(long)]
    install: bool,
    /// Also ask the advisory database, which cargo-deny fetches from its own host.
    #[arg(long)]
    advisories: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let mut failed = Vec::new();
    let mut part = |heading: &'static str, work: &mut dyn FnMut() -> Result<()>| {
        if let Err(error) = shell::step(heading, work) {
            shell::say(&format!("{heading}: {error:#}"));
            failed.push(heading);
        }
    };
    part("rustfmt", &mut || {
        shell::run(&mut shell::cargo(["fmt", "--all", "--", "--check"]))
    });
    part("clippy", &mut || {
        let mut clippy = shell::cargo_build(["clippy", "--workspace", "--all-targets"]);
        shell::run(clippy.args(["--", "-D", "warnings"]))
    });
    part("tidy", &mut tidy::run);
    part("deny", &mut || deny::run(args.install, args.advisories));
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of 4 checks failed: {}", failed.len(), failed.join(", "))
}
