//! What a commit comes to, decided unit by unit on what is stored, as the model does it.
//!
//! It knows the stored rows, records and versions that the units speak of, all read under their locks, and adds to them what
//! earlier units will have written. Nothing is written before everything is decided.

use std::collections::{BTreeMap, HashMap};

use quintet_core::id::RunId;
use quintet_store::{Commit, IdempotencyRecord, IdempotencyWrite, RunWrite, Unit, UnitResult, WorkflowPin};

use super::limits::Running;

/// Where a run stands: its namespace and version.
type Standing<'a> = (&'a str, u64);

/// Namespace, scope and key.
type Name = (String, String, String);

/// What is stored.
#[derive(Debug, Default)]
pub struct Known<'a> {
    pub runs: HashMap<RunId, (String, u64)>,
    /// Records that have not expired.
    pub records: HashMap<Name, IdempotencyRecord>,
    /// Current versions by namespace and id.
    pub workflows: HashMap<(String, String), u32>,
    /// Counted if the commit has limits.
    pub running: Running,
    /// What units before this one will have written: runs, and records, of which one may have expired at once.
    moved: HashMap<RunId, Standing<'a>>,
    remembered: HashMap<Name, Option<&'a IdempotencyRecord>>,
}

pub fn name(key: &IdempotencyWrite) -> Name {
    (key.namespace.to_string(), key.scope.to_string(), key.key.clone())
}

impl<'a> Known<'a> {
    /// What becomes of each unit.
    pub fn decide(&mut self, commit: &'a Commit) -> Vec<UnitResult> {
        commit.units.iter().map(|unit| self.apply(commit, unit)).collect()
    }

    fn apply(&mut self, commit: &Commit, unit: &'a Unit) -> UnitResult {
        if let Some(record) = unit.idempotency.as_ref().and_then(|key| self.used(key)) {
            return UnitResult::Duplicate(record.clone());
        }
        let moved = match self.look(&unit.runs) {
            Ok(moved) => moved,
            Err(run) => return UnitResult::Conflict(run),
        };
        if let Some(pin) = unit.pins.iter().find(|pin| !self.is_current(pin)) {
            return UnitResult::Outdated(pin.clone());
        }
        if let Some(limit) = self.running.full(unit) {
            return UnitResult::Full(limit);
        }
        if let Some(key) = &unit.idempotency {
            let lasts = key.expires_at > commit.meta.at;
            self.remembered.insert(name(key), lasts.then_some(&key.record));
        }
        self.moved.extend(moved);
        self.running.learn(unit);
        UnitResult::Applied
    }

    /// What is remembered under the key, unless it is what the key replaces.
    fn used(&self, key: &IdempotencyWrite) -> Option<&IdempotencyRecord> {
        let name = name(key);
        let known = self.remembered.get(&name).copied();
        let record = known.unwrap_or_else(|| self.records.get(&name))?;
        (key.replaces.as_ref() != Some(&record.answer)).then_some(record)
    }

    /// Where the runs will stand, or the first one that is not as the unit expects.
    fn look(&self, writes: &'a [RunWrite]) -> Result<BTreeMap<RunId, Standing<'a>>, RunId> {
        let mut moved = BTreeMap::new();
        for write in writes {
            let id = write.row.id;
            let fits = match moved.get(&id).copied().or_else(|| self.standing(id)) {
                Some((namespace, version)) => namespace == &*write.row.namespace && version == write.expected,
                None => write.expected == 0,
            };
            if !fits {
                return Err(id);
            }
            moved.insert(id, (&*write.row.namespace, write.row.version));
        }
        Ok(moved)
    }

    fn standing(&self, id: RunId) -> Option<Standing<'_>> {
        let stored = || self.runs.get(&id).map(|(namespace, version)| (&**namespace, *version));
        self.moved.get(&id).copied().or_else(stored)
    }

    fn is_current(&self, pin: &WorkflowPin) -> bool {
        self.workflows.get(&(pin.namespace.to_string(), pin.id.to_string())) == Some(&pin.version)
    }
}
