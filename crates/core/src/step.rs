//! Decides what a command does to a run. Pure: time, randomness and free executors are handed in.
//!
//! A command is judged before anything is emitted, so a refusal leaves the state untouched. Each event that
//! is emitted is applied at once, through the same [`apply`] that recovery and replay use; later decisions
//! of the same command see its result. Effects are only named here: they are released after the commit.

mod advance;
mod attempt;
mod clock;
mod control;
mod mend;

use std::sync::Arc;

use crate::apply::{IllegalEvent, apply, create};
use crate::command::{Command, Rejected};
use crate::effect::{Cx, Effect};
use crate::event::{Created, Event, Meta};
use crate::id::RunId;
use crate::outcome::Success;
use crate::plan::Plan;
use crate::state::RunState;

/// Most commits of one run; past it only commands that end the run are taken.
pub const MAX_HISTORY: u64 = 1_000_000;

/// What a command did.
#[derive(Debug, Default)]
pub struct Step {
    /// To be stored, in order. Empty when there was nothing to do.
    pub events: Vec<Event>,
    /// To be done once the events are stored.
    pub effects: Vec<Effect>,
}

/// Why a command could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It does not fit the run's state; nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// An invariant is broken: the state must be loaded afresh.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

/// Starts a run.
///
/// The results of `reused` steps, by index, are taken over from an earlier run; they must have no predecessors.
pub fn start(
    id: RunId,
    plan: Arc<Plan>,
    created: Created,
    reused: &[(u32, Arc<Success>)],
    cx: &mut Cx<'_>,
) -> Result<(RunState, Step), IllegalEvent> {
    let meta = Meta {
        at: cx.now,
        owner: cx.owner,
    };
    let mut state = create(id, plan, &created, meta);
    let mut decision = Decision {
        state: &mut state,
        cx,
        out: Step::default(),
    };
    decision.out.events.push(Event::RunCreated(Box::new(created)));
    for (n, success) in reused {
        let success = Arc::clone(success);
        decision.emit(Event::StepReused { n: *n, success })?;
    }
    decision.finish(Gate::Open)?;
    let out = std::mem::take(&mut decision.out);
    Ok((state, out))
}

/// Carries out a command. On success the state has moved on by the returned events. Its version has not: the
/// shell seals everything that one commit carries, of however many commands, by [`crate::apply::seal`].
pub fn step(state: &mut RunState, command: Command, cx: &mut Cx<'_>) -> Result<Step, StepError> {
    if state.version >= MAX_HISTORY && !ends_the_run(&command) {
        return Err(Rejected::HistoryFull(MAX_HISTORY).into());
    }
    let gate = if state.is_halted() { Gate::Shut } else { Gate::Open };
    let mut decision = Decision {
        state,
        cx,
        out: Step::default(),
    };
    decision.take(command)?;
    if !decision.out.events.is_empty() {
        decision.finish(gate)?;
    }
    Ok(std::mem::take(&mut decision.out))
}

/// Whether a command is taken however long the history is.
fn ends_the_run(command: &Command) -> bool {
    matches!(
        command,
        Command::Cancel { .. } | Command::CallOff { .. } | Command::Complete { .. }
    )
}

/// Whether anything new may start in a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Shut,
}

/// A command being carried out.
struct Decision<'a, 'c> {
    state: &'a mut RunState,
    cx: &'a mut Cx<'c>,
    out: Step,
}

impl Decision<'_, '_> {
    fn take(&mut self, command: Command) -> Result<(), StepError> {
        match command {
            Command::Tick => self.tick(),
            Command::Complete { token, outcome } => self.complete(token, outcome),
            Command::Heartbeat {
                token,
                progress,
                message,
            } => self.heartbeat(token, progress, message),
            Command::Accept { token } => self.accept(token),
            Command::Claim { node } => self.claim(node),
            Command::Recover { alive, held, as_of } => self.recover(&alive, &held, as_of),
            Command::Approve { step, by, comment } => self.approve(step, by, comment),
            Command::Reject { step, by, comment } => self.reject(step, by, comment),
            Command::Pause { by, reason } => self.pause(by, reason),
            Command::Resume { by, reason } => self.resume(by, reason),
            Command::Cancel { by, reason } => self.cancel(by, reason, false),
            Command::CallOff { by, reason, forced } => self.call_off(by, reason, forced),
            Command::ResolveRun { by, reason } => self.resolve_run(by, reason),
            Command::Retry { step, by } => self.retry(step, by),
            Command::Rerun { step, by } => self.rerun(&step, by),
            Command::Resolve {
                step,
                by,
                reason,
                output,
            } => self.resolve(&step, (by, reason), output),
            Command::AppendLog { text } => Ok(self.emit(Event::LogAppended { text })?),
        }
    }

    /// Records an event and lets it take effect.
    fn emit(&mut self, event: Event) -> Result<(), IllegalEvent> {
        let meta = Meta {
            at: self.cx.now,
            owner: self.cx.owner,
        };
        apply(self.state, meta, &event)?;
        self.out.events.push(event);
        Ok(())
    }

    /// Starts whatever may start now, and lets the run come to rest. `before` is whether anything could start
    /// before the command: what lies in the queues is taken out when nothing may start any more, and put back
    /// when something may again, so that no executor is offered what it would be refused.
    fn finish(&mut self, before: Gate) -> Result<(), IllegalEvent> {
        let mut queued = before == Gate::Open;
        if !queued && !self.state.is_halted() {
            self.requeue_all();
            queued = true;
        }
        self.advance()?;
        self.come_to_rest()?;
        if queued && self.state.is_halted() {
            self.dequeue_all();
        }
        Ok(())
    }

    fn node_named(&self, name: &str) -> Result<u32, Rejected> {
        self.state
            .find(name)
            .ok_or_else(|| Rejected::UnknownStep(name.to_owned()))
    }

    fn must_be_live(&self) -> Result<(), Rejected> {
        if self.state.status.is_terminal() {
            Err(Rejected::Finished(self.state.status))
        } else {
            Ok(())
        }
    }
}
