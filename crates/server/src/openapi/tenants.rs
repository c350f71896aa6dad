//! The operations of the tenants face, and their schemas. Durations are whole nanoseconds, both ways.

use serde_json::{Map, Value, json};

use super::operation::{Operation, reference};
use super::paths::idempotent;
use super::schemas::{count, object, text, time};

const TAG: &str = "tenants";
const UNKNOWN: &str = "No such workflow, or another tenant's.";
const UNFIT: &str = "The body is wrong, or the state of the workflow does not allow it.";
const WORKFLOW_STATUS: [&str; 6] = ["pending", "running", "paused", "completed", "failed", "cancelled"];
const TASK_STATUS: [&str; 8] = [
    "pending",
    "queued",
    "running",
    "completed",
    "failed",
    "skipped",
    "cancelled",
    "retrying",
];

/// Every operation of the face.
pub(super) fn all() -> Vec<Operation> {
    let mut all = workflows();
    all.extend(controls());
    all.push(
        operation(
            "post /api/v1/dag/validate",
            "validateTaskGraph",
            "Check tasks and their dependencies",
        )
        .about("Runs nothing. Of all tasks that could be next in the order, the one of the highest priority is.")
        .body("TaskGraph", true, graph())
        .ok("TaskGraphReport"),
    );
    all
}

fn operation(call: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(call, id, TAG, summary).of_tenants()
}

fn workflows() -> Vec<Operation> {
    let number = |least: u64, default: u64| json!({ "type": "integer", "minimum": least, "default": default });
    let accepted = json!({
        "description": "Accepted, and under way.",
        "content": { "application/json": { "schema": reference("TenantWorkflowAccepted") } },
    });
    let execute = operation(
        "post /api/v1/tenants/{tenant}/workflows",
        "executeTenantWorkflow",
        "Start a workflow of tasks",
    );
    vec![
        idempotent(execute)
            .about("What is done for a task is said by the settings of the server, by its type.")
            .body("TenantWorkflowRequest", true, workflow())
            .answer(201, accepted)
            .error(
                400,
                "The body is wrong; the graph is: `error` holds all that is wrong with it.",
            )
            .error(409, "The idempotency key was used for another request."),
        operation(
            "get /api/v1/tenants/{tenant}/workflows",
            "listTenantWorkflows",
            "List workflows, newest first",
        )
        .about("A number that is none, or out of range, counts as not given.")
        .query("page", "Counted from 0.", number(0, 0))
        .query("page_size", "From 1 to 100.", number(1, 20))
        .query("status", "Only in this state; an unknown one has no workflows.", text())
        .ok("TenantWorkflowList"),
        operation(
            "get /api/v1/tenants/{tenant}/workflows/{workflow}",
            "getTenantWorkflow",
            "Read a workflow",
        )
        .ok("TenantWorkflow")
        .error(404, UNKNOWN),
        operation(
            "get /api/v1/tenants/{tenant}/workflows/{workflow}/metrics",
            "getTenantWorkflowMetrics",
            "Read what a workflow took",
        )
        .about("What tasks used is what their workers reported.")
        .ok("TenantWorkflowMetrics")
        .error(404, UNKNOWN),
    ]
}

fn controls() -> Vec<Operation> {
    let done = || json!({ "description": "Done; the body is empty." });
    let reason = || json!({ "reason": "the release is frozen" });
    let control = |call, id, summary, example: Value| {
        let required = example.get("task_id").is_some();
        operation(call, id, summary)
            .body("TenantWorkflowControl", required, example)
            .answer(200, done())
            .error(400, UNFIT)
            .error(404, UNKNOWN)
    };
    vec![
        control(
            "post /api/v1/tenants/{tenant}/workflows/{workflow}/pause",
            "pauseTenantWorkflow",
            "Start no further task",
            reason(),
        )
        .about("Tasks under way go on."),
        control(
            "post /api/v1/tenants/{tenant}/workflows/{workflow}/resume",
            "resumeTenantWorkflow",
            "Lift the pause",
            reason(),
        )
        .about("What has been done is not done again."),
        control(
            "post /api/v1/tenants/{tenant}/workflows/{workflow}/cancel",
            "cancelTenantWorkflow",
            "Call a workflow off",
            json!({ "reason": "no longer needed", "force": true }),
        )
        .about("Also one that has failed. That it was forced is only remembered."),
        control(
            "post /api/v1/tenants/{tenant}/workflows/{workflow}/retry",
            "retryTenantTask",
            "Try a failed task again",
            json!({ "task_id": "build" }),
        )
        .about("The workflow goes on from there."),
    ]
}

fn graph() -> Value {
    let task = |id: &str| json!({ "id": id, "type": "codegen" });
    json!({ "tasks": [task("build"), task("test")], "dependencies": [{ "from": "build", "to": "test" }] })
}

fn workflow() -> Value {
    let mut workflow = graph();
    workflow["intent_id"] = "release-42".into();
    workflow["configuration"] = json!({ "max_concurrency": 4, "failure_policy": "continue" });
    workflow
}

/// The schemas that the operations name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    for part in [errors(), requests(), answers(), figures()] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    all
}

fn errors() -> Value {
    let error = object(
        &["error", "timestamp", "status"],
        json!({ "error": text(), "timestamp": time(), "status": { "type": "integer" } }),
    );
    json!({ "TenantsError": { "description": "Of the face, or of what stands before it.", "anyOf": [error, reference("Error")] } })
}

fn nanoseconds() -> Value {
    json!({ "type": "integer", "description": "Nanoseconds." })
}

fn list(of: Value) -> Value {
    json!({ "type": ["array", "null"], "items": of })
}

fn table() -> Value {
    json!({ "type": ["object", "null"] })
}

/// Fields of the Go types, which may be absent or null on their way in, and never are on their way out.
fn requests() -> Value {
    let texts = || list(text());
    json!({
        "TenantTask": { "type": "object", "properties": {
            "id": text(), "type": { "type": "string", "description": "What is done for it is said by the settings." },
            "description": text(), "dependencies": texts(),
            "priority": { "type": "string", "description": "high, medium, low, or a whole number; medium if empty." },
            "agent_type": text(), "parameters": table(), "timeout": nanoseconds(),
            "retries": { "type": "integer", "description": "Attempts after the first." },
            "metadata": table(), "status": text(), "created_at": text(), "started_at": text(), "completed_at": text(),
        } },
        "TenantTaskDependency": { "type": "object", "properties": {
            "from": { "type": "string", "description": "Comes before `to`." }, "to": text(), "type": text(),
        } },
        "TenantWorkflowConfiguration": { "type": "object", "properties": {
            "max_concurrency": { "type": "integer", "description": "4 if 0." },
            "timeout": { "type": "integer", "description": "Nanoseconds; half an hour if 0." },
            "failure_policy": { "enum": ["", "abort", "continue", "retry"] },
            "retry_policy": { "type": "object", "properties": {
                "max_retries": { "type": "integer" }, "initial_delay": nanoseconds(), "max_delay": nanoseconds(),
                "backoff_factor": { "type": "number" },
            } },
            "notification_policy": text(),
            "enable_hitl": { "type": "boolean", "description": "A person has to agree before the first task." },
            "validation_level": { "enum": ["", "none", "basic", "strict"] },
        } },
        "TenantWorkflowRequest": { "type": "object", "required": ["intent_id", "tasks"], "properties": {
            "intent_id": { "type": "string", "minLength": 1 }, "intent_text": text(),
            "tasks": { "type": "array", "minItems": 1, "items": reference("TenantTask") },
            "dependencies": list(reference("TenantTaskDependency")),
            "configuration": reference("TenantWorkflowConfiguration"), "context": table(), "metadata": table(),
        } },
        "TenantWorkflowControl": { "type": "object", "properties": {
            "reason": text(), "force": { "type": "boolean", "description": "Only of a cancellation." },
            "task_id": { "type": "string", "description": "Only of a retry, and required there." },
        } },
        "TaskGraph": { "type": "object", "required": ["tasks"], "properties": {
            "tasks": { "type": "array", "minItems": 1, "items": reference("TenantTask") },
            "dependencies": list(reference("TenantTaskDependency")),
        } },
    })
}

fn answers() -> Value {
    let names = || json!({ "type": "array", "items": text() });
    let progress = || reference("TenantWorkflowProgress");
    let task = object(
        &["task", "status", "agent_id", "duration", "attempts", "logs", "metadata"],
        json!({
            "task": reference("TenantTask"), "status": { "enum": TASK_STATUS }, "agent_id": text(), "started_at": time(),
            "completed_at": time(), "duration": nanoseconds(), "attempts": { "type": "integer", "minimum": 1 },
            "result": reference("TenantTaskResult"), "error": { "type": "object" }, "logs": names(),
            "metadata": { "type": "object" },
        }),
    );
    let execution = object(
        &[
            "id",
            "intent_id",
            "status",
            "tasks",
            "progress",
            "results",
            "errors",
            "created_at",
            "duration",
            "metadata",
        ],
        json!({
            "id": text(), "intent_id": text(), "status": { "enum": WORKFLOW_STATUS },
            "tasks": { "type": "array", "items": task }, "dependencies": list(reference("TenantTaskDependency")),
            "configuration": reference("TenantWorkflowConfiguration"), "context": { "type": "object" },
            "progress": progress(),
            "results": { "type": "object", "additionalProperties": reference("TenantTaskResult") },
            "errors": { "type": "array", "items": { "type": "object" } }, "created_at": time(), "started_at": time(),
            "completed_at": time(), "duration": nanoseconds(), "metadata": { "type": "object" },
        }),
    );
    let summary = object(
        &["id", "intent_id", "status", "progress", "created_at", "duration"],
        json!({
            "id": text(), "intent_id": text(), "status": { "enum": WORKFLOW_STATUS }, "progress": progress(),
            "created_at": time(), "completed_at": time(), "duration": nanoseconds(),
        }),
    );
    json!({
        "TenantExecution": execution,
        "TenantTaskResult": object(&["output", "files", "artifacts", "metrics"], json!({
            "output": text(), "files": table(), "artifacts": list(text()), "metrics": table(),
            "validation_result": { "type": "object" }, "sandbox_result": { "type": "object" },
        })),
        "TenantWorkflowProgress": object(&["total_tasks", "percent_complete"], json!({
            "total_tasks": count(), "completed_tasks": count(), "failed_tasks": count(), "running_tasks": count(),
            "pending_tasks": count(), "percent_complete": { "type": "number", "minimum": 0, "maximum": 100 },
            "estimated_time_left": { "type": "integer", "description": "Nanoseconds; 0 where nothing is known." },
        })),
        "TenantWorkflow": object(&["workflow_id", "execution"], json!({
            "workflow_id": text(), "execution": reference("TenantExecution"),
        })),
        "TenantWorkflowAccepted": object(&["workflow_id", "status", "message", "execution"], json!({
            "workflow_id": text(), "status": { "enum": WORKFLOW_STATUS }, "message": text(),
            "execution": reference("TenantExecution"),
        })),
        "TenantWorkflowList": object(&["workflows", "total", "page", "page_size"], json!({
            "workflows": { "type": "array", "items": summary },
            "total": { "type": "integer", "minimum": 0, "description": "On all pages together." },
            "page": count(), "page_size": count(),
        })),
        "TaskGraphReport": object(&["valid"], json!({
            "valid": { "type": "boolean" }, "errors": names(), "warnings": names(), "execution_order": names(),
            "levels": { "type": "array", "items": names(), "description": "Tasks that could run at a time." },
            "critical_path": names(),
        })),
    })
}

fn figures() -> Value {
    let usage = || {
        object(
            &["cpu_time", "memory_used", "disk_used", "network_io"],
            json!({
                "cpu_time": nanoseconds(), "memory_used": { "type": "integer" }, "disk_used": { "type": "integer" },
                "network_io": { "type": "integer" },
            }),
        )
    };
    let task = object(
        &[
            "task_id",
            "execution_time",
            "resource_usage",
            "retry_count",
            "custom_metrics",
        ],
        json!({
            "task_id": text(), "execution_time": nanoseconds(), "resource_usage": usage(), "retry_count": count(),
            "custom_metrics": { "type": "object" },
        }),
    );
    json!({ "TenantWorkflowMetrics": object(
        &["workflow_id", "execution_time", "task_metrics", "resource_usage", "error_rate", "custom_metrics"],
        json!({
            "workflow_id": text(), "execution_time": nanoseconds(),
            "task_metrics": { "type": "array", "items": task }, "resource_usage": usage(),
            "error_rate": { "type": "number", "minimum": 0, "maximum": 1 },
            "throughput_tasks_per_hour": { "type": "number", "minimum": 0 }, "custom_metrics": { "type": "object" },
        }),
    ) })
}
