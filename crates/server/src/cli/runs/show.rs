//! Runs, steps and histories as tables.

use comfy_table::Cell;
use quintet_client::{Client, Run};
use serde_json::Value;

use crate::cli::output::{
    Hue, age, between, duration, excerpt, hue, paint, print_json, print_json_line, print_line, print_table, status_cell,
};

/// One line about a run that was just moved, or all of it as JSON.
pub fn print_state(run: &Run, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(run);
    }
    print_line(&format!("{} {}", run.id, paint(hue(run.status.as_str()), run.status.as_str())))
}

pub(super) fn list(runs: &[Run], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&runs);
    }
    let rows = runs.iter().map(|run| {
        let took = between(&run.created_at, &run.updated_at).filter(|_| run.status.is_finished());
        vec![
            Cell::new(&run.id),
            Cell::new(if run.workflow_id.is_empty() { "(inline)" } else { &run.workflow_id }),
            status_cell(run.status.as_str()),
            Cell::new(age(&run.created_at)),
            Cell::new(took.map(duration).unwrap_or_default()),
        ]
    });
    print_table(&["ID", "WORKFLOW", "STATUS", "CREATED", "TOOK"], rows.collect(), "no runs")
}

pub(super) async fn run(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    let run = client.runs().get(id).await?;
    if json {
        return print_json(&run);
    }
    let steps = client.runs().steps(id).await?.items;
    let workflow = if run.workflow_id.is_empty() { "(inline)" } else { &run.workflow_id };
    print_line(&format!("run       {}", run.id))?;
    print_line(&format!("workflow  {workflow}"))?;
    print_line(&format!("status    {}", paint(hue(run.status.as_str()), run.status.as_str())))?;
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
    self::steps(&steps, false)
}

pub(super) fn steps(steps: &[Value], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&steps);
    }
    print_table(&STEP_HEADING, steps.iter().map(step_row).collect(), "no steps")
}

/// Heading of a table of steps.
pub const STEP_HEADING: [&str; 6] = ["STEP", "ACTION", "STATUS", "ATTEMPTS", "TOOK", "RESULT"];

/// One row of a table of steps.
pub fn step_row(step: &Value) -> Vec<Cell> {
    let text = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
    let error = step.get("error").and_then(Value::as_str).filter(|error| !error.is_empty());
    let result = error.map_or_else(|| step.get("output").map(shown).unwrap_or_default(), str::to_owned);
    let attempts = step.get("attempts").and_then(Value::as_u64).filter(|made| *made > 0);
    let took = step.get("duration_ms").and_then(Value::as_u64).map(duration);
    let status = text("status");
    vec![
        Cell::new(text("step_id")),
        Cell::new(text("action")),
        status_cell(status),
        Cell::new(attempts.map(|made| made.to_string()).unwrap_or_default()),
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
        let last = page.items.last().and_then(|entry| entry.get("seq")).and_then(Value::as_u64);
        if page.items.len() < 500 || last.is_none() || last == after {
            return Ok(());
        }
        after = last;
    }
}

fn history_line(entry: &Value) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let seq = entry.get("seq").map(Value::to_string).unwrap_or_default();
    let details = entry.as_object().map(|fields| {
        let known = ["seq", "n", "at", "type", "event", "run_id"];
        let rest = fields.iter().filter(|(name, value)| !known.contains(&name.as_str()) && !value.is_null());
        rest.map(|(name, value)| format!("{name}={}", excerpt(&shown(value), 100))).collect::<Vec<_>>().join(" ")
    });
    format!("{seq:>5}  {}  {:<20}  {}", text("at"), text("type"), details.unwrap_or_default()).trim_end().to_owned()
}

/// The reasons why something is not getting on, each as a sentence.
pub(super) fn why(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(answer);
    }
    let status = answer.get("status").and_then(Value::as_str).unwrap_or_default();
    let subject = answer.get("step_id").or(answer.get("run_id")).and_then(Value::as_str).unwrap_or_default();
    print_line(&format!("{subject} {}", paint(hue(status), status)).trim().to_owned())?;
    for reason in reasons(answer) {
        print_line(&format!("  {reason}"))?;
    }
    Ok(())
}

/// Reasons of the thing itself, then of each of its steps.
fn reasons(answer: &Value) -> Vec<String> {
    let list = |value: &Value| value.get("reasons").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines: Vec<String> = list(answer).iter().map(sentence).collect();
    for step in answer.get("steps").or(answer.get("items")).and_then(Value::as_array).into_iter().flatten() {
        let key = step.get("step_id").and_then(Value::as_str).unwrap_or_default();
        lines.extend(list(step).iter().map(|reason| format!("{key}: {}", sentence(reason))));
    }
    lines
}

fn sentence(reason: &Value) -> String {
    if let Some(text) = reason.get("message").and_then(Value::as_str) {
        return text.to_owned();
    }
    let text = |name: &str| reason.get(name).map(shown).unwrap_or_default();
    match reason.get("reason").and_then(Value::as_str).unwrap_or_default() {
        "run_finished" => format!("the run is over: {}", text("status")),
        "step_settled" => format!("the step has ended: {}", text("status")),
        "paused" => format!("paused by {}{}", or(text("by"), "somebody"), comment(&text("comment"))),
        "stopped_by_failure" => format!("step {} failed: {}", text("step"), text("error")),
        "dependency" => format!("waits for step {} ({})", text("step"), text("status")),
        "retry_at" => format!("attempt {} follows at {}; the last one: {}", text("attempt"), text("at"), text("error")),
        "approval" => "waits for an approval".to_owned(),
        "waiting_until" => format!("waits until {}", text("at")),
        "no_free_executor" => format!("waits for a free executor of {}", text("action")),
        "run_concurrency" => format!("the run's limit of {} steps at a time is reached", text("limit")),
        "item_concurrency" => format!("the limit of {} items at a time is reached", text("limit")),
        "items" => format!("{} of {} items are done, {} are running", text("done"), text("total"), text("running")),
        "running" => format!("attempt {} is running since {}", text("attempt"), text("since")),
        _ => reason.to_string(),
    }
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}

fn comment(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_are_sentences() {
        let answer = json!({"run_id": "run_1", "status": "RUNNING", "steps": [
            {"step_id": "b", "reasons": [{"reason": "dependency", "step": "a", "status": "RETRYING"}]},
            {"step_id": "a", "reasons": [{"reason": "retry_at", "at": "12:00", "attempt": 2, "error": "http status 503"}]},
        ]});
        assert_eq!(
            reasons(&answer),
            ["b: waits for step a (RETRYING)", "a: attempt 2 follows at 12:00; the last one: http status 503"]
        );
        assert_eq!(sentence(&json!({"reason": "paused", "by": null, "comment": "lunch"})), "paused by somebody: lunch");
        assert_eq!(sentence(&json!({"reason": "something_new"})), "{\"reason\":\"something_new\"}");
    }
}
