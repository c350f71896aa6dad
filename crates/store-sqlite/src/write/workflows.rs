//! Writing workflows. Versions are counted inside the transaction, so writers at the same time get different ones.

use quintet_core::time::Time;
use quintet_store::{PlanWrite, WorkflowRow, WorkflowWrite};
use rusqlite::params;

use super::units::put_plan;
use crate::error::Result;
use crate::writer::Writer;
use crate::{codec, sql};

/// Stores the next version, unless another one than `expected` is current.
pub fn put(writer: &mut Writer, write: WorkflowWrite) -> Result<Option<WorkflowRow>> {
    let WorkflowWrite {
        namespace,
        id,
        name,
        document,
        digest,
        spec,
        at,
        expected,
    } = write;
    writer.transaction(|tx| {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)?, codec::time(row, 1)?));
        let current: Option<(u32, Time)> = tx.first(sql::WORKFLOWS_CURRENT, params![namespace, id], read)?;
        let (version, created_at) = current.unwrap_or((0, at));
        if expected.is_some_and(|expected| expected != version) {
            return Ok(None);
        }
        let version = version + 1;
        put_plan(tx, &PlanWrite { digest, spec })?;
        tx.execute(sql::WORKFLOWS_PUT, params![namespace, id, name, version, created_at.0])?;
        let params = params![namespace, id, version, document, digest.0, at.0];
        tx.execute(sql::WORKFLOWS_PUT_VERSION, params)?;
        Ok(Some(WorkflowRow {
            id,
            name,
            version,
            document,
            digest,
            created_at,
            updated_at: at,
        }))
    })
}

/// Removes a workflow with its versions.
pub fn delete(writer: &mut Writer, namespace: &str, id: &str) -> Result<bool> {
    writer.transaction(|tx| {
        tx.execute(sql::WORKFLOWS_DELETE_VERSIONS, params![namespace, id])?;
        Ok(tx.execute(sql::WORKFLOWS_DELETE, params![namespace, id])? > 0)
    })
}
