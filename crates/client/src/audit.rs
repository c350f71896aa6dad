//! The audit trail: who did what to which object.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::Page;

/// Operations on the audit trail.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a>(pub(crate) &'a Client);

/// An entry. Its hash covers everything that the server said of it: to check one, take the text of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, from 1.
    #[serde(default)]
    pub seq: u64,
    /// When the request came.
    #[serde(default)]
    pub at: String,
    /// The caller's name.
    #[serde(default)]
    pub actor: String,
    /// Whose objects it was about.
    #[serde(default)]
    pub namespace: String,
    /// Which operation.
    #[serde(default)]
    pub action: String,
    /// The parameters of the path.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub object: Map<String, Value>,
    /// The id of what was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// `done`, `refused`, `failed` or `abandoned`.
    #[serde(default)]
    pub outcome: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the last entry; 0 where there is none.
    pub seq: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// Which entries are wanted. What is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// About this namespace.
    pub namespace: Option<String>,
    /// Of this caller.
    pub actor: Option<String>,
    /// Of this operation.
    pub action: Option<String>,
    /// About what has this id.
    pub object: Option<String>,
    /// That ended like this.
    pub outcome: Option<String>,
    /// From this time on.
    pub from: Option<String>,
    /// Before this time.
    pub to: Option<String>,
}

impl Audit<'_> {
    /// One page, newest first. It may have no entries and still name a next one.
    pub async fn list(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<AuditEntry>, Error> {
        let call = Call::get(&["v1", "audit"])
            .query("namespace", filter.namespace.as_deref())
            .query("actor", filter.actor.as_deref())
            .query("action", filter.action.as_deref())
            .query("object", filter.object.as_deref())
            .query("outcome", filter.outcome.as_deref())
            .query("from", filter.from.as_deref())
            .query("to", filter.to.as_deref())
            .query("cursor", cursor)
            .query("limit", limit);
        self.0.json(call).await
    }

    /// Where the chain ends.
    pub async fn head(&self) -> Result<AuditHead, Error> {
        self.0.json(Call::get(&["v1", "audit", "head"])).await
    }

    /// Entries above the number `after`, at most `limit`, oldest first: one JSON object a line, as it was hashed.
    pub async fn export(&self, after: u64, limit: u64) -> Result<Bytes, Error> {
        let call = Call::get(&["v1", "audit", "export"])
            .query("after", Some(after))
            .query("limit", Some(limit))
            .header("accept", Some("application/x-ndjson, application/json"));
        self.0.bytes(call).await
    }
}
