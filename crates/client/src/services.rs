//! Services: programs whose workers have registered the tasks that they run.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{Call, Client};
use crate::error::Error;

/// Operations on services.
#[derive(Debug, Clone, Copy)]
pub struct Services<'a>(pub(crate) &'a Client);

/// A service as it registered last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Version of its program, in its own words.
    #[serde(default)]
    pub version: String,
    /// Where its worker says it is.
    #[serde(default)]
    pub base_url: String,
    /// `active`, `inactive` or `disconnected`.
    #[serde(default)]
    pub status: String,
    /// When it registered.
    #[serde(default)]
    pub registered_at: String,
    /// Its last sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<String>,
    /// How many tasks it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_count: Option<u64>,
    /// Its tasks, where one service is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

#[derive(Deserialize)]
struct All {
    services: Vec<Service>,
}

#[derive(Deserialize)]
struct One {
    service: Service,
}

impl Services<'_> {
    /// All of them.
    pub async fn list(&self) -> Result<Vec<Service>, Error> {
        let all: All = self.0.json(Call::get(&["api", "services"])).await?;
        Ok(all.services)
    }

    /// One, with its tasks.
    pub async fn get(&self, id: &str) -> Result<Service, Error> {
        let one: One = self.0.json(Call::get(&["api", "services", id])).await?;
        Ok(one.service)
    }
}
