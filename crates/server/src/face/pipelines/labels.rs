//! What a run of this face carries besides its input: small values by which it is told what it is.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::plan::FailureMode;

/// The labels of a run of this face.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Labels {
    /// Id of the pipeline; absent of a task that was queued by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Version of the pipeline's structure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_version: Option<String>,
    #[serde(default)]
    pub failure_mode: FailureMode,
    /// Where the input lies.
    pub input_path: String,
    /// In which storage backend.
    pub backend: String,
    /// As the client gave it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl Labels {
    /// Reads what [`Labels::to_map`] wrote; `None` of a run of another face.
    pub fn read(labels: &Map<String, Value>) -> Option<Self> {
        serde_json::from_value(Value::Object(labels.clone())).ok()
    }

    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }
}
