//! Attempts that this process holds.
//!
//! Each asynchronous attempt is a task of its own that answers once into the urgent channel. A slot is given
//! back when the task ends, however it ends. Cancelling drops the executor's future.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use quintet_core::command::Command;
use quintet_core::id::RunId;
use quintet_core::outcome::{Failure, Outcome, Token, Work};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::executor::Mode;
use crate::metrics::Metrics;
use crate::registry::{Lane, Registry};
use crate::request::Request;
use crate::scout::Wanted;
use crate::tasks::{panic_text, spawn};

type InFlight = Arc<Mutex<HashMap<Token, CancellationToken>>>;

/// Starts and cancels attempts.
pub(crate) struct Dispatcher {
    registry: Arc<Registry>,
    answers: mpsc::Sender<Request>,
    in_flight: InFlight,
    metrics: Metrics,
    /// Tells this dispatcher's loop, which waits for the last attempt when it drains.
    drained: Arc<Notify>,
    /// Steps may wait in the store for a slot.
    wanted: Arc<Wanted>,
}

/// Gives the slot back and forgets the attempt, also when its task panics or is aborted.
struct Held {
    lane: Arc<Lane>,
    in_flight: InFlight,
    token: Token,
    metrics: Metrics,
    drained: Arc<Notify>,
    wanted: Arc<Wanted>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lane.give_back();
        lock(&self.in_flight).remove(&self.token);
        self.metrics.attempts_in_flight.dec();
        self.drained.notify_one();
        if self.lane.is_waiting() {
            self.wanted.poke();
        }
    }
}

fn lock(in_flight: &InFlight) -> std::sync::MutexGuard<'_, HashMap<Token, CancellationToken>> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dispatcher {
    pub fn new(registry: Arc<Registry>, answers: mpsc::Sender<Request>, metrics: Metrics, wanted: Arc<Wanted>) -> Self {
        Self {
            registry,
            answers,
            in_flight: InFlight::default(),
            metrics,
            drained: Arc::default(),
            wanted,
        }
    }

    /// Attempts not answered.
    pub fn in_flight(&self) -> usize {
        lock(&self.in_flight).len()
    }

    /// Tokens of attempts not answered.
    pub fn held(&self) -> HashSet<Token> {
        lock(&self.in_flight).keys().copied().collect()
    }

    /// Waits until an attempt has ended.
    pub async fn drained(&self) {
        self.drained.notified().await;
    }

    /// Begins an attempt whose slot is taken. An inline executor's answer is returned at once.
    pub fn dispatch(&self, work: Work) -> Option<Request> {
        let Some(lane) = self.registry.lane(&work.action) else {
            let failure = Failure::permanent("unsupported_action", format!("unsupported action: {}", work.action));
            return Some(answer(&work, Outcome::Failed(failure)));
        };
        match lane.mode {
            Mode::Inline => {
                let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| lane.executor.execute_inline(&work)));
                let outcome = outcome.unwrap_or_else(|panic| panicked(&work, panic.as_ref()));
                Some(answer(&work, outcome))
            }
            Mode::Async { .. } => {
                self.spawn(Arc::clone(lane), work);
                None
            }
        }
    }

    fn spawn(&self, lane: Arc<Lane>, work: Work) {
        let cancel = CancellationToken::new();
        lock(&self.in_flight).insert(work.token, cancel.clone());
        self.metrics.attempts_in_flight.inc();
        let held = Held {
            lane: Arc::clone(&lane),
            in_flight: Arc::clone(&self.in_flight),
            token: work.token,
            metrics: self.metrics.clone(),
            drained: Arc::clone(&self.drained),
            wanted: Arc::clone(&self.wanted),
        };
        let answers = self.answers.clone();
        let span = tracing::info_span!(
            "attempt",
            run = %work.token.run,
            step = %work.step,
            attempt = work.token.attempt,
            action = %work.action
        );
        let attempt = async move {
            let asked = work.clone();
            let done = AssertUnwindSafe(lane.executor.execute(asked)).catch_unwind();
            let message = tokio::select! {
                done = done => answer(&work, done.unwrap_or_else(|panic| panicked(&work, panic.as_ref()))),
                () = cancel.cancelled() => Request::Nudge,
            };
            // The channel is closed only when the engine is gone; then recovery makes the attempt again. An
            // attempt counts as held until its answer is in the channel: recovery must find it in one of them.
            let _ = answers.send(message).await;
            drop(held);
        };
        spawn("attempt", tracing::Instrument::instrument(attempt, span));
    }

    /// Stops an attempt; it gives no answer.
    pub fn cancel(&self, token: Token) {
        if let Some(cancel) = lock(&self.in_flight).get(&token) {
            cancel.cancel();
        }
    }

    /// Stops the attempts of a run that are no longer under way by the book.
    pub fn cancel_lost(&self, run: RunId, is_under_way: impl Fn(Token) -> bool) {
        for (token, cancel) in lock(&self.in_flight).iter() {
            if token.run == run && !is_under_way(*token) {
                tracing::info!(run = %run, node = token.node, attempt = token.attempt, "attempt called off elsewhere");
                cancel.cancel();
            }
        }
    }

    /// Stops everything; what was held is made again after the next start.
    pub fn cancel_all(&self) -> usize {
        let in_flight = lock(&self.in_flight);
        in_flight.values().for_each(CancellationToken::cancel);
        in_flight.len()
    }
}

fn answer(work: &Work, outcome: Outcome) -> Request {
    let command = Command::Complete {
        token: work.token,
        outcome,
    };
    Request::internal(Arc::clone(&work.namespace), work.token.run, command)
}

fn panicked(work: &Work, panic: &(dyn std::any::Any + Send)) -> Outcome {
    let text = panic_text(panic);
    tracing::error!(run = %work.token.run, step = %work.step, action = %work.action, panic = text, "executor panicked");
    Outcome::Failed(Failure::new("panic", format!("the executor panicked: {text}")))
}
