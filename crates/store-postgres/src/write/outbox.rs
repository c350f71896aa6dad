//! What became of messages. The row of their stream is locked first, by a statement of its own: what the next statement
//! sees of the stream is then all there is.

use quintet_core::time::Time;

use crate::codec::Text;
use crate::error::Result;
use crate::session::{BEGIN, COMMIT, Database, Step};
use crate::sql;

/// Forgets delivered messages.
pub async fn delivered(database: &Database, ids: &[i64]) -> Result<()> {
    let ids = ids.to_vec();
    let steps = [
        BEGIN,
        Step::Run(&sql::OUTBOX_LOCK, vec![&ids]),
        Step::Run(&sql::OUTBOX_DELIVER, vec![&ids]),
        COMMIT,
    ];
    database.flight(&steps).await.map(drop)
}

/// Counts a failure; tries again at `retry_at`, or gives up.
pub async fn failed(database: &Database, id: i64, error: &str, retry_at: Option<Time>) -> Result<()> {
    let (ids, error, at) = (vec![id], Text(error), retry_at.map(|time| time.0));
    let change = match &at {
        Some(at) => Step::Run(&sql::OUTBOX_RETRY, vec![&ids, &error, at]),
        None => Step::Run(&sql::OUTBOX_BURY, vec![&ids, &error]),
    };
    database
        .flight(&[BEGIN, Step::Run(&sql::OUTBOX_LOCK, vec![&ids]), change, COMMIT])
        .await
        .map(drop)
}
