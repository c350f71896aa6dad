//! What a run of a pipeline would do, as the server works it out.

use quintet_client::{DryRun, PlanStep};

use crate::cli::output::{Hue, paint, print_json, print_line};

/// Prints the plan, or what is wrong with the pipeline or its input.
pub fn print(pipeline: &str, found: &DryRun, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(found);
    }
    if found.valid {
        let mark = paint(Hue::Good, "✓");
        print_line(&format!("{mark} Pipeline '{pipeline}' validated"))?;
    } else {
        let mark = paint(Hue::Bad, "✗");
        print_line(&format!("{mark} Pipeline '{pipeline}' is invalid"))?;
    }
    list("Errors", &found.errors)?;
    if !found.execution_plan.is_empty() {
        print_line("\nExecution plan:")?;
    }
    for (number, step) in found.execution_plan.iter().enumerate() {
        print_line(&format!("  {}. {}", number + 1, describe(step)))?;
    }
    list("Warnings", &found.warnings)
}

fn list(heading: &str, lines: &[String]) -> anyhow::Result<()> {
    if !lines.is_empty() {
        print_line(&format!("\n{heading}:"))?;
    }
    lines.iter().try_for_each(|line| print_line(&format!("  - {line}")))
}

/// `c, d (join, waits for: a, b)`.
fn describe(step: &PlanStep) -> String {
    let waits = match step.waits_for.as_slice() {
        [] => String::new(),
        tasks => format!(", waits for: {}", tasks.join(", ")),
    };
    format!("{} ({}{waits})", step.tasks.join(", "), step.kind)
}
