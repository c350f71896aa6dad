//! What a namespace holds: everything is looked at, and counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::State;
use crate::usage::{MEASURED_RUNS, NamespaceUsage};

impl State {
    pub(super) fn live_runs(&self) -> Vec<(Arc<str>, u64)> {
        let mut counts: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for row in self.live() {
            *counts.entry(Arc::clone(&row.namespace)).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    pub(super) fn usage(&self, namespace: &str) -> NamespaceUsage {
        let runs: Vec<_> = self
            .runs
            .values()
            .filter(|run| &*run.row.namespace == namespace)
            .collect();
        let live = runs.iter().filter(|run| run.row.finished_at.is_none()).count();
        let workflows = self.workflows.iter().filter(|((own, _), _)| &**own == namespace);
        let workflows: Vec<_> = workflows.map(|(_, workflow)| workflow).collect();
        let records = self.records.iter().filter(|((own, ..), _)| &**own == namespace);
        let records: Vec<_> = records.map(|(_, record)| record).collect();
        let letters = self.letters.values().filter(|letter| &*letter.namespace == namespace);
        let letters: Vec<_> = letters.collect();
        let versions = workflows.iter().flat_map(|workflow| &workflow.versions);
        let bytes = versions.map(|version| version.document.len()).sum::<usize>()
            + records.iter().map(|record| record.body.len()).sum::<usize>()
            + letters.iter().map(|letter| letter.body.len()).sum::<usize>();
        let newest = runs.iter().rev().take(MEASURED_RUNS);
        let histories = newest.clone().flat_map(|run| &run.commits);
        let history_bytes = histories.map(|commit| commit.events.len()).sum::<usize>();
        let usage = NamespaceUsage {
            live_runs: live as u64,
            finished_runs: (runs.len() - live) as u64,
            workflows: workflows.len() as u64,
            records: records.len() as u64,
            letters: letters.len() as u64,
            stored_bytes: bytes as u64,
        };
        usage.with_histories(newest.len(), history_bytes as u64)
    }
}
