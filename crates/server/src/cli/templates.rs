//! `quintet templates`: built-in workflows to start from.

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::StartRun;
use serde_json::Value;

use super::connect::ServerArgs;
use super::document::{self, BadInput};
use super::output::{print_json, print_table};
use super::runs::{self, WaitArgs};

/// Look at the built-in workflows, and run them.
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
    Show {
        /// Id of the template
        id: String,
    },
    /// Start a run of one
    Run {
        /// Id of the template
        id: String,
        /// What the run gets: a JSON object, `@FILE`, or `@-`
        #[arg(long, value_name = "JSON|@FILE")]
        input: Option<String>,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.server.client()?;
    match args.verb {
        Verb::List => {
            let templates = client.templates().list().await?.items;
            if args.json {
                print_json(&templates)?;
                return Ok(ExitCode::SUCCESS);
            }
            let action = |step: &Value| {
                step.get("action")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let rows = templates.iter().map(|template| {
                let actions: Vec<String> = template.steps.iter().map(action).collect();
                vec![
                    Cell::new(&template.id),
                    Cell::new(template.steps.len()),
                    Cell::new(actions.join(", ")),
                ]
            });
            print_table(&["ID", "STEPS", "ACTIONS"], rows.collect(), "no templates")?;
        }
        Verb::Show { id } => {
            let templates = client.templates().list().await?.items;
            let found = templates
                .into_iter()
                .find(|template| template.id == id || template.name == id);
            print_json(&found.ok_or_else(|| BadInput::new(format!("there is no template `{id}`")))?)?;
        }
        Verb::Run { id, input, wait } => {
            let input = input.as_deref().map(document::input).transpose()?;
            let start = StartRun::template(&id).context(input.unwrap_or_else(|| Value::Object(serde_json::Map::new())));
            return runs::start(&client, start, &wait, args.json).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}
