//! From a task to the plan of its run.
//!
//! A task without steps is a plan of one step; pipelines have one step for each of theirs, under its id. The plan says
//! what follows what, when and how often; *what* a backend is given stays in the run's context, and is put together by
//! [`super::order`] when a step is handed out. So all single tasks of the same settings share one stored plan, and a
//! template of this face never reaches the engine's, whose language is another: a step's input holds references to the
//! results that its templates read, and nothing that a user wrote.
//!
//! ```text
//! {"step": 2, "steps": {"fetch": {"n": 0, "output": "{{ steps['fetch'].output }}"}}, "item": "{{ item }}"}
//! ```
//!
//! A `runWhen` and a `forEach` have to be evaluated by the engine: [`expression`] translates their paths. What a step is
//! seen to have given where it was skipped, or failed and is optional, is part of that translation.
//!
//! A step reads only what has certainly ended before it. Where that is so without its depending on it by name, because it
//! was so in the original's waves, the plan gets the edge.
//!
//! Where the graph is broken, the original found out by getting stuck. Here the task is refused, or by setting accepted
//! and failed at once with the original's words ([`GraphErrors`]).

mod chunked;
mod compiler;
mod expression;
pub(crate) mod rule;

use std::collections::{BTreeMap, BTreeSet};

use quintet_core::plan::{FailurePolicy, PlanSpec, Settings, StepSpec, Timeouts};
use quintet_core::retry::RetryPolicy;
use quintet_executors::media::ChunkRule;
use quintet_executors::{backend, bullmq};
use serde_json::json;

use super::document::{DEFAULT_QUEUE, Problem, Problems, Retry, Task};
use super::graph::Graph;
use compiler::Compiler;

/// Key of the step of a task that has none.
pub(crate) const SINGLE: &str = "task";
/// Longest wait between attempts where none is given: an hour, and never less than the first.
const MAX_DELAY_MS: u64 = 3_600_000;

/// Fields of a step's input.
pub(crate) mod input {
    /// Position in the document, or null where it has no steps.
    pub(crate) const STEP: &str = "step";
    /// Results by the names that templates have for them.
    pub(crate) const STEPS: &str = "steps";
    /// All results together.
    pub(crate) const ALL_STEPS: &str = "all_steps";
    pub(crate) const ITEM: &str = "item";
    pub(crate) const INDEX: &str = "index";
    /// Which part of a step that is cut up; absent where it is not.
    pub(crate) const PART: &str = "part";
    pub(crate) const CHUNK: &str = "chunk";
    /// The payload itself.
    pub(crate) const PAYLOAD: &str = "payload";
    /// The part that cuts up, seen from the part that merges.
    pub(crate) const SPLIT: &str = "split";
    /// The part that does the work, seen from the part that merges.
    pub(crate) const CHUNKS: &str = "chunks";
    /// The pipeline can never run.
    pub(crate) const DEADLOCK: &str = "deadlock";
}

/// When a graph that cannot be worked off is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum GraphErrors {
    /// The task is refused; so is one with a template that can never lead to anything.
    #[default]
    AtSubmit,
    /// The task is accepted and fails, and a template that leads nowhere gives nothing, as in the original.
    AtRun,
}

/// The server's own settings for all plans.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Queues that there are, beside the default one.
    pub queues: BTreeSet<String>,
    /// Those whose tasks are done by BullMQ workers.
    pub bullmq: BTreeSet<String>,
    /// Backends that there are: tasks for another one wait with those that name none, and fail when it is their turn.
    pub backends: BTreeSet<String>,
    /// Types whose long inputs are cut up.
    pub chunking: BTreeMap<String, ChunkRule>,
    /// How long one call may take.
    pub call_timeout_ms: Option<u64>,
    pub graph_errors: GraphErrors,
}

/// The plan of a task, or everything that is wrong with it.
pub(crate) fn compile(task: &Task, rules: &Rules) -> Result<PlanSpec, Vec<Problem>> {
    let document = task.document();
    let steps = document.steps();
    let route = Route::of(task, rules);
    let settings = route.settings();
    if steps.is_empty() {
        return Ok(PlanSpec {
            steps: single(task, &route, rules),
            settings,
        });
    }
    let graph = match Graph::of(&steps) {
        Ok(graph) => graph,
        Err(deadlock) => match rules.graph_errors {
            GraphErrors::AtSubmit => return Err(vec![Problem::whole(deadlock.precise())]),
            GraphErrors::AtRun => {
                let steps = vec![doomed()];
                return Ok(PlanSpec { steps, settings });
            }
        },
    };
    let compiler = Compiler {
        document,
        demanded: document.on_demand().into_iter().collect(),
        steps: &steps,
        graph: &graph,
        rules,
        route,
    };
    let mut problems = Problems::default();
    let mut specs = Vec::with_capacity(steps.len());
    for (nth, step) in steps.iter().enumerate() {
        specs.extend(compiler.step(nth, step, &mut problems));
    }
    check_keys(&specs, &mut problems);
    problems.into_result()?;
    let steps = specs;
    Ok(PlanSpec { steps, settings })
}

/// Where steps wait that any backend may do, or only this one.
pub(crate) fn queue_of(queue: &str, backend: Option<&str>) -> String {
    match backend {
        Some(backend) => format!("{queue}@{backend}"),
        None => queue.to_owned(),
    }
}

/// Who does the steps, and where they wait for him.
struct Route {
    action: &'static str,
    queue: String,
    is_outside: bool,
}

impl Route {
    fn of(task: &Task, rules: &Rules) -> Self {
        let is_known = rules.queues.contains(&task.queue);
        let queue = if is_known { &task.queue } else { DEFAULT_QUEUE };
        if rules.bullmq.contains(queue) {
            return Self {
                action: bullmq::ACTION,
                queue: format!("{}{queue}", bullmq::QUEUE_PREFIX),
                is_outside: true,
            };
        }
        let named = task.backend.as_ref().filter(|name| rules.backends.contains(*name));
        Self {
            action: backend::ACTION,
            queue: queue_of(queue, named.map(String::as_str)),
            is_outside: false,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            on_failure: FailurePolicy::FailFast,
            list_steps: self.is_outside,
            ..Settings::default()
        }
    }

    /// A step that somebody works at.
    fn step(&self, key: &str) -> StepSpec {
        StepSpec {
            queue: Some(self.queue.clone()),
            outside: self.is_outside,
            ..StepSpec::new(key, self.action)
        }
    }
}

fn single(task: &Task, route: &Route, rules: &Rules) -> Vec<StepSpec> {
    let document = task.document();
    let timeout_ms = document.timeout_ms(None);
    let step = StepSpec {
        input: json!({ input::STEP: null }),
        retry: retry_policy(document.retry().unwrap_or_default()),
        timeouts: timeouts(timeout_ms, rules),
        ..route.step(SINGLE)
    };
    match document.chunk().or_else(|| rules.chunking.get(&task.kind).cloned()) {
        Some(chunk) => chunked::parts(step, &chunk),
        None => vec![step],
    }
}

/// The one step of a pipeline that cannot run. It is not handed to anybody: its order is the failure.
fn doomed() -> StepSpec {
    StepSpec {
        input: json!({ input::STEP: null, input::DEADLOCK: true }),
        queue: Some(DEFAULT_QUEUE.to_owned()),
        ..StepSpec::new(SINGLE, backend::ACTION)
    }
}

fn timeouts(total_ms: Option<u64>, rules: &Rules) -> Timeouts {
    Timeouts {
        attempt_ms: rules.call_timeout_ms,
        total_ms,
        ..Timeouts::default()
    }
}

fn retry_policy(retry: Retry) -> RetryPolicy {
    RetryPolicy {
        max_attempts: retry.attempts,
        backoff: retry.backoff,
        delay_ms: retry.delay_ms,
        max_delay_ms: retry.max_delay_ms.unwrap_or(MAX_DELAY_MS.max(retry.delay_ms)),
        jitter_percent: 0,
        ..RetryPolicy::default()
    }
}

/// Parts of a step that is cut up have keys of their own, which a step may have been given.
fn check_keys(specs: &[StepSpec], problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for spec in specs {
        if !seen.insert(&spec.key) {
            problems.add(
                "steps",
                format!("the id {:?} is needed for a part of a step that is cut up", spec.key),
            );
        }
    }
}

#[cfg(test)]
mod tests;
