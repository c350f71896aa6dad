//! Questions about runs and about the steps that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;

use super::{Run, State, Taken};
use crate::commit::RunRow;
use crate::deal::{Deal, Ranked, Turns};
use crate::node::Claim;
use crate::query::{DueRun, QueueAsk, QueueCount, QueueEntry, RunFilter, RunPage, StoreStatus};

impl State {
    pub(super) fn find(&self, namespace: &str, id: RunId) -> Option<&Run> {
        self.runs.get(&id).filter(|run| &*run.row.namespace == namespace)
    }

    /// Unfinished runs by id.
    pub(super) fn live(&self) -> impl Iterator<Item = &RunRow> {
        self.runs
            .values()
            .map(|run| &run.row)
            .filter(|row| row.finished_at.is_none())
    }

    pub(super) fn page(&self, namespace: &str, filter: &RunFilter, before: Option<RunId>, limit: usize) -> RunPage {
        let newest_first = self.runs.values().rev().map(|run| &run.row);
        let mut fitting = newest_first
            .filter(|row| &*row.namespace == namespace && before.is_none_or(|before| row.id < before))
            .filter(|row| fits(row, filter));
        let rows: Vec<RunRow> = fitting.by_ref().take(limit).cloned().collect();
        let more = fitting.next().is_some();
        RunPage {
            next: rows.last().filter(|_| more).map(|row| row.id),
            rows,
        }
    }

    pub(super) fn due(&mut self, claim: Claim, limit: usize) -> Vec<DueRun> {
        let live = self.runs.values_mut().filter(|run| run.row.finished_at.is_none());
        let mut due: Vec<&mut Run> = live
            .filter(|run| run.row.wake_at.is_some_and(|at| at <= claim.now))
            .filter(|run| run.taken.is_free_for(claim.owner, claim.now))
            .collect();
        due.sort_by_key(|run| (run.row.wake_at, run.row.id));
        due.truncate(limit);
        due.iter_mut().for_each(|run| run.taken = Taken::by(claim));
        due.into_iter().map(|run| due_run(&run.row)).collect()
    }

    pub(super) fn queue_counts(&self, namespace: &str) -> Vec<QueueCount> {
        let mut counts: BTreeMap<Arc<str>, QueueCount> = BTreeMap::new();
        // In order of the runs, so that the first of a queue is the oldest.
        let waiting = self
            .queue
            .iter()
            .filter(|(_, waiting)| &*waiting.namespace == namespace);
        for ((run, _), waiting) in waiting {
            let count = counts.entry(Arc::clone(&waiting.queue)).or_insert_with(|| QueueCount {
                queue: Arc::clone(&waiting.queue),
                waiting: 0,
                oldest: *run,
            });
            count.waiting += 1;
        }
        counts.into_values().collect()
    }

    pub(super) fn queued(&mut self, asks: &[QueueAsk], turns: &Turns, claim: Claim, limit: usize) -> Vec<QueueEntry> {
        let mut wanted: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for ask in asks {
            let known = wanted.entry(Arc::clone(&ask.queue)).or_default();
            *known = ask.limit.min(limit).max(*known);
        }
        let deal = Deal::new(turns);
        let mut given = Vec::new();
        for (queue, wanted) in wanted {
            let of_queue = self.queue.values().filter(|waiting| waiting.queue == queue);
            let waiting: BTreeSet<Arc<str>> = of_queue.map(|waiting| Arc::clone(&waiting.namespace)).collect();
            let (namespaces, share) = deal.shares(waiting.into_iter().collect(), wanted);
            for namespace in namespaces {
                given.extend(self.given(&queue, &namespace, claim, share));
            }
        }
        let dealt = deal.out(given, limit);
        for entry in &dealt {
            if let Some(waiting) = self.queue.get_mut(&(entry.run, entry.node)) {
                waiting.taken = Taken::by(claim);
            }
        }
        dealt
    }

    /// The first of a namespace in a queue.
    fn given(&self, queue: &Arc<str>, namespace: &Arc<str>, claim: Claim, share: usize) -> Vec<Ranked> {
        let theirs = self.queue.iter().filter(|(_, waiting)| {
            waiting.queue == *queue
                && waiting.namespace == *namespace
                && waiting.taken.is_free_for(claim.owner, claim.now)
        });
        let ranked = theirs.map(|((run, node), waiting)| Ranked {
            rank: -i64::from(waiting.priority),
            entry: QueueEntry {
                namespace: Arc::clone(namespace),
                run: *run,
                node: *node,
                queue: Arc::clone(queue),
            },
        });
        let mut ranked: Vec<Ranked> = ranked.collect();
        ranked.sort_by_key(|ranked| (ranked.rank, ranked.entry.run, ranked.entry.node));
        ranked.truncate(share);
        ranked
    }

    pub(super) fn remove_run(&mut self, id: RunId) {
        self.runs.remove(&id);
        self.queue.retain(|(run, _), _| *run != id);
        self.steps.retain(|(run, _), _| *run != id);
    }

    pub(super) fn prune(&mut self, before: Time, now: Time, limit: usize) -> u64 {
        self.idempotency.retain(|_, remembered| remembered.expires_at > now);
        let rows = self.runs.values().map(|run| &run.row);
        let ended = rows.filter(|row| row.finished_at.is_some_and(|at| at < before));
        let ended: Vec<RunId> = ended.take(limit).map(|row| row.id).collect();
        ended.iter().for_each(|id| self.remove_run(*id));
        ended.len() as u64
    }

    pub(super) fn status(&self) -> StoreStatus {
        let mut runs: BTreeMap<RunStatus, u64> = BTreeMap::new();
        for run in self.runs.values() {
            *runs.entry(run.row.status).or_default() += 1;
        }
        let dead = self.outbox.values().filter(|message| message.dead).count() as u64;
        StoreStatus {
            kind: "memory".to_owned(),
            schema: 0,
            durability: "An acknowledged commit is lost when the process ends.".to_owned(),
            runs: runs.into_iter().collect(),
            queued: self.queue.len() as u64,
            outbox: self.outbox.len() as u64 - dead,
            outbox_dead: dead,
            warnings: Vec::new(),
            bytes: None,
        }
    }
}

pub(super) fn due_run(row: &RunRow) -> DueRun {
    DueRun {
        namespace: row.namespace.clone(),
        id: row.id,
    }
}

fn fits(row: &RunRow, filter: &RunFilter) -> bool {
    filter
        .workflow
        .as_ref()
        .is_none_or(|workflow| *workflow == row.workflow)
        && filter
            .workflow_prefix
            .as_ref()
            .is_none_or(|prefix| row.workflow.starts_with(&**prefix))
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
        && filter.created_from.is_none_or(|from| row.created_at >= from)
        && filter.created_before.is_none_or(|before| row.created_at < before)
        && filter.claimed.is_none_or(|claimed| (row.claims > 0) == claimed)
}
