//! What a namespace holds.

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_store::{MEASURED_RUNS, NamespaceUsage, RunFilter};

use super::runs;
use crate::codec::{self, Text, Uuid};
use crate::error::Result;
use crate::session::{Database, Step};
use crate::sql;

pub async fn live_runs(database: &Database) -> Result<Vec<(Arc<str>, u64)>> {
    let answer = database.read(&sql::USAGE_LIVE_RUNS, &[]).await?;
    codec::all(&answer.rows, |row| Ok((codec::text(row, 0)?, codec::unsigned(row, 1)?)))
}

pub async fn of_namespace(database: &Database, namespace: &str) -> Result<NamespaceUsage> {
    let own = Text(namespace);
    let within = database.within(namespace);
    let answer = within.count(Step::Run(&sql::USAGE_NAMESPACE, vec![&own])).await?;
    let counted = answer.single()?;
    let live_runs = codec::unsigned(counted, 0)?;
    let usage = NamespaceUsage {
        live_runs,
        finished_runs: codec::unsigned(counted, 1)?.saturating_sub(live_runs),
        workflows: codec::unsigned(counted, 2)?,
        records: codec::unsigned(counted, 3)?,
        letters: codec::unsigned(counted, 4)?,
        stored_bytes: codec::unsigned(counted, 5)?,
    };
    let newest = runs::page(database, namespace, &RunFilter::default(), None, MEASURED_RUNS).await?;
    let runs: Vec<RunId> = newest.rows.iter().map(|run| run.id).collect();
    let ids: Vec<Uuid> = runs.iter().copied().map(Uuid).collect();
    if ids.is_empty() {
        return Ok(usage);
    }
    let within = database.within_runs(namespace, &runs);
    let histories = within.read(&sql::USAGE_HISTORIES, &[&ids]).await?;
    let bytes = codec::unsigned(histories.single()?, 0)?;
    Ok(usage.with_histories(ids.len(), bytes))
}
