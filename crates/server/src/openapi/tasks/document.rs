//! What may be submitted: a task, its steps, and what is told to others when something happens to it.

use serde_json::{Value, json};

use super::super::operation::reference;
use super::super::schemas::{object, text};

/// An example.
pub(super) fn chat() -> Value {
    json!({ "type": "text.chat", "payload": { "prompt": "Hello!" }, "queue": "default", "priority": 0 })
}

/// An example.
pub(super) fn download() -> Value {
    let process = json!({
        "id": "process", "task": "video.process", "dependsOn": ["download"], "input": { "file": "{{steps.download.path}}" },
    });
    let download = json!({ "id": "download", "task": "data.download", "input": { "url": "{{payload.url}}" } });
    json!({ "type": "pipeline", "payload": { "url": "https://example.com/a.mp4" }, "steps": [download, process] })
}

pub(super) fn all() -> Value {
    json!({
        "TaskDocument": document(),
        "TaskStep": step(),
        "TaskPictureRequest": object(&["steps"], json!({
            "steps": { "type": "array", "minItems": 1, "items": reference("TaskStep") },
        })),
        "TaskResources": object(&[], json!({
            "gpu": { "type": ["boolean", "string", "null"], "description": "Any, or one of this model." },
            "vram": number("MB of the GPU's memory."), "ram": number("MB."), "cpu": number("Cores."),
            "timeout": number("Seconds that a step, or a task without steps, may take with all its attempts."),
        })),
        "TaskRetry": object(&[], json!({
            "attempts": { "type": ["integer", "null"], "minimum": 0, "default": 3, "description": "In all; 0 is the default." },
            "backoff": { "enum": ["fixed", "exponential", null] },
            "delay": { "type": ["number", "null"], "minimum": 0, "default": 1000, "description": "Milliseconds." },
            "maxDelay": { "type": ["number", "null"], "minimum": 0, "description": "Milliseconds that a wait may grow to." },
        })),
        "TaskChunk": object(&["inputField"], json!({
            "inputField": { "type": "string", "minLength": 1, "description": "Field of the payload that names the file." },
            "size": length("Of each chunk: 10 minutes where it is absent."),
            "defaultSize": length("The same, where `size` is absent."),
            "overlap": length("What each chunk has in common with the one before: 5 seconds where it is absent."),
            "mergeStrategy": { "enum": ["concat_segments", "array", null] },
            "split": { "enum": ["none", "ffmpeg", null], "description": "Who cuts: the backend itself, or the server." },
        })),
        "TaskEffect": object(&["$event"], json!({
            "$event": { "type": "string", "examples": ["webhook", "enqueue", "notify", "toast", "invalidate", "emit", "redirect"] },
            "url": text(), "method": { "enum": ["POST", "PUT", "PATCH"] }, "headers": { "type": "object" }, "task": {},
            "channel": text(), "message": text(), "target": text(), "text": text(), "variant": text(), "path": text(),
            "tags": { "type": "array" }, "event": text(), "data": {},
        })),
    })
}

fn number(description: &str) -> Value {
    json!({ "type": ["number", "null"], "minimum": 0, "description": description })
}

fn length(description: &str) -> Value {
    json!({ "type": ["string", "number", "null"], "description": description, "examples": ["10m", "90s", "1h30m", 600] })
}

fn effects(when: &str) -> Value {
    json!({ "type": ["array", "null"], "items": reference("TaskEffect"), "description": when })
}

fn optional_text(description: &str) -> Value {
    json!({ "type": ["string", "null"], "description": description })
}

/// Unknown fields are kept with the task. `task` is what the SDK writes for `type`.
fn document() -> Value {
    let properties = json!({
        "type": { "type": "string", "minLength": 1, "description": "What the backend is asked to do; for a pipeline its name." },
        "task": optional_text("The same, where `type` is absent."),
        "payload": { "type": ["object", "array", "string", "number", "boolean"], "description": "What the backend is given." },
        "queue": optional_text("`default`, `gpu`, `cpu`, or another that is configured."),
        "priority": {
            "type": ["integer", "null"], "minimum": -2_097_152, "maximum": 2_097_152, "default": 0,
            "description": "The higher number goes first.",
        },
        "backend": optional_text("`modal`, `ray`, another that is configured, or `auto`."),
        "resources": { "anyOf": [reference("TaskResources"), { "type": "null" }] },
        "retry": { "anyOf": [reference("TaskRetry"), { "type": "null" }] },
        "chunk": { "anyOf": [reference("TaskChunk"), { "type": "null" }] },
        "delay": { "type": ["number", "null"], "minimum": 0, "description": "Milliseconds before it may begin." },
        "cron": optional_text("Submit it at these times, for instance `0 9 * * 1-5`."),
        "timezone": optional_text("Where those times are, for instance `Europe/Berlin`."),
        "steps": { "type": ["array", "null"], "items": reference("TaskStep") },
        "onDemand": {
            "type": ["array", "null"], "items": text(),
            "description": "Ids of steps with `runWhen: on-demand` that are to run.",
        },
        "webhookUrl": optional_text("Is told when the task has ended."),
        "metadata": {},
        "onPending": effects("When it was accepted."),
        "onProgress": effects("When a step has ended."),
        "onSuccess": effects("When it has ended well."),
        "onError": effects("When it has failed for good."),
    });
    let mut document = object(&["payload"], properties);
    document["anyOf"] = json!([{ "required": ["type"] }, { "required": ["task"] }]);
    document
}

fn step() -> Value {
    object(
        &["task"],
        json!({
            "task": { "type": "string", "minLength": 1, "description": "What the backend is asked to do." },
            "id": optional_text("What others call it; `step_0` and so on where it is absent."),
            "input": { "description": "What the backend is given, with templates such as `{{steps.download.path}}`." },
            "dependsOn": { "type": ["array", "null"], "items": text(), "description": "What must have ended before." },
            "forEach": optional_text("A template that gives a list: it runs once for each `{{item}}`."),
            "forEachConcurrency": {
                "type": ["integer", "null"], "minimum": 1, "description": "So many at a time; all where it is absent.",
            },
            "runWhen": optional_text("`always`, `on-demand`, or a template: it runs where that is true."),
            "timeout": { "type": ["number", "null"], "exclusiveMinimum": 0, "description": "Seconds, with all its attempts." },
            "optional": { "type": ["boolean", "null"], "description": "Its failure does not fail the task." },
            "resources": { "anyOf": [reference("TaskResources"), { "type": "null" }] },
            "retry": { "anyOf": [reference("TaskRetry"), { "type": "null" }] },
            "chunk": { "anyOf": [reference("TaskChunk"), { "type": "null" }] },
        }),
    )
}
