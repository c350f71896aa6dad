//! The plan: an immutable graph of steps, stored once per digest; a run is pinned to its plan for life.
//!
//! [`PlanSpec`] is what a face builds and a store keeps. [`Plan`] is the same, checked and compiled:
//! adjacency by index, templates parsed, names looked up. All checks happen when the plan is made, with
//! iterative algorithms whose cost is linear in the graph.

mod compile;
mod graph;

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::expr::{Condition, Expression, Template};
use crate::retry::RetryPolicy;

/// Most steps of one plan.
pub const MAX_STEPS: usize = 100_000;
/// Most items of one `for_each`.
pub const MAX_ITEMS: usize = 100_000;
/// Longest name of a step, in bytes.
pub const MAX_NAME: usize = 255;

/// A plan as data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PlanSpec {
    /// Steps in the order written.
    pub steps: Vec<StepSpec>,
    /// What holds for the whole run.
    #[serde(default)]
    pub settings: Settings,
}

/// Settings of a whole run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What a permanent failure does to the rest.
    pub on_failure: FailurePolicy,
    /// The run fails after this many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Most steps under way at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// The store keeps a row for each step run, so that they can be listed and counted over all runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub list_steps: bool,
    /// A step that fails for good leaves a dead letter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dead_letters: bool,
}

/// What a step's permanent failure does to the rest of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailurePolicy {
    /// Nothing new starts; what is under way may finish; then the run fails.
    #[default]
    FailFast,
    /// Branches that do not need the failed step go on; then the run fails.
    Continue,
    /// As `continue`, but the run then waits for a person (`blocked_by_failures`) instead of failing.
    Block,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Unique name; templates say `steps.<key>.output`.
    pub key: String,
    /// Label for people; may repeat.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What to do; matched without regard to case.
    pub action: String,
    /// Input, possibly with templates.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// Steps that come before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// How many of them must lead here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub join: Join,
    /// The step is skipped when this is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whether a step skipped by `when` counts as done for its successors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skip: SkipMode,
    /// Runs once for each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// When a failed attempt is tried again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: RetryPolicy,
    /// How long things may take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
    /// A permanent failure does not stop the run; successors go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// A person must approve before the step starts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requires_approval: bool,
    /// Where the step waits when no executor is free, and what limits on its action are counted by; its action when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Higher goes first in its queue; the run's priority when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The executor is given the outputs of all completed steps before this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upstream: bool,
    /// Done by somebody outside: silence counts from when they have it. Until then the process that hands the attempt
    /// out answers for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
}

impl StepSpec {
    /// A step with default settings.
    pub fn new(key: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            name: String::new(),
            action: action.into(),
            input: Value::Null,
            depends_on: Vec::new(),
            join: Join::All,
            when: None,
            skip: SkipMode::Propagate,
            for_each: None,
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            optional: false,
            requires_approval: false,
            queue: None,
            priority: None,
            upstream: false,
            outside: false,
        }
    }

    /// Where it waits for an executor.
    pub fn queue(&self) -> &str {
        self.queue.as_deref().unwrap_or(&self.action)
    }

    /// The label, or the key where there is none.
    pub fn label(&self) -> &str {
        if self.name.is_empty() { &self.key } else { &self.name }
    }
}

/// An edge to a predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Key of the predecessor.
    pub step: String,
    /// Which of its ends leads here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on: EdgeOn,
}

/// Which end of the predecessor an edge follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeOn {
    /// A good end.
    #[default]
    Success,
    /// A permanent failure, which then counts as handled.
    Failure,
    /// Either.
    Always,
}

/// How many predecessors must lead to a step. Branches that were not taken are not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// Every predecessor that can still run, and at least one.
    #[default]
    All,
    /// The first one.
    Any,
    /// The first `n`.
    AtLeast(u32),
    /// Every predecessor that can still run, and at least one, however the others ended: what there is is merged.
    Available,
}

/// What a `when` that is false means to the successors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipMode {
    /// The branch is not taken.
    #[default]
    Propagate,
    /// The step counts as done.
    Satisfy,
}

/// Multiplies a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForEach {
    /// An array, or a template that gives one.
    pub items: Value,
    /// Most items under way at a time; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// Time limits of a step, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// From ready to taken; passing it fails the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<u64>,
    /// One attempt, from hand-out to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_ms: Option<u64>,
    /// All attempts together, with the pauses between them: from the first hand-out on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// Between two signs of life of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// How long an approval may be awaited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_ms: Option<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How a step is done, known from its action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// By an executor.
    Work,
    /// By a timer.
    Wait,
    /// By a person.
    Approval,
}

/// A checked plan.
pub struct Plan {
    /// What it was made from.
    pub spec: PlanSpec,
    /// SHA-256 over the canonical JSON of the spec.
    pub digest: Digest,
    pub(crate) steps: Vec<CompiledStep>,
    pub(crate) index: HashMap<String, u32>,
    pub(crate) roots: Vec<u32>,
}

/// Identity of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// A step with everything looked up.
#[derive(Debug)]
pub(crate) struct CompiledStep {
    pub kind: StepKind,
    pub action: Arc<str>,
    pub queue: Arc<str>,
    pub input: Template,
    pub when: Option<Condition>,
    pub items: Option<Expression>,
    pub successors: Vec<Edge>,
    pub predecessors: Vec<Edge>,
    /// Some successor follows a failure of this step.
    pub handles_failure: bool,
}

/// One end of an edge: the other step's index, and which outcome it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    pub step: u32,
    pub on: EdgeOn,
}

impl Plan {
    /// Number of steps.
    pub fn len(&self) -> usize {
        self.spec.steps.len()
    }

    /// Whether it has no steps; never true for a plan that compiled.
    pub fn is_empty(&self) -> bool {
        self.spec.steps.is_empty()
    }

    /// Index of a step by its key.
    pub fn step_index(&self, key: &str) -> Option<u32> {
        self.index.get(key).copied()
    }

    /// Queue of the step at `index`: its own, or its action in lower case.
    pub fn queue(&self, index: u32) -> &Arc<str> {
        &self.steps[index as usize].queue
    }

    /// Indices of the steps right before the one at `index`.
    pub fn predecessors(&self, index: u32) -> impl Iterator<Item = u32> {
        self.steps[index as usize].predecessors.iter().map(|edge| edge.step)
    }

    /// Indices of the steps right after the one at `index`.
    pub fn successors(&self, index: u32) -> impl Iterator<Item = u32> {
        self.steps[index as usize].successors.iter().map(|edge| edge.step)
    }

    /// How the step at `index` is done.
    pub fn kind(&self, index: u32) -> StepKind {
        self.steps[index as usize].kind
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan({})", self.digest)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0u8; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(serde::de::Error::custom("a digest is 64 hexadecimal digits"));
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).map_err(serde::de::Error::custom)?;
        }
        Ok(Digest(bytes))
    }
}

/// Why a plan was refused. `field` is a path into the document, for instance `steps[3].depends_on[0]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct PlanError {
    /// Path of the offending field.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl PlanError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}
