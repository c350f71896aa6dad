//! `quintet nodes`: the processes that work on a server's store.

use std::process::ExitCode;

use comfy_table::Cell;

use super::connect::ServerArgs;
use super::output::{age, print_json, print_table};

/// List the processes that share a server's store
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let nodes = args.server.client()?.nodes().list().await?.items;
    if args.json {
        print_json(&nodes)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = nodes.iter().map(|node| {
        let state = if node.is_self {
            format!("{} (this one)", node.state)
        } else {
            node.state.clone()
        };
        vec![
            Cell::new(&node.id),
            Cell::new(&node.name),
            Cell::new(state),
            Cell::new(node.in_flight),
            Cell::new(age(&node.last_beat_at)),
            Cell::new(age(&node.started_at)),
            Cell::new(&node.version),
            Cell::new(&node.url),
        ]
    });
    let heading = [
        "ID",
        "NAME",
        "STATE",
        "UNDER WAY",
        "LAST BEAT",
        "STARTED",
        "VERSION",
        "URL",
    ];
    print_table(&heading, rows.collect(), "no nodes")?;
    Ok(ExitCode::SUCCESS)
}
