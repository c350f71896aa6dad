//! What a namespace holds.

use std::sync::Arc;

use quintet_store::{MEASURED_RUNS, NamespaceUsage, RunFilter};
use rusqlite::params;

use super::{Reader, runs};
use crate::codec;
use crate::error::Result;
use crate::sql;

pub fn live_runs(reader: &Reader) -> Result<Vec<(Arc<str>, u64)>> {
    reader.all(sql::USAGE_LIVE_RUNS, [], |row| {
        Ok((codec::text(row, 0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    })
}

pub fn of_namespace(reader: &Reader, namespace: &str) -> Result<NamespaceUsage> {
    reader.snapshot(|reader| {
        let usage = reader.first(sql::USAGE_NAMESPACE, params![namespace], |row| {
            let number = |at| -> Result<u64> { Ok(row.get::<_, i64>(at)?.cast_unsigned()) };
            let live_runs = number(0)?;
            Ok(NamespaceUsage {
                live_runs,
                finished_runs: number(1)?.saturating_sub(live_runs),
                workflows: number(2)?,
                records: number(3)?,
                letters: number(4)?,
                stored_bytes: number(5)?,
            })
        })?;
        let newest = runs::page(reader, namespace, &RunFilter::default(), None, MEASURED_RUNS)?.rows;
        let mut bytes = 0;
        for run in &newest {
            let history = reader.first(sql::USAGE_HISTORY, params![run.id.to_bytes()], |row| {
                Ok(row.get::<_, i64>(0)?.cast_unsigned())
            })?;
            bytes += history.unwrap_or_default();
        }
        Ok(usage.unwrap_or_default().with_histories(newest.len(), bytes))
    })
}
