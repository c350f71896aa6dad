//! One commit: every unit of it, in one transaction.
//!
//! It goes the fast way if it can. A new run that exists already breaks that way for the whole commit; then, and for
//! everything unusual, there is the long way.

use std::collections::BTreeSet;

use quintet_store::{Commit, StoreError, Unit, UnitResult};

use super::{fast, long};
use crate::error::{Fault, Lost, Result, Verdict};
use crate::partition::{self, Day, Days};
use crate::session::Database;

/// How often a partition may be missing: whoever drops one does so once.
const TRIES: usize = 3;

/// Applies a batch; on an error nothing of it was applied, except with [`StoreError::Unknown`].
pub async fn commit(database: &Database, days: &Days, commit: Commit) -> Result<Vec<UnitResult>, StoreError> {
    commit.check()?;
    prepare(database, days, &commit)
        .await
        .map_err(|fault| fault.into_store(Lost::Harmless))?;
    let mut tries = 1;
    loop {
        match apply(database, &commit).await {
            Err(fault) if partition::is_missing(&fault) && tries < TRIES => {
                tries += 1;
                let remade = remake(database, days, &commit).await;
                remade.map_err(|fault| fault.into_store(Lost::Harmless))?;
            }
            other => return other.map_err(|fault| fault.into_store(Lost::Unknown)),
        }
    }
}

/// Makes sure that the history has a place for the runs, and for those of the next days.
async fn prepare(database: &Database, days: &Days, commit: &Commit) -> Result<()> {
    let missing = days.missing(days_of(commit).chain([Day::at(commit.meta.at)]));
    if missing.is_empty() {
        return Ok(());
    }
    let ahead = partition::ahead(commit.meta.at);
    let missing = days.missing(missing.into_iter().chain(ahead));
    partition::make(database, days, missing).await
}

/// Somebody dropped a partition that this process knew.
async fn remake(database: &Database, days: &Days, commit: &Commit) -> Result<()> {
    partition::learn(database, days).await?;
    let wanted: BTreeSet<Day> = days.missing(days_of(commit));
    partition::make(database, days, wanted).await
}

fn days_of(commit: &Commit) -> impl Iterator<Item = Day> + '_ {
    commit
        .units
        .iter()
        .flat_map(|unit| &unit.runs)
        .map(|write| Day::of(write.row.id))
}

async fn apply(database: &Database, commit: &Commit) -> Result<Vec<UnitResult>> {
    let Some(plan) = fast::plan(commit) else {
        return long::commit(database, commit).await;
    };
    match plan.run(database).await {
        Ok(results) => settle(database, commit, results).await,
        Err(fault) if fault.verdict() == Some(Verdict::Taken) => long::commit(database, commit).await,
        Err(fault) => Err(fault),
    }
}

/// Units that were left out for a reason that has gone since are applied by themselves. What was applied before stays, so
/// a failure leaves doubt.
async fn settle(database: &Database, commit: &Commit, results: Vec<Option<UnitResult>>) -> Result<Vec<UnitResult>> {
    if results.iter().all(Option::is_some) {
        return Ok(results.into_iter().flatten().collect());
    }
    let left = results.iter().zip(&commit.units).filter(|(result, _)| result.is_none());
    let units: Vec<Unit> = left.map(|(_, unit)| unit.clone()).collect();
    let rest = Commit {
        meta: commit.meta,
        units,
    };
    let rest = long::commit(database, &rest).await;
    let rest = rest.map_err(|fault| Fault::Store(StoreError::Unknown(fault.to_string())))?;
    let mut rest = rest.into_iter();
    Ok(results
        .into_iter()
        .filter_map(|result| result.or_else(|| rest.next()))
        .collect())
}
