//! `quintet backends`: what does the work of tasks, and how it is.

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::Backend;
use serde_json::Value;

use super::connect::ServerArgs;
use super::output::{age, excerpt, print_json, print_table, status_cell};

/// Look at the compute backends
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
    /// List them, as the server that answers sees them
    List,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.server.client()?;
    let Verb::List = args.verb;
    let backends = client.backends().list().await?;
    if args.json {
        print_json(&backends)?;
    } else {
        let heading = [
            "BACKEND",
            "KIND",
            "HEALTH",
            "CIRCUIT",
            "SINCE",
            "RUNNING",
            "GPUS",
            "URL",
            "LAST ERROR",
        ];
        let nothing = "no backends; MODAL_URL, RAY_URL or `tasks.backends` name them";
        print_table(&heading, backends.iter().map(row).collect(), nothing)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(backend: &Backend) -> Vec<Cell> {
    let health = match backend.healthy {
        Some(true) => "healthy",
        Some(false) => "unhealthy",
        None => "unknown",
    };
    vec![
        Cell::new(&backend.name),
        Cell::new(&backend.kind),
        status_cell(health),
        Cell::new(&backend.circuit),
        Cell::new(backend.since.as_deref().map(age).unwrap_or_default()),
        Cell::new(backend.in_flight),
        Cell::new(gpus(&backend.gpus)),
        Cell::new(&backend.url),
        Cell::new(excerpt(backend.last_error.as_deref().unwrap_or_default(), 80)),
    ]
}

/// Models, or how many.
fn gpus(gpus: &Value) -> String {
    let one = |gpu: &Value| match gpu {
        Value::String(model) => Some(model.clone()),
        Value::Object(fields) => {
            let name = ["model", "type", "name"]
                .iter()
                .find_map(|name| fields.get(*name)?.as_str())?;
            match fields.get("available") {
                Some(Value::Bool(false)) => None,
                _ => Some(name.to_owned()),
            }
        }
        _ => None,
    };
    match gpus {
        Value::Array(list) => list.iter().filter_map(one).collect::<Vec<_>>().join(", "),
        Value::Number(count) => count.to_string(),
        _ => String::new(),
    }
}
