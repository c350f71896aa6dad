//! Runs of a task that its service does not have any more.

use quintet_core::command::Command;
use quintet_core::machine::StepStatus;
use quintet_engine::EngineError;
use quintet_executors::push::ACTION;
use quintet_store::StepFilter;

use super::reply::Refusal;
use crate::app::App;

/// Runs looked at at a time.
const PAGE: usize = 500;

/// Calls off the runs in which the task is pending: nobody would ever do it. Attempts under way may end.
pub(super) async fn cancel(app: &App, task: &str, version: &str) -> Result<(), Refusal> {
    let pipelines = &app.pipelines;
    let filter = StepFilter {
        action: Some(ACTION.into()),
        queue: Some(task.into()),
        statuses: vec![StepStatus::Enqueued, StepStatus::WaitingForRetry],
        ..StepFilter::default()
    };
    let reason = format!("Task type removed in version {version}");
    let mut skipped = 0;
    loop {
        let page = pipelines
            .store
            .steps(&pipelines.namespace, &filter, skipped, PAGE)
            .await?;
        let found = page.rows.len();
        for row in page.rows {
            let command = Command::Cancel {
                by: None,
                reason: Some(reason.clone()),
            };
            match app.engine.command(&pipelines.namespace, row.run, command).await {
                Ok(_) => tracing::info!(run = %row.run, task, "run called off: {reason}"),
                // It has ended by itself in the meantime.
                Err(EngineError::Rejected(_) | EngineError::RunNotFound(_)) => skipped += 1,
                Err(error) => return Err(error.into()),
            }
        }
        if found < PAGE {
            return Ok(());
        }
    }
}
