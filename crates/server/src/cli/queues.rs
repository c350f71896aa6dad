//! `quintet queues`: where work waits, and holding it there.

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::Queue;

use super::connect::ServerArgs;
use super::output::{age, duration, excerpt, print_json, print_line, print_table, status_cell};

/// Look at the queues, and pause them
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
    /// List them with what waits in them
    List,
    /// Start nothing more of a queue; what is under way goes on
    Pause {
        /// Its name
        name: String,
    },
    /// Lift the pause
    Resume {
        /// Its name
        name: String,
    },
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.server.client()?;
    let queues = client.queues();
    match args.verb {
        Verb::List => list(&queues.list().await?, args.json)?,
        Verb::Pause { name } => {
            let answer = queues.pause(&name).await?;
            done(
                args.json,
                &answer,
                &format!("{name} is paused; `quintet queues resume {name}` lets it go on"),
            )?;
        }
        Verb::Resume { name } => {
            let answer = queues.resume(&name).await?;
            done(args.json, &answer, &format!("{name} goes on"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(queues: &[Queue], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&queues);
    }
    let heading = [
        "QUEUE", "OF", "STATE", "WAITING", "RUNNING", "LIMIT", "OLDEST", "AGEING", "BRIDGE", "",
    ];
    print_table(&heading, queues.iter().map(row).collect(), "no queues")
}

fn row(queue: &Queue) -> Vec<Cell> {
    let limit = queue.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
    let ageing = queue.ageing_ms.map_or_else(|| "none".to_owned(), duration);
    vec![
        Cell::new(&queue.name),
        Cell::new(&queue.face),
        status_cell(state(queue)),
        Cell::new(queue.waiting),
        Cell::new(queue.running),
        Cell::new(limit),
        Cell::new(queue.oldest_at.as_deref().map(age).unwrap_or_default()),
        Cell::new(ageing),
        Cell::new(queue.bridge.as_deref().unwrap_or_default()),
        Cell::new(excerpt(queue.closed.as_deref().unwrap_or_default(), 80)),
    ]
}

/// What keeps it, if anything does; a person's word before anything else.
fn state(queue: &Queue) -> &'static str {
    match (&queue.paused, &queue.closed) {
        (Some(_), _) => "paused",
        (None, Some(_)) => "closed",
        (None, None) => "open",
    }
}

fn done(json: bool, value: &Queue, text: &str) -> anyhow::Result<()> {
    if json { print_json(value) } else { print_line(text) }
}
