//! Steps that wait for a person, over all runs. They are answered through [`crate::Runs`].

use serde_json::Value;

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::Page;

/// Operations on approvals.
#[derive(Debug, Clone, Copy)]
pub struct Approvals<'a>(pub(crate) &'a Client);

impl Approvals<'_> {
    /// What waits for a person.
    pub async fn list(&self) -> Result<Page<Value>, Error> {
        self.0.json(Call::get(&["v1", "approvals"])).await
    }
}
