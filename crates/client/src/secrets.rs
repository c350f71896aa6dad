//! Secrets: what steps may send and nobody may read.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::Page;

/// Operations on secrets. None of them gives a value back.
#[derive(Debug, Clone, Copy)]
pub struct Secrets<'a>(pub(crate) &'a Client);

/// What is told of a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// One more with each value, and with each rotation of the key.
    pub version: u64,
    /// Whether the value is masked where a receiver repeats it.
    #[serde(default)]
    pub masked: bool,
    /// Who gave the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// When there first was one.
    #[serde(default)]
    pub created_at: String,
    /// When it was last written.
    #[serde(default)]
    pub updated_at: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A namespace's secrets have a new data key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RotatedSecretKey {
    /// The id of the new key.
    pub key_id: String,
    /// How many secrets were sealed under it.
    pub secrets: u64,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Secrets<'_> {
    /// Stores a value, over the one before it.
    pub async fn put(&self, name: &str, value: &str) -> Result<Secret, Error> {
        let call = Call::post(&["v1", "secrets", name], &json!({ "value": value }));
        let method = Method::PUT;
        self.0.json(Call { method, ..call }).await
    }

    /// One page, by name.
    pub async fn list(&self, cursor: Option<&str>, limit: Option<u32>) -> Result<Page<Secret>, Error> {
        self.0.page(&["v1", "secrets"], cursor, limit).await
    }

    /// All of them, page by page.
    pub async fn all(&self) -> Result<Vec<Secret>, Error> {
        self.0.pages(&["v1", "secrets"]).await
    }

    /// What is told of one of them.
    pub async fn get(&self, name: &str) -> Result<Secret, Error> {
        self.0.json(Call::get(&["v1", "secrets", name])).await
    }

    /// Removes one; steps that name it fail from then on.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        self.0.bytes(Call::delete(&["v1", "secrets", name])).await.map(drop)
    }

    /// Seals all secrets of the namespace under a new data key; their values stay.
    pub async fn rotate_key(&self) -> Result<RotatedSecretKey, Error> {
        self.0
            .json(Call::post(&["v1", "secrets", "rotate-key"], &json!({})))
            .await
    }
}
