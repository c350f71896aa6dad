//! How work leaves the engine and comes back.
//!
//! An executor is handed an attempt only after the commit that records its start. It answers once; the
//! engine turns the answer into a command that is fenced by the attempt's token, so a late or doubled
//! answer changes nothing.

use async_trait::async_trait;
use quintet_core::outcome::{Outcome, Token, Work};

/// Does the work of some actions.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Action names (lower case) that this executor serves.
    fn actions(&self) -> Vec<String>;

    /// How the engine runs it.
    fn mode(&self) -> Mode {
        Mode::Async { concurrency: 256 }
    }

    /// Whether its steps lie in queues that a [`crate::Flow`] limits, each on this node. An executor whose mode is
    /// [`Mode::Outside`] always has them, limited over all nodes.
    fn has_queues(&self) -> bool {
        false
    }

    /// Checks a step's input when its workflow is created. The input may hold templates (`{{ ... }}`):
    /// a value that contains one must be accepted. The error names the field, for instance
    /// `input.url: url must be http or https`.
    fn check_input(&self, _action: &str, _input: &serde_json::Value) -> Result<(), String> {
        Ok(())
    }

    /// Whether it puts secrets into what it sends. One that does not is never handed an attempt with any.
    fn takes_secrets(&self) -> bool {
        false
    }

    /// Does one attempt without waiting for anything: called on the engine's own loop when
    /// [`Executor::mode`] is [`Mode::Inline`].
    fn execute_inline(&self, work: &Work) -> Outcome {
        let _ = work;
        unreachable!("executor is not inline")
    }

    /// Hands one attempt to somebody outside. Dropping the future cancels that. Called when the mode is
    /// [`Mode::Outside`].
    async fn hand_over(&self, work: Work) -> Handed {
        Handed::Answered(self.execute(work).await)
    }

    /// An attempt was called off, and its future dropped: stop what it has begun elsewhere. Nobody hears of the outcome.
    async fn called_off(&self, work: Work) {
        let _ = work;
    }

    /// An attempt that somebody outside has taken over was called off. Called on the engine's own loop: no waiting.
    fn withdrawn(&self, token: Token) {
        let _ = token;
    }

    /// Does one attempt. Dropping the future cancels it. Called when the mode is [`Mode::Async`].
    async fn execute(&self, work: Work) -> Outcome {
        self.execute_inline(&work)
    }
}

/// What became of an attempt that was handed to somebody outside.
#[derive(Debug, Clone)]
pub enum Handed {
    /// It is over.
    Answered(Outcome),
    /// Whoever took it answers later by [`quintet_core::command::Command::Complete`], to whichever node; until then it
    /// depends on no process of ours.
    Accepted,
}

/// How an executor's attempts are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Pure computation of microseconds: done on the engine's loop, takes no slot.
    Inline,
    /// A future of its own, at most `concurrency` at a time on this node.
    Async {
        /// Attempts in flight on this node for this executor.
        concurrency: usize,
    },
    /// Handed to somebody outside by a future of its own, at most `concurrency` at a time on this node; how many are
    /// in progress is limited by a [`crate::Flow`].
    Outside {
        /// Hand-outs in flight on this node.
        concurrency: usize,
    },
}
