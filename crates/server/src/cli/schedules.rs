//! `quintet schedules`: what is started again and again.

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::{Client, Schedule, ScheduleSpec, Upcoming};
use serde_json::{Value, json};

use super::connect::ServerArgs;
use super::document::BadInput;
use super::output::{age, print_json, print_line, print_table, status_cell};

/// Start workflows again and again, at the times of a cron expression
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
    /// Show one
    #[command(alias = "show")]
    Get {
        /// Its id
        id: String,
    },
    /// Create one
    Create(Box<Create>),
    /// Start nothing until it is resumed
    Pause {
        /// Its id
        id: String,
    },
    /// Go on with the next time
    Resume {
        /// Its id
        id: String,
    },
    /// Start a run now; prints its id
    Trigger {
        /// Its id
        id: String,
        /// Repeated with the same key it starts nothing twice
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Remove one; its runs stay
    Delete {
        /// Its id
        id: String,
    },
    /// Show the times that come next
    Next {
        /// Its id
        id: String,
        /// How many
        #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// When: minute, hour, day of month, month, day of week (quoted), with seconds before them where there are six; or
    /// @daily and the like
    #[arg(value_name = "CRON")]
    cron: String,
    /// The workflow that is started
    #[arg(value_name = "WORKFLOW")]
    workflow: String,
    /// Its id; one is made without it
    #[arg(long)]
    id: Option<String>,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// By the clocks of this time zone, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// The runs' context: a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    input: String,
    /// Higher runs first
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// What becomes of times at which nothing could be started
    #[arg(long, value_name = "RULE", value_parser = ["skip", "latest", "all"])]
    missed: Option<String>,
    /// Whether a time is left out while the run before is not over
    #[arg(long, value_name = "RULE", value_parser = ["allow", "skip"])]
    overlap: Option<String>,
    /// Anything worth knowing
    #[arg(long)]
    note: Option<String>,
    /// Start nothing before it is resumed
    #[arg(long)]
    paused: bool,
}

impl Create {
    fn into_spec(self) -> anyhow::Result<ScheduleSpec> {
        let context: Value = serde_json::from_str(&self.input).map_err(|error| BadInput::at("--input", error))?;
        if !context.is_object() {
            return Err(BadInput::at("--input", "must be a JSON object").into());
        }
        let mut target = json!({ "kind": "workflow", "workflow_id": self.workflow, "context": context });
        if let Some(priority) = self.priority {
            target["priority"] = priority.into();
        }
        Ok(ScheduleSpec {
            id: self.id,
            name: self.name,
            cron: Some(self.cron),
            timezone: self.timezone,
            target: Some(target),
            missed: self.missed,
            overlap: self.overlap,
            note: self.note,
            paused: self.paused.then_some(true),
        })
    }
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    let schedules = client.schedules();
    match args.verb {
        Verb::List => list(&client, json).await?,
        Verb::Get { id } => show(&schedules.get(&id).await?, json)?,
        Verb::Create(create) => {
            let created = schedules.create(&create.into_spec()?).await?;
            done(json, &created, &created.id)?;
        }
        Verb::Pause { id } => {
            let paused = schedules.pause(&id).await?;
            done(json, &paused, &format!("{} is paused", paused.id))?;
        }
        Verb::Resume { id } => {
            let resumed = schedules.resume(&id).await?;
            let next = resumed.next_at.as_deref().unwrap_or("never");
            done(json, &resumed, &format!("{} is due next at {next}", resumed.id))?;
        }
        Verb::Trigger { id, idempotency_key } => {
            let triggered = schedules.trigger(&id, idempotency_key.as_deref()).await?;
            done(json, &triggered, &triggered.run_id)?;
        }
        Verb::Delete { id } => {
            schedules.delete(&id).await?;
            done(json, &json!({ "deleted": id }), &format!("{id} is deleted"))?;
        }
        Verb::Next { id, count } => next(&schedules.upcoming(&id, Some(count)).await?, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let schedules = client.schedules().all().await?;
    if json {
        return print_json(&schedules);
    }
    let rows = schedules.iter().map(|schedule| {
        let last = schedule.last.as_ref();
        vec![
            Cell::new(&schedule.id),
            Cell::new(&schedule.cron),
            Cell::new(&schedule.timezone),
            Cell::new(target(schedule)),
            status_cell(status(schedule)),
            Cell::new(schedule.next_at.as_deref().unwrap_or_default()),
            Cell::new(last.map(|last| last.outcome.as_str()).unwrap_or_default()),
        ]
    });
    let heading = ["ID", "CRON", "ZONE", "TARGET", "STATUS", "NEXT", "LAST"];
    print_table(&heading, rows.collect(), "no schedules")
}

fn status(schedule: &Schedule) -> &'static str {
    match () {
        () if schedule.paused => "PAUSED",
        () if schedule.more.contains_key("retry") => "RETRYING",
        () => "active",
    }
}

/// What it starts, in a word.
fn target(schedule: &Schedule) -> String {
    let text = |pointer: &str| schedule.target.pointer(pointer).and_then(Value::as_str);
    match text("/kind") {
        Some("task") => format!("task {}", text("/document/type").unwrap_or_default()),
        _ => text("/workflow_id").unwrap_or_default().to_owned(),
    }
}

fn show(schedule: &Schedule, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(schedule);
    }
    let line = |name: &str, value: &str| match value {
        "" => Ok(()),
        value => print_line(&format!("{name:<9} {value}")),
    };
    line("schedule", &schedule.id)?;
    if schedule.name != schedule.id {
        line("name", &schedule.name)?;
    }
    line("cron", &format!("{} ({})", schedule.cron, schedule.timezone))?;
    line("starts", &target(schedule))?;
    let context = schedule.target.get("context").filter(|context| **context != json!({}));
    line("input", &context.map(Value::to_string).unwrap_or_default())?;
    line("missed", &schedule.missed)?;
    line("overlap", &schedule.overlap)?;
    line("status", status(schedule))?;
    line("next", schedule.next_at.as_deref().unwrap_or("none"))?;
    if let Some(retry) = schedule.more.get("retry") {
        let error = retry.get("error").and_then(Value::as_str).unwrap_or_default();
        line("retrying", error)?;
    }
    if let Some(last) = &schedule.last {
        line(
            "last",
            &format!("{} {} ({})", last.nominal_at, last.outcome, age(&last.fired_at)),
        )?;
        line("run", last.run_id.as_deref().unwrap_or_default())?;
        line("error", last.error.as_deref().unwrap_or_default())?;
    }
    let counts = schedule.more.get("counts").and_then(Value::as_object);
    let counts = counts
        .into_iter()
        .flatten()
        .map(|(name, number)| format!("{number} {name}"));
    line("counts", &counts.collect::<Vec<_>>().join(", "))?;
    line("note", schedule.note.as_deref().unwrap_or_default())
}

fn next(upcoming: &[Upcoming], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&upcoming);
    }
    let rows = upcoming
        .iter()
        .map(|time| vec![Cell::new(&time.at), Cell::new(&time.local)]);
    print_table(&["AT", "LOCAL"], rows.collect(), "it is never due again")
}

fn done(json: bool, value: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if json { print_json(value) } else { print_line(text) }
}
