//! Limits on steps in progress, judged so that commits of several nodes at the same time do not pass them together.
//!
//! Nothing in a table says that there is room for one more: rows are counted. So whoever counts to start a step first takes
//! the lock of what it counts, an advisory one that lasts to the end of the transaction, and counts in a statement of its
//! own after that, which sees all that the holder before it has committed. Such a commit takes these locks before it locks
//! any row, all of them in one order, and nobody who holds a row asks for one: so no two commits wait for each other.
//!
//! An end of a step asks for no lock; at worst its room is found by the next commit.
//!
//! The locks are a fixed number of places by the hash of the name, because a server has room for so many locks at a time.
//! Two names that share a place wait for each other at times and count each their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quintet_core::id::RunId;
use quintet_core::machine::StepStatus;
use quintet_store::{Commit, StepLimit, Unit};

use crate::codec::{self, Text, Uuid};
use crate::error::Result;
use crate::session::{Answer, Param, Step};
use crate::sql;

/// `quin` in bytes: the first half of the locks' numbers.
const CLASS: i32 = 0x7175_696e;

const PLACES: u32 = 1024;

/// What a limit counts: an action, and one of its queues or all.
type Counted<'a> = (&'a str, Option<&'a str>);

fn counted(limit: &StepLimit) -> Counted<'_> {
    (&limit.action, limit.queue.as_deref())
}

/// The lock of what is counted, by FNV-1a: it must be the same in every program of every version.
fn place((action, queue): Counted<'_>) -> i32 {
    // No text has 0xff in it.
    let bytes = action.bytes().chain(
        queue
            .into_iter()
            .flat_map(|queue| [0xff].into_iter().chain(queue.bytes())),
    );
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    // Its low bits alone know little of the first letters.
    ((hash ^ (hash >> 16)) % PLACES).cast_signed()
}

/// What must be asked for the limits of a commit, as columns.
pub struct Questions<'a> {
    places: Vec<i32>,
    actions: Vec<Text<'a>>,
    queues: Vec<Option<Text<'a>>>,
    /// Steps that the commit writes.
    runs: Vec<Uuid>,
    nodes: Vec<i64>,
    /// Runs that it ends.
    ended: Vec<Uuid>,
}

impl<'a> Questions<'a> {
    /// `None` of a commit without limits.
    pub fn of(commit: &'a Commit) -> Option<Self> {
        let names: BTreeSet<Counted<'_>> = commit.units.iter().flat_map(|unit| &unit.limits).map(counted).collect();
        if names.is_empty() {
            return None;
        }
        let places: BTreeSet<i32> = names.iter().copied().map(place).collect();
        let steps: BTreeSet<(RunId, u32)> = commit
            .units
            .iter()
            .flat_map(|unit| &unit.steps)
            .map(|row| (row.run, row.node))
            .collect();
        let ended: BTreeSet<RunId> = commit
            .units
            .iter()
            .flat_map(|unit| &unit.ended_steps)
            .copied()
            .collect();
        Some(Self {
            places: places.into_iter().collect(),
            actions: names.iter().map(|(action, _)| Text(action)).collect(),
            queues: names.iter().map(|(_, queue)| queue.map(Text)).collect(),
            runs: steps.iter().map(|(run, _)| Uuid(*run)).collect(),
            nodes: steps.iter().map(|(_, node)| i64::from(*node)).collect(),
            ended: ended.into_iter().map(Uuid).collect(),
        })
    }

    /// Before any other lock.
    pub fn lock(&self) -> Step<'_> {
        let params: Vec<Param<'_>> = vec![&CLASS, &self.places];
        Step::Run(&sql::STEPS_LOCK, params)
    }

    /// After the rows of the runs are locked, whose steps then stay as they are.
    pub fn count(&self) -> [Step<'_>; 2] {
        [
            Step::Run(&sql::STEPS_COUNT_RUNNING, vec![&self.actions, &self.queues]),
            Step::Run(&sql::STEPS_RUNNING, vec![&self.runs, &self.nodes, &self.ended]),
        ]
    }
}

/// How many steps are in progress.
#[derive(Debug, Default)]
pub struct Running {
    /// By action and queue, without those below.
    others: HashMap<(String, Option<String>), u64>,
    /// Of the steps that the commit speaks of, those that are in progress where the units so far leave them: with action
    /// and queue.
    own: BTreeMap<(RunId, u32), (String, String)>,
}

impl Running {
    /// From the answers to [`Questions::count`].
    pub fn read(counts: &Answer, own: &Answer) -> Result<Self> {
        let mut running = Self::default();
        for row in &own.rows {
            let key = (codec::run_id(row, 0)?, codec::small(row, 1)?);
            running
                .own
                .insert(key, (codec::string(row, 2)?, codec::string(row, 3)?));
        }
        for row in &counts.rows {
            let (action, queue) = (codec::string(row, 0)?, codec::string_or_none(row, 1)?);
            let own = running.of_own(&action, queue.as_deref()).count() as u64;
            let others = codec::unsigned(row, 2)?.saturating_sub(own);
            running.others.insert((action, queue), others);
        }
        Ok(running)
    }

    fn of_own(&self, action: &str, queue: Option<&str>) -> impl Iterator<Item = &(RunId, u32)> {
        let fits = move |own: &(String, String)| own.0 == action && queue.is_none_or(|queue| own.1 == queue);
        self.own.iter().filter(move |(_, own)| fits(own)).map(|(key, _)| key)
    }

    /// The first limit that the unit would pass.
    pub fn full(&self, unit: &Unit) -> Option<StepLimit> {
        let written: BTreeSet<(RunId, u32)> = unit.steps.iter().map(|row| (row.run, row.node)).collect();
        let passed = |limit: &&StepLimit| {
            let (action, queue) = counted(limit);
            let name = (action.to_owned(), queue.map(str::to_owned));
            let others = self.others.get(&name).copied().unwrap_or(0);
            let own = self.of_own(action, queue).filter(|key| !written.contains(key)).count();
            let starting = unit.steps.iter().filter(|row| {
                row.status == StepStatus::InProgress
                    && *row.action == *action
                    && queue.is_none_or(|queue| *row.queue == *queue)
            });
            others + (own + starting.count()) as u64 > u64::from(limit.max)
        };
        unit.limits.iter().find(passed).cloned()
    }

    /// What an applied unit leaves to the units after it.
    pub fn learn(&mut self, unit: &Unit) {
        for row in &unit.steps {
            if row.status == StepStatus::InProgress {
                let name = (row.action.to_string(), row.queue.to_string());
                self.own.insert((row.run, row.node), name);
            } else {
                self.own.remove(&(row.run, row.node));
            }
        }
        self.own.retain(|(run, _), _| !unit.ended_steps.contains(run));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_the_same_place_in_every_version() {
        let places = [("push", None), ("push", Some("")), ("push", Some("a")), ("pusha", None)].map(place);
        assert_eq!(places, [178, 456, 623, 443]);
    }

    #[test]
    fn names_are_spread_over_the_places() {
        let names: Vec<String> = (0..1024).map(|number| format!("task-{number}")).collect();
        let places: BTreeSet<i32> = names.iter().map(|name| place(("push", Some(name)))).collect();
        assert!(places.len() > 500, "only {} places", places.len());
        assert!(places.iter().all(|place| (0..1024).contains(place)));
    }
}
