//! Removing uploads that nobody has claimed in time, and after a while what is known of them.

use quintet_core::time::Time;
use quintet_executors::storage::Key;
use quintet_store::{Record, RecordWrite, StoreError};

use super::super::reply::Refusal;
use super::super::state::Pipelines;
use super::{KIND, Upload, is_gone};

/// Uploads looked at in one round.
const BATCH: usize = 100;
/// How long it is known of an upload that it was removed.
const REMEMBERED_MS: u64 = 30 * 86_400_000;

/// One round; says how many objects were removed.
pub(in super::super) async fn round(pipelines: &Pipelines, now: Time) -> Result<usize, StoreError> {
    let mut removed = 0;
    for record in pipelines.store.expired_records(KIND, now, BATCH).await? {
        let upload = Upload::read(&record)?;
        if upload.deleted_at.is_some() {
            forget(pipelines, &record, now).await?;
            continue;
        }
        match delete(pipelines, &record, upload).await {
            Ok(is_removed) => removed += usize::from(is_removed),
            Err(refusal) => tracing::warn!(upload = &*record.id, error = ?refusal, "an upload could not be removed"),
        }
    }
    Ok(removed)
}

/// Says first that it is removed, so that no run claims it meanwhile, and then removes it. What is left over if this
/// process dies in between is found by its document, which is only forgotten when the object is gone.
pub(super) async fn delete(pipelines: &Pipelines, record: &Record, mut upload: Upload) -> Result<bool, Refusal> {
    let now = pipelines.clock.now();
    upload.deleted_at = Some(now);
    let write = upload.write(pipelines, &record.id, record.version, Some(now.plus_ms(REMEMBERED_MS)));
    if !pipelines.store.put_records(vec![write]).await? {
        return Ok(false);
    }
    erase(pipelines, &upload).await?;
    Ok(true)
}

async fn erase(pipelines: &Pipelines, upload: &Upload) -> Result<(), Refusal> {
    if let Some(bucket) = pipelines.assets.ready()?.storage.bucket(&upload.backend) {
        is_gone(bucket.delete(&Key::parse(&upload.path)?).await)?;
    }
    Ok(())
}

async fn forget(pipelines: &Pipelines, record: &Record, now: Time) -> Result<(), StoreError> {
    if let Ok(upload) = Upload::read(record)
        && let Err(refusal) = erase(pipelines, &upload).await
    {
        tracing::warn!(upload = &*record.id, error = ?refusal, "an upload could not be removed");
        return Ok(());
    }
    let write = RecordWrite {
        namespace: record.namespace.clone(),
        kind: record.kind.clone(),
        id: record.id.clone(),
        expected: Some(record.version),
        body: None,
        expires_at: None,
        at: now,
    };
    pipelines.store.put_records(vec![write]).await?;
    Ok(())
}
