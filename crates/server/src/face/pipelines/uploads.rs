//! Files that a client uploads before it triggers a pipeline. Each lies under `temp-uploads/` in the default backend and is
//! removed after a day, unless a run has claimed it by naming it in its input.
//!
//! The document of an upload is written before its object and removed after it, so that no object is forgotten.

pub(super) mod sweep;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_executors::storage::{Durability, Key, Randomness, StorageError, SystemRandomness, file_name};
use quintet_store::{Record, RecordWrite, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::public_id::{PipelineRunId, TaskRunId, UploadId};
use super::reply::{self, Answer, Refusal, iso};
use super::state::Pipelines;
use crate::app::App;
use crate::http::PeerAddress;

const KIND: &str = "pipelines.upload";
/// Largest file.
pub(crate) const MAX_BYTES: usize = 100 << 20;
const LIFETIME_MS: u64 = 86_400_000;
const PAGE: usize = 500;

/// An upload as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Upload {
    path: String,
    backend: String,
    uploaded_at: Time,
    expires_at: Time,
    filename: String,
    mime_type: String,
    size: u64,
    uploaded_by: Option<String>,
    #[serde(default)]
    claimed_by: Option<String>,
    #[serde(default)]
    deleted_at: Option<Time>,
}

impl Upload {
    fn read(record: &Record) -> Result<Self, StoreError> {
        let read = serde_json::from_str(&record.body);
        read.map_err(|error| StoreError::Corrupt(format!("{KIND} {}: {error}", record.id)))
    }

    fn view(&self, id: &str, now: Time) -> Value {
        json!({
            "uploadId": id,
            "storagePath": self.path,
            "storageBackendId": self.backend,
            "uploadedAt": iso(self.uploaded_at),
            "expiresAt": iso(self.expires_at),
            "claimedByRunId": self.claimed_by,
            "deletedAt": self.deleted_at.map(iso),
            "filename": self.filename,
            "mimeType": self.mime_type,
            "size": self.size,
            "expired": self.expires_at <= now,
            "claimed": self.claimed_by.is_some(),
            "deleted": self.deleted_at.is_some(),
        })
    }

    /// What is stored; `expires_at` is when somebody has to look at it again.
    fn write(&self, pipelines: &Pipelines, id: &str, expected: u64, expires_at: Option<Time>) -> RecordWrite {
        RecordWrite {
            namespace: Arc::clone(&pipelines.namespace),
            kind: KIND.into(),
            id: id.into(),
            expected: Some(expected),
            body: serde_json::to_string(self).ok(),
            expires_at,
            at: pipelines.clock.now(),
        }
    }
}

pub(super) async fn upload(
    State(app): State<Arc<App>>,
    peer: PeerAddress,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Answer {
    let pipelines = &app.pipelines;
    let file =
        File::read(form.map_err(|rejected| Refusal::bad("No file provided").because(rejected.body_text()))?).await?;
    let id = new_id()?;
    let filename = file_name(&file.name);
    let path = format!("temp-uploads/{id}/{filename}");
    let bucket = pipelines.assets.ready()?.storage.default_bucket().clone();
    let now = pipelines.clock.now();
    let user = headers
        .get("x-user-id")
        .and_then(|value| value.to_str().ok().map(str::to_owned));
    let upload = Upload {
        path: path.clone(),
        backend: bucket.backend().id.clone(),
        uploaded_at: now,
        expires_at: now.plus_ms(LIFETIME_MS),
        filename,
        mime_type: file.media,
        size: file.content.len() as u64,
        uploaded_by: user.or(peer.0.map(|peer| peer.to_string())),
        claimed_by: None,
        deleted_at: None,
    };
    let write = upload.write(pipelines, &id, 0, Some(upload.expires_at));
    pipelines.store.put_records(vec![write]).await?;
    let key = Key::parse(&path)?;
    bucket
        .put(&key, file.content, &upload.mime_type, Durability::Synced)
        .await?;
    Ok(reply::json(&json!({
        "uploadId": id,
        "storagePath": path,
        "filename": upload.filename,
        "size": upload.size,
        "mimeType": upload.mime_type,
        "expiresAt": iso(upload.expires_at),
    })))
}

/// A file of a form.
struct File {
    name: String,
    media: String,
    content: Bytes,
}

impl File {
    /// The one file of the form, in its field `file`.
    async fn read(mut form: Multipart) -> Result<Self, Refusal> {
        let wrong = |error: MultipartError| {
            let error_text = if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                "File too large"
            } else {
                "Invalid form"
            };
            Refusal::new(error.status(), error_text).because(error.body_text())
        };
        let mut file = None;
        while let Some(field) = form.next_field().await.map_err(wrong)? {
            if field.name() != Some("file") {
                let message = format!(
                    "Unexpected field '{}': the file is expected in 'file'",
                    field.name().unwrap_or_default()
                );
                return Err(Refusal::bad("Unexpected field").because(message));
            }
            if file.is_some() {
                return Err(Refusal::bad("Unexpected field").because("one file at a time"));
            }
            let name = field.file_name().unwrap_or("file").to_owned();
            let media = field.content_type().unwrap_or("application/octet-stream").to_owned();
            let content = field.bytes().await.map_err(wrong)?;
            file = Some(Self { name, media, content });
        }
        file.ok_or_else(|| Refusal::bad("No file provided"))
    }
}

fn new_id() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    let filled = SystemRandomness.fill(&mut bytes);
    filled.map_err(|error| Refusal::unavailable("Service unavailable").because(error.to_string()))?;
    Ok(UploadId::from_random(u128::from_be_bytes(bytes)).to_string())
}

impl Pipelines {
    async fn upload(&self, id: &str) -> Result<(Record, Upload), Refusal> {
        let missing = || Refusal::new(StatusCode::NOT_FOUND, "Upload not found");
        if UploadId::parse(id).is_none() {
            return Err(missing());
        }
        let record = self
            .store
            .record(&self.namespace, KIND, id)
            .await?
            .ok_or_else(missing)?;
        let upload = Upload::read(&record)?;
        Ok((record, upload))
    }

    /// Keeps the uploads that an input names for the run that it belongs to.
    pub(super) async fn claim_uploads(&self, input: &Value, run: RunId, is_pipeline: bool) -> Result<(), Refusal> {
        let claimant = if is_pipeline {
            PipelineRunId(run).to_string()
        } else {
            TaskRunId { run, node: 0 }.to_string()
        };
        for id in named_in(input) {
            let Ok((record, mut upload)) = self.upload(&id).await else {
                continue;
            };
            if upload.claimed_by.is_some() || upload.deleted_at.is_some() {
                continue;
            }
            upload.claimed_by = Some(claimant.clone());
            let write = upload.write(self, &id, record.version, None);
            // Claimed by another run at the same moment: it is kept as well.
            self.store.put_records(vec![write]).await?;
        }
        Ok(())
    }
}

/// Ids of uploads anywhere in an input.
fn named_in(input: &Value) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![input]);
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if UploadId::parse(text).is_some() => found.push(text.clone()),
            Value::Array(values) => open.extend(values),
            Value::Object(map) => open.extend(map.values()),
            _ => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

pub(super) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let (_, upload) = app.pipelines.upload(&id).await?;
    Ok(reply::json(&upload.view(&id, app.pipelines.clock.now())))
}

pub(super) async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let pipelines = &app.pipelines;
    let (record, upload) = pipelines.upload(&id).await?;
    if upload.deleted_at.is_some() {
        return Err(Refusal::new(StatusCode::GONE, "Upload already deleted"));
    }
    if let Some(run) = &upload.claimed_by {
        let error = "Upload already claimed by task run";
        return Err(Refusal::conflict(error).with("claimedByRunId", run.clone()));
    }
    if !sweep::delete(pipelines, &record, upload).await? {
        return Err(Refusal::conflict("Upload was changed at the same moment; look again"));
    }
    Ok(reply::json(&json!({ "success": true, "uploadId": id })))
}

pub(super) async fn stats(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    let now = pipelines.clock.now();
    let (mut total, mut expired, mut claimed, mut deleted) = (0u64, 0u64, 0u64, 0u64);
    let mut after: Option<Arc<str>> = None;
    loop {
        let page = pipelines
            .store
            .records(&pipelines.namespace, KIND, after.as_deref(), PAGE)
            .await?;
        for record in &page {
            let upload = Upload::read(record)?;
            total += 1;
            expired += u64::from(upload.expires_at <= now);
            claimed += u64::from(upload.claimed_by.is_some());
            deleted += u64::from(upload.deleted_at.is_some());
        }
        if page.len() < PAGE {
            break;
        }
        after = page.last().map(|record| Arc::clone(&record.id));
    }
    Ok(reply::json(&json!({
        "total": total, "expired": expired, "claimed": claimed, "deleted": deleted,
    })))
}

/// Whether an object's absence is as good as its removal.
fn is_gone(removed: Result<(), StorageError>) -> Result<(), StorageError> {
    match removed {
        Err(StorageError::NotFound { .. }) => Ok(()),
        removed => removed,
    }
}
