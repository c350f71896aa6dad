//! Keys: who is asking, and making, listing, replacing and revoking them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::Page;

/// Operations on keys.
#[derive(Debug, Clone, Copy)]
pub struct Auth<'a>(pub(crate) &'a Client);

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Me {
    /// The key's name, or the token's subject.
    pub name: String,
    /// By what it was recognised: `key`, `token`, `setting`, `process` or `none`.
    #[serde(default)]
    pub credential: String,
    /// The namespace that it belongs to; `*` is all of them.
    #[serde(default)]
    pub home: String,
    /// The namespace of this request.
    #[serde(default)]
    pub namespace: String,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// All that it may do.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A key's record. The key itself is there only where it was just made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Its id, which is no secret.
    pub id: String,
    /// The key: in the answer to the request that made it, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who uses it.
    #[serde(default)]
    pub name: String,
    /// Whose workflows and runs it sees; `*` is everybody's.
    #[serde(default)]
    pub namespace: String,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What it may do beside that.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// `active`, `expired` or `revoked`.
    #[serde(default)]
    pub state: String,
    /// When it ends to be valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was last used, to about a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A key that is to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NewKey {
    /// Who uses it.
    pub name: String,
    /// Whose workflows and runs it sees; the caller's own where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `viewer`, `operator`, `author`, `worker`, `admin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Names such as `tasks:read` and `tasks:*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
    /// Services and queues that a worker may serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// How long it is valid, such as `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

impl Auth<'_> {
    /// Who is asking.
    pub async fn me(&self) -> Result<Me, Error> {
        self.0.json(Call::get(&["v1", "auth", "me"])).await
    }

    /// Makes a key; it is in the answer and nowhere else.
    pub async fn create(&self, new: &NewKey) -> Result<Key, Error> {
        self.0.json(Call::post(&["v1", "auth", "keys"], new)).await
    }

    /// One page, by id.
    pub async fn list(&self, cursor: Option<&str>, limit: Option<u32>) -> Result<Page<Key>, Error> {
        self.0.page(&["v1", "auth", "keys"], cursor, limit).await
    }

    /// All of them, page by page.
    pub async fn all(&self) -> Result<Vec<Key>, Error> {
        self.0.pages(&["v1", "auth", "keys"]).await
    }

    /// One of them.
    pub async fn get(&self, id: &str) -> Result<Key, Error> {
        self.0.json(Call::get(&["v1", "auth", "keys", id])).await
    }

    /// Ends one.
    pub async fn revoke(&self, id: &str) -> Result<Key, Error> {
        self.0.json(Call::delete(&["v1", "auth", "keys", id])).await
    }

    /// Makes one in place of another, which goes on for `grace` (such as `24h`), or is revoked at once.
    pub async fn rotate(&self, id: &str, grace: Option<&str>) -> Result<Key, Error> {
        let body = grace.map_or(json!({}), |grace| json!({ "grace": grace }));
        self.0
            .json(Call::post(&["v1", "auth", "keys", id, "rotate"], &body))
            .await
    }
}
