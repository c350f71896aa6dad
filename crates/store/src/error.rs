//! How a store fails. The variant says whether a retry can help.

/// A store operation that did not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is busy; nothing was applied; try again.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The answer was lost: it may or may not have been applied. Reload before deciding again.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The disk is full or not writable; nothing was applied.
    #[error("store is full or read-only: {0}")]
    Full(String),
    /// Another process owns the store, its schema is newer than this program, it was closed, or it stopped
    /// accepting writes after the disk failed to flush one: only a person or a restart can help.
    #[error("{0}")]
    Refused(String),
    /// What is stored cannot be understood.
    #[error("damaged data: {0}")]
    Corrupt(String),
    /// A defect in this program.
    #[error("internal store error: {0}")]
    Internal(String),
}

impl StoreError {
    /// Whether the same call can succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unknown(_))
    }
}
