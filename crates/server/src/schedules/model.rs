//! A schedule: what somebody said it is, where it stands, and how both are kept in one record.

use std::sync::Arc;

use quintet_core::cron::{Cron, CronError};
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::{Record, RecordWrite, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of its record.
pub(super) const KIND: &str = "schedule";

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// Of its record.
    pub version: u64,
    /// What somebody said it is.
    pub spec: Spec,
    /// Where it stands.
    pub state: State,
    /// When it was created.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

/// What somebody said a schedule is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What people call it.
    pub name: String,
    /// When.
    pub cron: String,
    /// By the clocks of which time zone.
    pub timezone: String,
    /// What is started.
    pub target: Target,
    /// What becomes of times that were missed.
    #[serde(default)]
    pub missed: Missed,
    /// What becomes of a time while the run before is not over.
    #[serde(default)]
    pub overlap: Overlap,
    /// Anything worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a schedule starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// A run of the current version of a workflow.
    Workflow {
        /// Which one, or a template.
        workflow_id: String,
        /// The run's variables: an object.
        context: Value,
        /// Higher runs first.
        #[serde(default)]
        priority: i32,
    },
    /// What `POST /api/tasks` would start.
    Task {
        /// Its body.
        document: Value,
    },
}

/// What becomes of times that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out.
    Skip,
    /// One run for all of them.
    #[default]
    Latest,
    /// A run for each, the oldest first.
    All,
}

/// What becomes of a time while the run before is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It starts beside it.
    #[default]
    Allow,
    /// The time is left out.
    Skip,
}

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Nothing is started.
    pub paused: bool,
    /// The nominal time that comes next; `None` when paused, and after the last one of all.
    pub next_at: Option<Time>,
    /// The start for `next_at` failed and will be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The last nominal time that is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// The run that was started last, also by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunId>,
    /// How often what happened.
    pub counts: Counts,
}

/// A start that will be tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How often it has failed.
    pub tries: u32,
    /// When it is tried next.
    pub at: Time,
    /// Why it failed.
    pub error: String,
}

/// What became of a nominal time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// When it was due.
    pub nominal: Time,
    /// When that was done.
    pub at: Time,
    /// What was done.
    pub outcome: Outcome,
    /// The run that was started, or that was still under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Why none was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was done at a nominal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A run was started.
    Started,
    /// None could be started.
    Failed,
    /// None was started, because the one before was not over.
    Overlapped,
}

impl Outcome {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Failed => "failed",
            Self::Overlapped => "overlapped",
        }
    }
}

/// How often what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Nominal times that started a run.
    pub fired: u64,
    /// Nominal times that passed while nothing could be started, and that no run was started for later.
    pub missed: u64,
    /// Nominal times whose start was refused for good.
    pub failed: u64,
    /// Nominal times that were left out because the run before was not over.
    pub overlapped: u64,
    /// Runs that were started by hand.
    pub triggered: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    spec: &'a Spec,
    state: &'a State,
}

#[derive(Deserialize)]
struct Stored {
    spec: Spec,
    state: State,
}

impl Schedule {
    pub(super) fn new(namespace: Arc<str>, id: Arc<str>, spec: Spec, state: State, at: Time) -> Self {
        Self {
            namespace,
            id,
            version: 1,
            spec,
            state,
            created_at: at,
            updated_at: at,
        }
    }

    pub(super) fn read(record: &Record) -> Result<Self, StoreError> {
        let stored: Stored = serde_json::from_str(&record.body)
            .map_err(|error| StoreError::Corrupt(format!("schedule {}: {error}", record.id)))?;
        Ok(Self {
            namespace: Arc::clone(&record.namespace),
            id: Arc::clone(&record.id),
            version: record.version,
            spec: stored.spec,
            state: stored.state,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }

    pub(super) fn write(&self, expected: u64, now: Time) -> RecordWrite {
        let body = Body {
            spec: &self.spec,
            state: &self.state,
        };
        RecordWrite {
            namespace: Arc::clone(&self.namespace),
            kind: KIND.into(),
            id: Arc::clone(&self.id),
            expected: Some(expected),
            body: Some(serde_json::to_string(&body).unwrap_or_default()),
            expires_at: self.state.wakes_at(),
            at: now,
        }
    }

    /// Its times.
    pub fn cron(&self) -> Result<Cron, CronError> {
        Cron::parse(&self.spec.cron, &self.spec.timezone)
    }
}

impl State {
    /// When it is to be looked at.
    fn wakes_at(&self) -> Option<Time> {
        let next = self.next_at?;
        Some(self.retry.as_ref().map_or(next, |retry| retry.at))
    }

    /// This nominal time comes next, and nothing is tried again.
    pub(super) fn move_to(&mut self, next_at: Option<Time>) {
        self.next_at = next_at;
        self.retry = None;
    }

    pub(super) fn triggered(&mut self, run: RunId) {
        self.last_run = Some(run);
        self.counts.triggered += 1;
    }

    /// Notes what became of a nominal time.
    pub(super) fn note(&mut self, last: Last) {
        let counts = &mut self.counts;
        match last.outcome {
            Outcome::Started => {
                counts.fired += 1;
                self.last_run = last.run_id;
            }
            Outcome::Failed => counts.failed += 1,
            Outcome::Overlapped => counts.overlapped += 1,
        }
        self.last = Some(last);
    }
}
