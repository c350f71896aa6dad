//! Workflows, their versions, their plans, and what is remembered of requests.

use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{IdempotencyRecord, WorkflowRow, WorkflowVersionRow};
use rusqlite::params;

use super::Reader;
use crate::codec;
use crate::error::Result;
use crate::sql;

pub fn get(reader: &Reader, namespace: &str, id: &str) -> Result<Option<WorkflowRow>> {
    reader.first(sql::WORKFLOWS_GET, params![namespace, id], codec::workflow)
}

pub fn list(reader: &Reader, namespace: &str, after: Option<&str>, limit: usize) -> Result<Vec<WorkflowRow>> {
    reader.all(
        sql::WORKFLOWS_LIST,
        params![namespace, after, codec::limit(limit)],
        codec::workflow,
    )
}

pub fn versions(reader: &Reader, namespace: &str, id: &str) -> Result<Vec<WorkflowVersionRow>> {
    reader.all(sql::WORKFLOWS_VERSIONS, params![namespace, id], codec::workflow_version)
}

pub fn plan(reader: &Reader, digest: Digest) -> Result<Option<String>> {
    reader.first(sql::PLANS_GET, params![digest.0], |row| Ok(row.get(0)?))
}

pub fn remembered(
    reader: &Reader,
    namespace: &str,
    scope: &str,
    key: &str,
    now: Time,
) -> Result<Option<IdempotencyRecord>> {
    reader.first(
        sql::IDEMPOTENCY_GET,
        params![namespace, scope, key, now.0],
        codec::record,
    )
}
