//! Rows of step runs, and dead letters.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::machine::StepStatus;
use quintet_core::time::Time;

use super::State;
use crate::steps::{DeadLetter, LetterFilter, LetterPage, StepCounts, StepFilter, StepLimit, StepPage, StepRow};

impl State {
    pub(super) fn write_step(&mut self, row: StepRow) {
        let created_at = self.steps.get(&(row.run, row.node)).map(|known| known.created_at);
        let created_at = created_at.unwrap_or(row.created_at);
        self.steps.insert((row.run, row.node), StepRow { created_at, ..row });
    }

    /// What is not settled in a run that is over never will be.
    pub(super) fn end_steps(&mut self, run: RunId, at: Time) {
        let rows = self.steps.range_mut((run, 0)..=(run, u32::MAX));
        for (_, row) in rows.filter(|(_, row)| !row.status.is_settled()) {
            row.status = StepStatus::Cancelled;
            row.updated_at = at;
        }
    }

    pub(super) fn mark_retried(&mut self, (run, node): (RunId, u32), at: Time) {
        let letters = self.letters.range_mut((run, node, 0)..=(run, node, u32::MAX));
        for (_, letter) in letters.filter(|(_, letter)| letter.retried_at.is_none()) {
            letter.retried_at = Some(at);
        }
    }

    /// The first limit that would be passed by these rows.
    pub(super) fn full(&self, limits: &[StepLimit], rows: &[StepRow]) -> Option<StepLimit> {
        let counts = |row: &StepRow, limit: &StepLimit| {
            row.status == StepStatus::InProgress
                && row.action == limit.action
                && limit.queue.as_ref().is_none_or(|queue| *queue == row.queue)
        };
        let passed = |limit: &&StepLimit| {
            let stored = self.steps.values().filter(|row| counts(row, limit));
            let stored = stored.filter(|row| !rows.iter().any(|new| (new.run, new.node) == (row.run, row.node)));
            let new = rows.iter().filter(|row| counts(row, limit));
            stored.count() + new.count() > limit.max as usize
        };
        limits.iter().find(passed).cloned()
    }

    pub(super) fn step_page(&self, namespace: &str, filter: &StepFilter, offset: u64, limit: usize) -> StepPage {
        let mut rows: Vec<&StepRow> = self
            .steps
            .values()
            .filter(|row| &*row.namespace == namespace && fits(row, filter))
            .collect();
        rows.sort_by_key(|row| (Reverse(row.priority), row.created_at, row.run, row.node));
        StepPage {
            total: rows.len() as u64,
            rows: rows.into_iter().skip(offset as usize).take(limit).cloned().collect(),
        }
    }

    pub(super) fn step_counts(&self, namespace: &str, action: &str) -> StepCounts {
        let rows = self.steps.values();
        let rows = rows.filter(|row| &*row.namespace == namespace && &*row.action == action);
        let mut counts: BTreeMap<StepStatus, u64> = BTreeMap::new();
        let mut oldest_waiting = None;
        for row in rows {
            *counts.entry(row.status).or_default() += 1;
            if matches!(row.status, StepStatus::Enqueued | StepStatus::WaitingForRetry) {
                oldest_waiting = Some(oldest_waiting.map_or(row.created_at, |oldest: Time| oldest.min(row.created_at)));
            }
        }
        StepCounts {
            by_status: counts.into_iter().collect(),
            oldest_waiting,
        }
    }

    pub(super) fn in_progress(&self, action: &str) -> Vec<(Arc<str>, u32)> {
        let mut counts: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        let rows = self.steps.values();
        for row in rows.filter(|row| row.status == StepStatus::InProgress && &*row.action == action) {
            *counts.entry(Arc::clone(&row.queue)).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    pub(super) fn letter_page(&self, namespace: &str, filter: &LetterFilter, offset: u64, limit: usize) -> LetterPage {
        let wanted = |letter: &&DeadLetter| {
            &*letter.namespace == namespace
                && filter.workflow.as_ref().is_none_or(|wanted| *wanted == letter.workflow)
                && filter.queue.as_ref().is_none_or(|wanted| *wanted == letter.queue)
                && (filter.with_retried || letter.retried_at.is_none())
        };
        let mut letters: Vec<&DeadLetter> = self.letters.values().filter(wanted).collect();
        letters.sort_by_key(|letter| Reverse((letter.failed_at, letter.run, letter.node, letter.attempt)));
        LetterPage {
            total: letters.len() as u64,
            letters: letters.into_iter().skip(offset as usize).take(limit).cloned().collect(),
        }
    }

    pub(super) fn letter(
        &self,
        namespace: &str,
        (run, node): (RunId, u32),
        attempt: Option<u32>,
    ) -> Option<DeadLetter> {
        let mut letters = self.letters.range((run, node, 0)..=(run, node, u32::MAX)).rev();
        let found = letters.find(|((_, _, at), letter)| {
            attempt.is_none_or(|attempt| *at == attempt) && &*letter.namespace == namespace
        });
        found.map(|(_, letter)| letter.clone())
    }

    pub(super) fn purge_letters(&mut self, namespace: Option<&str>, before: Time, limit: usize) -> u64 {
        let old = self.letters.iter().filter(|(_, letter)| {
            letter.failed_at < before && namespace.is_none_or(|namespace| &*letter.namespace == namespace)
        });
        let old: Vec<_> = old.map(|(key, _)| *key).take(limit).collect();
        old.iter().for_each(|key| drop(self.letters.remove(key)));
        old.len() as u64
    }
}

fn fits(row: &StepRow, filter: &StepFilter) -> bool {
    filter.action.as_ref().is_none_or(|action| *action == row.action)
        && filter.queue.as_ref().is_none_or(|queue| *queue == row.queue)
        && filter.run.is_none_or(|run| run == row.run)
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
}
