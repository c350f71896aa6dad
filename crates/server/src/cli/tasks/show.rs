//! Tasks as tables.

use comfy_table::Cell;
use quintet_client::{JobLog, StepStatus, Task};
use serde_json::{Number, Value};

use crate::cli::output::{
    Hue, age, between, duration, excerpt, hue, paint, print_json, print_line, print_table, status_cell,
};

/// Longest result that is shown to people; `--json` has all of it.
const RESULT: usize = 400;

/// One task with its steps.
pub(super) fn task(task: &Task, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(task);
    }
    let line = |name: &str, value: &str| match value {
        "" => Ok(()),
        value => print_line(&format!("{name:<9} {value}")),
    };
    line("task", &task.task_id)?;
    line("type", task.kind.as_deref().unwrap_or_default())?;
    line("queue", task.queue.as_deref().unwrap_or_default())?;
    line("status", &paint(hue(&task.status), &task.status))?;
    if !task.is_finished() {
        line("progress", &format!("{:.0}%", task.percent()))?;
    }
    if let Some(created) = &task.created_at {
        line("created", &format!("{created} ({})", age(created)))?;
    }
    line("took", &took(task).map(duration).unwrap_or_default())?;
    line(
        "error",
        &task
            .error
            .as_deref()
            .map(|error| paint(Hue::Bad, error))
            .unwrap_or_default(),
    )?;
    if task.step_status.is_empty() {
        return line("result", &result(&task.result));
    }
    print_line("")?;
    let rows = task.step_status.iter().map(step).collect();
    print_table(&["STEP", "TASK", "STATUS", "TOOK", "ERROR"], rows, "no steps")?;
    let last = task.result.get("finalResult").map(result).unwrap_or_default();
    if last.is_empty() {
        return Ok(());
    }
    print_line("")?;
    line("result", &last)
}

fn step(step: &StepStatus) -> Vec<Cell> {
    vec![
        Cell::new(&step.id),
        Cell::new(&step.task),
        status_cell(&step.status),
        Cell::new(
            step.duration
                .as_ref()
                .and_then(Number::as_u64)
                .map(duration)
                .unwrap_or_default(),
        ),
        Cell::new(excerpt(step.error.as_deref().unwrap_or_default(), 80)),
    ]
}

fn took(task: &Task) -> Option<u64> {
    between(task.started_at.as_deref()?, task.completed_at.as_deref()?)
}

fn result(result: &Value) -> String {
    match result {
        Value::Null => String::new(),
        Value::String(text) => excerpt(text, RESULT),
        other => excerpt(&other.to_string(), RESULT),
    }
}

/// What jobs have written.
pub(super) fn logs(logs: &[JobLog], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&logs);
    }
    if logs.is_empty() {
        eprintln!("no logs; they are kept of jobs, which the backend `ray-jobs` runs");
    }
    for log in logs {
        // With one step there is nothing to tell apart.
        if logs.len() > 1 {
            print_line(&format!("── {} ({})", log.step, log.job))?;
        }
        print_line(log.logs.trim_end())?;
    }
    Ok(())
}

/// Some tasks.
pub(super) fn list(tasks: &[Task], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&tasks);
    }
    let rows = tasks.iter().map(|task| {
        vec![
            Cell::new(&task.task_id),
            Cell::new(task.kind.as_deref().unwrap_or_default()),
            Cell::new(task.queue.as_deref().unwrap_or_default()),
            status_cell(&task.status),
            Cell::new(format!("{:.0}%", task.percent())),
            Cell::new(task.created_at.as_deref().map(age).unwrap_or_default()),
            Cell::new(excerpt(task.error.as_deref().unwrap_or_default(), 60)),
        ]
    });
    let heading = ["ID", "TYPE", "QUEUE", "STATUS", "PROGRESS", "CREATED", "ERROR"];
    print_table(&heading, rows.collect(), "no such tasks")
}
