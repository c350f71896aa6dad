//! The arguments of `quintet runs`.

use std::path::PathBuf;

use quintet_client::Decision;

use crate::cli::approvals::Answer;
use crate::cli::connect::ServerArgs;
use crate::cli::document::BadInput;

/// Start, steer and look at runs
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Start a run
    Start(Start),
    /// List runs, newest first
    List(Filter),
    /// Show a run and its steps
    Show {
        /// Id of the run
        run: String,
    },
    /// List the steps of a run
    Steps {
        /// Id of the run
        run: String,
    },
    /// Show everything about one step
    Step(Step),
    /// Say why a run, or one step of it, is not getting on
    Why(Why),
    /// List everything that happened to a run
    History {
        /// Id of the run
        run: String,
        /// Only what comes after this entry
        #[arg(long)]
        after: Option<u64>,
    },
    /// Print the log of a run
    Logs {
        /// Id of the run
        run: String,
        /// Go on until the run is over
        #[arg(long, short)]
        follow: bool,
    },
    /// Call a run off
    Cancel(Note),
    /// Hold a run: what is under way ends, nothing new starts
    Pause(Note),
    /// Let a held run go on
    Resume(Note),
    /// Agree to a step that waits for it
    Approve(Answer),
    /// Decline it
    Reject(Answer),
    /// Try failed steps again
    Retry {
        /// Id of the run
        run: String,
        /// Only this step
        #[arg(long)]
        step: Option<String>,
        /// Who says so
        #[arg(long, env = "USER")]
        by: Option<String>,
    },
    /// Run a step and everything after it again
    Rerun {
        #[command(flatten)]
        step: Step,
        /// Who says so
        #[arg(long, env = "USER")]
        by: Option<String>,
    },
    /// Settle a failed or waiting step by hand, or the whole run
    Resolve {
        /// The run
        run: String,
        /// The step; without one the run itself is declared settled
        step: Option<String>,
        /// Its result, JSON or plain text; with one it counts as complete
        #[arg(long, requires = "step")]
        output: Option<String>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Who says so
        #[arg(long, env = "USER")]
        by: Option<String>,
    },
    /// Forget a finished run
    Delete {
        /// Id of the run
        run: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Start {
    /// Id of the workflow
    #[arg(conflicts_with = "file")]
    pub workflow: Option<String>,
    /// Run this document without storing it as a workflow
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What the run gets: a JSON object, `@FILE`, or `@-`
    #[arg(long, value_name = "JSON|@FILE")]
    pub input: Option<String>,
    /// Starts one run, however often the command is given with the same key
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Whether to wait for the end of a run.
#[derive(Debug, clap::Args)]
pub struct WaitArgs {
    /// Wait for its end, at most so long; exit code 1 if it ended badly
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "60s")]
    wait: Option<String>,
}

impl WaitArgs {
    /// How long to wait, in milliseconds, if at all.
    pub fn ms(&self) -> Result<Option<u64>, BadInput> {
        let Some(text) = &self.wait else { return Ok(None) };
        let ms = duration_ms(text);
        ms.map(Some)
            .ok_or_else(|| BadInput::at("--wait", format!("`{text}` is no duration such as 30s or 500ms")))
    }
}

/// `500ms`, `30s`, `5m`, `2h`; a bare number is seconds.
fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Of this workflow
    #[arg(long)]
    pub workflow: Option<String>,
    /// In this state, such as RUNNING, WAITING_APPROVAL or FAILED
    #[arg(long)]
    pub status: Option<String>,
    /// Accepted at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub created_from: Option<String>,
    /// Accepted before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub created_before: Option<String>,
    /// How many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct Step {
    /// Id of the run
    pub run: String,
    /// Id of the step; `id[3]` is an item of a `for_each`
    pub step: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// Id of the run
    pub run: String,
    /// Id of a step
    pub step: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Note {
    /// Id of the run
    pub run: String,
    /// Who says so
    #[arg(long, env = "USER")]
    pub by: Option<String>,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
}

impl Note {
    pub fn decision(&self) -> Decision {
        Decision {
            by: self.by.clone(),
            reason: self.reason.clone(),
            ..Decision::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        let read = ["500ms", "30s", "30", "5m", "2h", "s", "1d", "", "1.5s"].map(duration_ms);
        let expected = [
            Some(500),
            Some(30_000),
            Some(30_000),
            Some(300_000),
            Some(7_200_000),
            None,
            None,
            None,
            None,
        ];
        assert_eq!(read, expected);
    }
}
