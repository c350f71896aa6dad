//! What the API speaks of.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A workflow as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// Its id.
    #[serde(default)]
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its steps, as they were written.
    #[serde(default)]
    pub steps: Vec<Value>,
    /// When it was first stored.
    #[serde(default)]
    pub created_at: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Id of the version.
    #[serde(default)]
    pub id: String,
    /// Whose version it is.
    #[serde(default)]
    pub workflow_id: String,
    /// From 1.
    pub version: u32,
    /// The workflow as it was then.
    #[serde(default)]
    pub payload: Value,
    /// When it was stored.
    #[serde(default)]
    pub created_at: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A process that works on the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its id; another one after each start.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Where its API can be reached; empty where that is not known.
    #[serde(default)]
    pub url: String,
    /// Version of its program.
    #[serde(default)]
    pub version: String,
    /// `alive`, `draining`, `expired` or `taken_over`.
    pub state: String,
    /// Whether it is the one that answered.
    #[serde(default, rename = "self")]
    pub is_self: bool,
    /// When it started.
    #[serde(default)]
    pub started_at: String,
    /// Its last sign of life.
    #[serde(default)]
    pub last_beat_at: String,
    /// When others may take over what it holds; absent where there can be no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<String>,
    /// Attempts that it held at its last sign of life.
    #[serde(default)]
    pub in_flight: u32,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One execution of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Of which workflow; empty for an inline definition.
    #[serde(default)]
    pub workflow_id: String,
    /// Where it stands.
    pub status: RunStatus,
    /// How many steps have ended.
    #[serde(default)]
    pub current_step: u64,
    /// Its variables.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
    /// What became of its steps so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepRun>,
    /// When it was accepted.
    #[serde(default)]
    pub created_at: String,
    /// When it last changed.
    #[serde(default)]
    pub updated_at: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A step inside a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRun {
    /// Key of the step, `key[3]` for an item of a `for_each`.
    #[serde(default)]
    pub step_id: String,
    /// Its label.
    #[serde(default)]
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub action: String,
    /// Where it stands.
    #[serde(default)]
    pub status: String,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its result, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Protocol status of its last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_code: Option<u16>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Page<T> {
    /// The entries.
    #[serde(default = "Vec::new", deserialize_with = "null_is_empty")]
    pub items: Vec<T>,
    /// Pass it on to get the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A part of a run's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The events.
    pub items: Vec<Value>,
    /// Pass it as `after` to go on; absent at the end of what there is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// The original says `null` where a list is empty.
fn null_is_empty<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(source)?.unwrap_or_default())
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RunStatus {
    /// Accepted, nothing begun.
    Pending,
    /// Under way.
    Running,
    /// A person is asked.
    WaitingApproval,
    /// A person holds it.
    Paused,
    /// Failed steps hold it until a person mends them.
    Blocked,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Called off.
    Canceled,
    /// Declared settled by a person.
    Resolved,
    /// A state that this client does not know.
    Other(String),
}

const STATUSES: [(RunStatus, &str); 9] = [
    (RunStatus::Pending, "PENDING"),
    (RunStatus::Running, "RUNNING"),
    (RunStatus::WaitingApproval, "WAITING_APPROVAL"),
    (RunStatus::Paused, "PAUSED"),
    (RunStatus::Blocked, "BLOCKED"),
    (RunStatus::Succeeded, "SUCCEEDED"),
    (RunStatus::Failed, "FAILED"),
    (RunStatus::Canceled, "CANCELED"),
    (RunStatus::Resolved, "RESOLVED"),
];

impl RunStatus {
    /// Its name in the API.
    pub fn as_str(&self) -> &str {
        match self {
            RunStatus::Other(name) => name,
            known => STATUSES
                .iter()
                .find(|(status, _)| status == known)
                .map_or("", |(_, name)| name),
        }
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        matches!(
            self,
            RunStatus::Succeeded | RunStatus::Failed | RunStatus::Canceled | RunStatus::Resolved
        )
    }

    /// Whether the run is over and did what it was meant to do.
    pub fn is_success(&self) -> bool {
        matches!(self, RunStatus::Succeeded | RunStatus::Resolved)
    }
}

impl From<String> for RunStatus {
    fn from(name: String) -> Self {
        let known = STATUSES.iter().find(|(_, known)| *known == name);
        known
            .map(|(status, _)| status.clone())
            .unwrap_or(RunStatus::Other(name))
    }
}

impl From<RunStatus> for String {
    fn from(status: RunStatus) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_keeps_fields_that_this_client_does_not_know() {
        let text = json!({"id": "run_1", "status": "RUNNING", "workflow_id": "wf", "current_step": 1,
            "steps": [{"step_id": "a", "status": "SUCCEEDED", "attempts": 2}], "workflow_version": 3,
            "created_at": "t", "updated_at": "t"});
        let run: Run = serde_json::from_value(text).unwrap();
        let back = serde_json::to_value(&run).unwrap();
        assert_eq!(back["workflow_version"], 3);
        assert_eq!(back["steps"][0]["attempts"], 2);
    }

    #[test]
    fn statuses_survive_the_way_there_and_back_also_unknown_ones() {
        for name in STATUSES.iter().map(|(_, name)| *name).chain(["SOMETHING_NEW"]) {
            let status: RunStatus = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(serde_json::to_value(&status).unwrap(), json!(name));
        }
        assert_eq!(RunStatus::from("X".to_owned()), RunStatus::Other("X".to_owned()));
    }

    #[test]
    fn a_list_that_is_null_is_empty() {
        let page: Page<Run> = serde_json::from_value(json!({"items": null})).unwrap();
        assert!(page.items.is_empty() && page.next_cursor.is_none());
    }
}
