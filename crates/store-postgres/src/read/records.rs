//! Documents of faces.

use quintet_core::time::Time;
use quintet_store::Record;

use crate::codec::{self, Text};
use crate::error::Result;
use crate::session::{Database, Param};
use crate::sql;

pub async fn get(database: &Database, namespace: &str, kind: &str, id: &str) -> Result<Option<Record>> {
    let params: [Param<'_>; 3] = [&Text(namespace), &Text(kind), &Text(id)];
    let answer = database.within(namespace).read(&sql::RECORDS_GET, &params).await?;
    answer.rows.first().map(codec::document).transpose()
}

/// By id above `after`: no string lies between one and the same with a NUL behind it.
pub async fn list(
    database: &Database,
    namespace: &str,
    kind: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Record>> {
    let from = after.map(|after| format!("{after}\u{0}")).unwrap_or_default();
    let params: [Param<'_>; 4] = [&Text(namespace), &Text(kind), &Text(&from), &codec::limit(limit)];
    let answer = database.within(namespace).read(&sql::RECORDS_LIST, &params).await?;
    codec::all(&answer.rows, codec::document)
}

pub async fn expired(database: &Database, kind: &str, now: Time, limit: usize) -> Result<Vec<Record>> {
    let params: [Param<'_>; 3] = [&Text(kind), &now.0, &codec::limit(limit)];
    let answer = database.read(&sql::RECORDS_EXPIRED, &params).await?;
    codec::all(&answer.rows, codec::document)
}
