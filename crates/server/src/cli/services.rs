//! `quintet services`: programs whose workers have registered, and their tasks.

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::Service;
use serde_json::Value;

use super::connect::ServerArgs;
use super::output::{age, paint, print_json, print_line, print_table, status_cell};

/// Look at the services whose workers have registered
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
    /// List them
    List,
    /// Show one with its tasks
    Show {
        /// Id of the service
        id: String,
    },
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.server.client()?;
    match args.verb {
        Verb::List => list(&client.services().list().await?, args.json)?,
        Verb::Show { id } => show(&client.services().get(&id).await?, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(services: &[Service], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&services);
    }
    let rows = services.iter().map(|service| {
        vec![
            Cell::new(&service.id),
            Cell::new(&service.version),
            status_cell(&service.status),
            Cell::new(service.task_count.map(|count| count.to_string()).unwrap_or_default()),
            Cell::new(age(last_seen(service))),
            Cell::new(&service.base_url),
        ]
    });
    print_table(
        &["ID", "VERSION", "STATUS", "TASKS", "LAST SEEN", "URL"],
        rows.collect(),
        "no services; one appears when its worker registers",
    )
}

/// A worker that has not sent a heartbeat yet was seen when it registered.
fn last_seen(service: &Service) -> &str {
    service.last_heartbeat.as_deref().unwrap_or(&service.registered_at)
}

fn show(service: &Service, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(service);
    }
    print_line(&format!("service     {}", service.id))?;
    print_line(&format!("version     {}", service.version))?;
    let status = paint(super::output::hue(&service.status), &service.status);
    print_line(&format!("status      {status}, last seen {}", age(last_seen(service))))?;
    print_line(&format!("url         {}", service.base_url))?;
    print_line(&format!("registered  {}", service.registered_at))?;
    print_line("")?;
    let rows = service.tasks.iter().map(|task| {
        let cells = [
            text(task, "id"),
            text(task, "codeVersion"),
            listed(task.get("allowedNext")),
            text(task, "retries"),
            format!("{} s", text(task, "timeout")),
            limit(task),
            text(task, "priority"),
        ];
        cells.into_iter().map(Cell::new).collect()
    });
    let heading = ["TASK", "CODE", "NEXT", "RETRIES", "TIMEOUT", "CONCURRENCY", "PRIORITY"];
    print_table(&heading, rows.collect(), "no tasks")
}

/// Ids in a list, for people.
pub fn listed(ids: Option<&Value>) -> String {
    let ids = ids.and_then(Value::as_array).into_iter().flatten();
    ids.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn text(task: &Value, name: &str) -> String {
    match task.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn limit(task: &Value) -> String {
    match task.get("concurrency").and_then(Value::as_u64) {
        Some(0) | None => "no limit".to_owned(),
        Some(limit) => limit.to_string(),
    }
}
