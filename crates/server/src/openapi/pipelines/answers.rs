//! What the pipelines face answers.

use serde_json::{Value, json};

use super::super::operation::reference;
use super::super::schemas::{count, object, text, time};
use super::{RUN_STATUS, TASK_STATUS};

const FAILURE_MODE: [&str; 3] = ["fail-fast", "continue", "partial-merge"];

pub(super) fn all() -> [Value; 5] {
    [errors(), registered(), started(), runs(), dead_letters()]
}

pub(super) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

pub(super) fn either(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// A part of a list.
fn part(name: &str, of: &str) -> Value {
    let mut part = object(
        &[name, "total", "limit", "offset"],
        json!({ "total": count(), "limit": count(), "offset": count() }),
    );
    part["properties"][name] = list(reference(of));
    part["properties"]["totalIsExact"] =
        json!({ "const": false, "description": "There where there are more than were counted." });
    part
}

fn errors() -> Value {
    let own = object(
        &["error"],
        json!({
            "error": { "type": "string", "description": "What was refused." },
            "message": { "type": "string", "description": "Why, or what to do." },
            "details": { "type": "object", "description": "Errors of a body by field, each under `_errors`." },
        }),
    );
    json!({ "PipelinesError": {
        "description": "Of the face, or of what stands before it.", "anyOf": [own, reference("Error")],
    } })
}

fn registered() -> Value {
    let change = object(
        &["taskId", "oldHash", "newHash", "oldVersion", "newVersion"],
        json!({ "taskId": text(), "oldHash": text(), "newHash": text(), "oldVersion": count(), "newVersion": count() }),
    );
    let finding = object(
        &["field", "message", "code"],
        json!({ "field": text(), "message": text(), "code": text() }),
    );
    let version = object(
        &["code_version", "code_hash", "service_version", "recorded_at"],
        json!({
            "code_version": count(), "codeVersion": count(), "code_hash": text(), "codeHash": text(),
            "service_version": text(), "serviceVersion": text(), "recorded_at": time(), "recordedAt": time(),
        }),
    );
    json!({
        "Registered": object(&["success", "codeChanges"], json!({
            "success": { "const": true }, "codeChanges": list(change), "orphanedTasks": list(text()),
        })),
        "Service": object(
            &["id", "serviceId", "version", "baseUrl", "status", "registeredAt", "lastHeartbeat", "taskCount"],
            json!({
                "id": text(), "serviceId": text(), "version": text(), "baseUrl": text(),
                "status": { "enum": ["active", "inactive", "disconnected"] }, "registeredAt": time(),
                "lastHeartbeat": { "type": ["string", "null"], "format": "date-time", "description": "Last sign of life, as far as this process knows." },
                "taskCount": count(), "tasks": list(reference("TaskDefinition")),
            }),
        ),
        "ServiceList": object(&["services"], json!({ "services": list(reference("Service")) })),
        "ServiceAnswer": object(&["service"], json!({ "service": reference("Service") })),
        "ServiceRemoved": object(&["success", "serviceId"], json!({ "success": { "const": true }, "serviceId": text() })),
        "ServiceTasks": object(&["serviceId", "tasks"], json!({ "serviceId": text(), "tasks": list(reference("TaskDefinition")) })),
        "TaskDefinition": task(),
        "TaskHistory": object(&["history"], json!({ "history": list(version) })),
        "InputSchema": object(&["taskId", "hasSchema", "schema"], json!({
            "taskId": text(), "hasSchema": flag(), "schema": either("object"),
        })),
        "InputFinding": finding,
        "InputFindings": { "type": "object", "description": "By entry task.", "additionalProperties": list(reference("InputFinding")) },
        "InputValidation": object(&["valid", "errors"], json!({ "valid": flag(), "errors": list(reference("InputFinding")) })),
        "Pipeline": pipeline(),
        "PipelineList": object(&["pipelines"], json!({ "pipelines": list(reference("Pipeline")) })),
        "PipelineAnswer": object(&["pipeline"], json!({ "pipeline": reference("Pipeline") })),
        "DryRun": dry_run(),
    })
}

fn task() -> Value {
    let number = || json!({ "type": "number", "minimum": 0 });
    object(
        &[
            "id",
            "serviceId",
            "codeHash",
            "codeVersion",
            "allowedNext",
            "timeout",
            "retries",
            "retryBackoff",
            "retryDelayMs",
            "maxRetryDelayMs",
            "heartbeatIntervalMs",
            "concurrency",
            "priority",
            "registeredAt",
            "updatedAt",
        ],
        json!({
            "id": text(), "serviceId": text(), "codeHash": text(), "codeVersion": count(), "allowedNext": list(text()),
            "timeout": number(), "retries": count(), "retryBackoff": { "enum": ["fixed", "exponential"] },
            "retryDelayMs": count(), "maxRetryDelayMs": count(), "heartbeatIntervalMs": count(), "concurrency": count(),
            "priority": { "type": "integer" }, "idempotencyTTL": number(), "description": text(),
            "inputSchema": { "type": "object" }, "registeredAt": time(), "updatedAt": time(),
        }),
    )
}

fn structure() -> Value {
    let node = object(&["allowedNext"], json!({ "allowedNext": list(text()) }));
    json!({ "type": "object", "description": "By task.", "additionalProperties": node })
}

fn pipeline() -> Value {
    object(
        &[
            "id",
            "name",
            "description",
            "source",
            "entry_tasks",
            "structure",
            "version",
            "failure_mode",
            "created_at",
            "updated_at",
            "metadata",
        ],
        json!({
            "id": text(), "name": text(), "description": either("string"), "source": { "enum": ["service", "task"] },
            "entry_tasks": list(text()), "entryTasks": list(text()), "structure": structure(), "version": text(),
            "failure_mode": { "enum": FAILURE_MODE }, "failureMode": { "enum": FAILURE_MODE }, "created_at": time(),
            "createdAt": time(), "updated_at": time(), "updatedAt": time(), "metadata": { "type": "object" },
        }),
    )
}

fn dry_run() -> Value {
    let step = object(
        &["step", "tasks", "type"],
        json!({
            "step": { "type": "integer", "minimum": 0, "description": "From 0." }, "tasks": list(text()),
            "type": { "enum": ["entry", "parallel", "join", "end"] }, "waitsFor": list(text()),
        }),
    );
    object(
        &["valid", "errors", "warnings", "executionPlan"],
        json!({
            "valid": flag(), "errors": list(text()), "warnings": list(text()), "executionPlan": list(step),
            "validationWarnings": reference("InputFindings"),
        }),
    )
}

fn started() -> Value {
    let is_cancelled = json!({ "type": "boolean", "description": "Nobody waits for this attempt any more." });
    json!({
        "HeartbeatAnswer": object(&["acknowledged", "shouldCancel"], json!({
            "acknowledged": { "const": true }, "shouldCancel": is_cancelled,
        })),
        "CallbackAnswer": object(&["acknowledged"], json!({
            "acknowledged": { "const": true },
            "queuedDownstream": { "type": "integer", "minimum": 0, "description": "After a success: tasks that follow now." },
            "retrying": { "type": "boolean", "description": "After a failure: whether another attempt follows." },
        })),
        "Triggered": object(&["pipelineRunId", "status", "inputPath", "entryTasks", "queuedTasks"], json!({
            "pipelineRunId": text(), "status": { "const": "running" }, "inputPath": text(), "entryTasks": list(text()),
            "queuedTasks": { "type": "array", "items": text(), "description": "Ids of their task runs." },
            "validationWarnings": reference("InputFindings"),
        })),
        "Queued": object(&["runId", "status", "taskId", "inputPath"], json!({
            "runId": text(), "taskId": text(), "inputPath": text(),
            "status": { "enum": ["queued", "completed"], "description": "`completed` where the key stands for a result." },
        })),
        "QueuedBatch": object(&["queued", "results"], json!({ "queued": count(), "results": list(reference("Queued")) })),
        "QueueStatus": object(&["pending", "running", "waiting", "completed", "failed", "dlq", "oldestPending"], json!({
            "pending": count(), "running": count(), "waiting": count(), "completed": count(), "failed": count(),
            "dlq": count(), "oldestPending": { "type": ["string", "null"], "format": "date-time" },
        })),
        "Processed": object(&["status", "processed", "timestamp"], json!({
            "status": { "const": "ok" }, "processed": count(), "timestamp": time(),
        })),
    })
}

fn runs() -> Value {
    let run = object(
        &[
            "id",
            "pipelineRunId",
            "pipelineId",
            "status",
            "failureMode",
            "inputPath",
            "structureSnapshot",
            "pipelineVersion",
            "createdAt",
            "updatedAt",
            "metadata",
        ],
        json!({
            "id": text(), "pipelineRunId": text(), "pipelineId": text(), "status": { "enum": RUN_STATUS },
            "failureMode": { "enum": FAILURE_MODE }, "inputPath": text(), "outputPath": text(),
            "structureSnapshot": structure(), "pipelineVersion": text(), "error": text(), "startedAt": time(),
            "completedAt": time(), "createdAt": time(), "updatedAt": time(), "metadata": { "type": "object" },
        }),
    );
    let previous = object(
        &["attempt", "error", "timestamp"],
        json!({ "attempt": count(), "error": text(), "errorCode": text(), "timestamp": time() }),
    );
    json!({
        "PipelineRun": run,
        "PipelineRunList": part("runs", "PipelineRun"),
        "PipelineRunAnswer": object(&["run", "tasks"], json!({ "run": reference("PipelineRun"), "tasks": list(reference("TaskRun")) })),
        "PreviousAttempt": previous,
        "TaskRun": task_run(),
        "TaskRunList": part("items", "TaskRun"),
    })
}

fn task_run() -> Value {
    let progress = object(
        &[],
        json!({ "progress": { "type": "number", "minimum": 0, "maximum": 100 }, "message": text() }),
    );
    object(
        &[
            "id",
            "runId",
            "taskId",
            "status",
            "codeVersion",
            "codeHash",
            "attempt",
            "maxRetries",
            "maxAttempts",
            "priority",
            "inputPath",
            "upstreamRefs",
            "selectedNext",
            "previousAttempts",
            "createdAt",
            "updatedAt",
            "metadata",
        ],
        json!({
            "id": text(), "runId": text(), "taskId": text(), "pipelineRunId": text(), "status": { "enum": TASK_STATUS },
            "codeVersion": count(), "codeHash": text(),
            "codeChanged": { "type": "boolean", "description": "It is other code than in the run before." },
            "attempt": count(), "maxRetries": count(), "maxAttempts": count(), "priority": { "type": "integer" },
            "inputPath": text(), "outputPath": text(), "outputSize": { "type": "number" }, "assets": { "type": "object" },
            "logsPath": text(), "error": text(), "errorCode": text(), "idempotencyKey": text(),
            "upstreamRefs": { "type": "object" },
            "selectedNext": { "type": ["array", "null"], "items": text(), "description": "Null where the task did not choose." },
            "previousAttempts": list(reference("PreviousAttempt")), "scheduledAt": time(), "startedAt": time(),
            "completedAt": time(), "lastHeartbeat": time(), "progress": progress, "createdAt": time(), "updatedAt": time(),
            "metadata": { "type": "object" },
        }),
    )
}

fn dead_letters() -> Value {
    let letter = object(
        &[
            "id",
            "taskRunId",
            "taskId",
            "codeVersion",
            "codeHash",
            "error",
            "attempts",
            "failedAt",
            "input",
            "inputPath",
            "upstreamRefs",
            "previousAttempts",
        ],
        json!({
            "id": text(), "taskRunId": text(), "taskId": text(), "pipelineRunId": text(), "pipelineId": text(),
            "codeVersion": count(), "codeHash": text(), "error": text(), "errorCode": text(), "attempts": count(),
            "failedAt": time(), "input": {}, "inputPath": text(), "upstreamRefs": { "type": "object" },
            "previousAttempts": list(reference("PreviousAttempt")), "retriedAt": time(), "retryRunId": text(),
        }),
    );
    let retried = || json!({ "newRunId": text(), "status": { "const": "queued" }, "codeVersion": count() });
    let mut one = retried();
    one["id"] = text();
    let refused = object(
        &["id", "error", "message"],
        json!({ "id": text(), "error": text(), "message": text() }),
    );
    json!({
        "DeadLetter": letter,
        "DeadLetterList": part("items", "DeadLetter"),
        "Retried": object(&["newRunId", "status", "codeVersion"], retried()),
        "RetriedAll": object(&["retried", "results", "failed"], json!({
            "retried": count(), "results": list(object(&["id", "newRunId", "status", "codeVersion"], one)), "failed": list(refused),
            "remaining": { "type": "integer", "minimum": 1, "description": "Not looked at: ask again." },
        })),
        "Purged": object(&["purged"], json!({ "purged": count() })),
    })
}
