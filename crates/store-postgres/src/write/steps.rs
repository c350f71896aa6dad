//! Rows of step runs and dead letters, as the units of a commit leave them: each row once, in the order of its key.
//!
//! The end of a run and another try of a step reach what is stored and what earlier units of the same commit write. The
//! latter is settled here; the statements that do it to what is stored come before those that write rows, or leave the
//! written ones out.

use std::collections::{BTreeMap, BTreeSet};

use quintet_core::id::RunId;
use quintet_core::machine::StepStatus;
use quintet_core::time::Time;
use quintet_store::{DeadLetter, StepRow, Unit};

use crate::codec::{Text, Uuid, micros, step_number};
use crate::session::Param;

/// What becomes of rows of `quintet.steps`.
#[derive(Default)]
pub struct Steps<'a> {
    rows: BTreeMap<(RunId, u32), Step<'a>>,
    /// Runs that are over.
    ended: BTreeSet<RunId>,
}

struct Step<'a> {
    row: &'a StepRow,
    status: StepStatus,
    created_at: Time,
    updated_at: Time,
}

impl<'a> Steps<'a> {
    /// What a unit says.
    pub fn add(&mut self, at: Time, unit: &'a Unit) {
        for row in &unit.steps {
            let key = (row.run, row.node);
            let created_at = self.rows.get(&key).map_or(row.created_at, |known| known.created_at);
            let step = Step {
                row,
                status: row.status,
                created_at,
                updated_at: row.updated_at,
            };
            self.rows.insert(key, step);
        }
        for run in &unit.ended_steps {
            let rows = self.rows.range_mut((*run, 0)..=(*run, u32::MAX));
            for (_, step) in rows.filter(|(_, step)| !step.status.is_settled()) {
                step.status = StepStatus::Cancelled;
                step.updated_at = at;
            }
            self.ended.insert(*run);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.ended.is_empty()
    }

    /// Whose steps these are.
    pub fn runs(&self) -> impl Iterator<Item = RunId> {
        self.rows.keys().map(|(run, _)| *run).chain(self.ended.iter().copied())
    }

    pub fn columns(&self) -> (Rows<'_>, Vec<Uuid>) {
        let mut rows = Rows::default();
        for step in self.rows.values() {
            rows.push(step.row, step.status, step.created_at, step.updated_at);
        }
        (rows, self.ended.iter().copied().map(Uuid).collect())
    }
}

/// Rows of `quintet.steps`.
#[derive(Default)]
pub struct Rows<'a> {
    run: Vec<Uuid>,
    node: Vec<i64>,
    namespace: Vec<Text<'a>>,
    workflow: Vec<Text<'a>>,
    step: Vec<Text<'a>>,
    action: Vec<Text<'a>>,
    queue: Vec<Text<'a>>,
    status: Vec<i16>,
    attempt: Vec<i64>,
    priority: Vec<i32>,
    created_at: Vec<i64>,
    updated_at: Vec<i64>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, row: &'a StepRow, status: StepStatus, created_at: Time, updated_at: Time) {
        self.run.push(Uuid(row.run));
        self.node.push(row.node.into());
        self.namespace.push(Text(&row.namespace));
        self.workflow.push(Text(&row.workflow));
        self.step.push(Text(&row.step));
        self.action.push(Text(&row.action));
        self.queue.push(Text(&row.queue));
        self.status.push(step_number(status));
        self.attempt.push(row.attempt.into());
        self.priority.push(row.priority);
        self.created_at.push(created_at.0);
        self.updated_at.push(updated_at.0);
    }

    /// As they are.
    pub fn of(rows: &'a [StepRow]) -> Self {
        let mut columns = Self::default();
        rows.iter()
            .for_each(|row| columns.push(row, row.status, row.created_at, row.updated_at));
        columns
    }

    pub fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    pub fn params(&self) -> [Param<'_>; 12] {
        [
            &self.run,
            &self.node,
            &self.namespace,
            &self.workflow,
            &self.step,
            &self.action,
            &self.queue,
            &self.status,
            &self.attempt,
            &self.priority,
            &self.created_at,
            &self.updated_at,
        ]
    }
}

/// What becomes of rows of `quintet.dead_letters`.
#[derive(Default)]
pub struct Letters<'a> {
    letters: BTreeMap<(RunId, u32, u32), Letter<'a>>,
    retried: BTreeSet<(RunId, u32)>,
}

struct Letter<'a> {
    letter: &'a DeadLetter,
    retried_at: Option<Time>,
}

impl<'a> Letters<'a> {
    /// What a unit says.
    pub fn add(&mut self, at: Time, unit: &'a Unit) {
        for (run, node) in &unit.retried {
            let known = self.letters.range_mut((*run, *node, 0)..=(*run, *node, u32::MAX));
            known.for_each(|(_, letter)| letter.retried_at = letter.retried_at.or(Some(at)));
            self.retried.insert((*run, *node));
        }
        for letter in &unit.letters {
            let key = (letter.run, letter.node, letter.attempt);
            let retried_at = letter.retried_at;
            self.letters.insert(key, Letter { letter, retried_at });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.letters.is_empty() && self.retried.is_empty()
    }

    /// Whose letters these are.
    pub fn runs(&self) -> impl Iterator<Item = RunId> {
        self.letters.keys().map(|(run, ..)| *run)
    }

    pub fn columns(&self) -> (Papers<'_>, Retries) {
        let mut papers = Papers::default();
        for letter in self.letters.values() {
            papers.push(letter.letter, letter.retried_at);
        }
        let retries = Retries {
            run: self.retried.iter().map(|(run, _)| Uuid(*run)).collect(),
            node: self.retried.iter().map(|(_, node)| i64::from(*node)).collect(),
        };
        (papers, retries)
    }
}

/// Rows of `quintet.dead_letters`.
#[derive(Default)]
pub struct Papers<'a> {
    run: Vec<Uuid>,
    node: Vec<i64>,
    attempt: Vec<i64>,
    namespace: Vec<Text<'a>>,
    workflow: Vec<Text<'a>>,
    step: Vec<Text<'a>>,
    queue: Vec<Text<'a>>,
    body: Vec<Text<'a>>,
    failed_at: Vec<i64>,
    retried_at: Vec<Option<i64>>,
}

impl<'a> Papers<'a> {
    fn push(&mut self, letter: &'a DeadLetter, retried_at: Option<Time>) {
        self.run.push(Uuid(letter.run));
        self.node.push(letter.node.into());
        self.attempt.push(letter.attempt.into());
        self.namespace.push(Text(&letter.namespace));
        self.workflow.push(Text(&letter.workflow));
        self.step.push(Text(&letter.step));
        self.queue.push(Text(&letter.queue));
        self.body.push(Text(&letter.body));
        self.failed_at.push(letter.failed_at.0);
        self.retried_at.push(micros(retried_at));
    }

    /// As they are.
    pub fn of(letters: &'a [DeadLetter]) -> Self {
        let mut columns = Self::default();
        letters
            .iter()
            .for_each(|letter| columns.push(letter, letter.retried_at));
        columns
    }

    pub fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    pub fn params(&self) -> [Param<'_>; 10] {
        [
            &self.run,
            &self.node,
            &self.attempt,
            &self.namespace,
            &self.workflow,
            &self.step,
            &self.queue,
            &self.body,
            &self.failed_at,
            &self.retried_at,
        ]
    }
}

/// Step runs that are tried again.
pub struct Retries {
    run: Vec<Uuid>,
    node: Vec<i64>,
}

impl Retries {
    pub fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    pub fn params(&self) -> [Param<'_>; 2] {
        [&self.run, &self.node]
    }
}
