//! What a workflow took. Durations and counts are the engine's own; what a task used is what its worker reported of it,
//! and nothing where it reported nothing.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::order::{ResourceUsage, result_of};
use super::Scene;
use super::task::{attempts, has_failed, took};

/// Nanoseconds of an hour.
const HOUR_NS: f64 = 3.6e12;

/// Figures of a workflow.
#[derive(Serialize)]
pub(in super::super) struct WorkflowMetrics<'s> {
    workflow_id: &'s str,
    execution_time: i64,
    task_metrics: Vec<TaskMetrics<'s>>,
    /// Of all tasks together.
    resource_usage: ResourceUsage,
    /// Failed of all tasks, from 0 to 1.
    error_rate: f64,
    /// Completed tasks; 0 as long as nothing has begun.
    throughput_tasks_per_hour: f64,
    custom_metrics: Value,
}

/// Figures of a task.
#[derive(Serialize)]
struct TaskMetrics<'s> {
    task_id: &'s str,
    execution_time: i64,
    resource_usage: ResourceUsage,
    retry_count: u32,
    custom_metrics: Map<String, Value>,
}

/// Both together.
fn plus(one: ResourceUsage, other: ResourceUsage) -> ResourceUsage {
    ResourceUsage {
        cpu_time: one.cpu_time.saturating_add(other.cpu_time),
        memory_used: one.memory_used.saturating_add(other.memory_used),
        disk_used: one.disk_used.saturating_add(other.disk_used),
        network_io: one.network_io.saturating_add(other.network_io),
    }
}

pub(super) fn of<'s>(scene: &Scene<'s>) -> WorkflowMetrics<'s> {
    let tasks: Vec<TaskMetrics<'s>> = (0..scene.workflow.tasks.len()).map(|nth| of_task(scene, nth)).collect();
    let failed = (0..tasks.len()).filter(|nth| has_failed(scene, *nth)).count();
    let completed = scene.progress().completed_tasks;
    let retries: u64 = tasks.iter().map(|task| u64::from(task.retry_count)).sum();
    let execution_time = scene.duration();
    let hours = execution_time as f64 / HOUR_NS;
    WorkflowMetrics {
        workflow_id: scene.id,
        execution_time,
        resource_usage: tasks
            .iter()
            .fold(ResourceUsage::default(), |all, task| plus(all, task.resource_usage)),
        error_rate: failed as f64 / tasks.len().max(1) as f64,
        throughput_tasks_per_hour: if hours > 0.0 { completed as f64 / hours } else { 0.0 },
        custom_metrics: json!({
            "total_retries": retries,
            "total_tasks": tasks.len(),
            "completed_tasks": completed,
            "failed_tasks": failed,
        }),
        task_metrics: tasks,
    }
}

fn of_task<'s>(scene: &Scene<'s>, nth: usize) -> TaskMetrics<'s> {
    let node = scene.node(nth);
    let success = node.and_then(|node| node.success.as_deref());
    let result = success.map(|success| result_of(&success.output)).unwrap_or_default();
    TaskMetrics {
        task_id: &scene.workflow.tasks[nth].id,
        execution_time: took(node, scene.now),
        resource_usage: result.usage().copied().unwrap_or_default(),
        retry_count: node.map_or(0, |node| attempts(node) - 1),
        custom_metrics: result.metrics.unwrap_or_default(),
    }
}
