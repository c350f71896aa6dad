//! The embedded store as source and target of a move.
//!
//! It belongs to one process, so it lies still while it is moved. It is opened as at every start, with its schema brought
//! up to date; after that a source is read by the readers alone.

mod export;
mod import;

use async_trait::async_trait;
use quintet_store::StoreError;
use quintet_store::transfer::{self, Counts, Cursor, Kind, Origin, Page, PageLimit, Portable, Records, StoreId};
use rusqlite::{Row, params};

use crate::error::Result;
use crate::read::Reader;
use crate::sql;
use crate::store::{Options, Purpose, SqliteStore};
use crate::writer::Tx;

impl SqliteStore {
    /// Opens or creates a store to be moved: also one that a move into it was not over with.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_for_transfer(path: &std::path::Path, options: Options) -> Result<Self, StoreError> {
        Self::open_as(path, options, Purpose::Transfer)
    }
}

#[async_trait]
impl Portable for SqliteStore {
    async fn origin(&self) -> Result<Origin, StoreError> {
        self.read(origin).await
    }

    async fn check_idle(&self) -> Result<(), StoreError> {
        // The lock file kept everybody else out when this one was opened.
        Ok(())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read(|reader| {
            let read = |row: &Row<'_>| {
                let mut counts = [0; Kind::ALL.len()];
                for (at, count) in counts.iter_mut().enumerate() {
                    *count = row.get::<_, i64>(at)?.cast_unsigned();
                }
                Ok(Counts::new(counts))
            };
            Ok(reader.first(sql::TRANSFER_COUNTS, [], read)?.unwrap_or_default())
        })
        .await
    }

    async fn export(&self, after: &Cursor, limit: PageLimit) -> Result<Page, StoreError> {
        let after = after.clone();
        self.read(move |reader| export::page(reader, &after, limit)).await
    }

    async fn begin_import(&self, source: StoreId, reached: &Cursor) -> Result<(), StoreError> {
        let reached = reached.to_bytes();
        let begun = move |tx: &Tx<'_>| tx.execute(sql::TRANSFER_BEGIN, params![source.0, reached]);
        match self.writer.call(|writer| writer.transaction(begun)).await? {
            0 => Err(transfer::not_empty()),
            _ => Ok(()),
        }
    }

    async fn import(&self, from: &Cursor, records: Records, next: &Cursor) -> Result<(), StoreError> {
        let (from, next) = (from.to_bytes(), next.to_bytes());
        self.writer
            .call(move |writer| {
                writer.transaction(|tx| {
                    if tx.execute(sql::TRANSFER_ADVANCE, params![from, next])? == 0 {
                        return Err(transfer::elsewhere().into());
                    }
                    import::write(tx, &records)
                })
            })
            .await
    }

    async fn finish_import(&self) -> Result<(), StoreError> {
        let finish = |tx: &Tx<'_>| tx.execute(sql::TRANSFER_FINISH, []);
        self.writer.call(move |writer| writer.transaction(finish)).await?;
        Ok(())
    }
}

/// Where the store comes from.
pub fn origin(reader: &Reader) -> Result<Origin> {
    let found = reader.first(sql::TRANSFER_ORIGIN, [], |row| {
        let reached: Option<Vec<u8>> = row.get(2)?;
        Ok(Origin {
            id: StoreId(row.get(0)?),
            source: row.get::<_, Option<[u8; 16]>>(1)?.map(StoreId),
            reached: reached.as_deref().map(Cursor::from_bytes).transpose()?,
        })
    })?;
    found.ok_or_else(|| crate::error::corrupt("the store has lost its name"))
}
