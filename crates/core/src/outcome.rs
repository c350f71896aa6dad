//! What goes out to an executor and what comes back: one attempt of one step.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::Created;
use crate::expr::Slot;
use crate::id::RunId;
use crate::time::Time;

/// One attempt of one step run, with everything an executor needs to do it.
#[derive(Debug, Clone)]
pub struct Work {
    /// Fencing token: the result must come back under exactly this.
    pub token: Token,
    /// Isolation unit of the run.
    pub namespace: Arc<str>,
    /// Id of the workflow that the run executes; empty for an inline plan.
    pub workflow: Arc<str>,
    /// Unique name of the step within the plan; items of a `for_each` read `key[3]`.
    pub step: String,
    /// Action name as written in the plan.
    pub action: Arc<str>,
    /// Queue of the step.
    pub queue: Arc<str>,
    /// The step's input with its templates filled in.
    pub input: Value,
    /// The places in `input` where secrets belong, which stand nowhere but in what is sent.
    pub secrets: Vec<Slot>,
    /// The run's context at hand-out.
    pub context: Arc<Value>,
    /// When the attempt's start-to-close timeout fires, if it has one.
    pub deadline: Option<Time>,
    /// What the run was started with.
    pub created: Arc<Created>,
    /// Which of the attempts that its retry policy counts this is, from 1.
    pub attempt: u32,
    /// Failed attempts before this one, the oldest first.
    pub past: Vec<Past>,
    /// Outputs of the completed steps before this one, the farthest first; filled where the step asks for it.
    pub upstream: Vec<(String, Arc<Value>)>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Which of the attempts that its retry policy counts, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: Time,
    /// How.
    pub failure: Arc<Failure>,
}

impl Work {
    /// A key that is the same for every attempt of this step run, for receivers that de-duplicate.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.token.run, self.step)
    }
}

/// Names one attempt; a result under any other token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// The run.
    pub run: RunId,
    /// Index of the step run inside the run.
    pub node: u32,
    /// Attempt number, from 1, never reused.
    pub attempt: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It did its work.
    Succeeded(Success),
    /// It did not.
    Failed(Failure),
}

/// A successful end of an attempt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Success {
    /// Result value; later steps read it as `steps.<key>.output`.
    pub output: Arc<Value>,
    /// The exact text of the result where it differs from the compact JSON of `output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Protocol status, for instance an HTTP code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Keys to merge (shallowly) into the run's context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Map<String, Value>>,
    /// Keys of the successors that may run; `None` lets all run, an empty list none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Vec<String>>,
    /// Ends the run successfully here: nothing further starts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop: bool,
}

/// A failed end of an attempt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, for people.
    pub message: String,
    /// Protocol status, for instance an HTTP code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Short machine-readable class, for instance `timeout`, `invalid_input`, `connect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether trying again can help; `None` leaves it to the step's retry policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// The receiver asked to wait this long before the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Excerpt of what the receiver said, bounded by the executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

impl Failure {
    /// A failure that another attempt cannot mend.
    pub fn permanent(kind: &str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            kind: Some(kind.to_owned()),
            retryable: Some(false),
            ..Self::default()
        }
    }

    /// A failure whose retry is left to the step's policy.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            kind: Some(kind.to_owned()),
            ..Self::default()
        }
    }
}
