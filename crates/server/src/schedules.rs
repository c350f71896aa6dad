//! Schedules: what is to be started again and again, at the times of a cron expression.
//!
//! A schedule is a record of the store (`model`). Its next time is the time at which the store shows it as due, so the
//! store's own index is the agenda: nothing about times is kept in memory, a server with 10,000 schedules starts as fast
//! as one without, and where several nodes share the store each of them keeps the same agenda.
//!
//! **Each nominal time starts one run.** The start carries an idempotency key made of the schedule and the nominal time,
//! which the store enforces; only then is the record moved on, by its version. Three nodes that find the same time due, or
//! one that dies between the two, repeat a start that has happened, and get the run that it made.
//!
//! **What was missed** (`due`) is decided by the schedule's own rule; a time is missed when its run could not be started
//! within a minute. What cannot be started is tried again while that can help, and each schedule waits for itself only.
//!
//! What a schedule starts is another room's business: it brings a [`Launch`] for its kind of target.

mod due;
mod keeper;
mod launch;
mod metrics;
mod model;
mod quota;
mod task;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use quintet_core::cron::{Cron, CronError};
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_engine::Idempotency;
use quintet_engine::clock::{Clock, random_u64};
use quintet_store::{RecordWrite, Store, StoreError};
use tokio::sync::Notify;

use launch::fire_key;
use model::{KIND, State};
use quota::Quota;

pub use keeper::Report;
pub use launch::{Fire, Launch, LaunchError, Launched};
pub use metrics::Metrics;
pub use model::{Counts, Last, Missed, Outcome, Overlap, Retry, Schedule, Spec, Target};
pub use task::{parse_task_id, task_id};

/// Longest id, name and note, in bytes.
const MAX_ID: usize = 128;
const MAX_NAME: usize = 200;
const MAX_NOTE: usize = 4096;
/// How often a change is tried that others come before.
const TRIES: usize = 10;

/// All schedules of a store.
pub struct Schedules {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    workflows: OnceLock<Arc<dyn Launch>>,
    tasks: OnceLock<Arc<dyn Launch>>,
    /// Something may be due earlier than before.
    changed: Notify,
    metrics: Metrics,
    quota: Quota,
}

/// A schedule that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its id; `None` makes one.
    pub id: Option<String>,
    /// What it is.
    pub spec: Spec,
    /// Whether nothing is to be started before it is resumed.
    pub paused: bool,
}

/// A request about schedules that is refused.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// No such schedule in this namespace.
    #[error("schedule not found")]
    NotFound,
    /// The id is taken.
    #[error("the schedule {0} exists already")]
    Exists(String),
    /// A field has an illegal value.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The namespace is full.
    #[error("a namespace has at most {0} schedules")]
    TooMany(usize),
    /// Others change it faster.
    #[error("the schedule is being changed by others")]
    Contended,
    /// What it would start cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CronError> for ScheduleError {
    fn from(error: CronError) -> Self {
        let field = if error.is_about_zone() { "timezone" } else { "cron" };
        let reason = error.to_string();
        Self::Invalid { field, reason }
    }
}

impl Schedules {
    /// The schedules of a store. Nothing fires before [`Schedules::keep`] runs.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            workflows: OnceLock::new(),
            tasks: OnceLock::new(),
            changed: Notify::new(),
            metrics: Metrics::default(),
            quota: Quota::default(),
        }
    }

    /// How workflows are started. Said once.
    pub fn serve_workflows(&self, launch: Arc<dyn Launch>) {
        let _ = self.workflows.set(launch);
    }

    /// How task documents are started. Said once.
    pub fn serve_tasks(&self, launch: Arc<dyn Launch>) {
        let _ = self.tasks.set(launch);
    }

    /// What has been counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn launcher(&self, target: &Target) -> Result<&Arc<dyn Launch>, LaunchError> {
        let (served, kind) = match target {
            Target::Workflow { .. } => (&self.workflows, "workflows"),
            Target::Task { .. } => (&self.tasks, "tasks"),
        };
        served.get().ok_or_else(|| LaunchError::not_served(kind))
    }

    /// Stores a new schedule. Its target must be one that could be started now.
    pub async fn create(&self, namespace: &Arc<str>, draft: Draft) -> Result<Schedule, ScheduleError> {
        let (spec, cron) = checked(draft.spec)?;
        self.launcher(&spec.target)?.check(namespace, &spec.target).await?;
        let id: Arc<str> = match draft.id {
            Some(id) => checked_id(id)?.into(),
            None => format!("sch_{:016x}", random_u64()).into(),
        };
        let now = self.clock.now();
        self.quota.make_room(self.store.as_ref(), namespace, now).await?;
        let state = State {
            paused: draft.paused,
            next_at: if draft.paused { None } else { cron.next_after(now) },
            ..State::default()
        };
        let schedule = Schedule::new(Arc::clone(namespace), id, spec, state, now);
        if !self.put(&schedule, 0, now).await? {
            return Err(ScheduleError::Exists(schedule.id.to_string()));
        }
        self.quota.count(namespace, 1);
        self.changed.notify_one();
        Ok(schedule)
    }

    /// A schedule.
    pub async fn get(&self, namespace: &str, id: &str) -> Result<Schedule, ScheduleError> {
        let record = self.store.record(namespace, KIND, id).await?;
        Ok(Schedule::read(&record.ok_or(ScheduleError::NotFound)?)?)
    }

    /// Schedules by id above `after`, at most `limit`.
    pub async fn list(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Schedule>, ScheduleError> {
        let records = self.store.records(namespace, KIND, after, limit).await?;
        let read: Result<_, StoreError> = records.iter().map(Schedule::read).collect();
        Ok(read?)
    }

    /// Changes what a schedule is. Another expression or zone counts from now on.
    pub async fn change(
        &self,
        namespace: &Arc<str>,
        id: &str,
        change: impl Fn(&mut Spec) -> Result<(), ScheduleError> + Send + Sync,
    ) -> Result<Schedule, ScheduleError> {
        let changed = self.get(namespace, id).await?;
        let mut wanted = changed.spec.clone();
        change(&mut wanted)?;
        let (wanted, _) = checked(wanted)?;
        if wanted.target != changed.spec.target {
            self.launcher(&wanted.target)?.check(namespace, &wanted.target).await?;
        }
        self.update(namespace, id, |schedule, now| {
            let mut spec = schedule.spec.clone();
            change(&mut spec)?;
            let (spec, cron) = checked(spec)?;
            let is_same = (&spec.cron, &spec.timezone) == (&schedule.spec.cron, &schedule.spec.timezone);
            schedule.spec = spec;
            if !is_same && !schedule.state.paused {
                schedule.state.move_to(cron.next_after(now));
            }
            Ok(())
        })
        .await
    }

    /// Nothing is started until it is resumed. A start that is under way is not taken back.
    pub async fn pause(&self, namespace: &Arc<str>, id: &str) -> Result<Schedule, ScheduleError> {
        self.update(namespace, id, |schedule, _| {
            schedule.state.paused = true;
            schedule.state.move_to(None);
            Ok(())
        })
        .await
    }

    /// Goes on with the first time from now on: those in between were not missed, but left out on purpose.
    pub async fn resume(&self, namespace: &Arc<str>, id: &str) -> Result<Schedule, ScheduleError> {
        self.update(namespace, id, |schedule, now| {
            if schedule.state.paused {
                schedule.state.paused = false;
                schedule.state.move_to(schedule.cron()?.next_after(now));
            }
            Ok(())
        })
        .await
    }

    /// Starts a run now, whatever the schedule says. With the same key it is started once.
    pub async fn trigger(
        &self,
        namespace: &Arc<str>,
        id: &str,
        key: Option<Idempotency>,
    ) -> Result<Launched, ScheduleError> {
        let schedule = self.get(namespace, id).await?;
        let fire = Fire {
            schedule: Arc::clone(&schedule.id),
            nominal: None,
        };
        let target = &schedule.spec.target;
        let launched = self.launcher(target)?.launch(namespace, target, &fire, key).await?;
        if launched.is_new {
            tracing::info!(schedule = id, namespace = &**namespace, run = %launched.run, "schedule triggered");
            let noted = self.update(namespace, id, |schedule, _| {
                schedule.state.triggered(launched.run);
                Ok(())
            });
            // The run is there, whether or not the schedule knows of it, or still exists.
            if let Err(error) = noted.await {
                tracing::debug!(schedule = id, error = %error, "the triggered run could not be noted");
            }
        }
        Ok(launched)
    }

    /// Removes a schedule; its runs stay.
    pub async fn delete(&self, namespace: &Arc<str>, id: &str) -> Result<(), ScheduleError> {
        for _ in 0..TRIES {
            let record = self.store.record(namespace, KIND, id).await?;
            let record = record.ok_or(ScheduleError::NotFound)?;
            let write = RecordWrite {
                namespace: record.namespace,
                kind: record.kind,
                id: record.id,
                expected: Some(record.version),
                body: None,
                expires_at: None,
                at: self.clock.now(),
            };
            if self.store.put_records(vec![write]).await? {
                self.quota.count(namespace, -1);
                return Ok(());
            }
        }
        Err(ScheduleError::Contended)
    }

    /// The run that a schedule's nominal time started; remembered for 30 days.
    pub async fn run_of(&self, namespace: &str, id: &str, nominal: Time) -> Result<Option<RunId>, StoreError> {
        let key = fire_key(id, nominal);
        let now = self.clock.now();
        let record = self.store.idempotency(namespace, &key.scope, &key.key, now).await?;
        Ok(record.and_then(|record| record.answer.split(' ').next()?.parse().ok()))
    }

    /// Reads, changes and stores a schedule, again if another was faster.
    async fn update(
        &self,
        namespace: &Arc<str>,
        id: &str,
        change: impl Fn(&mut Schedule, Time) -> Result<(), ScheduleError> + Send + Sync,
    ) -> Result<Schedule, ScheduleError> {
        for _ in 0..TRIES {
            let before = self.get(namespace, id).await?;
            let (mut after, now) = (before.clone(), self.clock.now());
            change(&mut after, now)?;
            if after == before {
                return Ok(before);
            }
            if self.put(&after, before.version, now).await? {
                after.version += 1;
                after.updated_at = now;
                self.changed.notify_one();
                return Ok(after);
            }
        }
        Err(ScheduleError::Contended)
    }

    async fn put(&self, schedule: &Schedule, expected: u64, now: Time) -> Result<bool, StoreError> {
        self.store.put_records(vec![schedule.write(expected, now)]).await
    }
}

/// The spec as it is stored, with its expression read.
fn checked(mut spec: Spec) -> Result<(Spec, Cron), ScheduleError> {
    let cron = Cron::parse(&spec.cron, &spec.timezone)?;
    cron.zone_name().clone_into(&mut spec.timezone);
    spec.cron = spec.cron.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = |field, text: &str, most| {
        if text.len() <= most && !text.chars().any(|character| character == '\0') {
            return Ok(());
        }
        let reason = format!("must have at most {most} bytes, and no zero bytes");
        Err(ScheduleError::Invalid { field, reason })
    };
    fits("name", &spec.name, MAX_NAME)?;
    fits("note", spec.note.as_deref().unwrap_or_default(), MAX_NOTE)?;
    Ok((spec, cron))
}

fn checked_id(id: String) -> Result<String, ScheduleError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_plain) {
        return Ok(id);
    }
    let reason = format!("must have 1 to {MAX_ID} letters, digits, dots, hyphens or underscores");
    Err(ScheduleError::Invalid { field: "id", reason })
}
