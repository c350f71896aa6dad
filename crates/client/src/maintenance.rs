//! Maintenance: while it is asked for, nothing new is taken in; it begins when what is under way has ended.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;

/// Operations on maintenance.
#[derive(Debug, Clone, Copy)]
pub struct Maintenance<'a>(pub(crate) &'a Client);

/// Where the server stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceState {
    /// `running`, `waiting_for_maintenance` or `maintenance`.
    pub mode: String,
    /// Whether nothing is under way any more.
    #[serde(default)]
    pub can_enter_maintenance: bool,
    /// Tasks that wait to be handed out.
    #[serde(default)]
    pub pending_tasks: u64,
    /// Tasks under way.
    #[serde(default)]
    pub running_tasks: u64,
    /// When the mode changed last.
    #[serde(default)]
    pub mode_changed_at: String,
    /// The same for people.
    #[serde(default)]
    pub message: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Maintenance<'_> {
    /// Where it stands.
    pub async fn state(&self) -> Result<MaintenanceState, Error> {
        self.0.json(Call::get(&["api", "maintenance"])).await
    }

    /// Takes nothing new in, and begins when what is under way has ended.
    pub async fn request(&self) -> Result<MaintenanceState, Error> {
        self.act("request").await
    }

    /// Begins now, if it was asked for and nothing is under way.
    pub async fn enter(&self) -> Result<MaintenanceState, Error> {
        self.act("enter").await
    }

    /// Ends it, also while it is only waited for.
    pub async fn exit(&self) -> Result<MaintenanceState, Error> {
        self.act("exit").await
    }

    async fn act(&self, verb: &str) -> Result<MaintenanceState, Error> {
        self.0.json(Call::post(&["api", "maintenance", verb], &json!({}))).await
    }
}
