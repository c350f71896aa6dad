//! What the pipelines face answers about what it keeps and how it is doing: objects, uploads, maintenance.

use serde_json::{Value, json};

use super::super::schemas::{count, object, text, time};
use super::answers::{either, flag, list};

pub(super) fn all() -> [Value; 2] {
    [objects(), upkeep()]
}

fn objects() -> Value {
    let backend = object(
        &["id", "provider", "endpoint", "bucket", "isDefault"],
        json!({
            "id": text(), "provider": { "enum": ["local", "aws-s3", "gcs", "minio"] }, "endpoint": text(), "bucket": text(),
            "region": text(), "isDefault": flag(),
        }),
    );
    let optional_time = || json!({ "type": ["string", "null"], "format": "date-time" });
    json!({
        "BackendList": object(&["backends", "default"], json!({ "backends": list(backend), "default": text() })),
        "StoredObject": object(&["path", "content"], json!({ "path": text(), "content": {} })),
        "Uploaded": object(&["uploadId", "storagePath", "filename", "size", "mimeType", "expiresAt"], json!({
            "uploadId": text(), "storagePath": text(), "filename": text(), "size": count(), "mimeType": text(),
            "expiresAt": time(),
        })),
        "Upload": object(
            &[
                "uploadId", "storagePath", "storageBackendId", "uploadedAt", "expiresAt", "claimedByRunId", "deletedAt",
                "filename", "mimeType", "size", "expired", "claimed", "deleted",
            ],
            json!({
                "uploadId": text(), "storagePath": text(), "storageBackendId": text(), "uploadedAt": time(),
                "expiresAt": time(), "claimedByRunId": either("string"), "deletedAt": optional_time(), "filename": text(),
                "mimeType": text(), "size": count(), "expired": flag(), "claimed": flag(), "deleted": flag(),
            }),
        ),
        "UploadDeleted": object(&["success", "uploadId"], json!({ "success": { "const": true }, "uploadId": text() })),
        "UploadStats": object(&["total", "expired", "claimed", "deleted"], json!({
            "total": count(), "expired": count(), "claimed": count(), "deleted": count(),
        })),
    })
}

fn upkeep() -> Value {
    json!({
        "Info": object(
            &[
                "version", "mode", "maxConcurrency", "pollIntervalMs", "storageBackends", "defaultStorageBackend", "uptime",
                "timestamp",
            ],
            json!({
                "version": text(), "mode": { "enum": ["standalone", "serverless"] }, "maxConcurrency": count(),
                "pollIntervalMs": count(), "storageBackends": list(text()), "defaultStorageBackend": text(),
                "uptime": { "type": "number", "minimum": 0, "description": "Seconds." }, "timestamp": time(),
            }),
        ),
        "Maintenance": object(
            &["mode", "canEnterMaintenance", "pendingTasks", "runningTasks", "modeChangedAt", "message"],
            json!({
                "mode": { "enum": ["running", "waiting_for_maintenance", "maintenance"] }, "canEnterMaintenance": flag(),
                "pendingTasks": count(), "runningTasks": count(), "modeChangedAt": time(), "message": text(),
            }),
        ),
    })
}
