//! The steps of a pipeline, one by one.

use std::collections::{BTreeMap, BTreeSet};

use quintet_core::expr::{Condition, Limits};
use quintet_core::plan::{Dependency, EdgeOn, ForEach, SkipMode, StepSpec};
use serde_json::{Map, Value, json};

use super::super::document::{Document, Problems, RunWhen, Step};
use super::super::graph::{Graph, Mode};
use super::super::template::{Path, Reads, Roots, paths_in, whole};
use super::expression::{self, Reader};
use super::{GraphErrors, Route, Rules, chunked, input, retry_policy, timeouts};

/// A pipeline whose graph is in order.
pub(super) struct Compiler<'c, 'd> {
    pub document: Document<'d>,
    /// Ids of steps that run on demand, and are demanded.
    pub demanded: BTreeSet<&'d str>,
    pub steps: &'c [Step<'d>],
    pub graph: &'c Graph<'d>,
    pub rules: &'c Rules,
    pub route: Route,
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
    /// What a step becomes: one step of the plan, or three where its input is cut up.
    pub fn step(&self, nth: usize, step: &Step<'d>, problems: &mut Problems) -> Vec<StepSpec> {
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
        let roots = if step.for_each.is_some() {
            Roots::ITEM
        } else {
            Roots::STEP
        };
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
            let steps: Map<String, Value> = named
                .map(|(name, first)| ((*name).to_owned(), self.reference(*first)))
                .collect();
            input.insert(input::STEPS.to_owned(), Value::Object(steps));
        }
        if read.all {
            let all = self.all_before(nth);
            let all = match self.graph.mode {
                Mode::Sequence => all.map(|first| self.reference(first)).collect(),
                Mode::Graph => all
                    .map(|first| (self.steps[first].id.to_string(), self.reference(first)))
                    .collect(),
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
            problems.add(
                field,
                format!("forEach template {text:?} did not resolve to array, got: string"),
            );
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
        problems.add(
            field,
            format!("the template is too long, or reads too much: {}", error.message),
        );
    }
}
