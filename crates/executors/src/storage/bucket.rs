//! Opened backends: what the rest of the server does with objects.
//!
//! Here are the bounds that hold for every backend: keys are checked before they get here, every operation ends in time,
//! an object that is too large is not read to its end, and no text that leaves holds a credential.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::backend::{Backend, BackendView};
use super::error::StorageError;
use super::key::{Key, KeyError};
use super::remote::Remote;
use super::set::BackendSet;
use super::transport::Transport;

/// For an operation on a small object.
const PATIENCE: Duration = Duration::from_secs(30);
/// Larger ones get a second more for each of these.
const BYTES_PER_SECOND: u64 = 1024 * 1024;
/// How much of what a service said is kept.
const MAX_REASON_CHARS: usize = 500;
/// Credentials shorter than this cannot be told from ordinary words, and would garble every text.
const MIN_MASKED_BYTES: usize = 4;

/// All opened backends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backends(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    buckets: Vec<Bucket>,
    default: usize,
}

/// One opened backend. Cheap to clone.
#[derive(Clone)]
pub struct Bucket(Arc<Opened>);

struct Opened {
    backend: Backend,
    driver: Box<dyn Driver>,
    /// For an operation on a small object, retries included.
    patience: Duration,
}

/// A backend cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("storage backend {id:?} cannot be opened: {reason}")]
pub struct OpenError {
    /// Its id.
    pub id: String,
    /// Why not.
    pub reason: String,
}

/// Whether an object must survive the loss of power once it is put. Services always see to it; for a local folder it
/// costs up to three fsyncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It must: nobody else has its content.
    Synced,
    /// It need not: it can be put again from what else is known.
    Unsynced,
}

/// What is known of an object besides its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its length.
    pub size_bytes: u64,
    /// What it was put as; local folders do not remember.
    pub content_type: Option<String>,
}

/// An object, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its content.
    pub content: Bytes,
    /// What it was put as; local folders do not remember.
    pub content_type: Option<String>,
}

/// An object, piece by piece.
pub struct ObjectStream {
    /// As it was when it was opened.
    pub metadata: Metadata,
    /// Its content. Each piece comes in time or is an error; after an error nothing follows.
    pub chunks: BoxStream<'static, Result<Bytes, StorageError>>,
}

/// What a kind of backend must be able to do.
#[async_trait]
pub(super) trait Driver: fmt::Debug + Send + Sync {
    async fn put(&self, key: &Key, content: Bytes, content_type: &str, durability: Durability) -> Result<(), Failure>;
    async fn read(&self, key: &Key) -> Result<Reading, Failure>;
    async fn head(&self, key: &Key) -> Result<Metadata, Failure>;
    async fn delete(&self, key: &Key) -> Result<(), Failure>;
}

/// What a driver begins to read.
pub(super) struct Reading {
    pub metadata: Metadata,
    pub chunks: BoxStream<'static, Result<Bytes, Failure>>,
}

/// What went wrong, as the driver knows it.
#[derive(Debug)]
pub(super) enum Failure {
    Missing,
    Invalid(KeyError),
    Other { reason: String, is_retryable: bool },
}

impl Failure {
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Other {
            reason: reason.into(),
            is_retryable: false,
        }
    }

    pub fn passing(reason: impl Into<String>) -> Self {
        Self::Other {
            reason: reason.into(),
            is_retryable: true,
        }
    }
}

impl Backends {
    /// Opens backends: makes the folders of local ones, and their paths absolute. Nothing is sent to services yet.
    pub fn open(set: BackendSet) -> Result<Self, OpenError> {
        let transport = Transport::new();
        let (backends, default) = set.into_parts();
        let open = |backend| Bucket::open(backend, &transport);
        let buckets: Result<Vec<Bucket>, OpenError> = backends.into_iter().map(open).collect();
        Ok(Self(Arc::new(Inner {
            buckets: buckets?,
            default,
        })))
    }

    /// The one that runs use.
    pub fn default_bucket(&self) -> &Bucket {
        &self.0.buckets[self.0.default]
    }

    /// The one of a backend's id.
    pub fn bucket(&self, backend_id: &str) -> Option<&Bucket> {
        self.iter().find(|bucket| bucket.backend().id == backend_id)
    }

    /// All, in the order in which they were configured.
    pub fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.0.buckets.iter()
    }

    /// What may be shown of them.
    pub fn views(&self) -> Vec<BackendView> {
        let view = |(at, bucket): (usize, &Bucket)| bucket.backend().view(at == self.0.default);
        self.iter().enumerate().map(view).collect()
    }
}

impl Bucket {
    fn open(mut backend: Backend, transport: &Transport) -> Result<Self, OpenError> {
        let driver = match driver(&mut backend, transport) {
            Ok(driver) => driver,
            Err(reason) => {
                let reason = presentable(&backend, &reason);
                return Err(OpenError { id: backend.id, reason });
            }
        };
        Ok(Self(Arc::new(Opened {
            backend,
            driver,
            patience: PATIENCE,
        })))
    }

    /// Its settings, with the absolute path of a local folder.
    pub fn backend(&self) -> &Backend {
        &self.0.backend
    }

    /// Puts an object in the place of what has this key, whole or not at all.
    pub async fn put(
        &self,
        key: &Key,
        content: impl Into<Bytes>,
        content_type: &str,
        durability: Durability,
    ) -> Result<(), StorageError> {
        let content = content.into();
        let time = self.time_for(content.len() as u64);
        let putting = self.0.driver.put(key, content, content_type, durability);
        self.within(time, key, putting).await
    }

    /// Reads an object of up to `limit_bytes`.
    pub async fn get(&self, key: &Key, limit_bytes: u64) -> Result<Object, StorageError> {
        let too_large = || StorageError::TooLarge {
            key: key.to_string(),
            limit_bytes,
        };
        let mut stream = self.stream(key).await?;
        if stream.metadata.size_bytes > limit_bytes {
            return Err(too_large());
        }
        let collect = async {
            let mut content = BytesMut::new();
            while let Some(chunk) = stream.chunks.next().await {
                let chunk = chunk?;
                // The announced length is only that: a file can grow while it is read.
                if (content.len() + chunk.len()) as u64 > limit_bytes {
                    return Err(too_large());
                }
                content.extend_from_slice(&chunk);
            }
            Ok(content.freeze())
        };
        let time = self.time_for(limit_bytes);
        let content = tokio::time::timeout(time, collect)
            .await
            .map_err(|_| self.timed_out(time))??;
        Ok(Object {
            content,
            content_type: stream.metadata.content_type,
        })
    }

    /// Opens an object of any size to be read piece by piece.
    pub async fn stream(&self, key: &Key) -> Result<ObjectStream, StorageError> {
        let reading = self.within(self.0.patience, key, self.0.driver.read(key)).await?;
        let rest = (self.clone(), key.clone(), Some(reading.chunks));
        let chunks = futures_util::stream::unfold(rest, |(bucket, key, chunks)| async move {
            let mut chunks = chunks?;
            let patience = bucket.0.patience;
            let chunk = match tokio::time::timeout(patience, chunks.next()).await {
                Ok(chunk) => chunk?.map_err(|failure| bucket.explain(&key, failure)),
                Err(_) => Err(bucket.timed_out(patience)),
            };
            let rest = chunk.is_ok().then_some(chunks);
            Some((chunk, (bucket, key, rest)))
        });
        Ok(ObjectStream {
            metadata: reading.metadata,
            chunks: chunks.boxed(),
        })
    }

    /// What is known of an object besides its content.
    pub async fn head(&self, key: &Key) -> Result<Metadata, StorageError> {
        self.within(self.0.patience, key, self.0.driver.head(key)).await
    }

    /// Removes an object; one that is not there is as good as removed.
    pub async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        match self.within(self.0.patience, key, self.0.driver.delete(key)).await {
            Err(StorageError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    async fn within<T>(
        &self,
        time: Duration,
        key: &Key,
        operation: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StorageError> {
        match tokio::time::timeout(time, operation).await {
            Ok(done) => done.map_err(|failure| self.explain(key, failure)),
            Err(_) => Err(self.timed_out(time)),
        }
    }

    fn time_for(&self, size_bytes: u64) -> Duration {
        let more = Duration::from_secs(size_bytes / BYTES_PER_SECOND);
        self.0.patience.saturating_add(more)
    }

    fn timed_out(&self, time: Duration) -> StorageError {
        StorageError::Unavailable {
            backend: self.backend().id.clone(),
            reason: format!("no answer within {} ms", time.as_millis()),
            is_retryable: true,
        }
    }

    fn explain(&self, key: &Key, failure: Failure) -> StorageError {
        let backend = self.backend().id.clone();
        match failure {
            Failure::Missing => StorageError::NotFound {
                backend,
                key: key.to_string(),
            },
            Failure::Invalid(error) => StorageError::InvalidPath(error),
            Failure::Other { reason, is_retryable } => StorageError::Unavailable {
                backend,
                reason: presentable(self.backend(), &reason),
                is_retryable,
            },
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the driver: what the library shows of itself is the library's affair.
        f.debug_tuple("Bucket").field(&self.0.backend).finish()
    }
}

impl fmt::Debug for ObjectStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStream")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

#[cfg(unix)]
fn driver(backend: &mut Backend, transport: &Transport) -> Result<Box<dyn Driver>, String> {
    if let super::backend::Credentials::Local { base_path } = &mut backend.credentials {
        let local = super::local::Local::open(base_path)?;
        base_path.clone_from(local.base_path());
        return Ok(Box::new(local));
    }
    Ok(Box::new(Remote::open(backend, transport)?))
}

#[cfg(not(unix))]
fn driver(backend: &mut Backend, transport: &Transport) -> Result<Box<dyn Driver>, String> {
    if backend.base_path().is_some() {
        return Err("local folders are supported on Unix only".to_owned());
    }
    Ok(Box::new(Remote::open(backend, transport)?))
}

/// A text without the backend's credentials and of bounded length. Services repeat what they were sent: S3 answers an
/// outdated session with its token.
fn presentable(backend: &Backend, text: &str) -> String {
    let mut text = text.to_owned();
    for secret in backend
        .secrets()
        .into_iter()
        .filter(|secret| secret.len() >= MIN_MASKED_BYTES)
    {
        text = text.replace(secret, "…");
    }
    match text.char_indices().nth(MAX_REASON_CHARS) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
