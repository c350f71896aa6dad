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
mod expression;
pub(crate) mod rule;

use std::collections::{BTreeMap, BTreeSet};

use quintet_core::expr::{Condition, Limits};
use quintet_core::plan::{Dependency, EdgeOn, FailurePolicy, ForEach, PlanSpec, Settings, SkipMode, StepSpec, Timeouts};
use quintet_core::retry::RetryPolicy;
use quintet_executors::{backend, bullmq};
use quintet_executors::media::ChunkRule;
use serde_json::{Map, Value, json};

use super::document::{DEFAULT_QUEUE, Document, Problem, Problems, Retry, RunWhen, Step, Task};
use super::graph::{Graph, Mode};
use super::template::{Path, Reads, Roots, paths_in, whole};
use expression::Reader;

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
            problems.add("steps", format!("the id {:?} is needed for a part of a step that is cut up", spec.key));
        }
    }
}

struct Compiler<'c, 'd> {
    document: Document<'d>,
    demanded: BTreeSet<&'d str>,
    steps: &'c [Step<'d>],
    graph: &'c Graph<'d>,
    rules: &'c Rules,
    route: Route,
}

/// What the templates of a step's input read.
#[derive(Default)]
struct Read<'d> {
    /// Positions of steps, by the names that templates have for them.
    named: BTreeMap<&'d str, usize>,
    all: bool,
    item: bool,
    index: bool,
}

impl<'d> Compiler<'_, 'd> {
    fn step(&self, nth: usize, step: &Step<'d>, problems: &mut Problems) -> Vec<StepSpec> {
        let mut before: BTreeSet<usize> = BTreeSet::new();
        let read = self.input_reads(nth, step, &mut before, problems);
        let when = self.when(nth, step, &mut before, problems);
        let for_each = self.for_each(nth, step, &mut before, problems);
        let retry = step.retry.or_else(|| self.document.retry());
        let spec = StepSpec {
            name: step.task.to_owned(),
            input: self.input(nth, &read),
            depends_on: self.dependencies(nth, before),
            when,
            skip: SkipMode::Satisfy,
            for_each,
            retry: retry_policy(retry.unwrap_or_default()),
            timeouts: timeouts(self.document.timeout_ms(Some(step)), self.rules),
            optional: step.is_optional,
            ..self.route.step(&step.id)
        };
        let by_type = || self.rules.chunking.get(step.task).filter(|_| step.for_each.is_none());
        match step.chunk.as_ref().or_else(by_type) {
            Some(chunk) => chunked::parts(spec, chunk),
            None => vec![spec],
        }
    }

    fn input_reads(
        &self,
        nth: usize,
        step: &Step<'d>,
        before: &mut BTreeSet<usize>,
        problems: &mut Problems,
    ) -> Read<'d> {
        let roots = if step.for_each.is_some() { Roots::ITEM } else { Roots::STEP };
        let mut read = Read::default();
        for (key, value) in step.input.into_iter().flatten() {
            for (field, path) in paths_in(&format!("steps[{nth}].input.{key}"), value, roots) {
                match path.reads() {
                    Reads::Step(name) => {
                        let found = self.found(nth, &field, path, before, problems);
                        read.named.extend(found.map(|first| (name, first)));
                    }
                    Reads::AllSteps => {
                        before.extend(self.all_before(nth));
                        read.all = true;
                    }
                    Reads::NoStep => {
                        let is_item = roots == Roots::ITEM;
                        read.item |= is_item && path.root() == input::ITEM;
                        read.index |= is_item && path.root() == input::INDEX;
                    }
                }
            }
        }
        read
    }

    /// The step that a template reads, if it has ended by then.
    fn found(
        &self,
        nth: usize,
        field: &str,
        path: Path<'d>,
        before: &mut BTreeSet<usize>,
        problems: &mut Problems,
    ) -> Option<usize> {
        let Reads::Step(name) = path.reads() else { return None };
        let found = self.graph.find(name);
        if let Some(first) = found.filter(|first| self.graph.precedes(*first, nth)) {
            before.insert(first);
            return Some(first);
        }
        if self.rules.graph_errors == GraphErrors::AtSubmit {
            let message = match (found, self.graph.mode) {
                (None, _) => format!("there is no step {name:?}"),
                (Some(_), Mode::Sequence) => format!("step {name:?} does not come before this one"),
                (Some(first), Mode::Graph) => format!(
                    "step {name:?} need not have ended when this one starts: add {:?} to dependsOn",
                    self.steps[first].id
                ),
            };
            problems.add(field, message);
        }
        None
    }

    fn all_before(&self, nth: usize) -> impl Iterator<Item = usize> {
        (0..self.steps.len()).filter(move |first| self.graph.precedes(*first, nth))
    }

    /// What has to have ended: what it depends on, and in a graph what it reads.
    fn dependencies(&self, nth: usize, read: BTreeSet<usize>) -> Vec<Dependency> {
        let named = &self.graph.before[nth];
        let read = read
            .into_iter()
            .filter(|first| self.graph.mode == Mode::Graph && !named.contains(first));
        let dependency = |first: usize| Dependency {
            step: self.steps[first].id.to_string(),
            on: EdgeOn::Success,
        };
        named.iter().copied().chain(read).map(dependency).collect()
    }

    fn input(&self, nth: usize, read: &Read<'_>) -> Value {
        let mut input = Map::new();
        input.insert(input::STEP.to_owned(), nth.into());
        if !read.named.is_empty() {
            let named = read.named.iter();
            let steps: Map<String, Value> = named.map(|(name, first)| ((*name).to_owned(), self.reference(*first))).collect();
            input.insert(input::STEPS.to_owned(), Value::Object(steps));
        }
        if read.all {
            let all = self.all_before(nth);
            let all = match self.graph.mode {
                Mode::Sequence => all.map(|first| self.reference(first)).collect(),
                Mode::Graph => all.map(|first| (self.steps[first].id.to_string(), self.reference(first))).collect(),
            };
            input.insert(input::ALL_STEPS.to_owned(), all);
        }
        if read.item {
            input.insert(input::ITEM.to_owned(), "{{ item }}".into());
        }
        if read.index {
            input.insert(input::INDEX.to_owned(), "{{ index }}".into());
        }
        Value::Object(input)
    }

    /// What order has to be given of a step before.
    fn reference(&self, first: usize) -> Value {
        let step = &self.steps[first];
        let may_be_skipped = step.run_when != RunWhen::Always;
        let mut reference = json!({ "n": first, "output": expression::field(&step.id, "output") });
        if may_be_skipped || step.is_optional {
            reference["status"] = expression::field(&step.id, "status").into();
        }
        if step.is_optional {
            reference["error"] = expression::field(&step.id, "error").into();
        }
        reference
    }

    fn reader(&self) -> Reader<'_, 'd> {
        Reader {
            steps: self.steps,
            graph: self.graph,
            demanded: &self.demanded,
        }
    }

    fn when(
        &self,
        nth: usize,
        step: &Step<'d>,
        before: &mut BTreeSet<usize>,
        problems: &mut Problems,
    ) -> Option<String> {
        match step.run_when {
            RunWhen::Always => None,
            RunWhen::OnDemand if self.demanded.contains(step.id.as_ref()) => None,
            RunWhen::OnDemand => Some("false".to_owned()),
            RunWhen::If(path) => {
                let field = format!("steps[{nth}].runWhen");
                let value = self.expression(nth, &field, path, before, problems);
                let when = expression::truthy(&value);
                check_length(&field, &when, problems);
                Some(when)
            }
        }
    }

    fn for_each(
        &self,
        nth: usize,
        step: &Step<'d>,
        before: &mut BTreeSet<usize>,
        problems: &mut Problems,
    ) -> Option<ForEach> {
        let text = step.for_each?;
        let field = format!("steps[{nth}].forEach");
        let Some(path) = whole(text) else {
            problems.add(field, format!("forEach template {text:?} did not resolve to array, got: string"));
            return None;
        };
        let items = self.expression(nth, &field, path, before, problems);
        check_length(&field, &items, problems);
        Some(ForEach {
            items: items.into(),
            concurrency: step.concurrency,
        })
    }

    /// What the path means to the engine.
    fn expression(
        &self,
        nth: usize,
        field: &str,
        path: Path<'d>,
        before: &mut BTreeSet<usize>,
        problems: &mut Problems,
    ) -> String {
        match path.reads() {
            Reads::NoStep => self.reader().of_payload(path),
            Reads::Step(_) => match self.found(nth, field, path, before, problems) {
                Some(first) => self.reader().of_step(first, path),
                None => expression::NOTHING.to_owned(),
            },
            Reads::AllSteps => {
                let all: Vec<usize> = self.all_before(nth).collect();
                before.extend(&all);
                self.reader().of_all(&all)
            }
        }
    }
}

fn check_length(field: &str, expression: &str, problems: &mut Problems) {
    if let Err(error) = Condition::compile(expression, &Limits::DEFAULT) {
        problems.add(field, format!("the template is too long, or reads too much: {}", error.message));
    }
}

#[cfg(test)]
mod tests;
