//! A run of a pipeline, as it is now or until its end.
//!
//! Progress goes to the standard error, so that the standard output has the outcome and nothing else.

use std::collections::HashMap;
use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::{Client, PipelineRunState, TaskRun};
use serde_json::Value;

use crate::cli::failure::FAILED;
use crate::cli::output::{
    Hue, age, between, duration, excerpt, hue, paint, print_json, print_line, print_table, status_cell,
};

/// Follows a run to its end. A run in which anything failed is exit code 1.
pub async fn to_the_end(client: &Client, run: &str, json: bool) -> anyhow::Result<ExitCode> {
    let mut follower = client.pipelines().follow(run);
    let (mut seen, mut last) = (Seen::default(), None);
    while let Some(state) = follower.next().await {
        let state = state?;
        for line in state.tasks.iter().filter_map(|task| seen.news(task)) {
            eprintln!("{line}");
        }
        last = Some(state);
    }
    let Some(state) = last else {
        anyhow::bail!("{run} cannot be followed");
    };
    print(&state, json)?;
    Ok(if state.run.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// What was told of each task.
#[derive(Debug, Default)]
struct Seen(HashMap<String, (String, u64)>);

impl Seen {
    /// What is new about a task, if anything is.
    fn news(&mut self, task: &TaskRun) -> Option<String> {
        let now = (task.status.clone(), task.attempt);
        let before = self.0.insert(task.id.clone(), now.clone());
        if before.as_ref() == Some(&now) || (before.is_none() && task.status == "pending") {
            return None;
        }
        let mut line = format!("{} {}", task.task_id, paint(hue(&task.status), &task.status));
        if task.attempt > 1 {
            line += &format!(", attempt {}", task.attempt);
        }
        if let Some(took) = took(task) {
            line += &format!(", {}", duration(took));
        }
        if let Some(error) = &task.error {
            line += &format!(": {}", excerpt(error, 200));
        }
        Some(line)
    }
}

fn took(task: &TaskRun) -> Option<u64> {
    between(task.started_at.as_deref()?, task.completed_at.as_deref()?)
}

/// A run and its tasks.
pub fn print(state: &PipelineRunState, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(state);
    }
    let run = &state.run;
    print_line(&format!("run       {}", run.id))?;
    print_line(&format!("pipeline  {}", run.pipeline_id))?;
    print_line(&format!("status    {}", paint(hue(&run.status), &run.status)))?;
    print_line(&format!("created   {} ({})", run.created_at, age(&run.created_at)))?;
    if let Some(took) = run
        .completed_at
        .as_deref()
        .and_then(|end| between(&run.created_at, end))
    {
        print_line(&format!("took      {}", duration(took)))?;
    }
    if let Some(error) = &run.error {
        print_line(&format!("error     {}", paint(Hue::Bad, error)))?;
    }
    print_line("")?;
    let rows = state.tasks.iter().map(row).collect();
    print_table(
        &["TASK", "STATUS", "ATTEMPT", "TOOK", "TASK RUN", "RESULT"],
        rows,
        "no tasks yet",
    )
}

fn row(task: &TaskRun) -> Vec<Cell> {
    let output = || task.more.get("outputPath").and_then(Value::as_str);
    let result = task.error.as_deref().or_else(output).unwrap_or_default();
    vec![
        Cell::new(&task.task_id),
        status_cell(&task.status),
        Cell::new(task.attempt),
        Cell::new(took(task).map(duration).unwrap_or_default()),
        Cell::new(&task.id),
        Cell::new(excerpt(result, 60)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task(status: &str, attempt: u64, error: Option<&str>) -> TaskRun {
        let fields = json!({"id": "trun_1", "taskId": "download", "status": status, "attempt": attempt, "error": error,
            "startedAt": "2026-01-01T00:00:00.000Z", "completedAt": (status == "completed").then_some("2026-01-01T00:00:02.500Z")});
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn each_change_of_a_task_is_told_once() {
        let mut seen = Seen::default();
        let told: Vec<_> = [
            task("pending", 1, None),
            task("running", 1, None),
            task("running", 1, None),
            task("pending", 2, Some("Error: boom")),
            task("running", 2, None),
            task("completed", 2, None),
            task("completed", 2, None),
        ]
        .iter()
        .filter_map(|task| seen.news(task))
        .collect();
        assert_eq!(
            told,
            [
                "download running",
                "download pending, attempt 2: Error: boom",
                "download running, attempt 2",
                "download completed, attempt 2, 2.5s",
            ]
        );
    }
}
