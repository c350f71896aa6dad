//! Taking work: what one node takes is not shown to another one until the claim ends.

use std::collections::{BTreeMap, BTreeSet};

use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::{Claim, DueRun, OutboxEntry, QueueEntry};

use crate::codec::{self, Text, Uuid, limit as sql_limit, micros, signed};
use crate::error::Result;
use crate::session::{Database, Param};
use crate::sql;

pub async fn due(database: &Database, claim: Claim, limit: usize) -> Result<Vec<DueRun>> {
    let params: [Param<'_>; 4] = [
        &claim.now.0,
        &claim.owner.cast_signed(),
        &claim.until.0,
        &sql_limit(limit),
    ];
    codec::all(&database.run(&sql::RUNS_DUE, &params).await?.rows, codec::due_run)
}

pub async fn queued(database: &Database, actions: &[String], claim: Claim, limit: usize) -> Result<Vec<QueueEntry>> {
    let actions: BTreeSet<&str> = actions.iter().map(String::as_str).collect();
    let actions: Vec<Text<'_>> = actions.into_iter().map(Text).collect();
    let (owner, limit) = (claim.owner.cast_signed(), sql_limit(limit));
    let params: [Param<'_>; 5] = [&actions, &claim.now.0, &owner, &claim.until.0, &limit];
    codec::all(&database.run(&sql::QUEUE_CLAIM, &params).await?.rows, codec::entry)
}

pub async fn messages(database: &Database, claim: Claim, limit: usize) -> Result<Vec<OutboxEntry>> {
    let params: [Param<'_>; 4] = [
        &claim.now.0,
        &claim.owner.cast_signed(),
        &claim.until.0,
        &sql_limit(limit),
    ];
    codec::all(&database.run(&sql::OUTBOX_CLAIM, &params).await?.rows, codec::message)
}

/// Sets exact times to wake where the version still fits, in the order of the ids; of two for the same the later counts.
pub async fn reschedule(database: &Database, wakes: &[(RunId, u64, Option<Time>)]) -> Result<()> {
    let wakes: BTreeMap<(RunId, u64), Option<Time>> = wakes
        .iter()
        .map(|(id, version, wake_at)| ((*id, *version), *wake_at))
        .collect();
    if wakes.is_empty() {
        return database.session().await.map(drop);
    }
    let ids: Vec<Uuid> = wakes.keys().map(|(id, _)| Uuid(*id)).collect();
    let versions: Vec<i64> = wakes.keys().map(|(_, version)| signed(*version)).collect();
    let times: Vec<Option<i64>> = wakes.values().copied().map(micros).collect();
    database
        .run(&sql::RUNS_RESCHEDULE, &[&ids, &versions, &times])
        .await
        .map(drop)
}
