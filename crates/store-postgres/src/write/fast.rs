//! The fast way of a commit: one statement, or one for what moves and one for what starts, or one more for the rows of
//! steps, and one round trip.
//!
//! PostgreSQL decides here, by conditions in the statements, and answers the places of the units that it applied. That
//! works for units that have nothing to do with each other: no run and no key twice in the commit, and each unit either
//! moves one run and nothing else decides about it, or only starts runs. Nearly every commit is like that. Limits are not for
//! this way, nor is another try of a failed step.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use quintet_core::id::RunId;
use quintet_store::{Commit, IdempotencyRecord, Unit, UnitResult, WorkflowPin};

use super::columns::{Changes, Keys, Messages, Notices, Pins, Runs};
use super::steps::{Letters, Steps};
use super::units::name;
use crate::codec::{self, Text, Uuid, get};
use crate::counters::Way;
use crate::error::Result;
use crate::session::{Answer, BEGIN, COMMIT, Database, Param, Step};
use crate::sql;

/// A commit that can go the fast way, as columns.
pub struct Plan<'a> {
    commit: &'a Commit,
    at: i64,
    owner: i64,
    moves: Runs<'a>,
    move_events: Vec<Text<'a>>,
    /// Of each run that moves, the place of its unit; the others of this kind are the same for what they go with.
    move_place: Vec<i64>,
    starts: Runs<'a>,
    start_events: Vec<Text<'a>>,
    start_place: Vec<i64>,
    /// Of each run that starts, which pin it counts on.
    start_pin: Vec<Option<i64>>,
    /// Units that start runs, and which pin each counts on.
    unit_place: Vec<i64>,
    unit_pin: Vec<Option<i64>>,
    keys: Keys<'a>,
    pins: Pins<'a>,
    changes: Changes<'a>,
    messages: Messages<'a>,
    notices: Notices,
    steps: Steps<'a>,
    letters: Letters<'a>,
    digests: Vec<&'a [u8]>,
    specs: Vec<Text<'a>>,
    /// Which unit brings which plan.
    plan_place: Vec<i64>,
    plan_digest: Vec<&'a [u8]>,
}

/// Sorts the units, unless one of them needs the long way.
pub fn plan(commit: &Commit) -> Option<Plan<'_>> {
    let (mut runs, mut keys) = (HashSet::new(), HashSet::new());
    let fits = |unit: &Unit| {
        let unique = unit.runs.iter().all(|write| runs.insert(write.row.id))
            && unit.idempotency.as_ref().is_none_or(|key| keys.insert(name(key)));
        unique && (is_move(unit) || is_start(unit)) && keeps_to_its_runs(unit)
    };
    commit.units.iter().all(fits).then(|| Plan::of(commit))
}

fn is_move(unit: &Unit) -> bool {
    let one = matches!(&unit.runs[..], [write] if write.expected > 0);
    one && unit.idempotency.is_none() && unit.plans.is_empty() && unit.pins.is_empty()
}

/// What a unit says of steps is guarded by the rows of its own runs, and by nothing else.
fn keeps_to_its_runs(unit: &Unit) -> bool {
    let is_own = |run: RunId| unit.runs.iter().any(|write| write.row.id == run);
    unit.limits.is_empty()
        && unit.retried.is_empty()
        && unit.steps.iter().all(|row| is_own(row.run))
        && unit.ended_steps.iter().copied().all(is_own)
        && unit.letters.iter().all(|letter| is_own(letter.run))
}

fn is_start(unit: &Unit) -> bool {
    !unit.runs.is_empty() && unit.runs.iter().all(|write| write.expected == 0) && unit.pins.len() <= 1
}

impl<'a> Plan<'a> {
    fn of(commit: &'a Commit) -> Self {
        let mut plan = Self {
            commit,
            at: commit.meta.at.0,
            owner: commit.meta.owner.cast_signed(),
            moves: Runs::default(),
            move_events: Vec::new(),
            move_place: Vec::new(),
            starts: Runs::default(),
            start_events: Vec::new(),
            start_place: Vec::new(),
            start_pin: Vec::new(),
            unit_place: Vec::new(),
            unit_pin: Vec::new(),
            keys: Keys::default(),
            pins: Pins::default(),
            changes: Changes::default(),
            messages: Messages::default(),
            notices: Notices::default(),
            steps: Steps::default(),
            letters: Letters::default(),
            digests: Vec::new(),
            specs: Vec::new(),
            plan_place: Vec::new(),
            plan_digest: Vec::new(),
        };
        let units = commit.units.iter().zip(1..);
        let (moves, starts): (Vec<_>, Vec<_>) = units.clone().partition(|(unit, _)| is_move(unit));
        plan.add_moves(moves);
        plan.add_starts(starts);
        // In the order of the units: messages get their numbers in it.
        for (unit, place) in units {
            unit.runs.iter().for_each(|write| plan.changes.add(place, write));
            unit.outbox
                .iter()
                .for_each(|message| plan.messages.push(place, message));
            unit.notices.iter().for_each(|notice| plan.notices.push(place, *notice));
            plan.steps.add(commit.meta.at, unit);
            plan.letters.add(commit.meta.at, unit);
        }
        plan
    }

    fn add_moves(&mut self, mut units: Vec<(&'a Unit, i64)>) {
        units.sort_by_key(|(unit, _)| unit.runs[0].row.id);
        for (unit, place) in units {
            let write = &unit.runs[0];
            self.moves.push(&write.row);
            self.move_events.push(Text(&write.events));
            self.move_place.push(place);
        }
    }

    fn add_starts(&mut self, units: Vec<(&'a Unit, i64)>) {
        let (mut pins, mut plans) = (HashMap::new(), BTreeMap::new());
        for (unit, place) in units {
            let pin = unit.pins.first().map(|pin| self.pin(&mut pins, pin));
            self.unit_place.push(place);
            self.unit_pin.push(pin);
            let key = unit.idempotency.as_ref();
            self.keys.push(key, key.and_then(|key| key.replaces.as_deref()));
            for write in &unit.runs {
                self.starts.push(&write.row);
                self.start_events.push(Text(&write.events));
                self.start_place.push(place);
                self.start_pin.push(pin);
            }
            for plan in &unit.plans {
                plans.entry(plan.digest).or_insert(plan);
                self.plan_place.push(place);
                self.plan_digest.push(&plan.digest.0);
            }
        }
        for plan in plans.into_values() {
            self.digests.push(&plan.digest.0);
            self.specs.push(Text(&plan.spec));
        }
    }

    /// The place of a pin among the different ones.
    fn pin(&mut self, known: &mut HashMap<(&'a str, &'a str, u32), i64>, pin: &'a WorkflowPin) -> i64 {
        let next = codec::limit(known.len()) + 1;
        *known.entry((&pin.namespace, &pin.id, pin.version)).or_insert_with(|| {
            self.pins.push(&pin.namespace, &pin.id, pin.version);
            next
        })
    }

    /// Whether there is nothing but runs, each in a unit of its own.
    fn is_plain(&self) -> bool {
        self.starts.len() == self.unit_place.len()
            && self.keys.is_empty()
            && self.changes.is_empty()
            && self.messages.len() == 0
            && self.notices.len() == 0
            && self.steps.is_empty()
            && self.letters.is_empty()
            && self.digests.is_empty()
    }

    /// Applies the commit. What to say of a unit that was left out is asked afterwards, if there is one; `None` of one that
    /// by then could be applied.
    pub async fn run(&self, database: &Database) -> Result<Vec<Option<UnitResult>>> {
        let (applied, ended) = if self.is_plain() {
            (self.send_plain(database).await?, 0)
        } else {
            self.send_all(database).await?
        };
        let mut results: Vec<Option<UnitResult>> = vec![None; self.commit.units.len()];
        for (unit, result) in self
            .commit
            .units
            .iter()
            .zip(&mut results)
            .filter(|(unit, _)| is_move(unit))
        {
            *result = Some(UnitResult::Conflict(unit.runs[0].row.id));
        }
        let mut written = ended;
        for place in applied.into_iter().filter_map(|place| usize::try_from(place - 1).ok()) {
            results[place] = Some(UnitResult::Applied);
            written += rows(&self.commit.units[place]);
        }
        database.meters.commit(Way::Fast, written);
        self.explain(database, &mut results).await?;
        Ok(results)
    }

    async fn send_plain(&self, database: &Database) -> Result<Vec<i64>> {
        let (mut moves, mut starts): (Vec<Param<'_>>, Vec<Param<'_>>) = (vec![&self.at, &self.owner], Vec::new());
        starts.clone_from(&moves);
        moves.extend(self.moves.params());
        moves.push(&self.move_events);
        starts.extend(self.starts.params());
        starts.extend([&self.start_events as Param<'_>, &self.start_pin]);
        starts.extend(self.pins.params());
        let (moves, starts) = (
            Step::Run(&sql::COMMIT_MOVE, moves),
            Step::Run(&sql::COMMIT_START, starts),
        );
        let (steps, places) = match (self.moves.is_empty(), self.starts.is_empty()) {
            (true, true) => return Ok(Vec::new()),
            (false, true) => (vec![moves], vec![&self.move_place]),
            (true, false) => (vec![starts], vec![&self.start_place]),
            (false, false) => (
                vec![BEGIN, moves, starts, COMMIT],
                vec![&self.move_place, &self.start_place],
            ),
        };
        let answers = database.flight(&steps).await?;
        let mut applied = Vec::new();
        for (answer, places) in answers.iter().filter(|answer| !answer.rows.is_empty()).zip(places) {
            let found = numbers(answer)?.into_iter().filter_map(|n| usize::try_from(n - 1).ok());
            applied.extend(found.filter_map(|n| places.get(n)));
        }
        Ok(applied)
    }

    /// Also answers how many steps ended with their runs.
    async fn send_all(&self, database: &Database) -> Result<(Vec<i64>, u64)> {
        let (puts, removals) = self.changes.split();
        let mut params: Vec<Param<'_>> = vec![&self.at, &self.owner];
        params.extend(self.moves.params());
        params.extend([&self.move_events as Param<'_>, &self.move_place]);
        params.extend(self.starts.params());
        params.extend([&self.start_events as Param<'_>, &self.start_place]);
        params.extend([&self.unit_place as Param<'_>, &self.unit_pin]);
        params.extend(self.keys.params());
        params.extend(self.pins.params());
        params.extend(puts.params());
        params.extend(removals.params());
        params.extend(self.messages.params());
        params.extend(self.notices.params());
        params.extend([
            &self.digests as Param<'_>,
            &self.specs,
            &self.plan_place,
            &self.plan_digest,
            self.keys.replaces(),
        ]);
        if self.steps.is_empty() && self.letters.is_empty() {
            return Ok((numbers(&database.run(&sql::COMMIT_ALL, &params).await?)?, 0));
        }
        self.send_with_steps(database, params).await
    }

    async fn send_with_steps(&self, database: &Database, all: Vec<Param<'_>>) -> Result<(Vec<i64>, u64)> {
        let ((rows, ended), (papers, _)) = (self.steps.columns(), self.letters.columns());
        let runs: BTreeSet<RunId> = self.steps.runs().chain(self.letters.runs()).collect();
        let runs: Vec<Uuid> = runs.into_iter().map(Uuid).collect();
        let mut params: Vec<Param<'_>> = vec![&self.at, &runs];
        params.extend(rows.params());
        params.push(&ended);
        params.extend(papers.params());
        let steps = [
            BEGIN,
            Step::Run(&sql::COMMIT_ALL, all),
            Step::Run(&sql::COMMIT_STEPS, params),
            COMMIT,
        ];
        let answers = database.flight(&steps).await?;
        Ok((numbers(&answers[1])?, codec::unsigned(answers[2].single()?, 0)?))
    }

    /// Says why starts were left out: a key that was used before comes before a workflow that has changed.
    async fn explain(&self, database: &Database, results: &mut [Option<UnitResult>]) -> Result<()> {
        let units = self.commit.units.iter().enumerate();
        let left: Vec<(usize, &Unit)> = units.filter(|(place, _)| results[*place].is_none()).collect();
        if left.is_empty() {
            return Ok(());
        }
        let (mut namespaces, mut scopes, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for key in left.iter().filter_map(|(_, unit)| unit.idempotency.as_ref()) {
            namespaces.push(Text(&key.namespace));
            scopes.push(Text(&key.scope));
            keys.push(Text(&key.key));
        }
        let mut pins = Pins::default();
        for pin in left.iter().flat_map(|(_, unit)| &unit.pins) {
            pins.push(&pin.namespace, &pin.id, pin.version);
        }
        let steps = [
            Step::Run(
                &sql::IDEMPOTENCY_FIND,
                vec![&namespaces, &scopes, &keys, &self.commit.meta.at.0],
            ),
            Step::Run(&sql::WORKFLOWS_CURRENT, pins.names().to_vec()),
        ];
        let answers = database.flight(&steps).await?;
        let (records, current) = (records(&answers[0])?, current(&answers[1])?);
        for (place, unit) in left {
            let used = unit.idempotency.as_ref().and_then(|key| {
                let record = records.get(&name(key))?;
                (key.replaces.as_ref() != Some(&record.answer)).then_some(record)
            });
            results[place] = match (used, outdated(unit, &current)) {
                (Some(record), _) => Some(UnitResult::Duplicate(record.clone())),
                (None, Some(pin)) => Some(UnitResult::Outdated(pin.clone())),
                (None, None) => None,
            };
        }
        Ok(())
    }
}

fn outdated<'a>(unit: &'a Unit, current: &HashMap<(String, String), u32>) -> Option<&'a WorkflowPin> {
    let is_current =
        |pin: &WorkflowPin| current.get(&(pin.namespace.to_string(), pin.id.to_string())) == Some(&pin.version);
    unit.pins.iter().find(|pin| !is_current(pin))
}

fn records(answer: &Answer) -> Result<HashMap<(String, String, String), IdempotencyRecord>> {
    let read = |row: &tokio_postgres::Row| {
        let name = (codec::string(row, 0)?, codec::string(row, 1)?, codec::string(row, 2)?);
        Ok((name, codec::record(row, 3)?))
    };
    answer.rows.iter().map(read).collect()
}

fn current(answer: &Answer) -> Result<HashMap<(String, String), u32>> {
    let read =
        |row: &tokio_postgres::Row| Ok(((codec::string(row, 0)?, codec::string(row, 1)?), codec::small(row, 2)?));
    answer.rows.iter().map(read).collect()
}

/// The numbers that a statement answered.
fn numbers(answer: &Answer) -> Result<Vec<i64>> {
    get(answer.single()?, 0)
}

/// How many rows an applied unit writes; an entry that is removed counts as there.
fn rows(unit: &Unit) -> u64 {
    let queue: usize = unit.runs.iter().map(|write| write.queue.len()).sum();
    let count = 2 * unit.runs.len() + queue + unit.outbox.len() + unit.notices.len() + unit.plans.len();
    let count = count + unit.steps.len() + unit.letters.len();
    count as u64 + u64::from(unit.idempotency.is_some())
}
