//! After the commit: answers, effects, news for watchers. Or, when it failed, taking everything back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quintet_core::command::Command;
use quintet_core::effect::Effect;
use quintet_core::event::Event;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::state::RunState;
use quintet_core::time::Time;
use quintet_store::{StoreError, UnitResult};

use super::Pump;
use super::batch::{Asked, Batch, Begun, Moved, replayed};
use crate::error::EngineError;
use crate::metrics::OutcomeLabel;
use crate::request::{Applied, Request, Started, StartedRun};

/// Times that a command is decided again because somebody else moved its run.
const MAX_TRIES: u8 = 20;

/// Milliseconds before the timer of a run that cannot be read is looked at again.
const PUT_OFF_MS: u64 = 60_000;

impl Pump {
    /// `results` has an entry for each start and for each run that has events, in the order of the commit. False when
    /// answers of executors are kept for later because their runs could not be read.
    pub(super) async fn settle(&mut self, mut batch: Batch, results: Vec<UnitResult>) -> bool {
        let mut results = results.into_iter();
        for begun in batch.begun {
            self.settle_start(begun, results.next());
        }
        let mut moved = batch.moved;
        let mut conflicts = HashSet::new();
        let mut early = Vec::new();
        for run in batch.order {
            let Some(entry) = moved.get_mut(&run) else { continue };
            if entry.events.is_empty() {
                early.extend(self.keep_unchanged(entry));
                continue;
            }
            match results.next() {
                Some(UnitResult::Applied) => {
                    self.release(entry);
                    batch.fresh.insert(run);
                }
                result => {
                    if let Some(UnitResult::Full(limit)) = result {
                        tracing::debug!(run = %run, action = %limit.action, max = limit.max, "no room left for a step");
                        self.shared.metrics.limits_met.inc();
                    } else {
                        self.shared.metrics.conflicts.inc();
                    }
                    self.shared.give_back(&entry.effects);
                    conflicts.insert(run);
                }
            }
        }
        self.reschedule(&early).await;
        let mut all_told = true;
        for asked in batch.asked {
            if let Some(error) = batch.unloadable.get(&asked.run) {
                all_told &= !error.is_retryable();
                self.unreadable(asked, error.is_retryable()).await;
            } else if conflicts.contains(&asked.run) {
                self.ask_again(asked);
            } else if self.shared.store.is_shared() && !batch.fresh.contains(&asked.run) && asked.did_nothing() {
                // What was in memory may be old, and no commit has shown that it is not.
                self.doubt(asked);
            } else {
                self.answer(asked, &moved);
            }
        }
        self.cache.trim();
        self.shared.metrics.cached_runs.set(self.cache.len() as i64);
        all_told
    }

    /// A run that was looked at and not moved. If its timer was what woke it, the stored time was stale: here is the
    /// exact one.
    fn keep_unchanged(&mut self, entry: &Moved) -> Option<(RunId, u64, Option<Time>)> {
        if entry.broken {
            return None;
        }
        let state = &entry.state;
        self.cache.put(Arc::clone(state));
        if !entry.ticked || state.status.is_terminal() {
            return None;
        }
        self.set_timer(state);
        Some((state.id, state.version, state.next_wake()))
    }

    async fn reschedule(&self, exact: &[(RunId, u64, Option<Time>)]) {
        if exact.is_empty() {
            return;
        }
        if let Err(error) = self.shared.store.reschedule(exact).await {
            tracing::warn!(runs = exact.len(), error = %error, "timers could not be moved");
        }
    }

    /// Sees to it that the run is looked at when its next timer is due.
    fn set_timer(&mut self, state: &RunState) {
        if self.shared.store.is_shared() {
            self.timers.set(&state.created.namespace, state.id, state.next_wake());
        } else if let Some(at) = state.next_wake() {
            self.shared.wanted.wake_by(at);
        }
    }

    fn settle_start(&mut self, begun: Begun, result: Option<UnitResult>) {
        let Begun {
            runs,
            idempotency,
            watch,
            reply,
        } = begun;
        let request = idempotency.map(|key| key.request);
        let answer = match result {
            Some(UnitResult::Applied) => {
                let started = runs.iter().map(|moved| StartedRun {
                    id: moved.state.id,
                    created_at: Some(moved.state.created_at),
                    watch: watch.then(|| {
                        let namespace = &moved.state.created.namespace;
                        self.shared.watchers.watch(namespace, moved.state.id)
                    }),
                });
                Ok(Started {
                    runs: started.collect(),
                    replayed: false,
                })
            }
            Some(UnitResult::Duplicate(record)) if request == Some(record.request) => {
                replayed(&record).map_err(EngineError::from).map(|ids| {
                    let started = |id: RunId| StartedRun {
                        id,
                        created_at: None,
                        watch: None,
                    };
                    Started {
                        runs: ids.into_iter().map(started).collect(),
                        replayed: true,
                    }
                })
            }
            Some(UnitResult::Duplicate(_)) => Err(EngineError::IdempotencyMismatch),
            Some(UnitResult::Outdated(pin)) => {
                self.shared.workflows.forget(&pin.namespace, &pin.id);
                Err(EngineError::WorkflowChanged(pin.id.to_string()))
            }
            Some(UnitResult::Full(_)) => Err(EngineError::Overloaded),
            Some(UnitResult::Conflict(run)) => Err(EngineError::Internal(format!("{run} exists already"))),
            None => Err(EngineError::Internal("the store gave no answer".to_owned())),
        };
        let applied = answer.as_ref().is_ok_and(|started| !started.replayed);
        let _ = reply.send(answer);
        for mut moved in runs {
            if applied {
                self.shared.metrics.runs_started.inc();
                self.shared.plans.add(&moved.state.plan);
                self.shared.plans.mark_stored(moved.state.plan.digest);
                self.release(&mut moved);
            } else {
                self.shared.give_back(&moved.effects);
            }
        }
    }

    /// Lets a stored change take effect.
    fn release(&mut self, moved: &mut Moved) {
        self.end_outside(moved);
        let state = &moved.state;
        self.count(state, &moved.events);
        // A process that was stopped for a while wakes up here, with a commit that was made long ago.
        let may_begin = self.shared.may_begin(self.shared.clock.now());
        for effect in moved.effects.drain(..) {
            match effect {
                Effect::Dispatch(work) if !may_begin => {
                    self.shared.give_back(&[Effect::Dispatch(work)]);
                    self.shared.look_again();
                }
                Effect::Dispatch(work) => {
                    self.shared.metrics.attempts_started.inc();
                    self.local.extend(self.dispatcher.dispatch(*work));
                }
                Effect::CancelAttempt(token) => {
                    if !self.dispatcher.cancel(token) {
                        self.withdraw(state, token);
                    }
                    self.shared.store.hint();
                }
                Effect::Enqueue { node } => {
                    self.shared.metrics.steps_queued.inc();
                    self.shared.step_waits(state, node);
                    self.shared.store.hint();
                }
                Effect::Dequeue { .. } => {}
            }
        }
        self.set_timer(state);
        self.shared.watchers.publish(state);
        if moved.told {
            self.shared.outbox_filled.notify_one();
        }
        tracing::debug!(run = %state.id, version = state.version, status = state.status.as_str(), "stored");
        self.cache.put(Arc::clone(state));
    }

    fn count(&self, state: &RunState, events: &[Event]) {
        for event in events {
            let outcome = match event {
                Event::StepSucceeded { .. } => "succeeded",
                Event::StepRetrying { .. } => "failed",
                Event::StepFailed { a, .. } if *a > 0 => "failed",
                Event::AttemptLost { .. } => "lost",
                _ => continue,
            };
            self.shared
                .metrics
                .attempts_finished
                .get_or_create(&OutcomeLabel { outcome })
                .inc();
        }
        if state.status.is_terminal() && events.iter().any(ends_run) {
            let outcome = state.status.as_str();
            if let Some(quota) = &self.shared.quota {
                quota.ended(&state.created.namespace);
            }
            self.shared
                .metrics
                .runs_finished
                .get_or_create(&OutcomeLabel { outcome })
                .inc();
            if state.status == RunStatus::Complete {
                tracing::debug!(run = %state.id, workflow = %state.created.workflow, status = outcome, "run ended");
            } else {
                tracing::info!(run = %state.id, workflow = %state.created.workflow, status = outcome, "run ended");
            }
        }
    }

    fn answer(&self, asked: Asked, moved: &HashMap<RunId, Moved>) {
        let Some(reply) = asked.reply else {
            if let (Err(error), Command::Complete { token, .. }) = (&asked.result, &asked.command) {
                self.shared
                    .metrics
                    .attempts_finished
                    .get_or_create(&OutcomeLabel { outcome: "refused" })
                    .inc();
                let (node, attempt) = (token.node, token.attempt);
                tracing::info!(run = %asked.run, node, attempt, error = %error, "late answer refused");
            }
            return;
        };
        let answer = match (asked.result, moved.get(&asked.run)) {
            (Ok(_), Some(moved)) if moved.broken => {
                Err(EngineError::Internal("an invariant of the run is broken".to_owned()))
            }
            (Ok(changed), Some(moved)) => Ok(Applied {
                state: Arc::clone(&moved.state),
                changed,
            }),
            (Ok(_), None) => Err(EngineError::RunNotFound(asked.run)),
            (Err(error), _) => Err(error),
        };
        let _ = reply.send(answer);
    }

    /// Somebody else moved the run: load it and decide again. What the store will offer again by itself is
    /// not kept.
    fn ask_again(&mut self, asked: Asked) {
        match asked.command {
            Command::Claim { .. } => self.shared.steps_may_wait(),
            // An answer of an executor cannot be had twice.
            Command::Complete { .. } | Command::Accept { .. } | Command::Tick | Command::Recover { .. } => {
                self.repeat(asked);
            }
            _ if asked.tries < MAX_TRIES => self.repeat(asked),
            _ => {
                if let Some(reply) = asked.reply {
                    let _ = reply.send(Err(EngineError::Overloaded));
                }
            }
        }
    }

    /// The run of a command could not be read: now, or ever again.
    async fn unreadable(&mut self, asked: Asked, is_retryable: bool) {
        if asked.is_answer() && is_retryable {
            self.repeat(asked);
        } else if asked.command == Command::Tick && !is_retryable {
            self.put_off(&asked).await;
        } else {
            self.answer(asked, &HashMap::new());
        }
    }

    /// A run that is damaged must not be offered for its timer again and again.
    async fn put_off(&self, asked: &Asked) {
        let at = self.shared.clock.now().plus_ms(PUT_OFF_MS);
        let done = async {
            if let Some(row) = self.shared.store.run(&asked.namespace, asked.run).await? {
                self.shared.store.reschedule(&[(row.id, row.version, Some(at))]).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = done.await {
            tracing::warn!(run = %asked.run, error = %error, "the timer of a damaged run could not be put off");
        }
    }

    fn doubt(&mut self, asked: Asked) {
        if let Command::Claim { .. } = asked.command {
            self.cache.take(asked.run);
            self.shared.steps_may_wait();
        } else {
            self.repeat(asked);
        }
    }

    fn repeat(&mut self, asked: Asked) {
        let Asked {
            namespace,
            run,
            command,
            reply,
            tries,
            ticket,
            ..
        } = asked;
        self.local.push_back(Request::Command {
            namespace,
            run,
            command,
            reply,
            tries: tries.saturating_add(1),
            ticket,
        });
    }

    /// The commit failed: nothing happened, or nobody knows. States are forgotten, slots given back, callers
    /// told. Answers of executors are kept and offered again, for they cannot be had twice.
    pub(super) fn settle_failed(&mut self, batch: Batch, error: &StoreError) {
        let (runs, starts) = (batch.moved.len(), batch.begun.len());
        tracing::error!(error = %error, runs, starts, "commit failed");
        if matches!(error, StoreError::Refused(_) | StoreError::Corrupt(_)) {
            self.shared.fatal.send_replace(Some(error.to_string()));
        }
        for begun in batch.begun {
            begun
                .runs
                .iter()
                .for_each(|moved| self.shared.give_back(&moved.effects));
            let _ = begun.reply.send(Err(error.into()));
        }
        for moved in batch.moved.values() {
            self.shared.give_back(&moved.effects);
        }
        for asked in batch.asked {
            match (asked.reply, asked.result, &asked.command) {
                (Some(reply), Err(refused), _) => drop(reply.send(Err(refused))),
                (Some(reply), Ok(_), _) => drop(reply.send(Err(error.into()))),
                (None, _, Command::Complete { .. } | Command::Accept { .. }) => {
                    let (namespace, run) = (asked.namespace, asked.run);
                    self.local.push_back(Request::internal(namespace, run, asked.command));
                }
                (None, ..) => {}
            }
        }
        self.shared.look_again();
    }
}

fn ends_run(event: &Event) -> bool {
    match event {
        Event::RunMoved { to } => to.is_terminal(),
        Event::RunCancelled { .. } | Event::RunResolved { .. } | Event::RunTimedOut { .. } => true,
        _ => false,
    }
}
