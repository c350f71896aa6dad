//! The oldest transaction that somebody keeps open. PostgreSQL removes no row version that such a one might still want to
//! see, so a forgotten one slows every queue in the database down, for as long as it lasts.

use quintet_store::StoreError;

use crate::codec::{get, unsigned};
use crate::error::{Lost, Result};
use crate::session::{Database, ForCaller};
use crate::sql;
use crate::store::PostgresStore;

/// An open snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// For how long it has been open.
    pub age_ms: u64,
    /// The process of the server that keeps it.
    pub pid: i32,
    /// What its client calls itself.
    pub application: String,
}

impl PostgresStore {
    /// The oldest snapshot open in the database, as far as this user may see those of others.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked.
    pub async fn oldest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        oldest(&self.database).await.or_lost(Lost::Harmless)
    }
}

async fn oldest(database: &Database) -> Result<Option<Snapshot>> {
    let answer = database.read(&sql::STATUS_SNAPSHOT, &[]).await?;
    let Some(row) = answer.rows.first() else {
        return Ok(None);
    };
    Ok(Some(Snapshot {
        age_ms: unsigned(row, 2)?,
        pid: get(row, 0)?,
        application: get(row, 1)?,
    }))
}
