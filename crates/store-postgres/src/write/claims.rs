//! Taking work: what one node takes is not shown to another one until the claim ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::{Claim, DueRun, OutboxAsk, OutboxEntry, QueueAsk, QueueEntry, Targets, Turns};

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

/// Of two asks for one queue the larger counts. No more rows are locked than all queues together may give.
pub async fn queued(
    database: &Database,
    asks: &[QueueAsk],
    turns: &Turns,
    claim: Claim,
    limit: usize,
) -> Result<Vec<QueueEntry>> {
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for ask in asks {
        let known = wanted.entry(&ask.queue).or_default();
        *known = ask.limit.min(limit).max(*known);
    }
    let queues: Vec<Text<'_>> = wanted.keys().copied().map(Text).collect();
    let limits: Vec<i64> = wanted.values().copied().map(sql_limit).collect();
    let (owner, limit) = (claim.owner.cast_signed(), sql_limit(limit));
    let names = |namespaces: &'_ [Arc<str>]| -> Vec<String> { namespaces.iter().map(ToString::to_string).collect() };
    let (behind, without) = (names(&turns.behind), names(&turns.without));
    let params: [Param<'_>; 8] = [
        &queues,
        &limits,
        &claim.now.0,
        &owner,
        &claim.until.0,
        &limit,
        &behind,
        &without,
    ];
    codec::all(&database.run(&sql::QUEUE_CLAIM, &params).await?.rows, codec::entry)
}

pub async fn messages(database: &Database, claim: Claim, ask: OutboxAsk<'_>) -> Result<Vec<OutboxEntry>> {
    let (targets, are_wanted) = match ask.targets {
        Targets::Only(targets) => (targets, true),
        Targets::Except(targets) => (targets, false),
    };
    let targets: Vec<&str> = targets.iter().map(|target| &**target).collect();
    let params: [Param<'_>; 7] = [
        &claim.now.0,
        &claim.owner.cast_signed(),
        &claim.until.0,
        &sql_limit(ask.limit),
        &ask.except,
        &targets,
        &are_wanted,
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
