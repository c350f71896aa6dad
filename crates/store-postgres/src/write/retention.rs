//! Removing what is over. Only a finished run is ever removed, and that is asked again by the statement that does it:
//! between the search and the removal somebody may have opened the run again.
//!
//! Where the whole day of a run goes, its history is left to the partition, which is dropped when the last run of the day
//! has gone: no row of it is deleted one by one. Nobody sees it meanwhile, because a history is only read with its run.

use std::collections::BTreeMap;

use quintet_core::id::RunId;
use quintet_core::time::Time;

use crate::codec::{self, Text, Uuid, get};
use crate::error::Result;
use crate::partition::{self, Day, Days, Whole};
use crate::session::{BEGIN, COMMIT, Database, Param, ROLLBACK, Step};
use crate::sql;

/// Expired records removed by one statement.
const RECORDS: i64 = 1000;

/// Runs removed by one transaction.
const RUNS: usize = 500;

/// Removes one run of a namespace, with its dead letters: whoever removes one run wants nothing left of it.
pub async fn delete_run(database: &Database, namespace: &str, id: RunId) -> Result<bool> {
    let within = database.within(namespace);
    let (only, ids, any) = (Text(namespace), vec![Uuid(id)], None::<i64>);
    let mut session = database.session().await?;
    let mut steps = within.begin();
    steps.push(Step::Run(&sql::RUNS_DELETE, vec![&ids, &only, &any]));
    let gone = session.flight(&steps).await?.pop().unwrap_or_default();
    if gone.rows.is_empty() {
        session.flight(&[ROLLBACK]).await?;
        return Ok(false);
    }
    // It was of this namespace, and so is what hangs on it.
    let mut steps: Vec<Step<'_>> = within.leave().into_iter().collect();
    steps.extend([
        Step::Run(&sql::QUEUE_REMOVE_RUNS, vec![&ids]),
        Step::Run(&sql::STEPS_DELETE, vec![&ids]),
        Step::Run(&sql::LETTERS_DELETE, vec![&ids]),
        Step::Run(&sql::HISTORY_DELETE, vec![&ids]),
        COMMIT,
    ]);
    session.flight(&steps).await?;
    Ok(true)
}

pub async fn prune(database: &Database, days: &Days, before: Time, now: Time, limit: usize) -> Result<u64> {
    while database
        .run(&sql::IDEMPOTENCY_PRUNE, &[&now.0, &RECORDS])
        .await?
        .affected
        == RECORDS.unsigned_abs()
    {}
    let answer = database
        .read(&sql::RUNS_ENDED, &[&before.0, &codec::limit(limit)])
        .await?;
    let mut by_day: BTreeMap<Day, Vec<RunId>> = BTreeMap::new();
    for id in codec::all(&answer.rows, |row| codec::run_id(row, 0))? {
        by_day.entry(Day::of(id)).or_default().push(id);
    }
    let mut removed = 0;
    for (day, ids) in by_day {
        let whole = judge(database, days, day, before).await?;
        for some in ids.chunks(RUNS) {
            removed += remove(database, some, before, whole).await?;
        }
    }
    drop_empty(database, days, before).await?;
    Ok(removed)
}

/// Dead letters stay: they have a retention of their own.
async fn remove(database: &Database, ids: &[RunId], before: Time, whole: Whole) -> Result<u64> {
    let (ids, before): (Vec<Uuid>, _) = (ids.iter().copied().map(Uuid).collect(), Some(before.0));
    let mut session = database.session().await?;
    let params: Vec<Param<'_>> = vec![&ids, &None::<Text<'_>>, &before];
    let gone = session
        .flight(&[BEGIN, Step::Run(&sql::RUNS_DELETE, params)])
        .await?
        .remove(1);
    let gone: Vec<Uuid> = gone.rows.iter().map(|row| get(row, 0)).collect::<Result<_>>()?;
    let mut steps = vec![
        Step::Run(&sql::QUEUE_REMOVE_RUNS, vec![&gone]),
        Step::Run(&sql::STEPS_DELETE, vec![&gone]),
    ];
    if whole == Whole::Run {
        steps.push(Step::Run(&sql::HISTORY_DELETE, vec![&gone]));
    }
    steps.push(COMMIT);
    session.flight(&steps).await?;
    Ok(gone.len() as u64)
}

/// Whether a day is over and none of its runs is kept. To ask that is to look at the whole day, so the answer is good for
/// an hour of `before`: if it is wrong by then, histories lie a while longer where nobody sees them.
async fn judge(database: &Database, days: &Days, day: Day, before: Time) -> Result<Whole> {
    if day >= Day::at(before) {
        return Ok(Whole::Run);
    }
    let hour = before.as_ms() / 3_600_000;
    if let Some(goes) = days.judged(day, hour) {
        return Ok(goes);
    }
    let (first, last) = (Uuid(day.first()), Uuid(day.last()));
    let kept = database.read(&sql::RUNS_KEPT, &[&first, &last, &before.0]).await?;
    let whole = if get(kept.single()?, 0)? {
        Whole::Run
    } else {
        Whole::Day
    };
    days.judge(day, hour, whole);
    Ok(whole)
}

/// Drops the partitions of past days without runs.
async fn drop_empty(database: &Database, days: &Days, before: Time) -> Result<()> {
    let over = Day::at(before);
    partition::learn(database, days).await?;
    for day in days.known().into_iter().take_while(|day| *day < over) {
        let (first, last) = (Uuid(day.first()), Uuid(day.last()));
        let left = database.read(&sql::RUNS_ANY, &[&first, &last]).await?;
        if !get::<bool>(left.single()?, 0)? {
            partition::drop_day(database, days, day).await?;
        }
    }
    Ok(())
}
