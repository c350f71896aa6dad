//! Applying a unit: first every condition, then every change, so that a refused unit leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::time::Time;

use super::{Message, Remembered, Run, State, Taken, Waiting};
use crate::commit::{IdempotencyRecord, OutboxWrite, QueueChange, RunWrite, Unit, UnitResult};
use crate::node::WorkflowPin;
use crate::query::{OutboxEntry, StoredCommit};

impl State {
    pub(super) fn apply(&mut self, meta: Meta, unit: Unit) -> UnitResult {
        if let Some(key) = &unit.idempotency
            && let Some(record) = self.remembered(&key.namespace, &key.scope, &key.key, meta.at)
            && key.replaces.as_ref() != Some(&record.answer)
        {
            return UnitResult::Duplicate(record);
        }
        if let Some(run) = self.conflict(&unit.runs) {
            return UnitResult::Conflict(run);
        }
        if let Some(pin) = unit.pins.iter().find(|pin| !self.is_current(pin)) {
            return UnitResult::Outdated(pin.clone());
        }
        if let Some(limit) = self.full(&unit.limits, &unit.steps) {
            return UnitResult::Full(limit);
        }
        if let Some(key) = unit.idempotency {
            let remembered = Remembered {
                record: key.record,
                expires_at: key.expires_at,
            };
            self.idempotency.insert((key.namespace, key.scope, key.key), remembered);
        }
        for plan in unit.plans {
            self.plans.entry(plan.digest).or_insert(plan.spec);
        }
        unit.runs.into_iter().for_each(|write| self.write_run(meta, write));
        unit.outbox
            .into_iter()
            .for_each(|message| self.write_message(meta.at, message));
        unit.steps.into_iter().for_each(|row| self.write_step(row));
        unit.ended_steps
            .into_iter()
            .for_each(|run| self.end_steps(run, meta.at));
        unit.retried
            .into_iter()
            .for_each(|step| self.mark_retried(step, meta.at));
        for letter in unit.letters {
            self.letters.insert((letter.run, letter.node, letter.attempt), letter);
        }
        for notice in unit.notices {
            if !self.notices.contains(&notice) {
                self.notices.push(notice);
            }
        }
        UnitResult::Applied
    }

    fn is_current(&self, pin: &WorkflowPin) -> bool {
        let found = self.workflows.get(&(pin.namespace.clone(), pin.id.clone()));
        found.is_some_and(|workflow| workflow.versions.len() == pin.version as usize)
    }

    /// The first run that is not as the unit expects, where earlier writes of the unit count.
    fn conflict(&self, writes: &[RunWrite]) -> Option<RunId> {
        let mut moved: BTreeMap<RunId, (Arc<str>, u64)> = BTreeMap::new();
        for write in writes {
            let stored = || {
                self.runs
                    .get(&write.row.id)
                    .map(|run| (run.row.namespace.clone(), run.row.version))
            };
            let fits = match moved.get(&write.row.id).cloned().or_else(stored) {
                Some((namespace, version)) => namespace == write.row.namespace && version == write.expected,
                None => write.expected == 0,
            };
            if !fits {
                return Some(write.row.id);
            }
            moved.insert(write.row.id, (write.row.namespace.clone(), write.row.version));
        }
        None
    }

    fn write_run(&mut self, meta: Meta, write: RunWrite) {
        for change in write.queue {
            match change {
                QueueChange::Put { node, queue, priority } => {
                    let namespace = write.row.namespace.clone();
                    let waiting = Waiting {
                        namespace,
                        queue,
                        priority,
                        taken: Taken::default(),
                    };
                    self.queue.insert((write.row.id, node), waiting);
                }
                QueueChange::Remove { node } => drop(self.queue.remove(&(write.row.id, node))),
            }
        }
        let commit = StoredCommit {
            seq: write.row.version,
            meta,
            events: write.events,
        };
        let run = self.runs.entry(write.row.id).or_insert_with(|| Run {
            row: write.row.clone(),
            commits: Vec::new(),
            taken: Taken::default(),
        });
        run.row = write.row;
        run.taken = Taken::default();
        run.commits.push(commit);
    }

    fn write_message(&mut self, at: Time, message: OutboxWrite) {
        self.last_message += 1;
        let entry = OutboxEntry {
            id: self.last_message,
            target: message.target,
            key: message.key,
            message_id: message.message_id,
            body: message.body,
            attempts: 0,
            created_at: at,
        };
        self.outbox.insert(
            entry.id,
            Message {
                entry,
                due_at: at,
                dead: false,
                taken: Taken::default(),
            },
        );
    }

    pub(super) fn remembered(&self, namespace: &str, scope: &str, key: &str, now: Time) -> Option<IdempotencyRecord> {
        let found = self
            .idempotency
            .get(&(namespace.into(), scope.into(), key.to_owned()))?;
        (found.expires_at > now).then(|| found.record.clone())
    }
}
