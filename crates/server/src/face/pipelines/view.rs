//! Runs of the engine as this face shows them.
//!
//! Everything is read from the run's state and its labels; what a step is called here is decided in `status`, which
//! code did it in `code`, and what its worker said of itself in `beats`. A run that is not one of this face's has no
//! view. Nothing here can fail: a state that this face would not have made is shown as the nearest one it knows.

pub(super) mod beats;
pub(super) mod code;
pub(super) mod status;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use quintet_core::id::RunId;
use quintet_core::outcome::Past;
use quintet_core::state::{Node, RunState};
use quintet_core::time::Time;
use quintet_engine::EngineError;
use quintet_store::StepRow;
use serde_json::{Map, Number, Value, json};

use super::desk::{code_of, message_of};
use super::directory::Picture;
use super::labels::Labels;
use super::model::{PipelineRun, PipelineStatus, PreviousAttempt, Progress, Stamp, TaskRun, TaskStatus};
use super::public_id::{PipelineRunId, TaskRunId};
use super::reply::Refusal;
use super::starts::{OF_PIPELINE, OF_TASK};
use crate::app::App;
use crate::config::RetrySemantics;
use beats::Beat;
use code::Code;

/// Runs that are loaded at a time.
const SIDE_BY_SIDE: usize = 8;

/// What is known of a task run besides its run's state, as far as it was looked up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known<'a> {
    pub row: Option<&'a StepRow>,
    pub beat: Option<&'a Beat>,
}

/// A run of this face.
pub(super) struct RunView<'a> {
    pub state: &'a RunState,
    pub labels: Labels,
    picture: &'a Picture,
    retries: RetrySemantics,
}

impl<'a> RunView<'a> {
    /// `None` of a run of another face.
    pub fn of(app: &App, picture: &'a Picture, state: &'a RunState) -> Option<Self> {
        let labels = Labels::read(&state.created.labels)?;
        let start = if labels.pipeline.is_some() {
            OF_PIPELINE
        } else {
            OF_TASK
        };
        state.created.workflow.starts_with(start).then(|| Self {
            state,
            labels,
            picture,
            retries: app.pipelines.settings.retry_semantics,
        })
    }

    /// Its steps that are task runs, with their states.
    pub fn tasks(&self) -> impl Iterator<Item = (u32, TaskStatus)> + '_ {
        let steps = 0..self.state.plan.len() as u32;
        steps.filter_map(|n| Some((n, status::of_task(self.state, n)?)))
    }

    /// `None` of a task that was queued by itself.
    pub fn pipeline_run(&self) -> Option<PipelineRun> {
        let state = self.state;
        let id = PipelineRunId(state.id).to_string();
        let status = status::of_run(state, self.labels.failure_mode);
        Some(PipelineRun {
            pipeline_run_id: id.clone(),
            id,
            pipeline_id: self.labels.pipeline.clone()?,
            status,
            failure_mode: self.labels.failure_mode,
            input_path: self.labels.input_path.clone(),
            output_path: self.output_path(),
            structure_snapshot: structure(state),
            pipeline_version: self.labels.pipeline_version.clone().unwrap_or_default(),
            error: status::error_of_run(state, status),
            // A run is under way from the moment it is accepted: its first tasks are queued by the same commit.
            started_at: (status != PipelineStatus::Pending).then_some(Stamp(state.created_at)),
            completed_at: state.finished_at.map(Stamp),
            created_at: Stamp(state.created_at),
            updated_at: Stamp(state.updated_at),
            metadata: Value::Object(self.labels.metadata.clone()),
        })
    }

    /// The result of the one task at the end that has one.
    fn output_path(&self) -> Option<String> {
        let plan = &self.state.plan;
        let ends = (0..plan.len() as u32).filter(|&n| plan.successors(n).next().is_none());
        let mut outputs = ends.filter_map(|n| self.state.nodes[n as usize].success.as_ref());
        let output = outputs.next().filter(|_| outputs.next().is_none())?;
        text(&output.output, "outputPath")
    }

    /// A task run in the state that it was found in.
    pub fn task_run(&self, n: u32, status: TaskStatus, known: Known<'_>) -> TaskRun {
        let state = self.state;
        let node = &state.nodes[n as usize];
        let step = &state.plan.spec.steps[node.step as usize];
        let id = TaskRunId { run: state.id, node: n }.to_string();
        let code = self.code(n, status);
        let (error, error_code) = status::error_of_task(state, n, status, self.labels.failure_mode);
        let attempt = attempt(node);
        let result = node.success.as_ref().map(|success| &success.output);
        let upstream = state.upstream(node.step);
        let is_alone = self.labels.pipeline.is_none();
        let last_change = state.finished_at.unwrap_or(state.updated_at);
        TaskRun {
            run_id: id.clone(),
            id,
            task_id: state.plan.queue(node.step).to_string(),
            pipeline_run_id: (!is_alone).then(|| PipelineRunId(state.id).to_string()),
            status,
            code_version: code.version,
            code_hash: code.hash,
            code_changed: None,
            attempt,
            max_retries: match self.retries {
                RetrySemantics::Extra => step.retry.max_attempts.saturating_sub(1),
                RetrySemantics::Total => step.retry.max_attempts,
            },
            max_attempts: step.retry.max_attempts,
            priority: state.priority_of(n).saturating_neg(),
            input_path: self.labels.input_path.clone(),
            output_path: result.and_then(|result| text(result, "outputPath")),
            output_size: result.and_then(|result| number(result, "outputSize")),
            assets: result.and_then(|result| result.get("assets").cloned()),
            logs_path: result.and_then(|result| text(result, "logsPath")),
            error,
            error_code,
            idempotency_key: self.labels.idempotency_key.clone().filter(|_| is_alone),
            upstream_refs: upstream_refs(upstream.iter().map(|(task, output)| (task.as_str(), &**output))),
            selected_next: node.success.as_ref().and_then(|success| success.next.clone()),
            previous_attempts: node
                .past
                .iter()
                .filter(|past| past.attempt < attempt)
                .map(previous)
                .collect(),
            scheduled_at: node
                .timer
                .or(state.held_until)
                .filter(|_| status == TaskStatus::Pending)
                .map(Stamp),
            started_at: started_at(node, status).map(Stamp),
            completed_at: ended_at(state, node, status).map(Stamp),
            last_heartbeat: known.beat.map(|beat| Stamp(beat.at)),
            progress: progress(node, known.beat),
            created_at: Stamp(known.row.map_or(state.created_at, |row| row.created_at)),
            updated_at: Stamp(known.row.map_or(last_change, |row| row.updated_at)),
            metadata: Value::Object(self.labels.metadata.clone()),
        }
    }

    /// Which code does or did a task: what its answer was stored with, and else what was registered at the time.
    pub fn code(&self, n: u32, status: TaskStatus) -> Code {
        let node = &self.state.nodes[n as usize];
        let task = self.state.plan.queue(node.step);
        let stored = Code::recorded(node).filter(|_| is_over(status));
        stored.unwrap_or_else(|| {
            let at = match status {
                TaskStatus::Pending | TaskStatus::Waiting => None,
                TaskStatus::Running => node.started_at,
                _ => started_at(node, status).or(node.ended_at),
            };
            Code::of_task(self.picture.tasks.get(task), at)
        })
    }
}

/// The states of these runs; those that are gone are left out.
pub(super) async fn states(
    app: &App,
    ids: impl IntoIterator<Item = RunId>,
) -> Result<HashMap<RunId, Arc<RunState>>, Refusal> {
    let ids: Vec<RunId> = ids.into_iter().collect::<BTreeSet<RunId>>().into_iter().collect();
    let mut states = HashMap::with_capacity(ids.len());
    for some in ids.chunks(SIDE_BY_SIDE) {
        let found = some.iter().map(|id| app.engine.state(&app.pipelines.namespace, *id));
        for (id, found) in some.iter().zip(join_all(found).await) {
            match found {
                Ok(state) => drop(states.insert(*id, state)),
                Err(EngineError::RunNotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(states)
}

/// A failed attempt.
pub(super) fn previous(past: &Past) -> PreviousAttempt {
    PreviousAttempt {
        attempt: past.attempt,
        error: message_of(&past.failure),
        error_code: code_of(&past.failure).map(str::to_owned),
        timestamp: Stamp(past.at),
    }
}

/// Where the results of earlier tasks lie, in the order given.
pub(super) fn upstream_refs<'v>(outputs: impl Iterator<Item = (&'v str, &'v Value)>) -> Value {
    let refs = outputs.map(|(task, output)| {
        let fields = ["outputPath", "assets"].into_iter();
        let fields = fields.filter_map(|field| Some((field, output.get(field).filter(|value| !value.is_null())?)));
        let entry: Map<String, Value> = fields.map(|(field, value)| (field.to_owned(), value.clone())).collect();
        (task.to_owned(), Value::Object(entry))
    });
    Value::Object(refs.collect())
}

/// As the run was started, whatever is registered by now.
fn structure(state: &RunState) -> Value {
    let plan = &state.plan;
    let steps = plan.spec.steps.iter().enumerate().map(|(n, step)| {
        let next = plan
            .successors(n as u32)
            .map(|next| plan.spec.steps[next as usize].key.as_str());
        (step.key.clone(), json!({ "allowedNext": next.collect::<Vec<&str>>() }))
    });
    Value::Object(steps.collect())
}

/// Which attempt it is in, or was in last. A step that failed counts all that it made; every other one is at the next.
fn attempt(node: &Node) -> u32 {
    match node.status {
        quintet_core::machine::StepStatus::Error => node.tries.max(1),
        _ => node.tries + 1,
    }
}

fn is_over(status: TaskStatus) -> bool {
    match status {
        TaskStatus::Pending | TaskStatus::Running | TaskStatus::Waiting => false,
        TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Timeout | TaskStatus::Cancelled => true,
    }
}

/// When the attempt began that the state is about: of one that waits for its turn, an earlier one does not count.
fn started_at(node: &Node, status: TaskStatus) -> Option<Time> {
    let has_begun = is_over(status) || status == TaskStatus::Running;
    node.started_at
        .filter(|at| has_begun && node.ready_at.is_none_or(|ready| ready <= *at))
}

fn ended_at(state: &RunState, node: &Node, status: TaskStatus) -> Option<Time> {
    is_over(status).then(|| node.ended_at.or(state.finished_at)).flatten()
}

fn progress(node: &Node, beat: Option<&Beat>) -> Option<Progress> {
    let message = beat.and_then(|beat| beat.message.clone());
    let is_told = node.progress.is_some() || message.is_some();
    is_told.then_some(Progress {
        progress: node.progress,
        message,
    })
}

fn text(object: &Value, field: &str) -> Option<String> {
    object.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn number(object: &Value, field: &str) -> Option<Number> {
    object.get(field).and_then(Value::as_number).cloned()
}

impl TaskRun {
    /// Says whether the code is another one than in the run before.
    pub fn compared(mut self, before: Option<u32>) -> Self {
        self.code_changed = Some(before.is_some_and(|before| before != self.code_version));
        self
    }
}
