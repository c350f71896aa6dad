//! A stored key, and the record that it is kept in.
//!
//! The record holds the key's SHA-256 and never the key. It is never removed when a key is revoked: that there was such a
//! key, and who made it, stays to be seen. All keys are records of Quintet's own namespace, whatever namespace they are for.

use std::sync::Arc;

use quintet_core::time::Time;
use quintet_store::{Record, RecordWrite};
use serde::{Deserialize, Serialize};

use super::caller::{Caller, Credential, EVERY_NAMESPACE, OWN_NAMESPACE, Who};
use super::key::{self, Digest};
use super::role::Grant;

/// The kind of the records.
pub(super) const KIND: &str = "auth.key";

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredKey {
    /// Its id, which is a part of the key and no secret.
    #[serde(skip)]
    pub id: Arc<str>,
    /// Who uses it.
    pub name: String,
    /// SHA-256 of the key, in hex.
    sha256: String,
    /// Whose workflows and runs it sees; `*` is everybody's.
    pub namespace: String,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Queues and services that a worker with it may serve; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// When it was made.
    pub created_at: Time,
    /// By whom.
    pub created_by: String,
    /// When it ends to be valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it was last used, to about a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// The key that it was made in place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The version of the record; 0 when it is not stored yet.
    #[serde(skip)]
    pub(super) version: u64,
}

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Who uses it.
    pub name: String,
    /// Whose workflows and runs it sees; `*` is everybody's.
    pub namespace: String,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Queues and services that a worker with it may serve.
    pub queues: Option<Vec<String>>,
    /// When it ends to be valid.
    pub expires_at: Option<Time>,
}

/// How a key is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is accepted.
    Active,
    /// Its time is up.
    Expired,
    /// It was revoked.
    Revoked,
}

impl State {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl StoredKey {
    pub(super) fn new(draft: Draft, fresh: &key::Fresh, created_by: &str, now: Time) -> Self {
        Self {
            id: fresh.id.as_str().into(),
            name: draft.name,
            sha256: key::to_hex(&key::digest(&fresh.key)),
            namespace: draft.namespace,
            grants: draft.grants,
            queues: draft.queues,
            created_at: now,
            created_by: created_by.to_owned(),
            expires_at: draft.expires_at,
            last_used_at: None,
            revoked_at: None,
            replaces: None,
            version: 0,
        }
    }

    pub(super) fn read(record: &Record) -> Result<Self, serde_json::Error> {
        let key: Self = serde_json::from_str(&record.body)?;
        Ok(Self {
            id: Arc::clone(&record.id),
            version: record.version,
            ..key
        })
    }

    pub(super) fn write(&self, now: Time) -> RecordWrite {
        RecordWrite {
            namespace: OWN_NAMESPACE.into(),
            kind: KIND.into(),
            id: Arc::clone(&self.id),
            expected: Some(self.version),
            body: Some(serde_json::to_string(self).unwrap_or_default()),
            expires_at: None,
            at: now,
        }
    }

    /// How it is doing.
    pub fn state(&self, now: Time) -> State {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => State::Revoked,
            (None, Some(end)) if end <= now => State::Expired,
            (None, _) => State::Active,
        }
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        key::from_hex(&self.sha256)
    }

    /// Whoever shows it.
    pub(super) fn caller(&self) -> Caller {
        let who = Who {
            credential: Credential::Key(Arc::clone(&self.id)),
            is_global: self.namespace == EVERY_NAMESPACE,
            permissions: Grant::total(&self.grants),
            grants: self.grants.clone(),
            queues: self.queues.clone(),
            expires_at: self.expires_at,
        };
        Caller::new(self.name.as_str().into(), &self.namespace, who)
    }
}
