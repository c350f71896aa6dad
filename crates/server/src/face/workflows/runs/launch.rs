//! Starting workflows for schedules: the same way as `POST /v1/runs`, without a request.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use quintet_engine::{EngineError, Idempotency};
use serde_json::{Map, Value, json};

use super::super::cx::{Cx, Face};
use super::super::problem::Problem;
use super::super::reply::rfc3339;
use super::order::{Order, StartBody};
use crate::app::App;
use crate::error_code::ErrorCode;
use crate::schedules::{Fire, Launch, LaunchError, Launched, Target};

/// How often a start may meet a workflow that has just been changed.
const TRIES: usize = 3;
/// Labels of the runs.
pub(super) const SCHEDULE_LABEL: &str = "schedule_id";
pub(super) const TIME_LABEL: &str = "scheduled_at";

/// Starts workflows.
pub(crate) struct Launcher {
    app: Weak<App>,
    face: Arc<Face>,
}

impl Launcher {
    /// One for this server.
    pub fn new(app: &Arc<App>) -> Self {
        Self {
            app: Arc::downgrade(app),
            face: Arc::default(),
        }
    }

    fn cx(&self, namespace: &Arc<str>) -> Result<Cx, LaunchError> {
        let app = self.app.upgrade();
        let app = app.ok_or_else(|| LaunchError::from(EngineError::ShuttingDown))?;
        Ok(Cx {
            app,
            face: Arc::clone(&self.face),
            namespace: Arc::clone(namespace),
            caller: None,
        })
    }
}

fn order(target: &Target) -> Result<Order, LaunchError> {
    let Target::Workflow {
        workflow_id,
        context,
        priority,
    } = target
    else {
        return Err(LaunchError::new(ErrorCode::Internal, "not a workflow"));
    };
    let body = json!({ "workflow_id": workflow_id, "context": context, "priority": priority });
    Ok(StartBody::of(&body, "target").map_err(refused)?.into_order())
}

/// What a run says about the schedule that started it.
fn labels(fire: &Fire) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert(SCHEDULE_LABEL.to_owned(), (*fire.schedule).into());
    let at = fire.nominal.map(rfc3339);
    labels.extend(at.map(|at| (TIME_LABEL.to_owned(), at.into())));
    labels
}

fn refused(problem: Problem) -> LaunchError {
    let message = match problem.code {
        // The original's text, which says too little in a list of schedules.
        ErrorCode::WorkflowNotFound => "workflow not found".to_owned(),
        _ => problem.message,
    };
    LaunchError {
        code: problem.code,
        message,
        field: problem.field,
    }
}

#[async_trait]
impl Launch for Launcher {
    async fn check(&self, namespace: &Arc<str>, target: &Target) -> Result<(), LaunchError> {
        let cx = self.cx(namespace)?;
        let resolved = order(target)?.resolve(&cx, "target").await;
        resolved.map(drop).map_err(refused)
    }

    async fn launch(
        &self,
        namespace: &Arc<str>,
        target: &Target,
        fire: &Fire,
        key: Option<Idempotency>,
    ) -> Result<Launched, LaunchError> {
        let (cx, order) = (self.cx(namespace)?, order(target)?);
        let mut tries = 0;
        loop {
            tries += 1;
            let mut start = order.resolve(&cx, "target").await.map_err(refused)?;
            start.labels = labels(fire);
            match cx.engine().start_runs(vec![start], key.clone(), false).await {
                Ok(started) => {
                    let run = started.runs.first().map(|run| run.id);
                    let run = run.ok_or_else(|| LaunchError::new(ErrorCode::Internal, "internal error"))?;
                    return Ok(Launched {
                        run,
                        is_new: !started.replayed,
                    });
                }
                Err(EngineError::WorkflowChanged(_)) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
