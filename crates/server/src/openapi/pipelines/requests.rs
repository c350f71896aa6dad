//! Bodies that the pipelines face takes. A field that may be absent may also be null.

use serde_json::{Value, json};

use super::super::operation::reference;
use super::super::schemas::object;

const TEN_YEARS_MS: f64 = 315_576_000_000.0;

pub(super) fn all() -> Value {
    json!({
        "Registration": object(&["serviceId", "version", "baseUrl", "tasks"], json!({
            "serviceId": name(), "version": name(),
            "baseUrl": { "type": "string", "minLength": 1, "maxLength": 2048, "description": "Where the worker is called." },
            "tasks": { "type": "array", "maxItems": 10_000, "items": reference("TaskEntry") },
        })),
        "TaskEntry": task(),
        "Heartbeat": object(&["runId"], json!({
            "runId": text(), "progress": number(json!({ "minimum": 0, "maximum": 100 })), "message": optional("string"),
        })),
        "Callback": callback_schema(),
        "InputCheck": object(&["input"], json!({ "input": {} })),
        "DryRunRequest": object(&[], json!({ "input": {} })),
        "Trigger": {
            "description": "An envelope, or the input itself.",
            "anyOf": [reference("TriggerEnvelope"), { "type": "object", "not": { "required": ["input"] } }],
        },
        "TriggerEnvelope": envelope(),
        "QueueItem": object(&["taskId"], wish(json!({ "taskId": text() }))),
        "QueueBatch": object(&["tasks"], json!({
            "tasks": { "type": "array", "maxItems": 1_000, "items": reference("QueueItem") },
        })),
        "RetryAll": object(&[], json!({ "pipelineId": optional("string"), "taskId": optional("string") })),
        "Purge": object(&[], json!({
            "olderThan": { "type": ["string", "null"], "pattern": "^[0-9]+[smhd]$", "description": "For instance 30d, 24h." },
            "olderThanDays": number(json!({ "minimum": 0, "maximum": 1_000_000 })),
        })),
        "UploadForm": {
            "type": "object", "required": ["file"], "additionalProperties": false,
            "properties": { "file": { "contentMediaType": "application/octet-stream", "description": "The file, with its name." } },
        },
    })
}

/// An example.
pub(super) fn registration() -> Value {
    let task = |id: &str, hash: &str, next: &[&str]| json!({ "id": id, "codeHash": hash, "allowedNext": next });
    json!({
        "serviceId": "pdf-processor", "version": "1.0.0", "baseUrl": "http://localhost:9100",
        "tasks": [task("download", "9f86d081884c7d65", &["extract-text"]), task("extract-text", "2c26b46b68ffc68f", &[])],
    })
}

/// An example.
pub(super) fn callback() -> Value {
    let path = "runs/trun_0a1b2c3d4e5f6g7h8i9j0k1l20/output.json";
    json!({ "status": "success", "outputPath": path, "outputSize": 120, "selectedNext": ["extract-text"] })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn name() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 255 })
}

fn task_id() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9_.~-]+$", "maxLength": 255 })
}

fn optional(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn choice(words: &[&str]) -> Value {
    let words = words.iter().map(|word| json!(word));
    json!({ "enum": words.chain([Value::Null]).collect::<Vec<Value>>() })
}

/// A number within bounds, or null.
fn number(bounds: Value) -> Value {
    bounded("number", bounds)
}

fn integer(bounds: Value) -> Value {
    bounded("integer", bounds)
}

fn bounded(kind: &str, mut bounds: Value) -> Value {
    bounds["type"] = json!([kind, "null"]);
    bounds
}

fn span(default_ms: u64) -> Value {
    number(json!({ "exclusiveMinimum": 0, "maximum": TEN_YEARS_MS, "default": default_ms }))
}

fn seconds(default: Option<u64>) -> Value {
    let mut seconds = number(json!({ "exclusiveMinimum": 0, "maximum": TEN_YEARS_MS / 1_000.0 }));
    if let Some(default) = default {
        seconds["default"] = default.into();
    }
    seconds
}

fn task() -> Value {
    object(
        &["id", "codeHash"],
        json!({
            "id": task_id(),
            "codeHash": name(),
            "allowedNext": { "type": ["array", "null"], "items": task_id(), "description": "Tasks that may follow." },
            "timeout": seconds(Some(300)),
            "retries": integer(json!({ "minimum": 0, "maximum": 1_000_000, "default": 3 })),
            "retryBackoff": choice(&["fixed", "exponential"]),
            "retryDelayMs": span(1_000),
            "maxRetryDelayMs": span(86_400_000),
            "heartbeatIntervalMs": span(60_000),
            "concurrency": integer(json!({ "minimum": 0, "maximum": u32::MAX, "default": 0, "description": "0 is no limit." })),
            "priority": number(json!({ "default": 100, "description": "The lower number goes first." })),
            "idempotencyTTL": seconds(None),
            "description": { "type": ["string", "null"], "maxLength": 16_384 },
            "inputSchema": optional("object"),
        }),
    )
}

fn callback_schema() -> Value {
    let asset = object(
        &["path"],
        json!({ "path": text(), "size": number(json!({ "minimum": 0 })), "type": choice(&["json", "text", "binary"]) }),
    );
    object(
        &["status"],
        json!({
            "status": { "enum": ["success", "failed"] },
            "outputPath": optional("string"),
            "outputSize": number(json!({ "minimum": 0 })),
            "assets": { "type": ["object", "null"], "additionalProperties": asset },
            "logsPath": optional("string"),
            "selectedNext": {
                "type": ["array", "null"], "items": text(),
                "description": "Which of the allowed tasks follow: all where it is absent, none where it is empty.",
            },
            "error": optional("string"),
            "errorCode": optional("string"),
            "retryable": { "type": ["boolean", "null"], "description": "False where another attempt cannot help." },
            "details": { "description": "Kept with the failure." },
            "attempt": integer(json!({ "minimum": 1, "maximum": u32::MAX, "description": "Where the path does not tell it." })),
        }),
    )
}

/// What every start takes, and more.
fn wish(mut more: Value) -> Value {
    let (least, most) = (i32::MIN + 1, i32::MAX);
    let words = "The lower number goes first; each task's own where it is absent.";
    more["input"] = json!({});
    more["priority"] = number(json!({ "minimum": least, "maximum": most, "description": words }));
    more["metadata"] = optional("object");
    more["idempotencyKey"] = json!({ "type": ["string", "null"], "minLength": 1, "maxLength": 255 });
    more
}

fn envelope() -> Value {
    let more = json!({
        "failureMode": choice(&["fail-fast", "continue", "partial-merge"]),
        "validationMode": choice(&["strict", "warn", "none"]),
    });
    object(&["input"], wish(more))
}
