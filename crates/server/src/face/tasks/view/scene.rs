//! A run and its document side by side: which step run belongs to which step, and when it began.

use std::borrow::Cow;

use quintet_core::machine::StepStatus;
use quintet_core::state::{Class, Node, RunState};
use quintet_core::time::Time;
use serde_json::Value;

use super::super::document::{Document, Step};
use super::super::graph::Graph;
use super::super::plan::{SINGLE, input};
use super::super::template::{self, Scope};
use super::{fault, pipeline};

/// A run of this face.
pub(super) struct Scene<'s> {
    pub state: &'s RunState,
    pub document: Document<'s>,
    pub steps: Vec<Step<'s>>,
    /// Step run of each step; there is none where the pipeline never had a chance.
    nodes: Vec<Option<u32>>,
}

impl<'s> Scene<'s> {
    pub fn of(state: &'s RunState) -> Self {
        let document = Document::of_context(&state.created.context);
        let steps = document.steps();
        let is_doomed = state
            .plan
            .spec
            .steps
            .iter()
            .any(|step| step.input.get(input::DEADLOCK).is_some());
        let node = |step: &Step<'_>| state.plan.step_index(&step.id).filter(|_| !is_doomed);
        Self {
            nodes: steps.iter().map(node).collect(),
            state,
            document,
            steps,
        }
    }

    pub fn node(&self, nth: usize) -> Option<u32> {
        self.nodes.get(nth).copied().flatten()
    }

    /// The step run of a task without steps.
    pub fn single(&self) -> Option<&'s Node> {
        let n = self.state.plan.step_index(SINGLE)?;
        self.state.nodes.get(n as usize)
    }

    pub fn graph(&self) -> Option<Graph<'s>> {
        Graph::of(&self.steps).ok()
    }

    /// When the first of its attempts began.
    pub fn began(&self) -> Option<Time> {
        let steps = 0..self.state.plan.len() as u32;
        steps.filter_map(|n| began(self.state, n)).min()
    }

    /// How long it took, or has taken until it last changed.
    pub fn duration_ms(&self) -> u64 {
        let end = self.state.finished_at.unwrap_or(self.state.updated_at);
        end.ms_since(self.began().unwrap_or(end))
    }

    /// What made a run fail: of several steps the one that comes first.
    pub fn failure(&self) -> Option<String> {
        let plan = &self.state.plan;
        let has_failed = |n: &u32| self.state.nodes[*n as usize].counts_as_failed(plan);
        let mut failed = (0..plan.len() as u32).filter(has_failed);
        let first = failed.next()?;
        let levels = if failed.next().is_some() { self.graph() } else { None };
        let nth = |n: u32| step_of(self.state, n);
        let place = |n: &u32| {
            let level = levels.as_ref().zip(nth(*n)).map(|(graph, nth)| graph.level(nth));
            (level, *n)
        };
        let all = (first..plan.len() as u32).filter(has_failed);
        self.error_of(all.min_by_key(place)?)
    }

    /// What went wrong with a step run that is or was not under way any more.
    pub fn error_of(&self, n: u32) -> Option<String> {
        let node = &self.state.nodes[n as usize];
        let failure = node.failure.as_deref()?;
        let nth = step_of(self.state, n);
        let label = self.label(nth);
        if fault::is_about_list(&failure.message)
            && let Some((nth, template)) = nth.and_then(|nth| Some((nth, self.steps.get(nth)?.for_each?)))
        {
            return Some(fault::no_list(template, self.type_of(template, nth)));
        }
        let item = node.fan.as_ref().and_then(|fan| {
            let items = self
                .state
                .nodes
                .get(fan.first as usize..(fan.first + fan.count) as usize)?;
            let failed = items
                .iter()
                .enumerate()
                .find(|(_, item)| item.status == StepStatus::Error);
            failed.and_then(|(index, item)| Some((index, item.failure.as_deref()?)))
        });
        Some(match item {
            Some((index, failure)) => fault::of_item(label, index, &failure.message),
            None => fault::of(label, &failure.message),
        })
    }

    /// Why an attempt failed of something that is going to be tried again.
    pub fn setback(&self) -> Option<String> {
        let is_set_back = |node: &&Node| node.failure.is_some() && !node.status.is_settled();
        let node = self.state.nodes.iter().find(is_set_back)?;
        let label = self.label(step_of(self.state, node.step));
        let message = &node.failure.as_ref()?.message;
        Some(match node.item {
            Some(item) => fault::of_item(label, item.index as usize, message),
            None => fault::of(label, message),
        })
    }

    fn label(&self, nth: Option<usize>) -> &str {
        let step = nth.and_then(|nth| self.steps.get(nth));
        step.map_or_else(|| self.document.kind(), |step| step.id.as_ref())
    }

    /// What `typeof` says of what a template leads to.
    fn type_of(&self, text: &str, nth: usize) -> &'static str {
        let graph = self.graph();
        let sight = Sight {
            scene: self,
            graph: graph.as_ref(),
            nth,
        };
        match template::whole(text)
            .and_then(|path| template::find(path, &sight))
            .as_deref()
        {
            None => "undefined",
            Some(Value::Bool(_)) => "boolean",
            Some(Value::Number(_)) => "number",
            Some(Value::String(_)) => "string",
            Some(Value::Null | Value::Array(_) | Value::Object(_)) => "object",
        }
    }
}

/// What the templates of a step see, looked up in the state.
struct Sight<'c, 's> {
    scene: &'c Scene<'s>,
    graph: Option<&'c Graph<'s>>,
    nth: usize,
}

impl Scope for Sight<'_, '_> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        (name == "payload").then(|| Cow::Borrowed(self.scene.document.payload()))
    }

    fn step(&self, name: &str) -> Option<Cow<'_, Value>> {
        let first = self.graph?.find(name)?;
        pipeline::seen(self.scene, first).map(Cow::Owned)
    }

    fn all_steps(&self) -> Option<Cow<'_, Value>> {
        let graph = self.graph?;
        let all = (0..self.scene.steps.len()).filter(|first| graph.precedes(*first, self.nth));
        Some(Cow::Owned(pipeline::by_id(self.scene, all)))
    }
}

/// The step of the document that a step of the plan is about, or is a part of; `None` where there are no steps.
pub(crate) fn step_of(state: &RunState, step: u32) -> Option<usize> {
    let nth = state
        .plan
        .spec
        .steps
        .get(step as usize)?
        .input
        .get(input::STEP)?
        .as_u64()?;
    usize::try_from(nth).ok()
}

/// When the first attempt of a step of the plan began.
///
/// The engine keeps when the last one did, and how long those before it took with the pauses between them.
pub(crate) fn began(state: &RunState, n: u32) -> Option<Time> {
    let n = split_of(state, n).unwrap_or(n);
    let node = state.nodes.get(n as usize)?;
    let is_under_way = matches!(
        node.class(),
        Class::Claimed | Class::Fanning | Class::Timing | Class::Retrying
    );
    let has_begun = node.status.is_settled() || is_under_way || node.tries > 0 || node.lost > 0;
    let last = match node.status {
        StepStatus::WaitingForRetry => node.timer,
        StepStatus::Pending | StepStatus::Enqueued if node.tries > 0 => node.ready_at,
        StepStatus::Skipped => None,
        // It failed before there could be an attempt.
        StepStatus::Error => node.started_at.or(node.ended_at),
        _ => node.started_at,
    };
    let spent = i64::try_from(node.spent_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let began = last.filter(|_| has_begun)?.0.saturating_sub(spent);
    Some(Time(began.max(state.created_at.0)))
}

/// The part that cuts up, of a step whose last part this is.
fn split_of(state: &RunState, n: u32) -> Option<u32> {
    let step = state.plan.spec.steps.get(n as usize)?;
    step.input.get(input::SPLIT)?;
    state.plan.step_index(&format!("{}:split", step.key))
}
