//! `quintet tasks`: work for compute backends, submitted, watched, called off and tried again.

mod follow;
mod screen;
mod show;
mod submit;

use std::process::ExitCode;

use quintet_client::{Client, Error, Task, TaskFilter};

use super::connect::ServerArgs;
use super::output::{print_json, print_line};

/// Tasks of one page.
const PAGE: u32 = 200;

/// Submit work to compute backends, and follow it
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
    /// Submit a task, and print its id
    Submit(Box<submit::Args>),
    /// Show a task and its steps
    Get {
        /// Id of the task
        id: String,
    },
    /// List tasks, newest first
    List {
        /// Which queue; `all` is every one
        #[arg(long, short, default_value = "all")]
        queue: String,
        /// Only those in this state: queued, running, completed or failed
        #[arg(long, short)]
        status: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Call a task off, whether it waits or is under way
    Cancel {
        /// Id of the task
        id: String,
    },
    /// Submit a finished task once more, and print the id of the new one
    Retry {
        /// Id of the task
        id: String,
        /// Wait for its end and show its steps meanwhile; exit code 1 if it failed
        #[arg(long, short)]
        wait: bool,
    },
    /// Print what the jobs of a task have written last, where its backend runs jobs
    Logs {
        /// Id of the task
        id: String,
    },
    /// List what the backends can do
    Types,
    /// Follow a task to its end; exit code 1 if it failed
    Watch {
        /// Id of the task
        id: String,
    },
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    match args.verb {
        Verb::Submit(args) => return submit::run(&client, *args, json).await,
        Verb::Get { id } => show::task(&client.tasks().get(&id).await?, json)?,
        Verb::List { queue, status, limit } => {
            let filter = TaskFilter {
                queue: Some(queue),
                status,
                ..TaskFilter::default()
            };
            show::list(&gather(&client, filter, limit).await?, json)?;
        }
        Verb::Cancel { id } => {
            let answer = client.tasks().cancel(&id).await.map_err(of_the_state)?;
            if json {
                print_json(&answer)?;
            } else {
                print_line(&format!("{id} is called off"))?;
            }
        }
        Verb::Retry { id, wait } => return retry(&client, &id, wait, json).await,
        Verb::Logs { id } => show::logs(&client.tasks().logs(&id).await?, json)?,
        Verb::Types => types(&client.tasks().types().await?, json)?,
        Verb::Watch { id } => return follow::to_the_end(&client, &id, json).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Pages until the limit is reached or nothing is left.
async fn gather(client: &Client, mut filter: TaskFilter, limit: u32) -> Result<Vec<Task>, Error> {
    let mut tasks = Vec::new();
    while tasks.len() < limit as usize {
        let rest = limit.saturating_sub(u32::try_from(tasks.len()).unwrap_or(limit));
        filter.limit = Some(rest.min(PAGE));
        let page = client.tasks().list(&filter).await?;
        tasks.extend(page.tasks);
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            break;
        }
    }
    Ok(tasks)
}

async fn retry(client: &Client, id: &str, wait: bool, json: bool) -> anyhow::Result<ExitCode> {
    let retried = client.tasks().retry(id).await.map_err(of_the_state)?;
    if wait {
        eprintln!("{} submitted", retried.task_id);
        return follow::to_the_end(client, &retried.task_id, json).await;
    }
    if json {
        print_json(&retried)?;
    } else {
        print_line(&retried.task_id)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn types(types: &[String], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&types);
    }
    if types.is_empty() {
        eprintln!("no backend says what it can do; `quintet backends list` shows how they are");
    }
    types.iter().try_for_each(|name| print_line(name))
}

/// The face answers 400 where the task is not in a state for it: nothing that was handed in is bad.
fn of_the_state(error: Error) -> anyhow::Error {
    match error.api() {
        Some(api) if api.status.as_u16() == 400 => anyhow::anyhow!("{error}"),
        _ => error.into(),
    }
}
