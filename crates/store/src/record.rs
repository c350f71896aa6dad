//! Small documents that faces keep beside runs: registrations, uploads, switches.

use std::sync::Arc;

use quintet_core::time::Time;

/// A document to be stored, or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// What it is, for instance `pipelines.service`.
    pub kind: Arc<str>,
    /// Its id within the kind.
    pub id: Arc<str>,
    /// Version that must be current, 0 when there must be none; `None` stores in any case.
    pub expected: Option<u64>,
    /// JSON; `None` removes the document.
    pub body: Option<String>,
    /// When it is to be looked at by [`crate::Store::expired_records`].
    pub expires_at: Option<Time>,
    /// When.
    pub at: Time,
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// What it is.
    pub kind: Arc<str>,
    /// Its id within the kind.
    pub id: Arc<str>,
    /// From 1, one more with each write. A document that was removed and stored again begins at 1.
    pub version: u64,
    /// JSON.
    pub body: String,
    /// When it is to be looked at.
    pub expires_at: Option<Time>,
    /// When version 1 was stored.
    pub created_at: Time,
    /// When the current version was stored.
    pub updated_at: Time,
}
