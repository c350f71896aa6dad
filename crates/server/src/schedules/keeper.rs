//! Fires what is due: [`Schedules::tick`] does all of it and says when something is due next, and a loop waits for that.
//!
//! The loop asks the store only when something is due, when this process has changed a schedule, and, where other nodes
//! share the store, every few seconds: what those changed is seen then, and what they left undone is done. It looks at the
//! clock now and then without asking anybody, because a machine that slept does not know how long.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_engine::tasks;
use quintet_store::{Record, RecordWrite, StoreError};
use tokio_util::sync::CancellationToken;

use super::due::{Decision, Effect, decide};
use super::launch::{Fire, LaunchError, Launched, fire_key};
use super::model::{KIND, Last, Outcome, Overlap, Schedule};
use super::{Schedules, TRIES};
use crate::error_code::ErrorCode;

/// Schedules that are fired together: their starts share commits.
const BATCH: usize = 256;
/// Batches of one tick; what is left is done by the next one, which looks at the clock anew.
const ROUNDS: usize = 100;
/// A start that gives no answer for so long is tried again, under the same key.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what other nodes did.
const REFRESH: Duration = Duration::from_secs(5);
/// Between two looks at the clock.
const GLANCE: Duration = Duration::from_secs(30);
/// Pauses after a tick that failed.
const FIRST_PAUSE_MS: u64 = 500;
const LONGEST_PAUSE_MS: u64 = 15_000;
/// How long a record that cannot be read is left alone.
const DAMAGED_MS: u64 = 3_600_000;

/// What a tick did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Nominal times that started a run.
    pub fired: u64,
    /// Nominal times that were left out by the schedules' rules.
    pub missed: u64,
    /// Nominal times whose start was refused for good.
    pub failed: u64,
    /// Nominal times that were left out because the run before was not over.
    pub overlapped: u64,
    /// Starts that failed and are tried again.
    pub retried: u64,
    /// When something is due next.
    pub next_at: Option<Time>,
}

impl Report {
    fn is_nothing(&self) -> bool {
        Self { next_at: None, ..*self } == Self::default()
    }
}

/// A schedule that was due, and what was done about it.
struct Fired {
    schedule: Schedule,
    from: Time,
    effect: Effect,
}

/// A start that ends: one that hangs or panics is a failed one, and stops no other.
async fn guarded(launch: impl Future<Output = Result<Launched, LaunchError>>) -> Result<Launched, LaunchError> {
    let launch = AssertUnwindSafe(launch).catch_unwind();
    tokio::select! {
        launched = launch => launched.unwrap_or_else(|panic| {
            tracing::error!(panic = tasks::panic_text(panic.as_ref()), "a scheduled start panicked");
            Err(LaunchError::new(ErrorCode::Internal, "internal error"))
        }),
        () = tasks::pause(Some(PATIENCE)) => {
            let message = format!("the start gave no answer within {} s", PATIENCE.as_secs());
            Err(LaunchError::new(ErrorCode::OutcomeUnknown, message))
        }
    }
}

impl Schedules {
    /// Fires everything that is due, and notes it.
    pub async fn tick(&self) -> Result<Report, StoreError> {
        let mut report = Report::default();
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let due = self.store.expired_records(KIND, now, BATCH).await?;
            let is_last = due.len() < BATCH;
            if due.is_empty() {
                break;
            }
            let fired = join_all(due.iter().map(|record| self.fire(record, now))).await;
            let fired: Result<Vec<Option<Fired>>, StoreError> = fired.into_iter().collect();
            let fired: Vec<Fired> = fired?.into_iter().flatten().collect();
            // Others were faster everywhere: what is still due comes around again.
            if !self.settle(fired, &mut report).await? && is_last {
                break;
            }
        }
        let next = self.store.expired_records(KIND, Time::NEVER, 1).await?;
        report.next_at = next.first().and_then(|record| record.expires_at);
        Ok(report)
    }

    /// Does what is to be done about a schedule; `None` where that is nothing.
    async fn fire(&self, record: &Record, now: Time) -> Result<Option<Fired>, StoreError> {
        let Ok(schedule) = Schedule::read(record) else {
            self.set_aside(record, now).await?;
            return Ok(None);
        };
        let Some(from) = schedule.state.next_at else {
            return Ok(None);
        };
        let effect = match schedule.cron() {
            // Its zone may be gone from the database of a newer program.
            Err(error) => Some(Effect::failed(from, 0, error.to_string(), now)),
            Ok(cron) => match decide(schedule.spec.missed, &cron, from, now) {
                Decision::Wait => None,
                Decision::Pass { missed, next_at } => Some(Effect::Passed { missed, next_at }),
                Decision::Start { nominal, missed } => Some(self.start(&schedule, nominal, missed, now).await?),
            },
        };
        Ok(effect.map(|effect| Fired { schedule, from, effect }))
    }

    async fn start(&self, schedule: &Schedule, nominal: Time, missed: u64, now: Time) -> Result<Effect, StoreError> {
        if let Some(run) = self.in_the_way(schedule).await? {
            return Ok(Effect::overlapped(nominal, missed, run, now));
        }
        let fire = Fire {
            schedule: Arc::clone(&schedule.id),
            nominal: Some(nominal),
        };
        let (namespace, target) = (&schedule.namespace, &schedule.spec.target);
        let key = fire_key(&schedule.id, nominal);
        let launched = match self.launcher(target) {
            Err(error) => Err(error),
            Ok(launcher) => guarded(launcher.launch(namespace, target, &fire, Some(key))).await,
        };
        Ok(match launched {
            Ok(launched) => Effect::started(nominal, missed, launched.run, now),
            Err(error) if error.is_retryable() => Effect::Retry {
                nominal,
                missed,
                error: error.message,
            },
            Err(error) => Effect::failed(nominal, missed, error.message, now),
        })
    }

    /// The run before, if it is not over and nothing may start beside it.
    async fn in_the_way(&self, schedule: &Schedule) -> Result<Option<RunId>, StoreError> {
        let Some(run) = schedule
            .state
            .last_run
            .filter(|_| schedule.spec.overlap == Overlap::Skip)
        else {
            return Ok(None);
        };
        let row = self.store.run(&schedule.namespace, run).await?;
        Ok(row.filter(|row| !row.status.is_terminal()).map(|row| row.id))
    }

    /// Notes what was done, for all with one write where nobody came in between. Says whether anything was noted.
    async fn settle(&self, mut fired: Vec<Fired>, report: &mut Report) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut writes = Vec::with_capacity(fired.len());
        for entry in &mut fired {
            let cron = entry.schedule.cron().ok();
            entry.schedule.state.take(cron.as_ref(), entry.from, &entry.effect, now);
            writes.push(entry.schedule.write(entry.schedule.version, now));
        }
        if fired.is_empty() {
            return Ok(false);
        }
        if self.store.put_records(writes).await? {
            fired.iter().for_each(|entry| self.tell(entry, report));
            return Ok(true);
        }
        let mut is_any_noted = false;
        for entry in &fired {
            if self.settle_one(entry).await? {
                self.tell(entry, report);
                is_any_noted = true;
            }
        }
        Ok(is_any_noted)
    }

    /// Notes what was done about one schedule that somebody else may be changing. False when there is nothing to note:
    /// another node has noted it, or the schedule is gone.
    async fn settle_one(&self, entry: &Fired) -> Result<bool, StoreError> {
        let id = &entry.schedule.id;
        for _ in 0..TRIES {
            let Some(record) = self.store.record(&entry.schedule.namespace, KIND, id).await? else {
                tracing::info!(schedule = &**id, "schedule deleted while it was being fired");
                return Ok(false);
            };
            let (mut schedule, now) = (Schedule::read(&record)?, self.clock.now());
            let cron = schedule.cron().ok();
            if !schedule.state.take(cron.as_ref(), entry.from, &entry.effect, now) {
                return Ok(false);
            }
            if self.put(&schedule, record.version, now).await? {
                return Ok(true);
            }
        }
        // It is still due, and its start is known by its key.
        Ok(false)
    }

    /// Leaves a record that cannot be read alone for a while, so that it does not come up again and again.
    async fn set_aside(&self, record: &Record, now: Time) -> Result<(), StoreError> {
        tracing::error!(
            schedule = &*record.id,
            namespace = &*record.namespace,
            "a stored schedule cannot be read"
        );
        let write = RecordWrite {
            namespace: Arc::clone(&record.namespace),
            kind: Arc::clone(&record.kind),
            id: Arc::clone(&record.id),
            expected: Some(record.version),
            body: Some(record.body.clone()),
            expires_at: Some(now.plus_ms(DAMAGED_MS)),
            at: now,
        };
        self.store.put_records(vec![write]).await.map(drop)
    }

    /// Logs and counts what was noted.
    fn tell(&self, entry: &Fired, report: &mut Report) {
        let (schedule, namespace) = (&*entry.schedule.id, &*entry.schedule.namespace);
        let (Effect::Settled { missed, .. } | Effect::Passed { missed, .. } | Effect::Retry { missed, .. }) =
            entry.effect;
        if missed > 0 {
            self.metrics.missed.inc_by(missed);
            report.missed += missed;
            tracing::warn!(
                schedule,
                namespace,
                times = missed,
                "scheduled times were missed and are left out"
            );
        }
        match &entry.effect {
            Effect::Settled { last, .. } => self.tell_settled(schedule, namespace, last, report),
            Effect::Passed { .. } => {}
            Effect::Retry { error, .. } => {
                self.metrics.retried.inc();
                report.retried += 1;
                tracing::warn!(schedule, namespace, error = %error, "a scheduled run could not be started; trying again");
            }
        }
    }

    fn tell_settled(&self, schedule: &str, namespace: &str, last: &Last, report: &mut Report) {
        let (counter, reported) = match last.outcome {
            Outcome::Started => (&self.metrics.fired, &mut report.fired),
            Outcome::Failed => (&self.metrics.failed, &mut report.failed),
            Outcome::Overlapped => (&self.metrics.overlapped, &mut report.overlapped),
        };
        counter.inc();
        *reported += 1;
        let due = jiff::Timestamp::from_microsecond(last.nominal.0).unwrap_or_default();
        let run = last.run_id.map(|run| run.to_string()).unwrap_or_default();
        match last.outcome {
            Outcome::Started => {
                let late_ms = last.at.ms_since(last.nominal);
                tracing::info!(schedule, namespace, due = %due, run, late_ms, "schedule fired");
            }
            Outcome::Overlapped => {
                tracing::info!(schedule, namespace, due = %due, run, "scheduled time left out: the run before is not over");
            }
            Outcome::Failed => {
                let error = last.error.as_deref().unwrap_or_default();
                tracing::warn!(schedule, namespace, due = %due, error, "a scheduled run cannot be started");
            }
        }
    }

    /// Fires what is due until the server stops.
    pub(crate) async fn keep(self: Arc<Self>, stopping: CancellationToken) {
        let mut failures = 0_u32;
        loop {
            let ticked = tokio::select! {
                ticked = self.tick() => ticked,
                () = stopping.cancelled() => return,
            };
            let wait = match ticked {
                Ok(report) => {
                    failures = 0;
                    self.idle(self.not_at_once(&report))
                }
                Err(error) => {
                    match failures {
                        0 => tracing::warn!(error = %error, "schedules cannot be looked at; trying again"),
                        _ => tracing::debug!(error = %error, "schedules still cannot be looked at"),
                    }
                    failures = failures.saturating_add(1);
                    let pause = FIRST_PAUSE_MS
                        .saturating_mul(1 << failures.min(10))
                        .min(LONGEST_PAUSE_MS);
                    self.idle(Some(self.clock.now().plus_ms(pause)))
                }
            };
            tokio::select! {
                () = wait => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// When to look again. What is due although nothing could be done about it is not asked for without a pause.
    fn not_at_once(&self, report: &Report) -> Option<Time> {
        let now = self.clock.now();
        match report.next_at {
            Some(next) if next <= now && report.is_nothing() => Some(now.plus_ms(FIRST_PAUSE_MS)),
            next => next,
        }
    }

    /// Until something is due, or may be.
    async fn idle(&self, next_at: Option<Time>) {
        loop {
            let left = next_at.map_or(i64::MAX, |next| next.0.saturating_sub(self.clock.now().0));
            let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else {
                return;
            };
            let glance = if self.store.is_shared() { REFRESH } else { GLANCE };
            tokio::select! {
                () = tasks::pause(Some(Duration::from_micros(left).min(glance))) => {}
                () = self.changed.notified() => return,
            }
            if self.store.is_shared() {
                return;
            }
        }
    }
}
