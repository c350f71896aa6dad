//! `quintet approvals`: steps that wait for a person.

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::Decision;
use serde_json::Value;

use super::connect::ServerArgs;
use super::output::{age, print_json, print_table};
use super::runs::print_state;

/// See what waits for a person, and answer.
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
    /// List what waits
    List,
    /// Agree
    Approve(Answer),
    /// Decline
    Reject(Answer),
}

/// An answer.
#[derive(Debug, clap::Args)]
pub struct Answer {
    /// Id of the run
    run: String,
    /// Which step; the first one that waits when absent
    #[arg(long)]
    step: Option<String>,
    /// Who answers
    #[arg(long, env = "USER")]
    by: Option<String>,
    /// What they say
    #[arg(long)]
    comment: Option<String>,
}

impl Answer {
    /// Which run, and the decision.
    pub fn into_parts(self) -> (String, Decision) {
        (
            self.run,
            Decision {
                step: self.step,
                by: self.by,
                comment: self.comment,
                reason: None,
            },
        )
    }
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.server.client()?;
    match args.verb {
        Verb::List => list(&client.approvals().list().await?.items, args.json)?,
        Verb::Approve(answer) => {
            let (run, decision) = answer.into_parts();
            print_state(&client.runs().approve(&run, &decision).await?, args.json)?;
        }
        Verb::Reject(answer) => {
            let (run, decision) = answer.into_parts();
            print_state(&client.runs().reject(&run, &decision).await?, args.json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(approvals: &[Value], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&approvals);
    }
    let rows = approvals.iter().map(|approval| {
        let text = |name: &str| approval.get(name).and_then(Value::as_str).unwrap_or_default();
        let cells = [
            text("run_id"),
            text("step_id"),
            text("name"),
            text("workflow_id"),
            &age(text("since")),
        ];
        cells.map(Cell::new).into()
    });
    print_table(
        &["RUN", "STEP", "NAME", "WORKFLOW", "SINCE"],
        rows.collect(),
        "nothing waits for an approval",
    )
}
