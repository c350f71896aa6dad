//! The operations on secrets, and their schemas.

use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::schemas::{count, object, text, time};

const TAG: &str = "secrets";
const UNKNOWN: &str = "No such secret.";
const NO_KEY: &str = "This server has not the master key that is needed.";

/// Every operation.
pub(super) fn all() -> Vec<Operation> {
    let cursor = json!({ "type": "string" });
    vec![
        Operation::new("get /v1/secrets", "listSecrets", TAG, "List secrets, by name")
            .about("Their names, and when they were written. No answer of this API holds a value.")
            .limit()
            .query("cursor", "The `next_cursor` of the page before.", cursor)
            .ok("SecretPage"),
        Operation::new("put /v1/secrets/{name}", "putSecret", TAG, "Store a secret")
            .about("Over the value before it, if there is one. Steps read it as `{{ secrets.NAME }}`.")
            .body("SecretValue", true, json!({ "value": "the token of the service" }))
            .ok("Secret")
            .error(400, "The name or the value is wrong, or there are too many secrets.")
            .error(503, NO_KEY),
        Operation::new(
            "get /v1/secrets/{name}",
            "getSecret",
            TAG,
            "Read what is known of a secret",
        )
        .ok("Secret")
        .error(404, UNKNOWN),
        Operation::new("delete /v1/secrets/{name}", "deleteSecret", TAG, "Remove a secret")
            .about("Steps that name it fail from then on.")
            .answer(204, json!({ "description": "Removed." }))
            .error(404, UNKNOWN),
        Operation::new(
            "post /v1/secrets/rotate-key",
            "rotateSecretKey",
            TAG,
            "Seal all secrets of the namespace under a new data key",
        )
        .about("The values stay. What was copied out of the store before opens nothing that is in it now.")
        .ok("RotatedSecretKey")
        .error(404, "The namespace has no secrets.")
        .error(503, NO_KEY),
    ]
}

/// The schemas that they name.
pub(super) fn schemas() -> Map<String, Value> {
    let schemas = json!({
        "SecretValue": {
            "type": "object",
            "required": ["value"],
            "properties": { "value": { "type": "string", "minLength": 1, "maxLength": 65536, "writeOnly": true } },
            "additionalProperties": false,
        },
        "Secret": object(&["name", "version", "masked", "created_at", "updated_at"], json!({
            "name": { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$" },
            "version": { "type": "integer", "minimum": 1, "description": "One more with each value, and with each rotation of the key." },
            "masked": { "type": "boolean", "description":
                "Whether the value is masked where a receiver repeats it: it has 8 bytes or more." },
            "updated_by": text(),
            "created_at": time(),
            "updated_at": time(),
        })),
        "SecretPage": object(&["items"], json!({
            "items": { "type": "array", "items": super::operation::reference("Secret") },
            "next_cursor": text(),
        })),
        "RotatedSecretKey": object(&["key_id", "secrets"], json!({ "key_id": text(), "secrets": count() })),
    });
    match schemas {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    }
}
