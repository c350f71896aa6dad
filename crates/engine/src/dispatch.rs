//! Attempts that this process holds.
//!
//! Each asynchronous attempt is a task of its own that answers once into the urgent channel. A slot is given
//! back when the task ends, however it ends. Cancelling drops the executor's future.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use quintet_core::command::Command;
use quintet_core::id::RunId;
use quintet_core::outcome::{Failure, Outcome, Token, Work};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::executor::{Handed, Mode};
use crate::metrics::Metrics;
use crate::registry::{Lane, Registry};
use crate::request::Request;
use crate::scout::Wanted;
use crate::shares::Shares;
use crate::tasks::{panic_text, pause, spawn};

type InFlight = Arc<Mutex<HashMap<Token, Signals>>>;

/// How long an attempt that was taken over outside is still held here, in milliseconds. Most are over by then, and
/// nothing needs to be stored of who has it; if this process dies meanwhile, the attempt is made again.
const GRACE_MS: u64 = 50;

/// What an attempt is told.
#[derive(Clone, Default)]
struct Signals {
    /// To stop, because nobody wants it any more.
    cancel: CancellationToken,
    /// To stop, because somebody makes it again.
    abandon: CancellationToken,
    /// That it is over by the book.
    settled: CancellationToken,
}

/// How an attempt that this process holds stands by the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As it should.
    UnderWay,
    /// Nobody wants it any more.
    CalledOff,
    /// It counts as lost, and is made again.
    Lost,
}

/// Starts and cancels attempts.
pub(crate) struct Dispatcher {
    registry: Arc<Registry>,
    answers: mpsc::Sender<Request>,
    in_flight: InFlight,
    metrics: Metrics,
    shares: Arc<Shares>,
    /// Tells this dispatcher's loop, which waits for the last attempt when it drains.
    drained: Arc<Notify>,
    /// Steps may wait in the store for a slot.
    wanted: Arc<Wanted>,
    /// The engine starts nothing new.
    stop: CancellationToken,
}

/// Gives the slot back and forgets the attempt, also when its task panics or is aborted.
struct Held {
    slot: Option<HeldSlot>,
    in_flight: InFlight,
    token: Token,
    metrics: Metrics,
    drained: Arc<Notify>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.slot = None;
        lock(&self.in_flight).remove(&self.token);
        self.metrics.attempts_in_flight.dec();
        self.drained.notify_one();
    }
}

/// A slot in use; when it becomes free the next step is looked for.
struct HeldSlot {
    lane: Arc<Lane>,
    queue: Arc<str>,
    namespace: Arc<str>,
    shares: Arc<Shares>,
    wanted: Arc<Wanted>,
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        self.lane.give_back();
        self.shares.give_back(&self.namespace);
        if self.lane.is_counted_here() {
            self.lane.end(&self.queue);
        }
        if self.lane.is_waiting() {
            self.wanted.poke();
        }
    }
}

fn lock(in_flight: &InFlight) -> std::sync::MutexGuard<'_, HashMap<Token, Signals>> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dispatcher {
    pub fn new(
        registry: Arc<Registry>,
        answers: mpsc::Sender<Request>,
        metrics: Metrics,
        shares: Arc<Shares>,
        wanted: Arc<Wanted>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            stop,
            registry,
            answers,
            in_flight: InFlight::default(),
            metrics,
            shares,
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
                if let Some(refused) = refusal(lane, &work) {
                    return Some(answer(&work, refused));
                }
                let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| lane.executor.execute_inline(&work)));
                let outcome = outcome.unwrap_or_else(|panic| panicked(&work, panic.as_ref()));
                Some(answer(&work, outcome))
            }
            Mode::Async { .. } | Mode::Outside { .. } => {
                self.spawn(Arc::clone(lane), work);
                None
            }
        }
    }

    fn spawn(&self, lane: Arc<Lane>, work: Work) {
        let signals = Signals::default();
        lock(&self.in_flight).insert(work.token, signals.clone());
        self.metrics.attempts_in_flight.inc();
        let slot = HeldSlot {
            lane: Arc::clone(&lane),
            queue: Arc::clone(&work.queue),
            namespace: Arc::clone(&work.namespace),
            shares: Arc::clone(&self.shares),
            wanted: Arc::clone(&self.wanted),
        };
        let mut held = Held {
            slot: Some(slot),
            in_flight: Arc::clone(&self.in_flight),
            token: work.token,
            metrics: self.metrics.clone(),
            drained: Arc::clone(&self.drained),
        };
        let stop = self.stop.clone();
        let answers = self.answers.clone();
        let span = tracing::info_span!(
            "attempt",
            run = %work.token.run,
            step = %work.step,
            attempt = work.token.attempt,
            action = %work.action
        );
        let attempt = async move {
            let Signals {
                cancel,
                abandon,
                settled,
            } = signals;
            let done = AssertUnwindSafe(begin(&lane, work.clone())).catch_unwind();
            let handed = tokio::select! {
                done = done => Some(done.unwrap_or_else(|panic| Handed::Answered(panicked(&work, panic.as_ref())))),
                () = cancel.cancelled() => None,
                () = abandon.cancelled() => None,
            };
            if handed.is_none() && cancel.is_cancelled() {
                lane.executor.called_off(work.clone()).await;
            }
            let message = match handed {
                Some(Handed::Answered(outcome)) => answer(&work, outcome),
                Some(Handed::Accepted) => {
                    held.slot = None;
                    tokio::select! {
                        () = settled.cancelled() => Request::Nudge,
                        () = cancel.cancelled() => {
                            lane.executor.withdrawn(work.token);
                            Request::Nudge
                        }
                        () = abandon.cancelled() => Request::Nudge,
                        () = stop.cancelled() => accepted(&work),
                        () = pause(Some(Duration::from_millis(GRACE_MS))) => accepted(&work),
                    }
                }
                None => Request::Nudge,
            };
            // The channel is closed only when the engine is gone; then recovery makes the attempt again. An
            // attempt counts as held until its answer is in the channel: recovery must find it in one of them.
            let _ = answers.send(message).await;
            drop(held);
        };
        spawn("attempt", tracing::Instrument::instrument(attempt, span));
    }

    /// Stops an attempt; it gives no answer. False when this process does not hold it.
    pub fn cancel(&self, token: Token) -> bool {
        let in_flight = lock(&self.in_flight);
        let signals = in_flight.get(&token);
        signals.inspect(|signals| signals.cancel.cancel()).is_some()
    }

    /// An attempt that somebody outside had is over: nobody need know any more who has it.
    pub fn settled(&self, token: Token) {
        if let Some(signals) = lock(&self.in_flight).get(&token) {
            signals.settled.cancel();
        }
    }

    /// Stops the attempts of a run that are no longer under way by the book.
    pub fn cancel_lost(&self, run: RunId, standing: impl Fn(Token) -> Standing) {
        let in_flight = lock(&self.in_flight);
        for (token, signals) in in_flight.iter().filter(|(token, _)| token.run == run) {
            let stop = match standing(*token) {
                Standing::UnderWay => continue,
                Standing::CalledOff => &signals.cancel,
                Standing::Lost => &signals.abandon,
            };
            tracing::info!(run = %run, node = token.node, attempt = token.attempt, "attempt called off elsewhere");
            stop.cancel();
        }
    }

    /// Stops everything; what was held is made again after the next start.
    pub fn cancel_all(&self) -> usize {
        let in_flight = lock(&self.in_flight);
        in_flight.values().for_each(|signals| signals.abandon.cancel());
        in_flight.len()
    }
}

/// Why an attempt is not begun: its executor would send the mask that stands for a secret.
fn refusal(lane: &Lane, work: &Work) -> Option<Outcome> {
    if work.secrets.is_empty() || lane.executor.takes_secrets() {
        return None;
    }
    let message = format!("the action {} takes no secrets", work.action);
    Some(Outcome::Failed(Failure::permanent("invalid_input", message)))
}

async fn begin(lane: &Lane, work: Work) -> Handed {
    if let Some(refused) = refusal(lane, &work) {
        return Handed::Answered(refused);
    }
    match lane.mode {
        Mode::Outside { .. } => lane.executor.hand_over(work).await,
        Mode::Async { .. } | Mode::Inline => Handed::Answered(lane.executor.execute(work).await),
    }
}

fn accepted(work: &Work) -> Request {
    let command = Command::Accept { token: work.token };
    Request::internal(Arc::clone(&work.namespace), work.token.run, command)
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
