//! The schemas of bodies and answers.

use serde_json::{Map, Value, json};

use super::operation::reference;
use crate::face::workflows::schema::DEFAULT;

use crate::face::workflows::NODE_STATE;
pub(super) use crate::face::workflows::{RUN_STATUS, STEP_STATUS};

/// All schemas by their names.
pub(super) fn all() -> Map<String, Value> {
    let mut all = documents();
    for part in [requests(), answers(), observed()] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    all.extend(super::schedules::schemas());
    all.extend(super::namespaces::schemas());
    all.extend(super::auth::schemas());
    all.extend(super::audit::schemas());
    all.extend(super::secrets::schemas());
    all.extend(super::pipelines::schemas());
    all.extend(super::tasks::schemas());
    all.extend(super::tenants::schemas());
    all
}

/// The schema that documents are checked against, with its definitions as schemas of their own; and what is left of
/// it for templates, which need only make a plan.
fn documents() -> Map<String, Value> {
    let mut schemas = Map::new();
    for (prefix, is_loose) in [("Document", false), ("Template", true)] {
        let text = DEFAULT
            .replace("#/definitions/step", &format!("#/components/schemas/{prefix}Step"))
            .replace(
                "#/definitions/dependency",
                &format!("#/components/schemas/{prefix}Dependency"),
            );
        let mut document: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
        document.shift_remove("$schema");
        let mut definitions = document.shift_remove("definitions").unwrap_or_default();
        let (mut step, dependency) = (definitions["step"].take(), definitions["dependency"].take());
        let mut document = Value::Object(document);
        if is_loose {
            loosen(&mut step);
        }
        allow_nulls(&mut step["properties"]["retry"]);
        allow_nulls(&mut step);
        allow_nulls(&mut document);
        for (name, schema) in [("", document), ("Step", step), ("Dependency", dependency)] {
            let name = if name.is_empty() && is_loose {
                "TemplateDocument".to_owned()
            } else {
                format!("{prefix}{name}")
            };
            schemas.insert(name, schema);
        }
    }
    schemas
}

/// Takes out what only the schema asks for, and not the plan.
fn loosen(step: &mut Value) {
    step["required"] = json!(["action"]);
    step["properties"]["name"] = text();
    step["properties"]["input"] = json!({});
    for name in ["max", "backoff_ms"] {
        if let Value::Object(field) = &mut step["properties"]["retry"]["properties"][name] {
            field.shift_remove("minimum");
        }
    }
}

/// Null and absent are the same to the language: every property that need not be there may be null.
fn allow_nulls(schema: &mut Value) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| {
        required
            .as_array()
            .is_some_and(|names| names.iter().any(|known| known == name))
    };
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
        let Value::Object(field) = property else { continue };
        match field.get_mut("type") {
            Some(kind) => {
                let kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
                *kind = kinds.into_iter().chain([json!("null")]).collect();
            }
            None => {
                for key in ["enum", "anyOf"] {
                    if let Some(Value::Array(choices)) = field.get_mut(key) {
                        choices.push(if key == "enum" {
                            Value::Null
                        } else {
                            json!({ "type": "null" })
                        });
                    }
                }
            }
        }
    }
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn optional_text() -> Value {
    json!({ "type": ["string", "null"], "maxLength": 16384 })
}

pub(super) fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// A page of a schema.
fn page(of: &str) -> Value {
    object(
        &["items"],
        json!({ "items": { "type": "array", "items": reference(of) }, "next_cursor": text() }),
    )
}

fn requests() -> Value {
    let by = optional_text;
    let mut start = object(
        &[],
        json!({
            "workflow_id": { "type": ["string", "null"], "description": "Of this workflow, or of the template of this id." },
            "template": { "type": ["string", "null"], "description": "Of the template of this id or name." },
            "workflow": { "type": ["object", "null"], "description": "Of this document." },
            "context": { "type": ["object", "null"], "description": "What templates read as `context`." },
            "priority": { "type": ["integer", "null"], "minimum": i32::MIN, "maximum": i32::MAX, "description": "Higher runs first." },
            "start_at": { "type": ["string", "null"], "format": "date-time", "description": "Nothing of it starts before this time." },
            "delay_ms": { "type": ["integer", "null"], "minimum": 0, "maximum": 315_360_000_000_i64, "description": "The same, as milliseconds from now." },
        }),
    );
    start["anyOf"] = json!([
        { "required": ["workflow_id"], "properties": { "workflow_id": { "type": "string", "minLength": 1 } } },
        { "required": ["template"], "properties": { "template": { "type": "string" } } },
        { "required": ["workflow"], "properties": { "workflow": { "type": "object" } } },
    ]);
    json!({
        "Start": start,
        "Batch": object(&["runs"], json!({
            "runs": { "type": "array", "minItems": 1, "maxItems": 1000, "items": reference("Start") },
        })),
        "Rollback": object(&["version"], json!({ "version": { "type": "integer", "minimum": 1, "maximum": u32::MAX } })),
        "Decision": object(&[], json!({
            "step": { "type": ["string", "null"], "description": "The first that is awaited where it is absent." },
            "by": by(),
            "comment": optional_text(),
        })),
        "Reason": object(&[], json!({ "by": by(), "reason": optional_text() })),
        "StepChoice": object(&[], json!({ "step": optional_text(), "by": by() })),
        "Rerun": object(&["step"], json!({ "step": { "type": "string", "minLength": 1, "maxLength": 16384 }, "by": by() })),
        "Resolution": object(&[], json!({ "by": by(), "reason": optional_text(), "output": true })),
    })
}

fn answers() -> Value {
    let run_status = json!({ "enum": RUN_STATUS });
    json!({
        "Error": object(&["error"], json!({
            "error": object(&["code", "message"], json!({
                "code": { "type": "string", "description": "One of the codes under docs/errors." },
                "message": text(),
                "field": text(),
                "errors": { "type": "array", "items": object(&["field", "message"], json!({ "field": text(), "message": text() })) },
                "retryable": { "type": "boolean" },
            })),
        })),
        "Step": object(&["id", "name", "action", "retry"], json!({
            "id": text(), "name": text(), "action": text(), "input": true, "retry": { "type": "object" },
            "requires_approval": { "type": "boolean" },
        })),
        "Workflow": object(&["id", "name", "steps", "created_at"], json!({
            "id": text(), "name": text(), "description": text(), "steps": { "type": "array", "items": reference("Step") },
            "created_at": time(), "version": count(), "updated_at": time(),
        })),
        "WorkflowPage": page("Workflow"),
        "Template": object(&["id", "name", "steps", "created_at"], json!({
            "id": text(), "name": text(), "description": text(), "created_at": time(),
            "steps": { "type": "array", "items": reference("TemplatePart") },
        })),
        "TemplatePart": object(&["name", "action"], json!({
            "id": { "type": "string", "description": "Empty: it is made from the name where the template is stored." },
            "name": text(), "action": text(), "input": true, "retry": { "type": "object" },
            "requires_approval": { "type": "boolean" },
        })),
        "TemplateList": object(&["items"], json!({ "items": { "type": "array", "items": reference("Template") } })),
        "Validation": object(&["valid", "steps", "unsupported_actions"], json!({
            "valid": { "const": true },
            "digest": { "type": "string", "description": "Identity of the plan." },
            "steps": { "type": "array", "items": reference("Step") },
            "unsupported_actions": { "type": "array", "items": text() },
        })),
        "Version": object(&["id", "workflow_id", "version", "payload", "created_at"], json!({
            "id": text(), "workflow_id": text(), "version": { "type": "integer", "minimum": 1 },
            "payload": reference("Workflow"), "created_at": time(),
        })),
        "VersionList": object(&["items"], json!({ "items": { "type": ["array", "null"], "items": reference("Version") } })),
        "StepRun": object(&["step_id", "name", "action", "status"], json!({
            "step_id": text(), "name": text(), "action": text(), "status": { "enum": STEP_STATUS },
            "error": text(), "output": text(), "http_code": count(), "attempts": count(), "started_at": time(),
            "finished_at": time(), "error_kind": text(), "error_detail": true, "approval": reference("Approval"),
        })),
        "Approval": object(&["approved", "at"], json!({
            "approved": { "type": "boolean" }, "by": text(), "comment": text(), "at": time(),
        })),
        "Run": object(&["id", "workflow_id", "status", "current_step", "created_at", "updated_at"], json!({
            "id": text(), "workflow_id": text(), "status": run_status, "current_step": count(),
            "context": { "type": "object" }, "steps": { "type": "array", "items": reference("StepRun") },
            "created_at": time(), "updated_at": time(), "finished_at": time(), "workflow_version": count(),
            "priority": { "type": "integer" }, "error": text(), "failed_step": text(), "paused": { "type": "object" },
            "canceled": { "type": "object" }, "resolved": { "type": "object" }, "schedule_id": text(), "scheduled_at": time(),
            "steps_truncated": { "type": "boolean" },
        })),
        "RunList": object(&["items"], json!({ "items": { "type": "array", "items": reference("Run") } })),
        "RunSummary": object(&["id", "workflow_id", "status", "created_at", "updated_at"], json!({
            "id": text(), "workflow_id": text(), "workflow_version": count(), "status": run_status,
            "priority": { "type": "integer" }, "created_at": time(), "updated_at": time(), "finished_at": time(),
        })),
        "RunPage": page("RunSummary"),
        "AwaitedApproval": object(&["run_id", "workflow_id", "step_id", "name", "action"], json!({
            "run_id": text(), "workflow_id": text(), "step_id": text(), "name": text(), "action": text(), "input": true,
            "since": time(), "until": time(),
        })),
        "ApprovalPage": page("AwaitedApproval"),
    })
}

fn observed() -> Value {
    let step = json!({
        "id": text(), "name": text(), "action": text(), "status": { "enum": STEP_STATUS },
        "depends_on": { "type": "array", "items": text() }, "item": count(), "items": { "type": "object" },
        "attempt": count(), "max_attempts": count(), "ready_at": time(), "started_at": time(), "finished_at": time(),
        "next_at": time(), "progress": { "type": "number" }, "http_code": count(), "error": text(), "error_kind": text(),
        "approval": reference("Approval"),
    });
    let detail = json!({
        "allOf": [reference("StepView"), object(&["run_id", "attempts", "why"], json!({
            "run_id": text(),
            "input": { "description": "As it is written, with its templates." },
            "result": { "description": "What the step gave." },
            "output": { "type": "string", "description": "The same as text, exactly as it was received." },
            "error_detail": true,
            "attempts": { "type": "array", "items": reference("Attempt") },
            "why": { "type": "array", "items": reference("WhyReason") },
        }))],
    });
    json!({
        "StepView": object(&["id", "name", "action", "status", "max_attempts"], step),
        "StepPage": page("StepView"),
        "StepDetail": detail,
        "Attempt": object(&["attempt", "outcome", "started_at"], json!({
            "attempt": { "type": "integer", "minimum": 1 },
            "outcome": { "enum": ["running", "succeeded", "failed", "lost", "canceled"] },
            "started_at": time(), "ended_at": time(), "code": count(), "error": text(), "error_kind": text(),
            "detail": true, "retry_at": time(),
        })),
        "WhyReason": object(&["reason", "text"], json!({
            "reason": { "enum": [
                "run_finished", "step_settled", "paused", "stopped_by_failure", "dependency", "retry_at", "approval",
                "waiting_until", "no_free_executor", "run_concurrency", "item_concurrency", "items", "running",
            ] },
            "text": text(),
        })),
        "Why": object(&["step", "name", "status", "reasons"], json!({
            "step": text(), "name": text(), "status": { "enum": STEP_STATUS },
            "reasons": { "type": "array", "items": reference("WhyReason") },
        })),
        "WhyPage": page("Why"),
        "HistoryEntry": object(&["id", "seq", "at", "event"], json!({
            "id": text(), "seq": { "type": "integer", "minimum": 1 }, "at": time(),
            "event": { "type": "string", "description": "For instance step.succeeded; other fields depend on it." },
        })),
        "HistoryPage": object(&["items"], json!({
            "items": { "type": "array", "items": reference("HistoryEntry") }, "next_after": count(),
        })),
        "LogList": object(&["items"], json!({
            "items": { "type": ["array", "null"], "items": text() }, "truncated": { "type": "boolean" },
        })),
        "Node": object(
            &["id", "name", "url", "version", "state", "self", "started_at", "last_beat_at", "in_flight"],
            json!({
                "id": { "type": "string", "pattern": "^[0-9a-f]{16}$", "description": "Another one after each start." },
                "name": text(), "url": { "type": "string", "description": "Empty where it is not known." },
                "version": text(), "state": { "enum": NODE_STATE },
                "self": { "type": "boolean", "description": "It is the one that answers." },
                "started_at": time(), "last_beat_at": time(), "lease_expires_at": time(), "in_flight": count(),
            }),
        ),
        "NodeList": object(&["items"], json!({ "items": { "type": "array", "items": reference("Node") } })),
        "Appended": object(&["ok"], json!({ "ok": { "const": true } })),
    })
}
