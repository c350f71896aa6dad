//! What can be asked of a run, and the ways it can be refused.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::machine::{RunStatus, StepStatus};
use crate::outcome::{Outcome, Token};
use crate::plan::Digest;
use crate::time::Time;

/// A request to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Look at the clock: fire what is due.
    Tick,
    /// An executor answers for an attempt.
    Complete { token: Token, outcome: Outcome },
    /// An attempt gives a sign of life.
    Heartbeat {
        token: Token,
        progress: Option<f64>,
        message: Option<String>,
    },
    /// Somebody outside has taken the attempt over, and will answer by himself.
    Accept { token: Token },
    /// An executor with a free slot takes an enqueued step.
    Claim { node: u32 },
    /// Processes other than these are gone: what they held is lost. Of what this process holds by the book,
    /// everything is lost that is not in `held`: its hand-out was stored, but the answer to that was not heard.
    /// What others were handed at `as_of` or later is not judged: they may have come after `alive` was read.
    Recover {
        alive: Vec<u64>,
        held: Arc<HashSet<Token>>,
        as_of: Time,
    },
    /// Agree to the named step's approval, or to the first one awaited.
    Approve {
        step: Option<String>,
        by: Option<String>,
        comment: Option<String>,
    },
    /// Decline it.
    Reject {
        step: Option<String>,
        by: Option<String>,
        comment: Option<String>,
    },
    /// Start nothing new.
    Pause { by: Option<String>, reason: Option<String> },
    /// Lift the hold.
    Resume { by: Option<String>, reason: Option<String> },
    /// Call the run off.
    Cancel { by: Option<String>, reason: Option<String> },
    /// Call the run off, also where it has failed and somebody could still mend it. That it was forced is only remembered.
    CallOff {
        by: Option<String>,
        reason: Option<String>,
        forced: bool,
    },
    /// Declare the whole run settled, whatever its steps are.
    ResolveRun { by: Option<String>, reason: Option<String> },
    /// Try the named failed step again, or all failed steps.
    Retry { step: Option<String>, by: Option<String> },
    /// Run the step and everything after it again, whatever came of it.
    Rerun { step: String, by: Option<String> },
    /// Settle a step by hand; with an output it counts as complete.
    Resolve {
        step: String,
        by: Option<String>,
        reason: Option<String>,
        output: Option<Value>,
    },
    /// Write a line into the run's log.
    AppendLog { text: String },
}

/// Why a command was refused. The state is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The attempt is over: it was lost, called off, settled by hand, or followed by another one.
    #[error("attempt {attempt} is superseded: the step is {status} at attempt {current}", status = .status.as_str())]
    Superseded {
        attempt: u32,
        current: u32,
        status: StepStatus,
    },
    /// The attempt's time was up before this came; the clock ends it, or has done so.
    #[error("attempt {attempt} came too late: its time was up, and the step is {status}", status = .status.as_str())]
    Expired { attempt: u32, status: StepStatus },
    /// The attempt has ended with another answer. `outcome` is the digest of the one that counts.
    #[error("attempt {attempt} has answered before: the step is {status}, and sha256:{outcome} is recorded", status = .status.as_str())]
    Recorded {
        attempt: u32,
        status: StepStatus,
        outcome: Digest,
    },
    /// No attempt of this number has been handed out: the run is not the one that handed it out, or was restored.
    #[error("attempt {attempt} was never handed out: the step is at attempt {current}")]
    NeverIssued { attempt: u32, current: u32 },
    /// The run is over.
    #[error("the run is already {status}", status = .0.as_str())]
    Finished(RunStatus),
    /// The run is not in a state where this makes sense.
    #[error("the run is {status}", status = .0.as_str())]
    WrongRunStatus(RunStatus),
    /// The step is not in a state where this makes sense.
    #[error("step \"{step}\" is {status}", status = .status.as_str())]
    WrongStepStatus { step: String, status: StepStatus },
    /// No step waits for an approval.
    #[error("no step waits for an approval")]
    NothingToApprove,
    /// No step has failed.
    #[error("no step has failed")]
    NothingFailed,
    /// The plan has no such step.
    #[error("the run has no step \"{0}\"")]
    UnknownStep(String),
    /// The run is paused, or stops because of a failure, so nothing may start.
    #[error("nothing may start in this run now")]
    Held,
    /// The run's history is at its limit.
    #[error("the run's history has reached its limit of {0} entries")]
    HistoryFull(u64),
}
