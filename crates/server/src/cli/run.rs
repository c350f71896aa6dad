//! `quintet run`: one workflow to its end, with its progress on the screen.
//!
//! Without `--server` the whole product runs inside this process: the store is opened, the API is served on a free
//! loopback port, and what follows is the same as with a server elsewhere: the run is started and watched through the
//! client. So there is one way in which runs are driven, and what is seen here is what a server does.
//!
//! The run belongs to the store and not to this process. When the process goes away, the run is still there, and goes
//! on as soon as something opens the store again.

mod ask;
mod happening;
mod lines;
mod live;
mod summary;
mod target;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use quintet_client::{Run, StartRun};
use quintet_core::plan::Plan;
use serde_json::{Map, Value};

use super::connect::TlsArgs;
use super::document::{self, BadInput, Document, line_of};
use super::failure::{BAD_INPUT, FAILED};
use super::fixtures::Fixtures;
use super::store::StoreArgs;
use super::{failure, plan};
use target::Target;
use watch::{End, Manner, Watch};

/// The run goes on without this process: as a shell says it of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// Run a workflow to its end
///
/// Brings its own server and store unless --server names one. Services in the document's `fixtures` section are started
/// for as long as the run lasts. Exit code 0: succeeded, 1: failed, 2: bad input, 130: interrupted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The document, YAML or JSON; `-` is the standard input
    file: PathBuf,
    /// What the run gets, over the document's own `input`: a JSON object, `@FILE`, or `@-`
    #[arg(long, value_name = "JSON|@FILE")]
    input: Option<String>,
    /// Use this server instead of an own one
    #[arg(long, env = "QUINTET_SERVER", value_name = "URL", conflicts_with_all = ["store", "data", "config"])]
    server: Option<String>,
    /// The key to show it
    #[arg(long, env = "QUINTET_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    store: StoreArgs,
    /// Print every event as a line of JSON, and the run as the last one
    #[arg(long)]
    json: bool,
    /// Agree to every step that asks
    #[arg(long)]
    approve_all: bool,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let document = document::read(&args.file)?;
    let input = args.input.as_deref().map(document::input).transpose()?;
    let plan = match plan::of(&document) {
        Ok(plan) => plan,
        Err(found) => return Ok(refuse(&args, &document, &found)),
    };
    let fixtures = match &document.fixtures {
        Some(section) => Fixtures::start(section).await?,
        None => Fixtures::default(),
    };
    let target = match &args.server {
        Some(server) => Target::remote(server, args.api_key.as_deref(), &args.tls)?,
        None => Target::embedded(&args.store).await?,
    };
    let manner = Manner {
        name: document
            .workflow
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default(),
        width: width(&plan),
        json: args.json,
        approve_all: args.approve_all,
    };
    let outcome = drive(&document, context(&document, input, &fixtures), &target, &manner).await;
    let hint = matches!(outcome, Ok((End::Interrupted, _))).then(|| target.afterwards());
    target.close().await;
    let (end, run) = outcome?;
    if let Some(hint) = hint {
        eprintln!("\ninterrupted; {} is stored and not lost. {hint}", run.id);
        if !fixtures.is_empty() {
            eprintln!("The services of its `fixtures` section end with this command.");
        }
    }
    Ok(match end {
        End::Interrupted => ExitCode::from(INTERRUPTED),
        End::Finished if run.status.is_success() => ExitCode::SUCCESS,
        End::Finished => ExitCode::from(FAILED),
    })
}

async fn drive(
    document: &Document,
    context: Value,
    target: &Target,
    manner: &Manner<'_>,
) -> anyhow::Result<(End, Run)> {
    let start = StartRun::inline(document.workflow.clone()).context(context);
    let started = target.client.runs().start(&start).await;
    let run = started.map_err(|error| failure::with_line(error, document))?;
    Watch::new(&target.client, &run, manner).watch().await
}

/// Characters of the longest name of a step, within reason.
fn width(plan: &Plan) -> usize {
    let widths = plan.spec.steps.iter().map(|step| {
        let index = if step.for_each.is_some() { "[00]".len() } else { 0 };
        step.key.chars().count() + index
    });
    widths.max().unwrap_or_default().clamp(8, 32)
}

/// What the run gets: the document's input, what was given on the command line, and where the fixtures are.
fn context(document: &Document, input: Option<Value>, fixtures: &Fixtures) -> Value {
    let mut context: Map<String, Value> = document.input.clone();
    if let Some(Value::Object(input)) = input {
        context.extend(input);
    }
    if !fixtures.is_empty() {
        context.insert("fixtures".to_owned(), fixtures.urls().into());
    }
    Value::Object(context)
}

fn refuse(args: &Args, document: &Document, found: &[BadInput]) -> ExitCode {
    for finding in found {
        let line = line_of(document, &finding.field).map_or_else(String::new, |line| format!(":{line}"));
        eprintln!("error: {}{line}: {finding}", args.file.display());
    }
    ExitCode::from(BAD_INPUT)
}
