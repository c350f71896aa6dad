//! What the readers do, one file per noun. Each call sees one snapshot.

pub mod outbox;
pub mod queue;
pub mod records;
pub mod runs;
pub mod status;
pub mod steps;
pub mod usage;
pub mod workflows;

use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::error::Result;

/// What a reading thread owns.
pub struct Reader {
    connection: Connection,
}

impl Reader {
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Every row.
    pub fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(row)?);
        }
        Ok(all)
    }

    /// The first row, if there is one.
    pub fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement.query_row(params, |row| Ok(read(row))).optional()?;
        row.transpose()
    }

    /// Several statements on one snapshot.
    pub fn snapshot<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let transaction = self.connection.unchecked_transaction()?;
        let answer = work(self)?;
        transaction.finish()?;
        Ok(answer)
    }
}
