//! What is said when a run is over: its steps as a table, its result, and how it ended.

use quintet_client::{Client, Run, StepRun};
use serde_json::Value;

use super::watch::Clock;
use crate::cli::output::{Hue, between, duration, excerpt, hue, paint, print_line};
use crate::cli::runs::print_steps;

/// Lines of the result.
const LINES: usize = 20;

/// Prints it.
pub async fn print(client: &Client, run: &Run, clock: &Clock) -> anyhow::Result<()> {
    print_steps(client, run, |step| clock.took(step)).await?;
    print_line("")?;
    let text = |name: &str| run.more.get(name).and_then(Value::as_str);
    if run.status.is_success() {
        // The last step that gave something has what people take for the result of the run.
        let last = run
            .steps
            .iter()
            .rev()
            .find(|step| step.status == "SUCCEEDED" && step.output.as_deref().is_some_and(has_words));
        last.map(result).transpose()?;
    } else if let Some(error) = text("error") {
        let step = text("failed_step")
            .map(|step| format!("step {step}: "))
            .unwrap_or_default();
        print_line(&paint(Hue::Bad, &format!("error: {step}{error}")))?;
    }
    let took = between(&run.created_at, text("finished_at").unwrap_or(&run.updated_at));
    let took = took.map(|ms| format!(" in {}", duration(ms))).unwrap_or_default();
    print_line(&format!(
        "{} {}{took}",
        run.id,
        paint(hue(run.status.as_str()), run.status.as_str())
    ))
}

fn has_words(output: &str) -> bool {
    !output.trim().is_empty() && output != "null"
}

fn result(step: &StepRun) -> anyhow::Result<()> {
    let output = step.output.as_deref().unwrap_or_default();
    let text = match serde_json::from_str::<Value>(output) {
        Ok(Value::String(text)) => text,
        Ok(value) => serde_json::to_string_pretty(&value)?,
        Err(_) => output.to_owned(),
    };
    print_line(&format!("result of {}:", step.step_id))?;
    for line in text.lines().take(LINES) {
        print_line(&format!("  {}", excerpt(line, 400)))?;
    }
    print_line("")
}
