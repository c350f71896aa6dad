//! Nodes and their leases, by the clock of the database.

use quintet_core::time::Time;
use quintet_store::{Beat, NodeBeat, NodeRow, Notice};
use tokio_postgres::Row;

use crate::codec::{self, Text, Uuid, get};
use crate::error::Result;
use crate::session::{Database, Param};
use crate::sql;

/// Columns of the answer to a beat, after those of a node.
const NOW: usize = 10;

pub async fn beat(database: &Database, beat: &NodeBeat) -> Result<Beat> {
    let owner = beat.owner.cast_signed();
    let (lease, in_flight) = (micros(beat.lease_ms), i64::from(beat.in_flight));
    let params: [Param<'_>; 9] = [
        &owner,
        &Text(&beat.name),
        &Text(&beat.url),
        &Text(&beat.version),
        &beat.started_at.0,
        &lease,
        &beat.draining,
        &in_flight,
        &beat.joins,
    ];
    let answer = database.run(&sql::NODES_BEAT, &params).await?;
    // Where there is no node at all, the rest is answered all the same.
    let named = answer
        .rows
        .iter()
        .filter(|row| !matches!(get::<Option<i64>>(row, 0), Ok(None)));
    let mut nodes = named.map(codec::node).collect::<Result<Vec<_>>>()?;
    nodes.sort_by_key(|node| node.owner);
    told(answer.single()?, nodes)
}

fn told(row: &Row, nodes: Vec<NodeRow>) -> Result<Beat> {
    let runs: Vec<Uuid> = get(row, NOW + 5)?;
    let namespaces = codec::texts(row, NOW + 6)?;
    let notices = runs
        .into_iter()
        .zip(namespaces)
        .map(|(run, namespace)| Notice { namespace, run: run.0 });
    Ok(Beat {
        now: codec::time(row, NOW)?,
        held: get(row, NOW + 1)?,
        next_wake: codec::time_or_none(row, NOW + 2)?,
        queued: get(row, NOW + 3)?,
        outbox_next: codec::time_or_none(row, NOW + 4)?,
        nodes,
        notices: notices.collect(),
    })
}

pub async fn list(database: &Database) -> Result<Vec<NodeRow>> {
    let mut nodes = codec::all(&database.read(&sql::NODES_LIST, &[]).await?.rows, codec::node)?;
    nodes.sort_by_key(|node| node.owner);
    Ok(nodes)
}

pub async fn take_over(database: &Database, dead: u64, by: u64, lease_ms: u64) -> Result<bool> {
    let params: [Param<'_>; 3] = [&dead.cast_signed(), &by.cast_signed(), &micros(lease_ms)];
    Ok(database.run(&sql::NODES_TAKE_OVER, &params).await?.affected > 0)
}

pub async fn forget(database: &Database, owner: u64) -> Result<()> {
    database
        .run(&sql::NODES_FORGET, &[&owner.cast_signed()])
        .await
        .map(drop)
}

/// Far below what a sum with the present time could overflow.
fn micros(ms: u64) -> i64 {
    Time(0).plus_ms(ms).0.min(i64::MAX / 2)
}
