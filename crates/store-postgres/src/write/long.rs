//! The long way of a commit, which every commit can go: read under locks, decide in memory, write. Two round trips.
//!
//! What cannot be locked because it is not there yet, a new run or a new key, is guarded by the primary key of its table:
//! whoever was faster makes the transaction fail as a whole, and it begins again and sees it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::{Commit, RunWrite, Unit, UnitResult};

use super::columns::{Changes, History, Keys, Messages, Notices, Pins, Runs};
use super::limits::{Questions, Running};
use super::steps::{Letters, Steps};
use super::units::{Known, name};
use crate::codec::{self, Text, Uuid};
use crate::counters::Way;
use crate::error::{Result, Verdict};
use crate::session::{Answer, BEGIN, COMMIT, Database, Param, ROLLBACK, Session, Step};
use crate::sql;

/// How often somebody may be faster.
const TRIES: usize = 20;

pub async fn commit(database: &Database, commit: &Commit) -> Result<Vec<UnitResult>> {
    let mut tries = 1;
    loop {
        match attempt(database, commit).await {
            Err(fault) if matches!(fault.verdict(), Some(Verdict::Taken | Verdict::Again)) && tries < TRIES => {
                tries += 1;
            }
            other => return other,
        }
    }
}

async fn attempt(database: &Database, commit: &Commit) -> Result<Vec<UnitResult>> {
    let mut session = database.session().await?;
    let mut known = look(&mut session, commit).await?;
    let results = known.decide(commit);
    let applied = commit
        .units
        .iter()
        .zip(&results)
        .filter(|(_, result)| **result == UnitResult::Applied);
    let applied: Vec<&Unit> = applied.map(|(unit, _)| unit).collect();
    let rows = write(&mut session, commit, &known, &applied).await?;
    database.meters.commit(Way::Long, rows);
    Ok(results)
}

/// Locks and reads what the units speak of.
async fn look<'a>(session: &mut Session<'_>, commit: &Commit) -> Result<Known<'a>> {
    let runs: BTreeSet<RunId> = writes(&commit.units).map(|write| write.row.id).collect();
    let runs: Vec<Uuid> = runs.into_iter().map(Uuid).collect();
    let (mut namespaces, mut scopes, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for key in commit.units.iter().filter_map(|unit| unit.idempotency.as_ref()) {
        namespaces.push(Text(&key.namespace));
        scopes.push(Text(&key.scope));
        keys.push(Text(&key.key));
    }
    let mut pins = Pins::default();
    for pin in commit.units.iter().flat_map(|unit| &unit.pins) {
        pins.push(&pin.namespace, &pin.id, pin.version);
    }
    let limits = Questions::of(commit);
    let mut steps = vec![BEGIN];
    steps.extend(limits.as_ref().map(Questions::lock));
    let first = steps.len();
    steps.extend([
        Step::Run(&sql::RUNS_LOCK, vec![&runs]),
        Step::Run(
            &sql::IDEMPOTENCY_FIND,
            vec![&namespaces, &scopes, &keys, &commit.meta.at.0],
        ),
        Step::Run(&sql::WORKFLOWS_CURRENT, pins.names().to_vec()),
    ]);
    steps.extend(limits.as_ref().map(Questions::count).into_iter().flatten());
    let answers = session.flight(&steps).await?;
    read(&answers[first..])
}

fn read<'a>(answers: &[Answer]) -> Result<Known<'a>> {
    let mut known = Known::default();
    for row in &answers[0].rows {
        let standing = (codec::string(row, 1)?, codec::unsigned(row, 2)?);
        known.runs.insert(codec::run_id(row, 0)?, standing);
    }
    for row in &answers[1].rows {
        let name = (codec::string(row, 0)?, codec::string(row, 1)?, codec::string(row, 2)?);
        known.records.insert(name, codec::record(row, 3)?);
    }
    for row in &answers[2].rows {
        known
            .workflows
            .insert((codec::string(row, 0)?, codec::string(row, 1)?), codec::small(row, 2)?);
    }
    if let [_, _, _, counts, own] = answers {
        known.running = Running::read(counts, own)?;
    }
    Ok(known)
}

fn writes<'a>(units: impl IntoIterator<Item = &'a Unit>) -> impl Iterator<Item = &'a RunWrite> {
    units.into_iter().flat_map(|unit| &unit.runs)
}

/// Writes all that the applied units change; answers how many rows that is.
async fn write(session: &mut Session<'_>, commit: &Commit, known: &Known<'_>, applied: &[&Unit]) -> Result<u64> {
    if applied.is_empty() {
        session.flight(&[ROLLBACK]).await?;
        return Ok(0);
    }
    let changed = Changed::of(known, commit.meta.at, applied);
    let (at, owner) = (commit.meta.at.0, commit.meta.owner.cast_signed());
    let (puts, removals) = changed.queue.split();
    let ((rows, ended), (papers, retries)) = (changed.steps.columns(), changed.letters.columns());
    let statements = [
        (
            changed.keys.is_empty(),
            &sql::IDEMPOTENCY_EXPIRE,
            with(&changed.keys.params()[..3], &[changed.keys.replaces(), &at]),
        ),
        (
            changed.keys.is_empty(),
            &sql::IDEMPOTENCY_INSERT,
            changed.keys.params().to_vec(),
        ),
        (
            changed.digests.is_empty(),
            &sql::PLANS_PUT,
            vec![&changed.digests, &changed.specs],
        ),
        (
            changed.moved.is_empty(),
            &sql::RUNS_UPDATE,
            with(&[&owner], &changed.moved.params()),
        ),
        (
            changed.started.is_empty(),
            &sql::HISTORY_DELETE,
            vec![changed.started.ids()],
        ),
        (
            changed.started.is_empty(),
            &sql::RUNS_INSERT,
            with(&[&owner], &changed.started.params()),
        ),
        (
            changed.history.is_empty(),
            &sql::HISTORY_INSERT,
            with(&[&at, &owner], &changed.history.params()),
        ),
        (removals.len() == 0, &sql::QUEUE_REMOVE, removals.params()[1..].to_vec()),
        (puts.len() == 0, &sql::QUEUE_PUT, puts.params()[1..].to_vec()),
        (
            changed.messages.len() == 0,
            &sql::OUTBOX_PUT,
            with(&[&at], &changed.messages.params()[1..]),
        ),
        (ended.is_empty(), &sql::STEPS_END, vec![&ended, &at]),
        (rows.is_empty(), &sql::STEPS_PUT, rows.params().to_vec()),
        (retries.is_empty(), &sql::LETTERS_RETRY, with(&retries.params(), &[&at])),
        (papers.is_empty(), &sql::LETTERS_PUT, papers.params().to_vec()),
        (
            changed.notices.len() == 0,
            &sql::NOTICES_PUT,
            changed.notices.params()[1..].to_vec(),
        ),
    ];
    let needed = statements.into_iter().filter(|(empty, ..)| !empty);
    let mut steps: Vec<Step<'_>> = needed
        .map(|(_, statement, params)| Step::Run(statement, params))
        .collect();
    steps.push(COMMIT);
    let answers = session.flight(&steps).await?;
    Ok(answers.iter().map(|answer| answer.affected).sum())
}

fn with<'a>(first: &[Param<'a>], columns: &[Param<'a>]) -> Vec<Param<'a>> {
    [first, columns].concat()
}

/// What is written, each row once, as the last unit leaves it.
#[derive(Default)]
struct Changed<'a> {
    keys: Keys<'a>,
    digests: Vec<&'a [u8]>,
    specs: Vec<Text<'a>>,
    started: Runs<'a>,
    moved: Runs<'a>,
    history: History<'a>,
    queue: Changes<'a>,
    messages: Messages<'a>,
    notices: Notices,
    steps: Steps<'a>,
    letters: Letters<'a>,
}

impl<'a> Changed<'a> {
    fn of(known: &'a Known<'_>, at: Time, applied: &[&'a Unit]) -> Self {
        let mut changed = Self::default();
        let (mut last, mut keys, mut plans) = (BTreeMap::new(), HashMap::new(), BTreeMap::new());
        for unit in applied.iter().copied() {
            for write in &unit.runs {
                last.insert(write.row.id, &write.row);
                changed.history.push(write);
                changed.queue.add(0, write);
            }
            keys.extend(unit.idempotency.as_ref().map(|key| (name(key), key)));
            plans.extend(unit.plans.iter().map(|plan| (plan.digest, plan)));
            unit.outbox.iter().for_each(|message| changed.messages.push(0, message));
            unit.notices.iter().for_each(|notice| changed.notices.push(0, *notice));
            changed.steps.add(at, unit);
            changed.letters.add(at, unit);
        }
        for row in last.into_values() {
            let there = known.runs.contains_key(&row.id);
            if there {
                changed.moved.push(row)
            } else {
                changed.started.push(row)
            }
        }
        for plan in plans.into_values() {
            changed.digests.push(&plan.digest.0);
            changed.specs.push(Text(&plan.spec));
        }
        // A key that is written twice in one commit had expired or was replaced in between: the last one stays, in the
        // place of what is stored.
        for (name, key) in keys {
            let stored = known.records.get(&name).map(|record| &*record.answer);
            changed.keys.push(Some(key), stored);
        }
        changed
    }
}
