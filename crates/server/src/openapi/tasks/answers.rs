//! What the tasks face answers, and what is said of queues and backends.

use serde_json::{Value, json};

use super::super::operation::reference;
use super::super::schemas::{count, object, text, time};

const STATUS: [&str; 4] = ["queued", "running", "completed", "failed"];
const STEP_STATUS: [&str; 5] = ["pending", "running", "completed", "failed", "skipped"];

pub(super) fn all() -> Value {
    let log = object(
        &["step", "job", "logs"],
        json!({ "step": text(), "job": text(), "logs": text() }),
    );
    let problem = object(&["field", "message"], json!({ "field": text(), "message": text() }));
    let error = object(
        &["error"],
        json!({
            "error": { "type": "string", "description": "What is wrong." },
            "message": { "type": "string", "description": "The same, with more where there is more." },
            "statusCode": { "type": "integer" },
            "code": text(),
            "problems": { "type": "array", "items": problem, "description": "Everything that is wrong with a document." },
        }),
    );
    json!({
        "TasksError": { "description": "Of the face, or of what stands before it.", "anyOf": [error, reference("Error")] },
        "TaskAccepted": object(&["taskId", "status", "queue"], json!({
            "taskId": text(), "status": { "const": "queued" },
            "queue": { "type": "string", "description": "As it was asked for." },
        })),
        "Task": task(),
        "TaskStepStatus": step_status(),
        "TaskList": object(&["queue", "count", "tasks"], json!({
            "queue": { "type": "string", "description": "As it was asked for." }, "count": count(),
            "tasks": { "type": "array", "items": reference("Task") },
            "nextCursor": { "type": "string", "description": "Where the next page begins, if there are more." },
        })),
        "TaskCancelled": object(&["taskId", "cancelled"], json!({
            "taskId": text(), "cancelled": { "const": true }, "success": { "const": true },
        })),
        "TaskRetried": object(&["taskId"], json!({ "taskId": { "type": "string", "description": "Of the new one." } })),
        "TaskTypes": object(&["tasks"], json!({ "tasks": { "type": "array", "items": text() } })),
        "TaskLogs": object(&["taskId", "steps"], json!({ "taskId": text(), "steps": { "type": "array", "items": log } })),
        "TaskPicture": object(&["mermaid", "url"], json!({
            "mermaid": { "type": "string", "description": "A flow chart in the language of Mermaid." },
            "url": { "type": "string", "format": "uri", "description": "Where Mermaid's own editor shows it." },
            "svg": { "type": ["string", "null"], "description": "The same, drawn; null where it would be too large." },
            "taskId": text(), "nodes": { "type": "array" }, "edges": { "type": "array" },
        })),
    })
}

fn task() -> Value {
    let progress = json!({ "type": "number", "minimum": 0, "maximum": 100 });
    object(
        &["taskId", "status", "result", "progress"],
        json!({
            "taskId": text(), "id": text(), "status": { "enum": STATUS },
            "result": { "description": "What it gave; null until it is completed." },
            "error": { "type": "string", "description": "Why it failed, or why its last attempt did." },
            "progress": progress, "type": {}, "queue": text(), "createdAt": time(), "startedAt": time(),
            "completedAt": time(), "priority": { "type": "integer" }, "steps": { "type": "array" },
            "stepStatus": { "type": "array", "items": reference("TaskStepStatus") },
            "stepResults": { "type": "object", "description": "By step; also of a task that failed." },
            "totalDuration": { "type": "number", "minimum": 0, "description": "Milliseconds." },
            "runId": { "type": "string", "description": "Of a time of a schedule: the task that was started at it." },
            "schedule": { "type": "object", "description": "Of a time of a schedule that is still to come." },
        }),
    )
}

fn step_status() -> Value {
    object(
        &["id", "task", "status"],
        json!({
            "id": text(), "task": text(), "status": { "enum": STEP_STATUS }, "startedAt": time(), "completedAt": time(),
            "duration": { "type": "number", "minimum": 0, "description": "Milliseconds." }, "error": text(), "result": {},
            "retryAttempt": { "type": "integer", "minimum": 1 },
        }),
    )
}

pub(super) fn queues() -> Value {
    let optional = |kind: &str| json!({ "type": [kind, "null"] });
    let since = || json!({ "type": ["string", "null"], "format": "date-time" });
    let pause = object(&["at"], json!({ "by": text(), "at": time() }));
    let queue = object(
        &["name", "face", "waiting", "running", "paused"],
        json!({
            "name": text(), "face": { "type": "string", "description": "Whose it is." }, "waiting": count(),
            "running": count(), "oldest_at": since(),
            "limit": { "type": ["integer", "null"], "minimum": 0, "description": "Under way at a time; null is no limit." },
            "ageing_ms": { "type": ["integer", "null"], "minimum": 1, "description": "How long waiting is worth one level of priority." },
            "paused": { "anyOf": [pause, { "type": "null" }], "description": "Who has paused it, if somebody has." },
            "closed": { "type": ["string", "null"], "description": "Why nothing of it starts now, beside a pause." },
            "bridge": { "enum": ["workers", "producers", null], "description": "Who is on the other side in Redis." },
        }),
    );
    let backend = object(
        &["name", "kind", "url", "healthy", "circuit", "in_flight"],
        json!({
            "name": text(), "kind": text(), "url": text(), "healthy": optional("boolean"),
            "circuit": { "enum": ["closed", "open", "half_open"], "description": "Closed: calls go through. Open: they wait." },
            "since": since(), "last_error": optional("string"), "gpus": { "description": "What it says it has." },
            "in_flight": count(),
        }),
    );
    json!({
        "TaskQueue": queue,
        "TaskQueueList": object(&["items"], json!({ "items": { "type": "array", "items": reference("TaskQueue") } })),
        "ComputeBackend": backend,
        "ComputeBackendList": object(&["items"], json!({ "items": { "type": "array", "items": reference("ComputeBackend") } })),
    })
}
