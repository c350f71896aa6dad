//! The operations on namespaces, and their schemas.

use serde_json::{Map, Value, json};

use super::operation::{Operation, reference};
use super::schemas::{count, object, text, time};

const TAG: &str = "namespaces";
const UNKNOWN: &str = "No such namespace, or not the caller's.";
const REFUSED: &str = "A field is wrong.";

/// Every operation.
pub(super) fn all() -> Vec<Operation> {
    let mut all = documents();
    all.extend(control());
    all
}

fn documents() -> Vec<Operation> {
    let limits = json!({ "max_live_runs": 1000, "runs_per_second": 50, "burst": 200 });
    vec![
        Operation::new("post /v1/namespaces", "createNamespace", TAG, "Create a namespace")
            .about("Only for callers of all namespaces (`*`), as everything that changes one.")
            .body(
                "NewNamespace",
                true,
                json!({ "name": "acme", "labels": { "plan": "team" }, "quotas": limits }),
            )
            .ok("Namespace")
            .error(400, REFUSED)
            .error(409, "There is a namespace with this name already."),
        Operation::new("get /v1/namespaces", "listNamespaces", TAG, "List namespaces, by name")
            .about("Those that were created, and `default`; a caller of one namespace sees that one.")
            .limit()
            .query("cursor", "The `next_cursor` of the page before.", text())
            .ok("NamespacePage"),
        Operation::new("get /v1/namespaces/{name}", "getNamespace", TAG, "Read a namespace")
            .ok("Namespace")
            .error(404, UNKNOWN),
        Operation::new(
            "patch /v1/namespaces/{name}",
            "changeNamespace",
            TAG,
            "Change a namespace",
        )
        .about("Labels take the place of all that there were; a quota replaces its own, and null takes it away.")
        .body(
            "NamespaceChange",
            true,
            json!({ "quotas": { "max_live_runs": 2000, "burst": null } }),
        )
        .ok("Namespace")
        .error(400, REFUSED)
        .error(404, UNKNOWN),
        Operation::new(
            "delete /v1/namespaces/{name}",
            "deleteNamespace",
            TAG,
            "Remove an empty namespace",
        )
        .answer(204, json!({ "description": "Removed." }))
        .error(404, UNKNOWN)
        .error(409, "Something lives in it; the text says what. Or it is `default`."),
    ]
}

fn control() -> Vec<Operation> {
    vec![
        Operation::new(
            "post /v1/namespaces/{name}/suspend",
            "suspendNamespace",
            TAG,
            "Let a namespace be read and not changed",
        )
        .about(
            "Whatever would start or change something in it answers 403, and no step begins. Steps that are in progress end, \
             and their answers are taken.",
        )
        .ok("Namespace")
        .error(404, UNKNOWN),
        Operation::new("post /v1/namespaces/{name}/resume", "resumeNamespace", TAG, "Let a namespace go on")
            .ok("Namespace")
            .error(404, UNKNOWN),
        Operation::new(
            "get /v1/namespaces/{name}/usage",
            "getNamespaceUsage",
            TAG,
            "Read what a namespace uses",
        )
        .about(
            "Counted in the store; an answer that is young is given again. `stored_bytes` is content without indices, and \
             beyond 256 runs an estimate by the newest ones.",
        )
        .ok("NamespaceUsage")
        .error(404, UNKNOWN),
    ]
}

/// The schemas that they name.
pub(super) fn schemas() -> Map<String, Value> {
    let labels = json!({
        "type": ["object", "null"], "maxProperties": 32, "additionalProperties": { "type": "string", "maxLength": 255 },
    });
    let mut new = object(
        &["name"],
        json!({
            "name": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,63}$", "description": "Not `quintet`." },
            "labels": labels,
            "quotas": reference("NamespaceQuotas"),
        }),
    );
    let mut change = object(&[], json!({ "labels": labels, "quotas": reference("NamespaceQuotas") }));
    for schema in [&mut new, &mut change] {
        schema["additionalProperties"] = false.into();
    }
    let all = json!({
        "NewNamespace": new,
        "NamespaceChange": change,
        "NamespaceQuotas": quotas(),
        "Namespace": object(&["name", "state", "labels", "quotas"], json!({
            "name": text(),
            "state": { "enum": ["active", "suspended"] },
            "labels": { "type": "object", "additionalProperties": text() },
            "quotas": reference("NamespaceQuotas"),
            "created_at": time(),
            "updated_at": time(),
        })),
        "NamespacePage": object(&["items"], json!({
            "items": { "type": "array", "items": reference("Namespace") }, "next_cursor": text(),
        })),
        "NamespaceUsage": object(
            &["namespace", "live_runs", "finished_runs", "workflows", "documents", "dead_letters", "stored_bytes", "quotas", "as_of"],
            json!({
                "namespace": text(),
                "live_runs": count(),
                "finished_runs": count(),
                "workflows": count(),
                "documents": { "type": "integer", "minimum": 0, "description": "Schedules, secrets, registrations, ..." },
                "dead_letters": count(),
                "stored_bytes": count(),
                "quotas": reference("NamespaceQuotas"),
                "as_of": time(),
            }),
        ),
    });
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn quotas() -> Value {
    let whole = |words: &str| json!({ "type": ["integer", "null"], "minimum": 1, "description": words });
    let mut quotas = object(
        &[],
        json!({
            "max_live_runs": whole("Runs that are not over."),
            "runs_per_second": {
                "type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1_000_000,
                "description": "Runs started per second in the long run, on each node.",
            },
            "burst": whole("Runs started at once after a quiet time; as many as in a second where it is absent."),
            "max_running_steps": whole("Steps in progress at a time, on each node."),
            "max_stored_bytes": whole("Bytes of content in the store, after which nothing is started any more."),
            "max_workflows": whole("Workflows."),
        }),
    );
    quotas["additionalProperties"] = false.into();
    quotas
}
