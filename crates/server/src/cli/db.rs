//! `quintet db`: the store itself, without a server.
//!
//! A store is used by one process at a time. So each of these opens it, does its work and closes it; while a server
//! runs on it they say so and leave it alone.

use std::path::PathBuf;
use std::process::ExitCode;

use quintet_store::Store;
use serde_json::json;

use super::output::{print_json, print_line};
use super::store::{self, StoreArgs};

/// Look after the store
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Create the store if it is not there
    Init,
    /// Bring it to the schema of this program, as every start does
    Migrate,
    /// Say what is in it
    Status,
    /// Write a consistent copy of it
    Backup {
        /// A file that does not exist yet
        file: PathBuf,
    },
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let store = store::open(&args.store, matches!(args.verb, Verb::Init)).await?;
    let done = match &args.verb {
        Verb::Init | Verb::Migrate | Verb::Status => None,
        Verb::Backup { file } => Some((store.backup(file).await, file)),
    };
    let status = store.status().await;
    store.close().await?;
    let status = status?;
    if let Some((written, file)) = done {
        written?;
        print_line(&format!("wrote {}", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let runs: serde_json::Map<_, _> = status
        .runs
        .iter()
        .map(|(state, count)| (state.as_str().to_owned(), json!(count)))
        .collect();
    if args.json {
        print_json(&json!({
            "kind": status.kind, "schema": status.schema, "durability": status.durability, "bytes": status.bytes,
            "runs": runs, "queued": status.queued, "outbox": status.outbox, "outbox_dead": status.outbox_dead,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_line(&format!("store       {}", store::describe(&args.store)?))?;
    print_line(&format!("kind        {}, schema {}", status.kind, status.schema))?;
    print_line(&format!("durability  {}", status.durability))?;
    if let Some(bytes) = status.bytes {
        print_line(&format!("size        {:.1} MiB", bytes as f64 / f64::from(1 << 20)))?;
    }
    let runs: Vec<String> = runs.iter().map(|(state, count)| format!("{count} {state}")).collect();
    print_line(&format!(
        "runs        {}",
        if runs.is_empty() {
            "none".to_owned()
        } else {
            runs.join(", ")
        }
    ))?;
    print_line(&format!("queued      {}", status.queued))?;
    print_line(&format!(
        "messages    {} to send, {} given up",
        status.outbox, status.outbox_dead
    ))?;
    Ok(ExitCode::SUCCESS)
}
