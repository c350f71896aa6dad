//! Queues: where work waits until a backend or a worker takes it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;

/// Operations on queues.
#[derive(Debug, Clone, Copy)]
pub struct Queues<'a>(pub(crate) &'a Client);

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Whose it is: `tasks`, or another face.
    #[serde(default)]
    pub face: String,
    /// How much waits in it.
    #[serde(default)]
    pub waiting: u64,
    /// How much of it is under way.
    #[serde(default)]
    pub running: u64,
    /// Since when the oldest waits.
    #[serde(default)]
    pub oldest_at: Option<String>,
    /// How much of it may be under way at a time; `None` is no limit.
    #[serde(default)]
    pub limit: Option<u64>,
    /// How long waiting is worth one level of priority; `None` where it is worth nothing.
    #[serde(default)]
    pub ageing_ms: Option<u64>,
    /// Who has paused it, if somebody has.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// Why nothing of it starts now, beside a pause.
    #[serde(default)]
    pub closed: Option<String>,
    /// `workers` or `producers`, where it is bridged to Redis.
    #[serde(default)]
    pub bridge: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A pause of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// By whom, where that is known.
    #[serde(default)]
    pub by: Option<String>,
    /// Since when.
    #[serde(default)]
    pub at: String,
}

#[derive(Deserialize)]
struct All {
    items: Vec<Queue>,
}

impl Queues<'_> {
    /// All of them.
    pub async fn list(&self) -> Result<Vec<Queue>, Error> {
        let all: All = self.0.json(Call::get(&["v1", "queues"])).await?;
        Ok(all.items)
    }

    /// Starts nothing more of a queue; what is under way goes on.
    pub async fn pause(&self, name: &str) -> Result<Queue, Error> {
        self.act(name, "pause").await
    }

    /// Lifts the pause.
    pub async fn resume(&self, name: &str) -> Result<Queue, Error> {
        self.act(name, "resume").await
    }

    async fn act(&self, name: &str, verb: &str) -> Result<Queue, Error> {
        self.0.json(Call::post(&["v1", "queues", name, verb], &json!({}))).await
    }
}
