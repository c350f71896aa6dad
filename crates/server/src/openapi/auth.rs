//! The operations on keys, and their schemas.

use serde_json::{Map, Value, json};

use super::operation::{Operation, reference};
use super::schemas::{object, text, time};
use crate::identity::{Permission, Role};

const TAG: &str = "auth";
const UNKNOWN: &str = "No such key, or it is of another namespace.";

/// Every operation.
pub(super) fn all() -> Vec<Operation> {
    vec![
        Operation::new("get /v1/auth/me", "whoAmI", TAG, "Read who is asking, and what it may do").ok("Caller"),
        Operation::new("post /v1/auth/keys", "createKey", TAG, "Make a key")
            .about(
                "The key is in this answer and nowhere else. It can do no more than the caller, and is of the caller's \
                 namespace unless that reaches all. Where nobody needed a key so far, the first one must be an admin's of \
                 all namespaces, because from then on only keys are let in.",
            )
            .body(
                "NewKey",
                true,
                json!({ "name": "ci", "namespace": "default", "roles": ["operator"], "expires_in": "90d" }),
            )
            .ok("FreshKey"),
        Operation::new("get /v1/auth/keys", "listKeys", TAG, "List keys, by id")
            .about("Revoked and expired ones stay. Those of the settings are not among them.")
            .limit()
            .query("cursor", "The `next_cursor` of the page before.", text())
            .query("namespace", "Only those of this namespace.", text())
            .ok("KeyPage"),
        Operation::new("get /v1/auth/keys/{id}", "getKey", TAG, "Read a key's record")
            .ok("Key")
            .error(404, UNKNOWN),
        Operation::new("delete /v1/auth/keys/{id}", "revokeKey", TAG, "Revoke a key")
            .about("It is refused at once, and by all nodes within five seconds. Its record stays.")
            .ok("Key")
            .error(404, UNKNOWN),
        Operation::new("post /v1/auth/keys/{id}/rotate", "rotateKey", TAG, "Make a key in place of another")
            .about("The new one has the same rights; the old one is revoked, or ends after `grace`.")
            .body("KeyRotation", false, json!({ "grace": "24h" }))
            .ok("FreshKey")
            .error(404, UNKNOWN)
            .error(409, "The key has expired or was revoked."),
    ]
}

/// The schemas that they name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut fresh = key();
    fresh["properties"]["key"] = json!({ "type": "string", "description": "The key itself. It is shown only here." });
    if let Some(required) = fresh["required"].as_array_mut() {
        required.push("key".into());
    }
    let all = json!({
        "Caller": caller(),
        "NewKey": closed(&["name"], new_key()),
        "KeyRotation": closed(&[], json!({
            "grace": { "type": ["string", "null"], "description": "How long the old key goes on, such as `24h`; at most 30 days." },
            "expires_at": { "type": ["string", "null"], "format": "date-time" },
            "expires_in": span(),
        })),
        "Key": key(),
        "FreshKey": fresh,
        "KeyPage": object(&["items"], json!({
            "items": { "type": "array", "items": reference("Key") }, "next_cursor": text(),
        })),
    });
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn closed(required: &[&str], properties: Value) -> Value {
    let mut schema = object(required, properties);
    schema["additionalProperties"] = false.into();
    schema
}

fn span() -> Value {
    json!({ "type": ["string", "null"], "description": "How long from now, such as `12h` or `90d`." })
}

fn roles() -> Value {
    let names: Vec<&str> = Role::ALL.into_iter().map(Role::as_str).collect();
    json!({ "type": "array", "items": { "enum": names } })
}

fn permissions() -> Value {
    let names: Vec<&str> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    json!({ "type": "array", "items": { "enum": names } })
}

fn granted() -> Value {
    json!({ "type": "array", "items": { "type": "string", "pattern": "^[a-z]+:([a-z_]+|\\*)$" },
            "description": "Names of permissions, or `resource:*`." })
}

fn queues() -> Value {
    json!({ "type": ["array", "null"], "items": text(), "minItems": 1, "maxItems": 100,
            "description": "Services and queues that a worker may serve; all where nothing is said." })
}

fn namespace() -> Value {
    json!({ "type": ["string", "null"], "description": "`*` is all of them." })
}

fn new_key() -> Value {
    json!({
        "name": { "type": "string", "minLength": 1, "maxLength": 200 },
        "namespace": namespace(),
        "roles": roles(),
        "permissions": granted(),
        "queues": queues(),
        "expires_at": { "type": ["string", "null"], "format": "date-time" },
        "expires_in": span(),
    })
}

fn key() -> Value {
    object(
        &[
            "id",
            "name",
            "namespace",
            "roles",
            "permissions",
            "state",
            "created_at",
            "created_by",
        ],
        json!({
            "id": text(),
            "name": text(),
            "namespace": text(),
            "roles": roles(),
            "permissions": granted(),
            "queues": queues(),
            "state": { "enum": ["active", "expired", "revoked"] },
            "created_at": time(),
            "created_by": text(),
            "expires_at": time(),
            "last_used_at": time(),
            "revoked_at": time(),
            "replaces": text(),
        }),
    )
}

fn caller() -> Value {
    object(
        &["name", "credential", "home", "namespace", "roles", "permissions"],
        json!({
            "name": text(),
            "credential": { "enum": ["key", "token", "setting", "process", "none"] },
            "key_id": text(),
            "home": { "type": "string", "description": "The namespace that it belongs to; `*` is all of them." },
            "namespace": { "type": "string", "description": "The namespace of this request." },
            "roles": roles(),
            "permissions": permissions(),
            "queues": queues(),
            "expires_at": time(),
        }),
    )
}
