//! Maintenance: no new work is taken, what is there is brought to its end, and then the server is still.
//!
//! `running` becomes `waiting_for_maintenance` when somebody asks for it, and that becomes `maintenance` by itself when
//! nothing is pending or running any more. The mode is stored, so that all nodes and the next start know it.

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use http::StatusCode;
use quintet_core::machine::StepStatus;
use quintet_core::time::Time;
use quintet_executors::push::ACTION;
use quintet_store::{RecordWrite, StepFilter, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reply::{self, Answer, Refusal, iso};
use super::state::Pipelines;
use crate::app::App;

const KIND: &str = "pipelines.state";
const ID: &str = "maintenance";
/// States in which a step is still to be done.
const UNSETTLED: [StepStatus; 3] = [StepStatus::Pending, StepStatus::Enqueued, StepStatus::WaitingForRetry];
/// How old a count may be that is shown.
const RECENT_MS: u64 = 500;
/// Times that a change is tried while others change it too.
const TRIES: usize = 10;

/// What the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    #[default]
    Running,
    WaitingForMaintenance,
    Maintenance,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Position {
    mode: Mode,
    changed_at: Option<Time>,
    #[serde(skip)]
    record: u64,
}

/// The mode as it is stored.
pub(super) struct Switch {
    store: Arc<dyn Store>,
    namespace: Arc<str>,
    known: RwLock<Position>,
    /// As it was counted last.
    load: RwLock<Option<(Load, Time)>>,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub pending: u64,
    pub running: u64,
}

impl Switch {
    pub async fn open(store: Arc<dyn Store>, namespace: &Arc<str>) -> Result<Self, StoreError> {
        let switch = Self {
            store,
            namespace: Arc::clone(namespace),
            known: RwLock::default(),
            load: RwLock::default(),
        };
        switch.refresh().await?;
        Ok(switch)
    }

    /// The mode, as far as is known here.
    pub fn mode(&self) -> Mode {
        self.position().mode
    }

    fn position(&self) -> Position {
        *self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the mode again.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let found = self.store.record(&self.namespace, KIND, ID).await?;
        let position = match found {
            None => Position::default(),
            Some(record) => {
                let read: Result<Position, _> = serde_json::from_str(&record.body);
                let read = read.map_err(|error| StoreError::Corrupt(format!("{KIND} {ID}: {error}")))?;
                Position {
                    record: record.version,
                    ..read
                }
            }
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = position;
        Ok(())
    }

    /// Moves to `to` if `may` says so of the mode at hand; true if it did.
    async fn turn(&self, to: Mode, now: Time, may: impl Fn(Mode) -> bool) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            self.refresh().await?;
            let position = self.position();
            if !may(position.mode) {
                return Ok(false);
            }
            let next = Position {
                mode: to,
                changed_at: Some(now),
                record: 0,
            };
            let write = RecordWrite {
                namespace: Arc::clone(&self.namespace),
                kind: KIND.into(),
                id: ID.into(),
                expected: Some(position.record),
                body: serde_json::to_string(&next).ok(),
                expires_at: None,
                at: now,
            };
            if self.store.put_records(vec![write]).await? {
                self.refresh().await?;
                tracing::info!(mode = ?to, "maintenance mode changed");
                return Ok(true);
            }
        }
        Err(StoreError::Unavailable(
            "too many changes of the maintenance mode at once".to_owned(),
        ))
    }
}

impl Pipelines {
    /// What there is to do. Only what is not settled is counted: that is never much, however long the server has run.
    pub(super) async fn load(&self) -> Result<Load, StoreError> {
        let (running, pending) = (vec![StepStatus::InProgress], UNSETTLED.to_vec());
        Ok(Load {
            pending: self.count(pending).await?,
            running: self.count(running).await?,
        })
    }

    async fn count(&self, statuses: Vec<StepStatus>) -> Result<u64, StoreError> {
        let filter = StepFilter {
            action: Some(ACTION.into()),
            statuses,
            ..StepFilter::default()
        };
        Ok(self.store.steps(&self.namespace, &filter, 0, 0).await?.total)
    }

    /// What there was to do a moment ago: probes come often, and counting is not free.
    async fn recent_load(&self) -> Result<Load, StoreError> {
        let now = self.clock.now();
        let known = *self.switch.load.read().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: Time| at <= now && now.ms_since(at) < RECENT_MS;
        if let Some((load, _)) = known.filter(|(_, at)| is_recent(*at)) {
            return Ok(load);
        }
        let load = self.load().await?;
        *self.switch.load.write().unwrap_or_else(PoisonError::into_inner) = Some((load, now));
        Ok(load)
    }

    /// Enters maintenance if that was asked for and nothing is left to do.
    pub(super) async fn settle_down(&self) -> Result<(), StoreError> {
        if self.switch.mode() == Mode::WaitingForMaintenance && self.load().await? == Load::default() {
            let waits = |mode| mode == Mode::WaitingForMaintenance;
            self.switch.turn(Mode::Maintenance, self.clock.now(), waits).await?;
        }
        Ok(())
    }

    /// Refuses new work while the server prepares for maintenance or is in it.
    pub(super) fn must_take_work(&self) -> Result<(), Refusal> {
        match self.switch.mode() {
            Mode::Running => Ok(()),
            Mode::WaitingForMaintenance | Mode::Maintenance => {
                Err(Refusal::unavailable("Orchestrator is in maintenance mode"))
            }
        }
    }

    /// The maintenance part of `/health`.
    pub(crate) async fn maintenance(&self) -> Result<Value, StoreError> {
        let load = match self.switch.mode() {
            Mode::Running => self.recent_load().await?,
            Mode::WaitingForMaintenance | Mode::Maintenance => self.load().await?,
        };
        Ok(view(self.switch.position(), load, self.started_at))
    }
}

fn view(position: Position, load: Load, started_at: Time) -> Value {
    let left = load.pending + load.running;
    let message = match position.mode {
        Mode::Running => "Orchestrator is running normally".to_owned(),
        Mode::WaitingForMaintenance if left == 0 => "Ready to enter maintenance mode".to_owned(),
        Mode::WaitingForMaintenance => format!("Waiting for {left} tasks to complete"),
        Mode::Maintenance => "Maintenance mode active - no new tasks accepted".to_owned(),
    };
    json!({
        "mode": position.mode,
        "canEnterMaintenance": position.mode == Mode::WaitingForMaintenance && left == 0,
        "pendingTasks": load.pending,
        "runningTasks": load.running,
        "modeChangedAt": iso(position.changed_at.unwrap_or(started_at)),
        "message": message,
    })
}

pub(super) async fn show(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    pipelines.switch.refresh().await?;
    pipelines.settle_down().await?;
    Ok(reply::json(&pipelines.maintenance().await?))
}

pub(super) async fn request(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    let runs = |mode| mode == Mode::Running;
    let turned = pipelines
        .switch
        .turn(Mode::WaitingForMaintenance, pipelines.clock.now(), runs)
        .await?;
    if !turned {
        return Err(refused(pipelines, "Maintenance was requested already"));
    }
    pipelines.settle_down().await?;
    Ok(reply::json(&pipelines.maintenance().await?))
}

pub(super) async fn enter(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    pipelines.switch.refresh().await?;
    match pipelines.switch.mode() {
        Mode::Running => return Err(refused(pipelines, "Maintenance must be requested first")),
        Mode::WaitingForMaintenance => {
            let load = pipelines.load().await?;
            if load != Load::default() {
                let left = load.pending + load.running;
                return Err(refused(pipelines, &format!("Waiting for {left} tasks to complete")));
            }
            pipelines.settle_down().await?;
        }
        Mode::Maintenance => {}
    }
    Ok(reply::json(&pipelines.maintenance().await?))
}

pub(super) async fn exit(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    let now = pipelines.clock.now();
    pipelines
        .switch
        .turn(Mode::Running, now, |mode| mode != Mode::Running)
        .await?;
    Ok(reply::json(&pipelines.maintenance().await?))
}

fn refused(pipelines: &Pipelines, error: &str) -> Refusal {
    let mode = serde_json::to_value(pipelines.switch.mode()).unwrap_or_default();
    Refusal::new(StatusCode::CONFLICT, error).with("mode", mode)
}
