//! What can go wrong with an object, told apart by what the caller can do about it.

use super::key::KeyError;

/// An operation on an object did not succeed. Texts name the backend's id and never hold its credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// There is no such object.
    #[error("there is no object {key:?} in storage backend {backend:?}")]
    NotFound {
        /// Id of the backend.
        backend: String,
        /// The key.
        key: String,
    },
    /// No object can have this key here.
    #[error("invalid object key: {0}")]
    InvalidPath(#[from] KeyError),
    /// The object is larger than the caller takes.
    #[error("object {key:?} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The key.
        key: String,
        /// What the caller takes.
        limit_bytes: u64,
    },
    /// The backend did not do it.
    #[error("storage backend {backend:?} is unavailable: {reason}")]
    Unavailable {
        /// Id of the backend.
        backend: String,
        /// What it or the way to it said, for the log.
        reason: String,
        /// Whether the same operation may succeed later without anybody changing anything.
        is_retryable: bool,
    },
}

impl StorageError {
    /// Whether the same operation may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { is_retryable: true, .. })
    }
}
