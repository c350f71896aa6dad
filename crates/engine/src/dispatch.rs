//! Attempts that this process holds.
//!
//! Each asynchronous attempt is a task of its own that answers once into the urgent channel. A slot is given
//! back when the task ends, however it ends. Cancelling drops the executor's future.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use quintet_core::command::Command;
use quintet_core::outcome::{Failure, Outcome, Token, Work};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::executor::Mode;
use crate::metrics::Metrics;
use crate::registry::{Lane, Registry};
use crate::request::Request;
use crate::tasks::{panic_text, spawn};

type InFlight = Arc<Mutex<HashMap<Token, CancellationToken>>>;

/// Starts and cancels attempts.
pub(crate) struct Dispatcher {
    registry: Arc<Registry>,
    answers: mpsc::Sender<Request>,
    in_flight: InFlight,
    metrics: Metrics,
    freed: Arc<Notify>,
}

/// Gives the slot back and forgets the attempt, also when its task panics or is aborted.
struct Held {
    lane: Arc<Lane>,
    in_flight: InFlight,
    token: Token,
    metrics: Metrics,
    freed: Arc<Notify>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lane.give_back();
        lock(&self.in_flight).remove(&self.token);
        self.metrics.attempts_in_flight.dec();
        // Steps may wait in the store for this slot; and a draining engine waits for the last attempt.
        self.freed.notify_one();
    }
}

fn lock(in_flight: &InFlight) -> std::sync::MutexGuard<'_, HashMap<Token, CancellationToken>> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dispatcher {
    pub fn new(registry: Arc<Registry>, answers: mpsc::Sender<Request>, metrics: Metrics) -> Self {
        Self {
            registry,
            answers,
            in_flight: InFlight::default(),
            metrics,
            freed: Arc::default(),
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

    /// Waits until a slot has become free.
    pub async fn freed(&self) {
        self.freed.notified().await;
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
            freed: Arc::clone(&self.freed),
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
