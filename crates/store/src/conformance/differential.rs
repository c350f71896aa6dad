//! Two stores, the same random commands, the same answers.
//!
//! The first store is the model and exact. The second one may keep a time to wake that is earlier than the one it was
//! given last; where that shows, the comparison allows it, and now and then every run is rescheduled to its exact time,
//! after which the answers must be equal to the letter. A seed replays: the commands depend on nothing else.

/// Asks both stores and compares the answers.
macro_rules! same {
    ($pair:ident, $store:ident => $call:expr) => {{
        let $store = &$pair.model;
        let left = $call.await.expect("the model answers");
        let $store = &$pair.other;
        let right = $call.await.expect("the store answers");
        assert_eq!(left, right, "{} (left: model)", stringify!($call));
        left
    }};
}

mod commands;
mod steps;

use crate::deal::Turns;
use std::collections::BTreeSet;
use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::time::Time;

use self::commands::{Generator, WORKFLOWS};
pub(super) use self::commands::{KEYS, NAMESPACES, QUEUES, SCOPES};
pub(super) use self::steps::{ACTIONS, KINDS};
use super::support::{AnyStore, asks, claim, id};
use crate::commit::RunRow;
use crate::node::Claim;
use crate::query::{DueRun, OutboxAsk, OutboxEntry, RunFilter, Targets};

/// Runs `steps` commands on both stores and panics at the first difference.
pub async fn compare(model: AnyStore, other: AnyStore, seed: u64, steps: usize) {
    let mut pair = Pair {
        model,
        other,
        random: Generator::new(seed),
    };
    for step in 0..steps {
        pair.step(step).await;
    }
    pair.whole_state().await;
}

struct Pair {
    model: AnyStore,
    other: AnyStore,
    random: Generator,
}

impl Pair {
    async fn step(&mut self, step: usize) {
        match self.random.below(24) {
            0..=8 => self.commit().await,
            9 => self.wakes().await,
            10 => self.exact_wakes().await,
            11 | 12 => self.lists().await,
            13 => self.one_run().await,
            14 => self.queue().await,
            15 | 16 => self.outbox().await,
            17 => self.workflows().await,
            18 => self.removals().await,
            19 | 20 => self.step_rows().await,
            21 => self.letters().await,
            22 => self.documents().await,
            _ if step.is_multiple_of(2) => self.records().await,
            _ => self.figures().await,
        }
    }

    async fn commit(&mut self) {
        let commit = self.random.commit();
        let results = same!(self, store => store.commit(commit.clone()));
        self.random.learn(&commit, &results);
    }

    async fn wakes(&mut self) {
        let now = self.random.time();
        let exact = self.model.due(at(now), usize::MAX).await.unwrap();
        let lazy = self.other.due(at(now), usize::MAX).await.unwrap();
        let (exact, lazy) = (ids(&exact), ids(&lazy));
        assert!(
            exact.is_subset(&lazy),
            "at {now:?} {exact:?} are due, and only {lazy:?} were found"
        );
        let earliest = |wake: Option<Time>| wake.map_or(i64::MAX, |time| time.0);
        let (left, right) = (
            self.model.next_wake().await.unwrap(),
            self.other.next_wake().await.unwrap(),
        );
        assert!(earliest(right) <= earliest(left), "{right:?} is later than {left:?}");
        // What an engine does with a run that turns out not to be due.
        let early: Vec<RunId> = lazy.difference(&exact).copied().collect();
        self.reschedule(&early).await;
        assert_eq!(
            exact,
            ids(&self.other.due(at(now), usize::MAX).await.unwrap()),
            "after rescheduling {early:?}"
        );
    }

    async fn exact_wakes(&mut self) {
        let all: Vec<RunId> = self.random.runs().map(id).collect();
        self.reschedule(&all).await;
        let (now, limit) = (self.random.time(), self.random.limit());
        same!(self, store => store.due(at(now), limit));
        same!(self, store => store.next_wake());
        for number in self.random.runs() {
            for namespace in NAMESPACES {
                same!(self, store => store.run(namespace, id(number)));
            }
        }
    }

    /// Tells both stores the exact times of some runs, and wrong ones under a version that is not current.
    async fn reschedule(&mut self, runs: &[RunId]) {
        let mut wakes = Vec::new();
        for run in runs {
            for namespace in NAMESPACES {
                if let Some(row) = self.model.run(namespace, *run).await.unwrap() {
                    wakes.push((*run, row.version, row.wake_at));
                    wakes.push((*run, row.version + 1, Some(self.random.time())));
                }
            }
        }
        same!(self, store => store.reschedule(&wakes));
    }

    async fn lists(&mut self) {
        let (namespace, limit) = (self.random.namespace(), self.random.limit());
        let filter: RunFilter = self.random.filter();
        let before = self.random.one_in(2).then(|| id(self.random.below(14)));
        let left = self.model.runs(&namespace, &filter, before, limit).await.unwrap();
        let right = self.other.runs(&namespace, &filter, before, limit).await.unwrap();
        assert_eq!(left.next, right.next, "{filter:?} before {before:?}, at most {limit}");
        assert_eq!(
            left.rows.len(),
            right.rows.len(),
            "{filter:?} before {before:?}, at most {limit}"
        );
        left.rows
            .iter()
            .zip(&right.rows)
            .for_each(|(left, right)| same_row(left, right));
        let after = self.random.one_in(2).then(|| id(self.random.below(14)));
        same!(self, store => store.claimed(&[], after, limit));
    }

    async fn one_run(&mut self) {
        let (namespace, run) = (self.random.namespace(), id(self.random.below(14)));
        let left = self.model.load(&namespace, run).await.unwrap();
        let right = self.other.load(&namespace, run).await.unwrap();
        assert_eq!(left.is_some(), right.is_some(), "{run}");
        if let (Some(left), Some(right)) = (left, right) {
            same_row(&left.row, &right.row);
            assert_eq!(left.commits, right.commits);
        }
        let (after, limit) = (self.random.below(6), self.random.limit());
        same!(self, store => store.commits(&namespace, run, after, limit));
    }

    async fn queue(&mut self) {
        let (asks, limit) = (self.random.asks(), self.random.limit());
        let behind = (0..self.random.below(3)).map(|_| self.random.namespace()).collect();
        let without = (0..self.random.below(2)).map(|_| self.random.namespace()).collect();
        let turns = Turns { behind, without };
        same!(self, store => store.queued(&asks, &turns, claim(0), limit));
    }

    async fn outbox(&mut self) {
        let (now, limit) = (self.random.time(), self.random.limit());
        let due = self.messages(now, limit).await;
        same!(self, store => store.outbox_next());
        let Some((model, other)) = due.first() else { return };
        match self.random.below(4) {
            0 | 1 => {
                // Now and then one that is not there.
                let strange: Vec<i64> = due.iter().map(|_| i64::from(self.random.one_in(5)) << 40).collect();
                let ids = |of: fn(&(i64, i64)) -> i64| -> Vec<i64> {
                    due.iter()
                        .zip(&strange)
                        .map(|(ids, strange)| of(ids) + strange)
                        .collect()
                };
                self.model.outbox_delivered(&ids(|ids| ids.0)).await.unwrap();
                self.other.outbox_delivered(&ids(|ids| ids.1)).await.unwrap();
            }
            more => {
                let retry_at = (more == 2).then(|| self.random.time());
                self.model.outbox_failed(*model, "refused", retry_at).await.unwrap();
                self.other.outbox_failed(*other, "refused", retry_at).await.unwrap();
            }
        }
        self.messages(now, limit).await;
        self.messages_but(now, limit, *model, *other).await;
    }

    /// The messages that are due without one of them and those of a receiver.
    async fn messages_but(&mut self, now: Time, limit: usize, model: i64, other: i64) {
        let broker = [Arc::from("broker")];
        let targets = match self.random.below(3) {
            0 => Targets::Only(&broker),
            1 => Targets::Except(&broker),
            _ => Targets::Except(&[]),
        };
        let (model, other) = ([model], [other]);
        let ask = |except| OutboxAsk { except, targets, limit };
        let left = self.model.outbox_due(at(now), ask(&model)).await.unwrap();
        let right = self.other.outbox_due(at(now), ask(&other)).await.unwrap();
        assert_eq!(
            nameless(&left),
            nameless(&right),
            "at {now:?}, at most {limit} of {targets:?}"
        );
    }

    /// The messages that are due, which both stores must give in the same order: under which number each store
    /// knows them is its own business.
    async fn messages(&mut self, now: Time, limit: usize) -> Vec<(i64, i64)> {
        let left = self.model.outbox_due(at(now), OutboxAsk::up_to(limit)).await.unwrap();
        let right = self.other.outbox_due(at(now), OutboxAsk::up_to(limit)).await.unwrap();
        assert_eq!(nameless(&left), nameless(&right), "at {now:?}, at most {limit}");
        left.iter()
            .zip(&right)
            .map(|(left, right)| (left.id, right.id))
            .collect()
    }

    async fn workflows(&mut self) {
        let (namespace, limit) = (self.random.namespace(), self.random.limit());
        let workflow = WORKFLOWS[self.random.below(WORKFLOWS.len() as u64) as usize];
        if self.random.one_in(6) {
            same!(self, store => store.delete_workflow(&namespace, workflow));
        } else {
            let write = self.random.workflow(&namespace, workflow);
            same!(self, store => store.put_workflow(write.clone()));
        }
        same!(self, store => store.workflow(&namespace, workflow));
        same!(self, store => store.workflow_versions(&namespace, workflow));
        let after = self.random.one_in(2).then_some(workflow);
        same!(self, store => store.workflows(&namespace, after, limit));
        let digest = self.random.digest();
        same!(self, store => store.plan(digest));
    }

    async fn removals(&mut self) {
        if self.random.one_in(2) {
            let (namespace, number) = (self.random.namespace(), self.random.below(14));
            same!(self, store => store.delete_run(&namespace, id(number)));
        } else {
            let (before, now, limit) = (self.random.time(), self.random.past(), self.random.limit());
            same!(self, store => store.prune(before, now, limit));
        }
        self.random.forget(&self.model).await;
    }

    async fn records(&mut self) {
        let (namespace, now) = (self.random.namespace(), self.random.time());
        for scope in commands::SCOPES {
            for key in commands::KEYS {
                same!(self, store => store.idempotency(&namespace, scope, key, now));
            }
        }
    }

    async fn figures(&mut self) {
        let figures =
            |status: crate::query::StoreStatus| (status.runs, status.queued, status.outbox, status.outbox_dead);
        let left = figures(self.model.status().await.unwrap());
        let right = figures(self.other.status().await.unwrap());
        assert_eq!(left, right);
        same!(self, store => store.live_runs());
        for namespace in NAMESPACES {
            same!(self, store => store.namespace_usage(namespace));
        }
    }

    async fn whole_state(&mut self) {
        self.exact_wakes().await;
        self.figures().await;
        self.all_rows().await;
        same!(self, store => store.queued(&asks(&QUEUES), &Turns::default(), claim(0), usize::MAX));
        for namespace in NAMESPACES {
            same!(self, store => store.queue_counts(namespace));
        }
        self.messages(Time(i64::MAX), usize::MAX).await;
        for namespace in NAMESPACES {
            for number in self.random.runs() {
                same!(self, store => store.commits(namespace, id(number), 0, usize::MAX));
            }
            same!(self, store => store.workflows(namespace, None, usize::MAX));
        }
    }
}

fn at(now: Time) -> Claim {
    claim(now.0)
}

fn nameless(due: &[OutboxEntry]) -> Vec<OutboxEntry> {
    due.iter().map(|entry| OutboxEntry { id: 0, ..entry.clone() }).collect()
}

fn ids(due: &[DueRun]) -> BTreeSet<RunId> {
    due.iter().map(|run| run.id).collect()
}

/// Equal but for a time to wake that may be too early while the run is unfinished.
fn same_row(exact: &RunRow, lazy: &RunRow) {
    let wake_at = |row: &RunRow| row.wake_at.map_or(i64::MAX, |time| time.0);
    let same = RunRow {
        wake_at: exact.wake_at,
        ..lazy.clone()
    };
    assert_eq!(*exact, same);
    let kept = if exact.finished_at.is_some() {
        exact.wake_at == lazy.wake_at
    } else {
        wake_at(lazy) <= wake_at(exact)
    };
    assert!(
        kept,
        "{} wakes at {:?} instead of {:?}",
        exact.id, lazy.wake_at, exact.wake_at
    );
}
