//! What the shell has to do after the commit that carries the events. Effects are data.

use crate::outcome::{Token, Work};
use crate::plan::StepSpec;

/// Something to do once the events are stored.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Hand an attempt to its executor.
    Dispatch(Box<Work>),
    /// Tell the executor to stop.
    CancelAttempt(Token),
    /// Put the step where other executors can take it.
    Enqueue {
        /// Index of the step run.
        node: u32,
    },
    /// Take it away again.
    Dequeue {
        /// Index of the step run.
        node: u32,
    },
}

/// Where a ready step can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An executor here has a free slot, which is now taken.
    Here,
    /// It must wait for one.
    Queue,
    /// Nobody knows this action.
    Unsupported,
}

/// What the shell tells the core about its executors.
pub trait Placement {
    /// Finds a place for one attempt of the step; a place `Here` is used up by the answer.
    fn place(&mut self, step: &StepSpec) -> Place;

    /// Gives back a place that `place` (or a claim) took: the attempt could not begin.
    fn release(&mut self, step: &StepSpec);
}

/// Everything ambient, handed in.
pub struct Cx<'a> {
    /// The time of this decision.
    pub now: crate::time::Time,
    /// Incarnation of this process.
    pub owner: u64,
    /// Randomness for jitter.
    pub ids: &'a mut dyn crate::id::IdSource,
    /// Free executors.
    pub placement: &'a mut dyn Placement,
}
