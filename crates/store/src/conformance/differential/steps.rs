//! Random rows of steps, dead letters and documents, and every question about them.

use quintet_core::machine::step;

use super::super::support::{id, letter, step_row};
use super::Pair;
use super::commands::{Generator, NAMESPACES, QUEUES, WORKFLOWS};
use crate::record::RecordWrite;
use crate::steps::{DeadLetter, LetterFilter, StepFilter, StepRow};

pub const ACTIONS: [&str; 2] = ["push", "http"];
pub const KINDS: [&str; 2] = ["service", "upload"];
const IDS: [&str; 4] = ["", "a", "b", "ü"];

impl Generator {
    pub fn step_row(&mut self) -> StepRow {
        let (number, node) = (1 + self.below(12), self.below(4) as u32);
        let status = step::ALL[self.below(step::ALL.len() as u64) as usize];
        let (created_at, updated_at) = (self.time(), self.time());
        StepRow {
            namespace: self.namespace(),
            workflow: self.pick(&WORKFLOWS).into(),
            action: self.pick(&ACTIONS).into(),
            queue: self.pick(&QUEUES).into(),
            status,
            attempt: self.below(3) as u32,
            priority: self.below(3) as i32 - 1,
            created_at,
            updated_at,
            ..step_row(number, node)
        }
    }

    pub fn letter(&mut self) -> DeadLetter {
        let (number, node) = (1 + self.below(12), self.below(4) as u32);
        let attempt = self.below(3) as u32;
        DeadLetter {
            namespace: self.namespace(),
            workflow: self.pick(&WORKFLOWS).into(),
            queue: self.pick(&QUEUES).into(),
            failed_at: self.time(),
            ..letter(number, node, attempt)
        }
    }

    fn step_filter(&mut self) -> StepFilter {
        let statuses = (0..self.below(4)).map(|_| step::ALL[self.below(11) as usize]);
        let statuses = statuses.collect();
        StepFilter {
            action: (!self.one_in(3)).then(|| self.pick(&ACTIONS).into()),
            queue: self.one_in(3).then(|| self.pick(&QUEUES).into()),
            run: self.one_in(4).then(|| id(1 + self.below(12))),
            statuses,
        }
    }

    fn letter_filter(&mut self) -> LetterFilter {
        LetterFilter {
            workflow: self.one_in(3).then(|| self.pick(&WORKFLOWS).into()),
            queue: self.one_in(3).then(|| self.pick(&QUEUES).into()),
            with_retried: self.one_in(2),
        }
    }

    fn document(&mut self) -> RecordWrite {
        RecordWrite {
            namespace: self.namespace(),
            kind: self.pick(&KINDS).into(),
            id: self.pick(&IDS).into(),
            expected: self.one_in(2).then(|| self.below(3)),
            body: (!self.one_in(4)).then(|| self.below(1000).to_string()),
            expires_at: self.one_in(2).then(|| self.time()),
            at: self.time(),
        }
    }
}

impl Pair {
    pub(super) async fn step_rows(&mut self) {
        let (namespace, filter) = (self.random.namespace(), self.random.step_filter());
        let (offset, limit) = (self.random.below(4), self.random.limit());
        same!(self, store => store.steps(&namespace, &filter, offset, limit));
        for action in ACTIONS {
            same!(self, store => store.step_counts(&namespace, action));
            same!(self, store => store.in_progress(action));
        }
    }

    pub(super) async fn letters(&mut self) {
        let (namespace, filter) = (self.random.namespace(), self.random.letter_filter());
        let (offset, limit) = (self.random.below(3), self.random.limit());
        same!(self, store => store.letters(&namespace, &filter, offset, limit));
        let (number, node) = (1 + self.random.below(12), self.random.below(4) as u32);
        let attempt = self.random.one_in(2).then(|| self.random.below(3) as u32);
        same!(self, store => store.letter(&namespace, id(number), node, attempt));
        if self.random.one_in(4) {
            // Which of them go first is left open, so all of them go.
            let (before, one) = (self.random.time(), self.random.one_in(2));
            let namespace = one.then_some(&*namespace);
            same!(self, store => store.purge_letters(namespace, before, usize::MAX));
        }
    }

    pub(super) async fn documents(&mut self) {
        let number = self.random.below(4);
        let writes: Vec<RecordWrite> = (0..number).map(|_| self.random.document()).collect();
        same!(self, store => store.put_records(writes.clone()));
        let (namespace, now, limit) = (self.random.namespace(), self.random.time(), self.random.limit());
        let after = self.random.one_in(2).then(|| self.random.pick(&IDS));
        for kind in KINDS {
            same!(self, store => store.records(&namespace, kind, after, limit));
            same!(self, store => store.expired_records(kind, now, limit));
            same!(self, store => store.record(&namespace, kind, "a"));
        }
    }

    pub(super) async fn all_rows(&mut self) {
        for namespace in NAMESPACES {
            same!(self, store => store.steps(namespace, &StepFilter::default(), 0, usize::MAX));
            let all = LetterFilter {
                with_retried: true,
                ..LetterFilter::default()
            };
            same!(self, store => store.letters(namespace, &all, 0, usize::MAX));
            for kind in KINDS {
                same!(self, store => store.records(namespace, kind, None, usize::MAX));
            }
        }
    }
}
