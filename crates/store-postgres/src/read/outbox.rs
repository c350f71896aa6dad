//! When the next message leaves.

use quintet_core::time::Time;

use crate::codec;
use crate::error::Result;
use crate::session::Database;
use crate::sql;

pub async fn next(database: &Database) -> Result<Option<Time>> {
    let answer = database.read(&sql::OUTBOX_NEXT, &[]).await?;
    answer.rows.first().map(|row| codec::time(row, 0)).transpose()
}
