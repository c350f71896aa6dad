//! Backends: what does the work of tasks, such as Modal and Ray.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{Call, Client};
use crate::error::Error;

/// Operations on backends.
#[derive(Debug, Clone, Copy)]
pub struct Backends<'a>(pub(crate) &'a Client);

/// A backend, as the server that answers sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// What tasks call it.
    pub name: String,
    /// What it is: `modal`, `ray`, ...
    #[serde(default)]
    pub kind: String,
    /// Where it is.
    #[serde(default)]
    pub url: String,
    /// Whether it answered the last time it was asked; `None` before that.
    #[serde(default)]
    pub healthy: Option<bool>,
    /// `closed` where calls go through, `open` where they wait, `half_open` where one tries.
    #[serde(default)]
    pub circuit: String,
    /// Since when.
    #[serde(default)]
    pub since: Option<String>,
    /// What went wrong last.
    #[serde(default)]
    pub last_error: Option<String>,
    /// GPUs that it says it has.
    #[serde(default)]
    pub gpus: Value,
    /// How many calls are under way.
    #[serde(default)]
    pub in_flight: u64,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

#[derive(Deserialize)]
struct All {
    items: Vec<Backend>,
}

impl Backends<'_> {
    /// All of them.
    pub async fn list(&self) -> Result<Vec<Backend>, Error> {
        let all: All = self.0.json(Call::get(&["v1", "backends"])).await?;
        Ok(all.items)
    }
}
