//! `quintet maintenance`: taking nothing new in while the machine or the workers are looked after.

use std::process::ExitCode;

use quintet_client::MaintenanceState;

use super::connect::ServerArgs;
use super::output::{age, print_json, print_line};

/// Stop taking in new pipeline work, and start again
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Say where the server stands
    Status,
    /// Take nothing new in; maintenance begins when what is under way has ended
    Request,
    /// Begin now, if it was requested and nothing is under way
    Enter,
    /// Take new work in again
    Exit,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.server.client()?;
    let maintenance = client.maintenance();
    let state = match args.verb {
        Verb::Status => maintenance.state().await?,
        Verb::Request => maintenance.request().await?,
        Verb::Enter => maintenance.enter().await?,
        Verb::Exit => maintenance.exit().await?,
    };
    if args.json {
        print_json(&state)?;
    } else {
        show(&state)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(state: &MaintenanceState) -> anyhow::Result<()> {
    print_line(&format!("mode     {} ({})", state.mode, state.message))?;
    print_line(&format!(
        "since    {} ({})",
        state.mode_changed_at,
        age(&state.mode_changed_at)
    ))?;
    print_line(&format!(
        "tasks    {} pending, {} running",
        state.pending_tasks, state.running_tasks
    ))
}
