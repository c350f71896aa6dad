//! Workflows: definitions and their versions.

use serde_json::{Value, json};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::{Page, Version, Workflow};

/// Operations on workflows.
#[derive(Debug, Clone, Copy)]
pub struct Workflows<'a>(pub(crate) &'a Client);

impl Workflows<'_> {
    /// Stores a definition. One that names an existing id becomes its next version.
    pub async fn create(&self, document: &Value) -> Result<Workflow, Error> {
        self.0.json(Call::post(&["v1", "workflows"], document)).await
    }

    /// All workflows.
    pub async fn list(&self) -> Result<Page<Workflow>, Error> {
        self.0.json(Call::get(&["v1", "workflows"])).await
    }

    /// The current version of one.
    pub async fn get(&self, id: &str) -> Result<Workflow, Error> {
        self.0.json(Call::get(&["v1", "workflows", id])).await
    }

    /// All versions of one, oldest first.
    pub async fn versions(&self, id: &str) -> Result<Page<Version>, Error> {
        self.0.json(Call::get(&["v1", "workflows", id, "versions"])).await
    }

    /// One version.
    pub async fn version(&self, id: &str, version: u32) -> Result<Version, Error> {
        self.0
            .json(Call::get(&["v1", "workflows", id, "versions", &version.to_string()]))
            .await
    }

    /// Makes an earlier version the newest one again.
    pub async fn rollback(&self, id: &str, version: u32) -> Result<Workflow, Error> {
        self.0
            .json(Call::post(
                &["v1", "workflows", id, "rollback"],
                &json!({ "version": version }),
            ))
            .await
    }

    /// Removes one with all its versions; its runs stay.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        self.0.bytes(Call::delete(&["v1", "workflows", id])).await.map(drop)
    }

    /// Checks a definition without storing it.
    pub async fn validate(&self, document: &Value) -> Result<Value, Error> {
        self.0
            .json(Call::post(&["v1", "workflows", "validate"], document))
            .await
    }
}
