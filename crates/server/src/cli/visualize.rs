//! `quintet visualize`: a workflow, or a run of one, as a picture.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use quintet_client::{Client, Run};
use quintet_core::plan::EdgeOn;
use serde_json::Value;

use super::connect::ServerArgs;
use super::document::{self, BadInput, Document};
use super::output::{between, print_line};
use super::plan;
use crate::picture::{self, Edge, Format, Node, Picture, State};

/// Steps drawn of a run.
const MOST: usize = 10_000;

/// Draw a workflow, or a run of one
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The document; `-` is the standard input
    #[arg(required_unless_present = "run")]
    file: Option<PathBuf>,
    /// Show how far this run of a server has come
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
    /// Write here instead of the standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let document = args.file.as_deref().map(document::read).transpose()?;
    let picture = match (&document, &args.run) {
        (document, Some(run)) => of_run(&args.server.client()?, run, document.as_ref()).await?,
        (Some(document), None) => of_document(document)?,
        (None, None) => return Err(BadInput::new("name a document, or a run with --run").into()),
    };
    let text = picture.draw(args.format);
    match args.output {
        Some(file) => std::fs::write(&file, text).map_err(|error| BadInput::at(file.display().to_string(), error))?,
        None => print_line(text.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn of_document(document: &Document) -> Result<Picture, BadInput> {
    let name = document
        .workflow
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let plan =
        plan::of(document).map_err(|found| found.into_iter().next().unwrap_or_else(|| BadInput::new("no plan")))?;
    Ok(Picture::of_plan(name, &plan.spec))
}

async fn of_run(client: &Client, id: &str, document: Option<&Document>) -> anyhow::Result<Picture> {
    let run = client.runs().get(id).await?;
    let steps = client.runs().all_steps(id, MOST).await?;
    let mut picture = match (document, definition(client, &run).await) {
        (Some(document), _) => of_document(document)?,
        (None, Ok(Some(document))) => of_document(&document)?,
        // A run of a document that was not stored, or of a workflow that is gone: the run itself knows the graph.
        (None, _) => of_steps(&steps),
    };
    picture.title = format!("{} · {} · {}", picture.title, run.id, run.status)
        .trim_start_matches(" · ")
        .to_owned();
    let mut by_key: HashMap<&str, &Value> = HashMap::new();
    for step in &steps {
        by_key.extend(step.get("id").and_then(Value::as_str).map(|key| (key, step)));
    }
    for node in &mut picture.nodes {
        let Some(step) = by_key.get(node.key.as_str()) else {
            continue;
        };
        node.state = step.get("status").and_then(Value::as_str).map(State::of_status);
        node.note = note(step);
    }
    Ok(picture)
}

/// The picture of what the API lists as the steps of a run; items of a `for_each` are left out.
fn of_steps(steps: &[Value]) -> Picture {
    let text = |step: &Value, name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let steps: Vec<&Value> = steps.iter().filter(|step| step.get("item").is_none()).collect();
    let index: HashMap<&str, usize> = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| Some((step.get("id")?.as_str()?, at)))
        .collect();
    let mut picture = Picture::default();
    for (to, step) in steps.iter().enumerate() {
        let (key, name, action) = (text(step, "id"), text(step, "name"), text(step, "action"));
        picture.nodes.push(Node {
            label: if name.is_empty() { key.clone() } else { name },
            approval: step.get("approval").is_some() || action.eq_ignore_ascii_case("approval"),
            for_each: step.get("items").is_some(),
            key,
            action,
            ..Node::default()
        });
        let before = step.get("depends_on").and_then(Value::as_array).into_iter().flatten();
        let before = before.filter_map(|key| index.get(key.as_str()?).copied());
        picture.edges.extend(before.map(|from| Edge {
            from,
            to,
            on: EdgeOn::Success,
        }));
    }
    picture
}

/// The definition that a run is pinned to, where it is stored.
async fn definition(client: &Client, run: &Run) -> Result<Option<Document>, quintet_client::Error> {
    let version = run
        .more
        .get("workflow_version")
        .and_then(Value::as_u64)
        .and_then(|version| u32::try_from(version).ok());
    let Some(version) = version.filter(|_| !run.workflow_id.is_empty()) else {
        return Ok(None);
    };
    let version = client.workflows().version(&run.workflow_id, version).await?;
    Ok(Some(Document {
        workflow: version.payload,
        ..Document::default()
    }))
}

/// How a step went, in a few words.
fn note(step: &Value) -> Option<String> {
    let text = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
    let took = between(text("started_at"), text("finished_at"));
    let attempts = step.get("attempt").and_then(Value::as_u64).unwrap_or_default();
    picture::note(took, attempts, step.get("error").and_then(Value::as_str))
}
