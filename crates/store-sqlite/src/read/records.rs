//! Reading documents.

use quintet_core::time::Time;
use quintet_store::Record;
use rusqlite::params;

use super::Reader;
use crate::codec;
use crate::error::Result;
use crate::sql;

pub fn get(reader: &Reader, namespace: &str, kind: &str, id: &str) -> Result<Option<Record>> {
    reader.first(sql::RECORDS_GET, params![namespace, kind, id], codec::document)
}

pub fn list(reader: &Reader, namespace: &str, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
    let params = params![namespace, kind, after, codec::limit(limit)];
    reader.all(sql::RECORDS_LIST, params, codec::document)
}

pub fn expired(reader: &Reader, kind: &str, now: Time, limit: usize) -> Result<Vec<Record>> {
    let params = params![kind, now.0, codec::limit(limit)];
    reader.all(sql::RECORDS_EXPIRED, params, codec::document)
}
