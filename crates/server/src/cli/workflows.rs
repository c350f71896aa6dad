//! `quintet workflows`: definitions and their versions.

use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::{Client, Workflow};
use serde_json::{Value, json};

use super::connect::ServerArgs;
use super::output::{age, print_json, print_line, print_table};
use super::{document, failure};

/// Work with the definitions that a server keeps.
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
    /// Store a definition; one with the id of an existing workflow becomes its next version
    Create {
        /// YAML or JSON; `-` is the standard input
        file: PathBuf,
    },
    /// List them
    List,
    /// Show the current version of one
    Show {
        /// Id of the workflow
        id: String,
        /// Show this version instead
        #[arg(long)]
        version: Option<u32>,
    },
    /// List the versions of one
    Versions {
        /// Id of the workflow
        id: String,
    },
    /// Make an earlier version the newest one again
    Rollback {
        /// Id of the workflow
        id: String,
        /// Which version
        version: u32,
    },
    /// Remove one with all its versions; its runs stay
    Delete {
        /// Id of the workflow
        id: String,
    },
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    match args.verb {
        Verb::Create { file } => create(&client, &document::read(&file)?, json).await?,
        Verb::List => list(client.workflows().list().await?.items, json)?,
        Verb::Show { id, version: None } => print_json(&client.workflows().get(&id).await?)?,
        Verb::Show {
            id,
            version: Some(version),
        } => print_json(&client.workflows().version(&id, version).await?.payload)?,
        Verb::Versions { id } => versions(&client, &id, json).await?,
        Verb::Rollback { id, version } => {
            let workflow = client.workflows().rollback(&id, version).await?;
            done(json, &workflow, &format!("{id} is now as it was in version {version}"))?;
        }
        Verb::Delete { id } => {
            client.workflows().delete(&id).await?;
            done(json, &json!({ "id": id, "deleted": true }), &format!("{id} is deleted"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(client: &Client, document: &document::Document, json: bool) -> anyhow::Result<()> {
    let stored = client.workflows().create(&document.workflow).await;
    let workflow = stored.map_err(|error| failure::with_line(error, document))?;
    if json {
        return print_json(&workflow);
    }
    if document.fixtures.is_some() {
        eprintln!("note: the section `fixtures` is for `quintet run` only; `quintet fixtures FILE` serves them");
    }
    print_line(&workflow.id)
}

fn list(workflows: Vec<Workflow>, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&workflows);
    }
    let rows = workflows.iter().map(|workflow| {
        let version = workflow
            .more
            .get("version")
            .and_then(Value::as_u64)
            .map_or_else(String::new, |version| version.to_string());
        let cells = [
            workflow.id.clone(),
            workflow.name.clone(),
            version,
            workflow.steps.len().to_string(),
        ];
        cells
            .into_iter()
            .chain([age(&workflow.created_at)])
            .map(Cell::new)
            .collect()
    });
    let heading = ["ID", "NAME", "VERSION", "STEPS", "CREATED"];
    print_table(
        &heading,
        rows.collect(),
        "no workflows; `quintet workflows create FILE` stores one",
    )
}

async fn versions(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    let versions = client.workflows().versions(id).await?.items;
    if json {
        return print_json(&versions);
    }
    let rows = versions.iter().map(|version| {
        let name = version.payload.get("name").and_then(Value::as_str).unwrap_or_default();
        let steps = version
            .payload
            .get("steps")
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        let cells = [
            version.version.to_string(),
            name.to_owned(),
            steps.to_string(),
            age(&version.created_at),
        ];
        cells.into_iter().map(Cell::new).collect()
    });
    print_table(
        &["VERSION", "NAME", "STEPS", "STORED"],
        rows.collect(),
        &format!("no workflow {id}"),
    )
}

fn done(json: bool, value: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if json { print_json(value) } else { print_line(text) }
}
