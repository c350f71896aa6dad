//! One step run inside a run.

use std::sync::Arc;

use serde_json::Value;

use crate::event::SkipCause;
use crate::machine::StepStatus;
use crate::outcome::{Failure, Past, Success};
use crate::plan::Plan;
use crate::time::Time;

/// Holds an attempt that somebody outside has taken over: no process has this number.
pub const OUTSIDE: u64 = 0;

/// Most failed attempts that are kept of a step run.
pub const MAX_PAST: usize = 100;

/// A step run: a step of the plan, or one item of a `for_each` step.
#[derive(Debug, Clone)]
pub struct Node {
    /// Index of the step in the plan.
    pub step: u32,
    /// Which item of which node this is.
    pub item: Option<ItemRef>,
    /// Where it stands.
    pub status: StepStatus,
    /// What it waits for besides an executor.
    pub hold: Hold,
    /// What the join decided.
    pub verdict: Verdict,
    /// The gate before it has been opened.
    pub approved: bool,
    /// Number of the last attempt, from 1; never reused.
    pub attempt: u32,
    /// Attempts made since the last reset; lost ones do not count.
    pub tries: u32,
    /// Attempts lost since the last reset.
    pub lost: u32,
    /// Milliseconds that attempts since the last reset have taken, with the pauses between them; what was lost, and
    /// waiting for an executor, does not count.
    pub spent_ms: u64,
    /// Process that holds the attempt under way, or [`OUTSIDE`].
    pub owner: u64,
    /// Predecessors not settled.
    pub(crate) remaining: u32,
    /// Predecessors that led here.
    pub(crate) fired: u32,
    /// Predecessors that failed, or were skipped because one failed.
    pub(crate) blocked: u32,
    /// When the join let it start.
    pub ready_at: Option<Time>,
    /// When the last attempt began.
    pub started_at: Option<Time>,
    /// When it was settled.
    pub ended_at: Option<Time>,
    /// When something happens by the clock.
    pub timer: Option<Time>,
    /// When the attempt under way must have answered.
    pub close_by: Option<Time>,
    /// Last reported progress, 0 to 100.
    pub progress: Option<f64>,
    /// Its result.
    pub success: Option<Arc<Success>>,
    /// Its last failure, also while a retry is awaited.
    pub failure: Option<Arc<Failure>>,
    /// Its failed attempts since the last reset, the latest of many.
    pub past: Vec<Past>,
    /// Its items.
    pub fan: Option<Box<Fan>>,
    /// Who decided about its approval.
    pub approval: Option<Box<Approval>>,
}

/// Position of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemRef {
    /// Node of the `for_each` step.
    pub parent: u32,
    /// From 0.
    pub index: u32,
}

/// The items of a `for_each` step.
#[derive(Debug, Clone, PartialEq)]
pub struct Fan {
    /// The values.
    pub items: Arc<Value>,
    /// Node of the first item; the others follow.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// Items put on the agenda so far.
    pub next: u32,
    /// Of these, not settled.
    pub running: u32,
    /// Settled badly.
    pub failed: u32,
}

/// A decision about an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Agreed or declined.
    pub granted: bool,
    /// Who.
    pub by: Option<String>,
    /// What they said.
    pub comment: Option<String>,
    /// When.
    pub at: Time,
}

/// What a node waits for besides an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nothing.
    None,
    /// A person.
    Approval,
    /// A time.
    Timer,
    /// Its items.
    Items,
}

/// What the join of a node decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet anything.
    Undecided,
    /// It starts.
    Start,
    /// It is skipped.
    Skip(SkipCause),
}

/// What a node counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// A step not begun.
    Open,
    /// Waits for a person.
    Approving,
    /// Waits for an executor.
    Enqueued,
    /// Held by an executor.
    Claimed,
    /// Waits for a time.
    Timing,
    /// Waits for its items.
    Fanning,
    /// Waits for its next attempt.
    Retrying,
    /// Settled.
    Settled,
    /// An item, not begun.
    ItemOpen,
    /// An item, settled.
    ItemSettled,
    /// Settled badly in a way that fails the run (counted beside the classes above).
    Failed,
    /// Held by an executor, and by nobody's process (counted beside the classes above).
    Outside,
}

impl Class {
    /// Number of classes.
    pub const COUNT: usize = 12;
}

impl Node {
    pub(crate) fn of_step(step: u32, predecessors: u32) -> Self {
        Self {
            step,
            item: None,
            status: StepStatus::Pending,
            hold: Hold::None,
            verdict: Verdict::Undecided,
            approved: false,
            attempt: 0,
            tries: 0,
            lost: 0,
            spent_ms: 0,
            owner: 0,
            remaining: predecessors,
            fired: 0,
            blocked: 0,
            ready_at: None,
            started_at: None,
            ended_at: None,
            timer: None,
            close_by: None,
            progress: None,
            success: None,
            failure: None,
            past: Vec::new(),
            fan: None,
            approval: None,
        }
    }

    pub(crate) fn of_item(step: u32, parent: u32, index: u32) -> Self {
        let item = Some(ItemRef { parent, index });
        Self {
            item,
            verdict: Verdict::Start,
            approved: true,
            ..Self::of_step(step, 0)
        }
    }

    /// What it counts as.
    pub fn class(&self) -> Class {
        match (self.status, self.hold) {
            (StepStatus::Pending, Hold::Approval) => Class::Approving,
            (StepStatus::Pending, _) if self.item.is_some() => Class::ItemOpen,
            (StepStatus::Pending, _) => Class::Open,
            (StepStatus::Enqueued, _) => Class::Enqueued,
            (StepStatus::WaitingForRetry, _) => Class::Retrying,
            (StepStatus::InProgress, Hold::Timer) => Class::Timing,
            (StepStatus::InProgress, Hold::Items) => Class::Fanning,
            (
                StepStatus::InProgress
                | StepStatus::EnqueuedForOrchestration
                | StepStatus::EnqueuedAsErrorForOrchestration,
                _,
            ) => Class::Claimed,
            (
                StepStatus::Complete
                | StepStatus::Error
                | StepStatus::Cancelled
                | StepStatus::ResolvedManually
                | StepStatus::Skipped,
                _,
            ) => {
                if self.item.is_some() {
                    Class::ItemSettled
                } else {
                    Class::Settled
                }
            }
        }
    }

    /// Whether its failure is the run's: final, of a step (not an item), neither optional nor handled by an edge.
    pub fn counts_as_failed(&self, plan: &Plan) -> bool {
        self.status == StepStatus::Error
            && self.item.is_none()
            && !plan.spec.steps[self.step as usize].optional
            && !plan.steps[self.step as usize].handles_failure
    }

    /// Whether it is held outside, whatever becomes of the process that handed it out.
    pub fn is_outside(&self) -> bool {
        self.owner == OUTSIDE && self.is_claimed()
    }

    /// Whether an executor holds it.
    pub fn is_claimed(&self) -> bool {
        self.class() == Class::Claimed
    }
}
