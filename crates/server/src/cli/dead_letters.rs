//! `quintet dlq`: tasks that failed for good, and another try for them.

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::{Client, DeadLetter, DeadLetterFilter};
use serde_json::{Value, json};

use super::connect::ServerArgs;
use super::output::{Hue, age, excerpt, paint, print_json, print_line, print_table};

/// Entries of one page.
const PAGE: u32 = 100;

/// Look at tasks that failed for good (the dead letter queue), and try them again
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
    /// List them, newest first
    List {
        #[command(flatten)]
        scope: Scope,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Also those that were tried again
        #[arg(long)]
        all: bool,
    },
    /// Show one, with the errors of all its attempts
    Show {
        /// Its id, or that of its task run
        id: String,
    },
    /// Try one again, with the code that the workers have now; prints the task run that does it
    Retry {
        /// Its id, or that of its task run
        id: String,
    },
    /// Try all of them again
    RetryAll {
        #[command(flatten)]
        scope: Scope,
    },
    /// Remove old ones for good
    Purge {
        /// Older than this, such as 7d or 24h
        #[arg(long, value_name = "SPAN", default_value = "30d")]
        older_than: String,
    },
}

#[derive(Debug, clap::Args)]
struct Scope {
    /// Of this pipeline
    #[arg(long, value_name = "ID")]
    pipeline: Option<String>,
    /// Of this task
    #[arg(long, value_name = "ID")]
    task: Option<String>,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    let dead_letters = client.dead_letters();
    match args.verb {
        Verb::List { scope, limit, all } => list(&client, scope, limit, all, json).await?,
        Verb::Show { id } => show(&dead_letters.get(&id).await?, json)?,
        Verb::Retry { id } => {
            let retried = dead_letters.retry(&id).await?;
            done(json, &retried, &retried.new_run_id)?;
        }
        Verb::RetryAll { scope } => {
            let (pipeline, task) = (scope.pipeline.as_deref(), scope.task.as_deref());
            let retried = dead_letters.retry_all(pipeline, task).await?;
            done(json, &retried, &format!("{} tried again", retried.retried))?;
        }
        Verb::Purge { older_than } => {
            let purged = dead_letters.purge(&older_than).await?;
            done(json, &json!({ "purged": purged }), &format!("{purged} removed"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Pages until the limit is reached or nothing is left.
async fn list(client: &Client, scope: Scope, limit: u32, all: bool, json: bool) -> anyhow::Result<()> {
    let mut filter = DeadLetterFilter {
        pipeline_id: scope.pipeline,
        task_id: scope.task,
        is_retried_included: all,
        ..DeadLetterFilter::default()
    };
    let (mut items, mut total) = (Vec::new(), 0);
    while items.len() < limit as usize {
        let rest = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
        filter.limit = Some(rest.min(PAGE));
        filter.offset = Some(items.len() as u64);
        let page = client.dead_letters().list(&filter).await?;
        total = page.total;
        if page.items.is_empty() {
            break;
        }
        items.extend(page.items);
        if items.len() as u64 >= total {
            break;
        }
    }
    if json {
        return print_json(&items);
    }
    let rows = items.iter().map(|item| {
        let cells = [
            item.id.clone(),
            format!("{} (v{})", item.task_id, item.code_version),
            item.pipeline_run_id.clone().unwrap_or_default(),
            item.attempts.to_string(),
            age(&item.failed_at),
            excerpt(&item.error, 60),
        ];
        cells.into_iter().map(Cell::new).collect()
    });
    let heading = ["ID", "TASK", "PIPELINE RUN", "ATTEMPTS", "FAILED", "ERROR"];
    print_table(&heading, rows.collect(), "nothing failed for good")?;
    if total > items.len() as u64 {
        eprintln!("{total} in all; --limit {total} shows them");
    }
    Ok(())
}

fn show(item: &DeadLetter, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(item);
    }
    let line = |name: &str, value: &str| match value {
        "" => Ok(()),
        value => print_line(&format!("{name:<13} {value}")),
    };
    line("dead letter", &item.id)?;
    line(
        "task",
        &format!("{} (code version {})", item.task_id, item.code_version),
    )?;
    line("task run", &item.task_run_id)?;
    let pipeline = item.pipeline_id.as_deref().unwrap_or_default();
    line("pipeline", pipeline)?;
    line("pipeline run", item.pipeline_run_id.as_deref().unwrap_or_default())?;
    line("failed", &format!("{} ({})", item.failed_at, age(&item.failed_at)))?;
    line("attempts", &item.attempts.to_string())?;
    line("error", &paint(Hue::Bad, &item.error))?;
    line("error code", item.error_code.as_deref().unwrap_or_default())?;
    if let Some(retried) = &item.retried_at {
        let by = item.more.get("retryRunId").and_then(Value::as_str).unwrap_or_default();
        line("tried again", &format!("{retried} {by}"))?;
    }
    if let Some(input) = item.more.get("input").filter(|input| !input.is_null()) {
        line("input", &excerpt(&input.to_string(), 200))?;
    }
    let attempts = item.more.get("previousAttempts").and_then(Value::as_array);
    let rows: Vec<_> = attempts.into_iter().flatten().map(attempt_row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    print_line("")?;
    print_table(&["ATTEMPT", "AT", "CODE", "ERROR"], rows, "")
}

fn attempt_row(attempt: &Value) -> Vec<Cell> {
    let text = |name: &str| attempt.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = attempt.get("attempt").map(Value::to_string).unwrap_or_default();
    let cells = [
        &number,
        text("timestamp"),
        text("errorCode"),
        &excerpt(text("error"), 100),
    ];
    cells.map(Cell::new).into()
}

fn done(json: bool, value: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if json { print_json(value) } else { print_line(text) }
}
