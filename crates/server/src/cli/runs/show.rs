//! Runs, steps and histories as tables.

use std::collections::HashMap;

use comfy_table::Cell;
use quintet_client::{Client, Run};
use serde_json::Value;

use crate::cli::output::{
    Hue, age, between, duration, excerpt, hue, paint, print_json, print_json_line, print_line, print_table, status_cell,
};

/// Rows of a table of steps: more than anybody reads.
const ROWS: usize = 200;

/// One line about a run that was just moved, or all of it as JSON.
pub fn print_state(run: &Run, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(run);
    }
    print_line(&format!(
        "{} {}",
        run.id,
        paint(hue(run.status.as_str()), run.status.as_str())
    ))
}

pub(super) fn list(runs: &[Run], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&runs);
    }
    let rows = runs.iter().map(|run| {
        let took = between(&run.created_at, &run.updated_at).filter(|_| run.status.is_finished());
        vec![
            Cell::new(&run.id),
            Cell::new(if run.workflow_id.is_empty() {
                "(inline)"
            } else {
                &run.workflow_id
            }),
            status_cell(run.status.as_str()),
            Cell::new(age(&run.created_at)),
            Cell::new(took.map(duration).unwrap_or_default()),
        ]
    });
    print_table(
        &["ID", "WORKFLOW", "STATUS", "CREATED", "TOOK"],
        rows.collect(),
        "no runs",
    )
}

pub(super) async fn run(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    let run = client.runs().get(id).await?;
    if json {
        return print_json(&run);
    }
    let workflow = if run.workflow_id.is_empty() {
        "(inline)"
    } else {
        &run.workflow_id
    };
    print_line(&format!("run       {}", run.id))?;
    print_line(&format!("workflow  {workflow}"))?;
    print_line(&format!(
        "status    {}",
        paint(hue(run.status.as_str()), run.status.as_str())
    ))?;
    print_line(&format!("created   {} ({})", run.created_at, age(&run.created_at)))?;
    if let Some(took) = between(&run.created_at, &run.updated_at).filter(|_| run.status.is_finished()) {
        print_line(&format!("took      {}", duration(took)))?;
    }
    if let Some(error) = run.more.get("error").and_then(Value::as_str) {
        print_line(&format!("error     {}", paint(Hue::Bad, error)))?;
    }
    if !run.context.is_null() {
        print_line(&format!("context   {}", excerpt(&run.context.to_string(), 200)))?;
    }
    print_line("")?;
    print_steps(client, &run, |_| None).await
}

pub(super) async fn steps(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&client.runs().all_steps(id, usize::MAX).await?);
    }
    print_steps(client, &client.runs().get(id).await?, |_| None).await
}

/// A table of the steps of a run, and of those items that failed. `took` says how long a step was under way; where it
/// does not know, that is taken from the last attempt.
pub async fn print_steps(client: &Client, run: &Run, took: impl Fn(&str) -> Option<u64>) -> anyhow::Result<()> {
    let steps = client.runs().all_steps(&run.id, ROWS + 1).await?;
    let outputs: HashMap<&str, &str> = run
        .steps
        .iter()
        .filter_map(|step| Some((step.step_id.as_str(), step.output.as_deref()?)))
        .collect();
    let is_shown = |step: &&Value| step.get("item").is_none() || step.get("error").is_some();
    let shown: Vec<&Value> = steps.iter().filter(is_shown).collect();
    let rows = shown.iter().take(ROWS).map(|step| step_row(step, &outputs, &took));
    print_table(
        &["STEP", "ACTION", "STATUS", "ATTEMPTS", "TOOK", "RESULT"],
        rows.collect(),
        "no steps",
    )?;
    if steps.len() > ROWS {
        print_line(&format!(
            "... and more; `quintet runs steps {} --json` has them all",
            run.id
        ))?;
    }
    Ok(())
}

fn step_row(step: &Value, outputs: &HashMap<&str, &str>, took: impl Fn(&str) -> Option<u64>) -> Vec<Cell> {
    let text = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |field: &Value| {
        field
            .as_u64()
            .filter(|number| *number > 0)
            .map(|number| number.to_string())
    };
    let items = step.get("items").and_then(|items| {
        let (done, total) = (items.get("done")?, items.get("total")?);
        Some(format!("{done} of {total} items"))
    });
    let output = || outputs.get(text("id")).map(|output| (*output).to_owned());
    let error = Some(text("error")).filter(|error| !error.is_empty()).map(str::to_owned);
    let result = error.or_else(output).or(items).unwrap_or_default();
    let last = || between(text("started_at"), text("finished_at"));
    let took = took(text("id")).or_else(last).map(duration);
    vec![
        Cell::new(text("id")),
        Cell::new(text("action")),
        status_cell(text("status")),
        Cell::new(step.get("attempt").and_then(number).unwrap_or_default()),
        Cell::new(took.unwrap_or_default()),
        Cell::new(excerpt(&result, 60)),
    ]
}

fn shown(output: &Value) -> String {
    match output {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) async fn history(client: &Client, id: &str, after: Option<u64>, json: bool) -> anyhow::Result<()> {
    let mut after = after;
    loop {
        let page = client.runs().history(id, after, Some(500)).await?;
        for entry in &page.items {
            if json {
                print_json_line(entry)?;
            } else {
                print_line(&history_line(entry))?;
            }
        }
        after = page.next_after;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn history_line(entry: &Value) -> String {
    let text = |name: &str| entry.get(name).map(shown).unwrap_or_default();
    let known = ["id", "seq", "at", "event", "step"];
    let rest = entry
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !known.contains(&name.as_str()));
    let rest: Vec<String> = rest
        .map(|(name, value)| format!("{name}={}", excerpt(&shown(value), 100)))
        .collect();
    let line = format!(
        "{:>6}  {}  {:<18} {:<16} {}",
        text("id"),
        text("at"),
        text("event"),
        text("step"),
        rest.join(" ")
    );
    line.trim_end().to_owned()
}

/// The reasons why something is not getting on, each as a sentence.
pub(super) fn why(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(answer);
    }
    let entries = match answer.get("items").and_then(Value::as_array) {
        Some(items) if items.is_empty() => return print_line("nothing is open: the run is over"),
        Some(items) => items.as_slice(),
        None => std::slice::from_ref(answer),
    };
    for entry in entries {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        print_line(&format!(
            "{} {}",
            text("step"),
            paint(hue(text("status")), text("status"))
        ))?;
        for reason in entry.get("reasons").and_then(Value::as_array).into_iter().flatten() {
            let words = reason.get("text").and_then(Value::as_str);
            print_line(&format!(
                "  {}",
                words.map_or_else(|| reason.to_string(), str::to_owned)
            ))?;
        }
    }
    Ok(())
}
