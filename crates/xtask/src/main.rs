//! `cargo xtask`: every habit of this house, as a command that anybody can run.
//!
//! CI runs `test`, `check` and `regenerate --check`, and nothing that is not here, so that a failure there can be seen
//! here first. `bench`, `crash` and `fuzz` are the long ones, for a quiet machine. Each command installs or finds what
//! it needs (`needs.rs`), says what it does and how long that took, and hands on the exit code of the tool that failed.

mod bench;
mod check;
mod crash;
mod deny;
mod fuzz;
mod metadata;
mod needs;
mod regenerate;
mod server;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the server, then run every test of the workspace, documentation examples included.
    Test(test::Args),
    /// Formatting, clippy, the house rules, and what may come in from outside.
    Check(check::Args),
    /// The house rules that no compiler knows.
    Tidy,
    /// Write the checked-in artefacts anew from the code.
    Regenerate(regenerate::Args),
    /// Measure the release build.
    Bench(bench::Args),
    /// Kill the release build over and over, and look for what it lost.
    Crash(crash::Args),
    /// Send generated requests, valid and broken, to a running server.
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Check(args) => check::run(&args),
        Task::Tidy => tidy::run(),
        Task::Regenerate(args) => regenerate::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Crash(args) => crash::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(shell::exit_code(&error))
        }
    }
}
