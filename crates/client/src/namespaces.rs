//! Namespaces: who is served, and how much each may use.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::Page;

/// Operations on namespaces; most are for callers of all namespaces.
#[derive(Debug, Clone, Copy)]
pub struct Namespaces<'a>(pub(crate) &'a Client);

/// A namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// `active` or `suspended`.
    #[serde(default)]
    pub state: String,
    /// Words to find it by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How much it may use, by the names of the limits; what is absent has none.
    #[serde(default)]
    pub quotas: Map<String, Value>,
    /// When it was created; absent of `default` where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What is said about a namespace; what is absent stays, and a quota of null is taken away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NamespaceSpec {
    /// Take the place of all that there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// By the names of the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Map<String, Value>>,
}

/// What a namespace uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamespaceUsage {
    /// Its name.
    pub namespace: String,
    /// Runs that are not over.
    pub live_runs: u64,
    /// Runs that are over.
    pub finished_runs: u64,
    /// Workflows.
    pub workflows: u64,
    /// Bytes of content in the store; an estimate.
    pub stored_bytes: u64,
    /// How much it may use.
    #[serde(default)]
    pub quotas: Map<String, Value>,
    /// When that was counted.
    #[serde(default)]
    pub as_of: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Namespaces<'_> {
    /// One page, by name.
    pub async fn list(&self, cursor: Option<&str>, limit: Option<u32>) -> Result<Page<Namespace>, Error> {
        self.0.page(&["v1", "namespaces"], cursor, limit).await
    }

    /// All of them, page by page.
    pub async fn all(&self) -> Result<Vec<Namespace>, Error> {
        self.0.pages(&["v1", "namespaces"]).await
    }

    /// One of them.
    pub async fn get(&self, name: &str) -> Result<Namespace, Error> {
        self.0.json(Call::get(&["v1", "namespaces", name])).await
    }

    /// Creates one.
    pub async fn create(&self, name: &str, spec: &NamespaceSpec) -> Result<Namespace, Error> {
        let mut body = json!({ "name": name });
        if let (Value::Object(body), Ok(Value::Object(spec))) = (&mut body, serde_json::to_value(spec)) {
            body.extend(spec);
        }
        self.0.json(Call::post(&["v1", "namespaces"], &body)).await
    }

    /// Changes what the spec names.
    pub async fn change(&self, name: &str, spec: &NamespaceSpec) -> Result<Namespace, Error> {
        let call = Call::post(&["v1", "namespaces", name], spec);
        let method = Method::PATCH;
        self.0.json(Call { method, ..call }).await
    }

    /// It can be read and not changed until it is resumed.
    pub async fn suspend(&self, name: &str) -> Result<Namespace, Error> {
        let call = Call::post(&["v1", "namespaces", name, "suspend"], &json!({}));
        self.0.json(call).await
    }

    /// It goes on.
    pub async fn resume(&self, name: &str) -> Result<Namespace, Error> {
        let call = Call::post(&["v1", "namespaces", name, "resume"], &json!({}));
        self.0.json(call).await
    }

    /// What it uses.
    pub async fn usage(&self, name: &str) -> Result<NamespaceUsage, Error> {
        self.0.json(Call::get(&["v1", "namespaces", name, "usage"])).await
    }

    /// Removes one in which nothing lives.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        self.0.bytes(Call::delete(&["v1", "namespaces", name])).await.map(drop)
    }
}
