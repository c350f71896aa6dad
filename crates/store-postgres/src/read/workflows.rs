//! Workflows, their versions, their plans, and what is remembered of requests.

use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{IdempotencyRecord, WorkflowRow, WorkflowVersionRow};

use crate::codec::{self, Text};
use crate::error::Result;
use crate::session::{Database, Param};
use crate::sql;

pub async fn get(database: &Database, namespace: &str, id: &str) -> Result<Option<WorkflowRow>> {
    let params: [Param<'_>; 2] = [&Text(namespace), &Text(id)];
    let answer = database.within(namespace).read(&sql::WORKFLOWS_GET, &params).await?;
    answer.rows.first().map(codec::workflow).transpose()
}

/// By id above `after`: no string lies between one and the same with a NUL behind it.
pub async fn list(database: &Database, namespace: &str, after: Option<&str>, limit: usize) -> Result<Vec<WorkflowRow>> {
    let from = after.map(|after| format!("{after}\u{0}")).unwrap_or_default();
    let params: [Param<'_>; 3] = [&Text(namespace), &Text(&from), &codec::limit(limit)];
    let answer = database.within(namespace).read(&sql::WORKFLOWS_LIST, &params).await?;
    codec::all(&answer.rows, codec::workflow)
}

pub async fn versions(database: &Database, namespace: &str, id: &str) -> Result<Vec<WorkflowVersionRow>> {
    let params: [Param<'_>; 2] = [&Text(namespace), &Text(id)];
    let within = database.within(namespace);
    let answer = within.read(&sql::WORKFLOWS_VERSIONS, &params).await?;
    codec::all(&answer.rows, codec::workflow_version)
}

pub async fn plan(database: &Database, digest: Digest) -> Result<Option<String>> {
    let answer = database.read(&sql::PLANS_GET, &[&&digest.0[..]]).await?;
    answer.rows.first().map(|row| codec::string(row, 0)).transpose()
}

pub async fn remembered(
    database: &Database,
    namespace: &str,
    scope: &str,
    key: &str,
    now: Time,
) -> Result<Option<IdempotencyRecord>> {
    let params: [Param<'_>; 4] = [&Text(namespace), &Text(scope), &Text(key), &now.0];
    let answer = database.within(namespace).read(&sql::IDEMPOTENCY_GET, &params).await?;
    answer.rows.first().map(|row| codec::record(row, 0)).transpose()
}
