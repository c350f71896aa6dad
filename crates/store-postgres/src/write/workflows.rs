//! Writing workflows. Versions are counted under the lock of the workflow's row, so writers at the same time get
//! different ones.

use quintet_store::{WorkflowRow, WorkflowWrite};

use crate::codec::{self, Text};
use crate::error::Result;
use crate::session::{Database, Param, Step};
use crate::sql;

/// Stores the next version, unless another one than `expected` is current.
pub async fn put(database: &Database, write: WorkflowWrite) -> Result<Option<WorkflowRow>> {
    let expected = write.expected.map(i64::from);
    let params: [Param<'_>; 8] = [
        &Text(&write.namespace),
        &Text(&write.id),
        &Text(&write.name),
        &Text(&write.document),
        &&write.digest.0[..],
        &Text(&write.spec),
        &write.at.0,
        &expected,
    ];
    let within = database.within(&write.namespace);
    let answer = within.run(&sql::WORKFLOWS_PUT, &params).await?;
    let Some(row) = answer.rows.first() else {
        return Ok(None);
    };
    Ok(Some(WorkflowRow {
        version: codec::small(row, 0)?,
        created_at: codec::time(row, 1)?,
        id: write.id,
        name: write.name,
        document: write.document,
        digest: write.digest,
        updated_at: write.at,
    }))
}

/// Removes a workflow with its versions.
pub async fn delete(database: &Database, namespace: &str, id: &str) -> Result<bool> {
    let within = database.within(namespace);
    let (namespace, id) = (Text(namespace), Text(id));
    let steps = [
        Step::Run(&sql::WORKFLOWS_DELETE, vec![&namespace, &id]),
        Step::Run(&sql::WORKFLOWS_DELETE_VERSIONS, vec![&namespace, &id]),
    ];
    Ok(within.transaction(&steps).await?[0].affected > 0)
}
