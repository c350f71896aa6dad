//! `quintet visualize`: a workflow, or a run of one, as a picture.

mod dot;
mod layout;
mod mermaid;
mod picture;
mod svg;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use quintet_client::{Client, Run};
use serde_json::Value;

use super::connect::ServerArgs;
use super::document::{self, BadInput, Document};
use super::output::{between, duration, print_line};
use super::plan;
use picture::{Picture, State};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text that GitHub, GitLab and many wikis draw
    Mermaid,
    /// Text for Graphviz
    Dot,
    /// A picture for browsers
    Svg,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let document = args.file.as_deref().map(document::read).transpose()?;
    let picture = match (&document, &args.run) {
        (document, Some(run)) => of_run(&args.server.client()?, run, document.as_ref()).await?,
        (Some(document), None) => of_document(document)?,
        (None, None) => return Err(BadInput::new("name a document, or a run with --run").into()),
    };
    let text = match args.format {
        Format::Mermaid => mermaid::mermaid(&picture),
        Format::Dot => dot::dot(&picture),
        Format::Svg => svg::svg(&picture),
    };
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
        (None, _) => Picture::of_steps(&steps),
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
    let attempts = step.get("attempt").and_then(Value::as_u64).filter(|made| *made > 1);
    let attempts = attempts.map(|made| format!("{made} attempts"));
    let took = between(text("started_at"), text("finished_at")).map(duration);
    let error = step.get("error").and_then(Value::as_str).map(str::to_owned);
    let words: Vec<String> = [took, attempts, error].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(" · "))
}

#[cfg(test)]
mod tests {
    use quintet_core::plan::EdgeOn;

    use super::picture::{Edge, Node, Picture};

    /// A small workflow with one of everything.
    pub(super) fn order() -> Picture {
        let node = |key: &str, label: &str, action: &str| Node {
            key: key.to_owned(),
            label: label.to_owned(),
            action: action.to_owned(),
            ..Node::default()
        };
        let edge = |from, to, on| Edge { from, to, on };
        Picture {
            title: "order".to_owned(),
            nodes: vec![
                node("fetch", "fetch order", "http"),
                Node {
                    for_each: true,
                    ..node("price", "price", "http")
                },
                Node {
                    approval: true,
                    when: Some("context.total > \"a\"".to_owned()),
                    ..node("end", "end", "approval")
                },
                Node {
                    optional: true,
                    join: Some("any".to_owned()),
                    ..node("mend", "mend", "http")
                },
            ],
            edges: vec![
                edge(0, 1, EdgeOn::Success),
                edge(1, 2, EdgeOn::Success),
                edge(0, 3, EdgeOn::Failure),
                edge(1, 3, EdgeOn::Always),
            ],
        }
    }
}
