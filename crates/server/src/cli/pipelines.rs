//! `quintet pipelines`: tasks of services that run one after another, and their runs.

mod plan;
mod watch;

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::{Client, Pipeline, Trigger, Triggered};
use serde_json::{Map, Value};

use super::connect::ServerArgs;
use super::document::{self, BadInput};
use super::failure::{BAD_INPUT, finding};
use super::output::{age, print_json, print_line, print_table};
use super::services::listed;

/// Look at the pipelines of the services, and run them
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
    /// Show one and what runs after what
    Show {
        /// Id of the pipeline
        id: String,
    },
    /// Start a run, and print its id
    Trigger(TriggerArgs),
    /// Check a pipeline and an input, and say in which order its tasks would run
    DryRun {
        /// Id of the pipeline: that of a service, or of the task that it begins with
        pipeline: String,
        #[command(flatten)]
        input: InputArgs,
    },
    /// Show a run and its tasks
    Status {
        /// Id of the run
        run: String,
        /// Go on until it is over; exit code 1 if anything in it failed
        #[arg(long, short)]
        watch: bool,
    },
}

#[derive(Debug, clap::Args)]
struct TriggerArgs {
    /// Id of the pipeline: that of a service, or of the task that it begins with
    pipeline: String,
    #[command(flatten)]
    input: InputArgs,
    /// Which waiting tasks are first: lower numbers are sooner
    #[arg(long, short, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// What a failed task means: everything ends, the other branches go on, or they are joined without it
    #[arg(long, value_parser = ["fail-fast", "continue", "partial-merge"])]
    failure_mode: Option<String>,
    /// What becomes of an input that the first tasks do not accept: refused, said, or not looked at
    #[arg(long, value_parser = ["strict", "warn", "none"])]
    validation_mode: Option<String>,
    /// Starts one run, however often the command is given with the same key
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait for its end and show its tasks meanwhile; exit code 1 if anything in it failed
    #[arg(long, short)]
    wait: bool,
}

#[derive(Debug, clap::Args)]
struct InputArgs {
    /// What the run gets: JSON, `@FILE`, or `@-`
    #[arg(long, short, value_name = "JSON|@FILE")]
    input: Option<String>,
    /// The same from a file
    #[arg(long, short, value_name = "FILE", conflicts_with = "input")]
    file: Option<String>,
}

impl InputArgs {
    fn value(&self) -> Result<Value, BadInput> {
        match (&self.input, &self.file) {
            (Some(input), _) => document::any_input(input),
            (None, Some(file)) => document::any_input(&format!("@{file}")),
            (None, None) => Ok(Value::Object(Map::new())),
        }
    }
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    match args.verb {
        Verb::List => list(&client.pipelines().list().await?, json)?,
        Verb::Show { id } => show(&client.pipelines().get(&id).await?, json)?,
        Verb::Trigger(args) => return trigger(&client, args, json).await,
        Verb::DryRun { pipeline, input } => {
            let found = client.pipelines().dry_run(&pipeline, &input.value()?).await?;
            plan::print(&pipeline, &found, json)?;
            if !found.valid {
                return Ok(ExitCode::from(BAD_INPUT));
            }
        }
        Verb::Status { run, watch: true } => return watch::to_the_end(&client, &run, json).await,
        Verb::Status { run, watch: false } => watch::print(&client.pipelines().run(&run).await?, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn trigger(client: &Client, args: TriggerArgs, json: bool) -> anyhow::Result<ExitCode> {
    let mut trigger = Trigger::input(args.input.value()?);
    if let Some(priority) = args.priority {
        trigger = trigger.priority(priority);
    }
    if let Some(mode) = &args.failure_mode {
        trigger = trigger.failure_mode(mode);
    }
    if let Some(mode) = &args.validation_mode {
        trigger = trigger.validation_mode(mode);
    }
    if let Some(key) = &args.idempotency_key {
        trigger = trigger.idempotency_key(key);
    }
    let started = client.pipelines().trigger(&args.pipeline, &trigger).await?;
    warn(&started);
    if args.wait {
        eprintln!("{} started", started.pipeline_run_id);
        return watch::to_the_end(client, &started.pipeline_run_id, json).await;
    }
    if json {
        print_json(&started)?;
    } else {
        print_line(&started.pipeline_run_id)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with the input of a run that was started all the same.
fn warn(started: &Triggered) {
    for (task, found) in &started.validation_warnings {
        for found in found.as_array().into_iter().flatten() {
            eprintln!("warning: {}", finding(task, found));
        }
    }
}

fn list(pipelines: &[Pipeline], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&pipelines);
    }
    let rows = pipelines.iter().map(|pipeline| {
        let cells = [
            pipeline.id.clone(),
            source(pipeline).to_owned(),
            pipeline.entry_tasks.join(", "),
            pipeline.structure.len().to_string(),
            pipeline.failure_mode.clone(),
            age(&pipeline.updated_at),
        ];
        cells.into_iter().map(Cell::new).collect()
    });
    print_table(
        &["ID", "OF", "BEGINS WITH", "TASKS", "FAILURE MODE", "CHANGED"],
        rows.collect(),
        "no pipelines; they appear when a service's worker registers",
    )
}

/// Whether it is that of a service or of a task.
fn source(pipeline: &Pipeline) -> &str {
    pipeline.more.get("source").and_then(Value::as_str).unwrap_or_default()
}

fn show(pipeline: &Pipeline, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(pipeline);
    }
    print_line(&format!("pipeline      {}", pipeline.id))?;
    if !source(pipeline).is_empty() {
        print_line(&format!("of            {}", source(pipeline)))?;
    }
    print_line(&format!("failure mode  {}", pipeline.failure_mode))?;
    print_line(&format!("changed       {}", pipeline.updated_at))?;
    print_line("")?;
    let rows = pipeline.structure.iter().map(|(task, node)| {
        let is_entry = pipeline.entry_tasks.contains(task);
        let cells = [
            task.clone(),
            if is_entry { "first".to_owned() } else { String::new() },
            listed(node.get("allowedNext")),
        ];
        cells.into_iter().map(Cell::new).collect()
    });
    print_table(&["TASK", "", "NEXT"], rows.collect(), "no tasks")
}
