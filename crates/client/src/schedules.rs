//! Schedules: what is started again and again.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::model::Page;

/// Operations on schedules.
#[derive(Debug, Clone, Copy)]
pub struct Schedules<'a>(pub(crate) &'a Client);

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// When.
    pub cron: String,
    /// By the clocks of which time zone.
    #[serde(default)]
    pub timezone: String,
    /// What it starts: an object with `kind`, and `workflow_id` and `context`, or `document`.
    #[serde(default)]
    pub target: Value,
    /// What becomes of missed times: `skip`, `latest` or `all`.
    #[serde(default)]
    pub missed: String,
    /// Whether a time is left out while the run before is not over: `allow` or `skip`.
    #[serde(default)]
    pub overlap: String,
    /// Whether nothing is started.
    #[serde(default)]
    pub paused: bool,
    /// Anything worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it is due next; absent while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<String>,
    /// What became of the last time that it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastFiring>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What became of a time that a schedule was due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastFiring {
    /// When it was due.
    pub nominal_at: String,
    /// When that was done.
    #[serde(default)]
    pub fired_at: String,
    /// `started`, `failed` or `overlapped`.
    pub outcome: String,
    /// The run that was started, or that was still under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Why none was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A schedule that is to be, or what is to change about one. What is absent has its usual value, or stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Its id; one is made when it is absent. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// By the clocks of which time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Value>,
    /// `skip`, `latest` or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<String>,
    /// `allow` or `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// Anything worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether nothing is started before it is resumed. Only of a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

impl ScheduleSpec {
    /// Starts the workflow with a context (an object) when the expression says.
    pub fn workflow(cron: &str, workflow_id: &str, context: Value) -> Self {
        Self {
            cron: Some(cron.to_owned()),
            target: Some(json!({ "kind": "workflow", "workflow_id": workflow_id, "context": context })),
            ..Self::default()
        }
    }
}

/// A run that was started by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggeredSchedule {
    /// Whose.
    pub schedule_id: String,
    /// The run.
    pub run_id: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A time that comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upcoming {
    /// When.
    pub at: String,
    /// What the clock of the schedule's time zone shows then.
    pub local: String,
}

#[derive(Deserialize)]
struct UpcomingList {
    items: Vec<Upcoming>,
}

impl Schedules<'_> {
    /// One page, by id.
    pub async fn list(&self, cursor: Option<&str>, limit: Option<u32>) -> Result<Page<Schedule>, Error> {
        self.0.page(&["v1", "schedules"], cursor, limit).await
    }

    /// All of them, page by page.
    pub async fn all(&self) -> Result<Vec<Schedule>, Error> {
        self.0.pages(&["v1", "schedules"]).await
    }

    /// One of them.
    pub async fn get(&self, id: &str) -> Result<Schedule, Error> {
        self.0.json(Call::get(&["v1", "schedules", id])).await
    }

    /// Creates one.
    pub async fn create(&self, spec: &ScheduleSpec) -> Result<Schedule, Error> {
        self.0.json(Call::post(&["v1", "schedules"], spec)).await
    }

    /// Changes what the spec names.
    pub async fn change(&self, id: &str, spec: &ScheduleSpec) -> Result<Schedule, Error> {
        let call = Call::post(&["v1", "schedules", id], spec);
        let method = Method::PATCH;
        self.0.json(Call { method, ..call }).await
    }

    /// Nothing is started until it is resumed.
    pub async fn pause(&self, id: &str) -> Result<Schedule, Error> {
        self.0
            .json(Call::post(&["v1", "schedules", id, "pause"], &json!({})))
            .await
    }

    /// Goes on with the next time.
    pub async fn resume(&self, id: &str) -> Result<Schedule, Error> {
        self.0
            .json(Call::post(&["v1", "schedules", id, "resume"], &json!({})))
            .await
    }

    /// Starts a run now; with the same key, once.
    pub async fn trigger(&self, id: &str, idempotency_key: Option<&str>) -> Result<TriggeredSchedule, Error> {
        let call = Call::post(&["v1", "schedules", id, "trigger"], &json!({}));
        self.0.json(call.header("idempotency-key", idempotency_key)).await
    }

    /// The times that come next.
    pub async fn upcoming(&self, id: &str, count: Option<u32>) -> Result<Vec<Upcoming>, Error> {
        let call = Call::get(&["v1", "schedules", id, "upcoming"]).query("count", count);
        let list: UpcomingList = self.0.json(call).await?;
        Ok(list.items)
    }

    /// Removes one; its runs stay.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        self.0.bytes(Call::delete(&["v1", "schedules", id])).await.map(drop)
    }
}
