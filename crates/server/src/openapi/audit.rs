//! The operations on the audit trail, and their schemas.

use serde_json::{Map, Value, json};

use super::operation::{Operation, reference};
use super::schemas::{count, object, text, time};

const TAG: &str = "audit";

/// Every operation.
pub(super) fn all() -> Vec<Operation> {
    let number = || json!({ "type": "integer", "minimum": 0 });
    vec![
        Operation::new("get /v1/audit", "listAudit", TAG, "List who did what, newest first")
            .about(
                "A page may have fewer entries than asked for, or none, and still name a next one: a filter that few \
                 entries fit is not looked for without end. Keys of one namespace see the entries about it.",
            )
            .limit()
            .query("cursor", "The `next_cursor` of the page before.", text())
            .query("namespace", "Only entries about this one.", text())
            .query("actor", "Only of this caller, by its name.", text())
            .query("action", "Only these operations, such as `cancelRun`.", text())
            .query("object", "Only about what has this id.", text())
            .query(
                "outcome",
                "Only those that ended like this.",
                json!({ "enum": ["done", "refused", "failed", "abandoned"] }),
            )
            .query("from", "Only from this time on.", time())
            .query("to", "Only before this time.", time())
            .ok("AuditPage"),
        Operation::new("get /v1/audit/head", "getAuditHead", TAG, "Read the end of the chain")
            .about("Noted elsewhere, it shows later whether the chain was written anew since.")
            .ok("AuditHead"),
        Operation::new(
            "get /v1/audit/export",
            "exportAudit",
            TAG,
            "Read all entries, oldest first",
        )
        .about("One JSON object a line, exactly as it was hashed, with its hash.")
        .query("after", "Only entries above this number.", number())
        .query("limit", "Most entries looked at; all where nothing is said.", number())
        .answer(
            200,
            json!({
                "description": "The entries.",
                "content": { "application/x-ndjson": { "schema": reference("AuditEntry") } },
            }),
        ),
    ]
}

/// The schemas that they name.
pub(super) fn schemas() -> Map<String, Value> {
    let hash = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    let entry = object(
        &[
            "seq",
            "at",
            "actor",
            "namespace",
            "action",
            "route",
            "outcome",
            "client",
            "request_id",
            "node",
            "previous",
            "hash",
        ],
        json!({
            "seq": count(),
            "at": time(),
            "actor": { "type": "string", "description": "The caller's name; `anonymous` where nobody needs a key, `unknown` without a valid one." },
            "credential": { "type": "string", "description": "By what it was recognised." },
            "namespace": text(),
            "action": { "type": "string", "description": "The operation's id." },
            "route": text(),
            "object": { "type": "object", "additionalProperties": text(), "description": "The parameters of the path." },
            "created": { "type": "string", "description": "The id of what was made." },
            "outcome": { "enum": ["done", "refused", "failed", "abandoned"] },
            "status": { "type": "integer", "description": "Absent where the client went away before the answer." },
            "repeated": { "type": "integer", "description": "How many refused requests like this one were left out before it." },
            "client": text(),
            "request_id": text(),
            "node": text(),
            "previous": hash,
            "hash": hash,
        }),
    );
    let schemas = json!({
        "AuditEntry": entry,
        "AuditPage": object(&["items"], json!({
            "items": { "type": "array", "items": reference("AuditEntry") }, "next_cursor": text(),
        })),
        "AuditHead": object(&["seq", "hash"], json!({ "seq": count(), "hash": hash })),
    });
    schemas.as_object().cloned().unwrap_or_default()
}
