//! The processes that work on the store.

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::{Node, Page};

/// Operations on nodes.
#[derive(Debug, Clone, Copy)]
pub struct Nodes<'a>(pub(crate) &'a Client);

impl Nodes<'_> {
    /// All of them.
    pub async fn list(&self) -> Result<Page<Node>, Error> {
        self.0.json(Call::get(&["v1", "nodes"])).await
    }
}
