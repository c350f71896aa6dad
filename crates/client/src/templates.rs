//! Built-in workflows, to start from.

use serde_json::Value;

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::{Page, Workflow};

/// Operations on templates.
#[derive(Debug, Clone, Copy)]
pub struct Templates<'a>(pub(crate) &'a Client);

impl Templates<'_> {
    /// The built-in workflows.
    pub async fn list(&self) -> Result<Page<Workflow>, Error> {
        self.0.json(Call::get(&["v1", "templates"])).await
    }

    /// Stores a definition as an ordinary workflow.
    pub async fn create(&self, document: &Value) -> Result<Workflow, Error> {
        self.0.json(Call::post(&["v1", "templates"], document)).await
    }
}
