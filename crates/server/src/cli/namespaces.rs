//! `quintet namespaces`: who is served, and how much each may use.

use std::collections::BTreeMap;
use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::{Namespace, NamespaceSpec, NamespaceUsage};
use serde_json::{Map, Value, json};

use super::connect::ServerArgs;
use super::document::BadInput;
use super::output::{print_json, print_line, print_table, status_cell};

/// Look after namespaces, which are tenants; needs a key of all namespaces
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
        /// Its name
        name: String,
    },
    /// Create one
    Create(Said),
    /// Change the limits or the labels of one; what is not said stays
    Update(Said),
    /// Let one be read and not changed
    Suspend {
        /// Its name
        name: String,
    },
    /// Let one go on
    Resume {
        /// Its name
        name: String,
    },
    /// Show what one uses
    Usage {
        /// Its name
        name: String,
    },
    /// Remove one in which nothing lives
    Delete {
        /// Its name
        name: String,
    },
}

/// Limits are numbers, or `none`.
#[derive(Debug, clap::Args)]
struct Said {
    /// Its name
    name: String,
    /// A label; all labels are replaced by those given
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Runs that are not over, at most
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    max_live_runs: Option<Value>,
    /// Runs started per second in the long run, on each node
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    runs_per_second: Option<Value>,
    /// Runs started at once after a quiet time
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    burst: Option<Value>,
    /// Steps in progress at a time, on each node
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    max_running_steps: Option<Value>,
    /// Bytes of content in the store
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    max_stored_bytes: Option<Value>,
    /// Workflows at most
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    max_workflows: Option<Value>,
}

fn limit(text: &str) -> Result<Value, String> {
    match text {
        "none" => Ok(Value::Null),
        _ => serde_json::from_str(text)
            .ok()
            .filter(Value::is_number)
            .ok_or_else(|| "must be a number, or none".to_owned()),
    }
}

impl Said {
    fn spec(self) -> anyhow::Result<NamespaceSpec> {
        let limits = [
            ("max_live_runs", self.max_live_runs),
            ("runs_per_second", self.runs_per_second),
            ("burst", self.burst),
            ("max_running_steps", self.max_running_steps),
            ("max_stored_bytes", self.max_stored_bytes),
            ("max_workflows", self.max_workflows),
        ];
        let quotas = limits
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let quotas: Map<String, Value> = quotas.collect();
        let mut labels = BTreeMap::new();
        for label in &self.labels {
            let pair = label.split_once('=');
            let (name, value) = pair.ok_or_else(|| BadInput::at("--label", "must be NAME=VALUE"))?;
            labels.insert(name.to_owned(), value.to_owned());
        }
        Ok(NamespaceSpec {
            labels: (!labels.is_empty()).then_some(labels),
            quotas: (!quotas.is_empty()).then_some(quotas),
        })
    }
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    let namespaces = client.namespaces();
    match args.verb {
        Verb::List => list(&namespaces.all().await?, json)?,
        Verb::Get { name } => show(&namespaces.get(&name).await?, json)?,
        Verb::Create(said) => {
            let name = said.name.clone();
            let created = namespaces.create(&name, &said.spec()?).await?;
            done(json, &created, &created.name)?;
        }
        Verb::Update(said) => {
            let name = said.name.clone();
            show(&namespaces.change(&name, &said.spec()?).await?, json)?;
        }
        Verb::Suspend { name } => {
            let suspended = namespaces.suspend(&name).await?;
            done(json, &suspended, &format!("{name} is suspended"))?;
        }
        Verb::Resume { name } => {
            let resumed = namespaces.resume(&name).await?;
            done(json, &resumed, &format!("{name} goes on"))?;
        }
        Verb::Usage { name } => usage(&namespaces.usage(&name).await?, json)?,
        Verb::Delete { name } => {
            namespaces.delete(&name).await?;
            done(json, &json!({ "deleted": name }), &format!("{name} is deleted"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(namespaces: &[Namespace], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&namespaces);
    }
    let rows = namespaces.iter().map(|namespace| {
        vec![
            Cell::new(&namespace.name),
            status_cell(&namespace.state),
            Cell::new(limits(&namespace.quotas)),
            Cell::new(labels(namespace)),
        ]
    });
    print_table(&["NAME", "STATE", "LIMITS", "LABELS"], rows.collect(), "no namespaces")
}

fn limits(quotas: &Map<String, Value>) -> String {
    let limits = quotas.iter().map(|(name, value)| format!("{name}={value}"));
    limits.collect::<Vec<_>>().join(" ")
}

fn labels(namespace: &Namespace) -> String {
    let labels = namespace.labels.iter().map(|(name, value)| format!("{name}={value}"));
    labels.collect::<Vec<_>>().join(" ")
}

fn show(namespace: &Namespace, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(namespace);
    }
    line("namespace", &namespace.name)?;
    line("state", &namespace.state)?;
    line("created", namespace.created_at.as_deref().unwrap_or("never"))?;
    line("labels", &labels(namespace))?;
    line("limits", &limits(&namespace.quotas))
}

fn usage(usage: &NamespaceUsage, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(usage);
    }
    let of = |limit: &str, used: u64| match usage.quotas.get(limit) {
        Some(most) => format!("{used} of {most}"),
        None => used.to_string(),
    };
    line("namespace", &usage.namespace)?;
    line("live runs", &of("max_live_runs", usage.live_runs))?;
    line("finished", &usage.finished_runs.to_string())?;
    line("workflows", &of("max_workflows", usage.workflows))?;
    line("bytes", &of("max_stored_bytes", usage.stored_bytes))
}

fn line(name: &str, value: &str) -> anyhow::Result<()> {
    match value {
        "" => Ok(()),
        value => print_line(&format!("{name:<10} {value}")),
    }
}

fn done(json: bool, value: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if json { print_json(value) } else { print_line(text) }
}
