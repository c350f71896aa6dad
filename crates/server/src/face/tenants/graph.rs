//! Whether tasks and their dependencies make sense, and in which order they can run.
//!
//! All problems are told at once, in the original's words and order; a cycle is looked for where nothing else is wrong. A
//! task comes after those of the list of dependencies and after those that it names itself; what both say counts once.
//!
//! What is said of the order is the same whenever it is asked: of the tasks that could start, the one with the highest
//! priority is first, and of equal ones the first that was written. A *level* is made of tasks that could run at a time
//! if there were no limit. The *critical path* is the chain whose timeouts make the largest sum, and of equal sums the
//! one of most tasks: nothing makes the whole shorter than it.
//!
//! [`analyse`] knows neither tasks nor requests, so that other documents can be looked at with it. All walks are iterative,
//! and their cost is linear in vertices and edges (but for the heap that keeps those that are ready).

mod order;

use std::collections::{HashMap, HashSet};

use serde::{Serialize, Serializer};

use super::document::{Graph, MEDIUM, Task, TaskDependency, Validation, Workflow};
use super::duration;
use order::Order;

/// More tasks than this are worth a warning.
const MANY: usize = 50;
/// So is a longer timeout: half an hour, in nanoseconds.
const LONG_NS: i64 = 1_800_000_000_000;

/// What is said of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    /// Empty where there are errors, as the following ones are.
    pub execution_order: Vec<String>,
    /// Tasks by how many follow one another up to them.
    pub levels: Vec<Vec<String>>,
    pub critical_path: Vec<String>,
}

/// A report, and the graph that it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Analysis {
    pub report: Report,
    /// Positions of the vertices right before each one, each once.
    pub before: Vec<Vec<usize>>,
}

/// Something that is done, and comes after others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vertex<'a> {
    pub id: &'a str,
    /// Ids of others, by its own word.
    pub depends_on: &'a [String],
    /// Higher goes first.
    pub rank: i32,
    /// How long it may take, in nanoseconds; 0 where nothing is said.
    pub timeout_ns: i64,
}

/// What a vertex means that depends on one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stray {
    Error,
    /// Nothing. An edge of the list is an error all the same.
    Nothing,
}

/// The report on a request to validate.
pub(crate) fn validate(tasks: &[Task], dependencies: &[TaskDependency]) -> Report {
    examine(tasks, dependencies, Stray::Error).report
}

/// The report on a request to validate, as it was read.
pub(crate) fn validate_graph(graph: &Graph) -> Report {
    validate(&graph.tasks, graph.dependencies.as_deref().unwrap_or_default())
}

/// The graph of a workflow, or why it is not taken: what its `validation_level` counts as an error.
pub(crate) fn admit(workflow: &Workflow) -> Result<Analysis, Vec<String>> {
    let level = workflow.configuration.validation();
    let stray = match level {
        Validation::None => Stray::Nothing,
        Validation::Basic | Validation::Strict => Stray::Error,
    };
    let dependencies = workflow.dependencies.as_deref().unwrap_or_default();
    let mut analysis = examine(&workflow.tasks, dependencies, stray);
    let report = &mut analysis.report;
    let mut refused = std::mem::take(&mut report.errors);
    if level == Validation::Strict {
        refused.extend_from_slice(&report.warnings);
    }
    match refused.is_empty() {
        true => Ok(analysis),
        false => Err(refused),
    }
}

fn examine(tasks: &[Task], dependencies: &[TaskDependency], stray: Stray) -> Analysis {
    let vertices: Vec<Vertex<'_>> = tasks
        .iter()
        .map(|task| Vertex {
            id: &task.id,
            depends_on: task.own_dependencies(),
            rank: task.rank().unwrap_or(MEDIUM),
            timeout_ns: task.timeout,
        })
        .collect();
    let edges = dependencies.iter().map(|edge| (edge.from.as_str(), edge.to.as_str()));
    analyse(&vertices, edges, stray)
}

/// Looks at a graph: `edges` are pairs of ids, the first of which comes before the second.
pub(crate) fn analyse<'a>(
    vertices: &[Vertex<'a>],
    edges: impl Iterator<Item = (&'a str, &'a str)>,
    stray: Stray,
) -> Analysis {
    let mut errors = Vec::new();
    let positions = positions(vertices, &mut errors);
    let mut links = Links {
        positions,
        seen: HashSet::new(),
        before: vec![Vec::new(); vertices.len()],
        errors,
    };
    edges.for_each(|(from, to)| links.listed(from, to));
    for (nth, vertex) in vertices.iter().enumerate() {
        for from in vertex.depends_on {
            links.own(from, (nth, vertex.id), stray);
        }
    }
    let Links { before, errors, .. } = links;
    let mut report = Report {
        errors,
        warnings: warnings(vertices),
        ..Report::default()
    };
    if report.errors.is_empty() {
        match Order::of(vertices, &before) {
            Ok(order) => order.tell(vertices, &mut report),
            Err(cycle) => {
                let names: Vec<&str> = cycle.iter().map(|&nth| vertices[nth].id).collect();
                report.errors.push(format!("Cycle detected: [{}]", names.join(" ")));
            }
        }
    }
    Analysis { report, before }
}

/// Where each id stands for the first time.
fn positions<'a>(vertices: &[Vertex<'a>], errors: &mut Vec<String>) -> HashMap<&'a str, usize> {
    let mut positions = HashMap::with_capacity(vertices.len());
    for (nth, vertex) in vertices.iter().enumerate() {
        if vertex.id.is_empty() {
            errors.push("Task ID cannot be empty".to_owned());
        } else if positions.contains_key(vertex.id) {
            errors.push(format!("Duplicate task ID: {}", vertex.id));
        } else {
            positions.insert(vertex.id, nth);
        }
    }
    positions
}

/// Edges as they are found.
struct Links<'a> {
    positions: HashMap<&'a str, usize>,
    seen: HashSet<(&'a str, &'a str)>,
    before: Vec<Vec<usize>>,
    errors: Vec<String>,
}

impl<'a> Links<'a> {
    fn missing(&mut self, id: &str) {
        self.errors
            .push(format!("Dependency references non-existent task: {id}"));
    }

    /// An edge of the list.
    fn listed(&mut self, from: &'a str, to: &'a str) {
        let ends = [from, to].map(|id| self.positions.get(id).copied());
        for (id, end) in [from, to].into_iter().zip(ends) {
            if end.is_none() {
                self.missing(id);
            }
        }
        if from == to {
            self.errors.push(format!("Self-dependency detected: {from}"));
        }
        let is_new = self.seen.insert((from, to));
        if let ([Some(from), Some(to)], true) = (ends, is_new) {
            self.before[to].push(from);
        }
    }

    /// What a vertex says itself. Where the list says the same, it has been dealt with.
    fn own(&mut self, from: &'a str, (nth, id): (usize, &'a str), stray: Stray) {
        if !self.seen.insert((from, id)) {
            return;
        }
        match self.positions.get(from) {
            None if stray == Stray::Nothing => {}
            None => self.missing(from),
            Some(_) if from == id => self.errors.push(format!("Self-dependency detected: {id}")),
            Some(&from) => self.before[nth].push(from),
        }
    }
}

fn warnings(vertices: &[Vertex<'_>]) -> Vec<String> {
    let many = (vertices.len() > MANY).then(|| "Large number of tasks may impact performance".to_owned());
    let long = vertices
        .iter()
        .filter(|vertex| vertex.timeout_ns > LONG_NS)
        .map(|vertex| {
            let limit = duration::text(vertex.timeout_ns);
            format!("Task {} has very long timeout: {limit}", vertex.id)
        });
    many.into_iter().chain(long).collect()
}

impl Serialize for Report {
    /// As the answer to a request to validate: what is empty is left out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'r> {
            valid: bool,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'r [String],
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            warnings: &'r [String],
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            execution_order: &'r [String],
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            levels: &'r [Vec<String>],
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            critical_path: &'r [String],
        }
        let shown = Shown {
            valid: self.errors.is_empty(),
            errors: &self.errors,
            warnings: &self.warnings,
            execution_order: &self.execution_order,
            levels: &self.levels,
            critical_path: &self.critical_path,
        };
        shown.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
