//! What happened to a run: the only thing that changes its state, and the only thing that is stored of it.
//!
//! Names are past tense. The JSON form is the stored form, so a field may be added (with a default) but
//! never renamed. All events of one commit share one [`Meta`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::machine::RunStatus;
use crate::outcome::{Failure, Success};
use crate::plan::Digest;
use crate::time::Time;

/// When and by whom a batch of events was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Time of the decision.
    pub at: Time,
    /// Incarnation of the process that decided, and that holds the attempts it started.
    pub owner: u64,
}

/// What a run is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Id of the workflow, empty for an inline plan.
    pub workflow: Arc<str>,
    /// Version of the workflow, 0 for an inline plan.
    pub workflow_version: u32,
    /// The plan that the run is pinned to.
    pub plan: Digest,
    /// Input of the run; a `transform` step changes it.
    pub context: Arc<Value>,
    /// Higher runs first.
    #[serde(default)]
    pub priority: i32,
    /// Small strings to find the run by.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub labels: Map<String, Value>,
    /// `priority` goes before the steps' own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub priority_is_for_all: bool,
    /// Nothing starts before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
}

/// Why a step was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipCause {
    /// No predecessor led here.
    NotTaken,
    /// A predecessor failed.
    UpstreamFailed,
    /// Its `when` was false.
    ConditionFalse,
}

/// One thing that happened. `n` is the index of the step run, `a` the attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run was accepted.
    RunCreated(Box<Created>),
    /// The run came to rest in another state.
    RunMoved { to: RunStatus },
    /// A person called the run off; every unsettled step with it.
    RunCancelled {
        by: Option<String>,
        reason: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
    },
    /// A person declared the run settled; every unsettled step was called off.
    RunResolved { by: Option<String>, reason: Option<String> },
    /// The whole run took too long; every unsettled step was called off.
    RunTimedOut { limit_ms: u64 },
    /// A person holds the run.
    RunPaused { by: Option<String>, reason: Option<String> },
    /// The hold was lifted.
    RunResumed {
        by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The time has come before which nothing was to start.
    RunDue,
    /// The step may be taken by any executor of its action.
    StepEnqueued {
        n: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Time>,
    },
    /// An attempt was handed out.
    StepStarted {
        n: u32,
        a: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        close_by: Option<Time>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beat_by: Option<Time>,
    },
    /// Somebody outside has taken the attempt over: it no longer depends on the process that handed it out.
    AttemptAccepted {
        n: u32,
        a: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beat_by: Option<Time>,
    },
    /// The attempt gave a sign of life.
    StepProgressed {
        n: u32,
        a: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beat_by: Option<Time>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The attempt succeeded.
    StepSucceeded { n: u32, a: u32, success: Arc<Success> },
    /// The result of an earlier run was taken over, and no attempt is made.
    StepReused { n: u32, success: Arc<Success> },
    /// The attempt failed; another is due at `at`.
    StepRetrying {
        n: u32,
        a: u32,
        failure: Arc<Failure>,
        at: Time,
    },
    /// The time of the next attempt has come.
    RetryDue { n: u32 },
    /// The attempt's process is gone; its outcome is unknown and it will be made again.
    AttemptLost { n: u32, a: u32 },
    /// The step failed for good. `a` is 0 when no attempt was made.
    StepFailed { n: u32, a: u32, failure: Arc<Failure> },
    /// The step's branch was not taken.
    StepSkipped { n: u32, cause: SkipCause },
    /// The step waits until a time.
    WaitStarted { n: u32, until: Time },
    /// That time has come.
    WaitElapsed { n: u32 },
    /// The step was multiplied.
    ItemsExpanded { n: u32, items: Arc<Value> },
    /// All items ended; their results are the step's.
    ItemsCollected { n: u32 },
    /// A person is asked.
    ApprovalRequested {
        n: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Time>,
    },
    /// A person agreed.
    ApprovalGranted {
        n: u32,
        by: Option<String>,
        comment: Option<String>,
    },
    /// A person declined, or nobody answered in time.
    ApprovalRejected {
        n: u32,
        by: Option<String>,
        comment: Option<String>,
        go_on: bool,
    },
    /// Steps are to run again: the named ones, and what follows from them.
    StepsReset { nodes: Vec<u32>, by: Option<String> },
    /// A person settled a step; with a result it counts as complete.
    StepResolved {
        n: u32,
        by: Option<String>,
        reason: Option<String>,
        output: Option<Arc<Value>>,
    },
    /// Somebody wrote a line into the run's log.
    LogAppended { text: String },
}
