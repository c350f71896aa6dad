//! Messages that are due.

use quintet_core::time::Time;
use quintet_store::OutboxEntry;
use rusqlite::params;

use super::Reader;
use crate::codec;
use crate::error::Result;
use crate::sql;

pub fn due(reader: &Reader, now: Time, limit: usize) -> Result<Vec<OutboxEntry>> {
    reader.all(sql::OUTBOX_DUE, params![now.0, codec::limit(limit)], codec::message)
}

pub fn next(reader: &Reader) -> Result<Option<Time>> {
    reader.first(sql::OUTBOX_NEXT, [], |row| codec::time(row, 0))
}
