//! Retention of dead letters.

use quintet_core::time::Time;

use crate::codec::{self, Text};
use crate::error::Result;
use crate::session::{Database, Param};
use crate::sql;

/// Removes letters that failed before a time, open or not, in the order of their keys, and says how many.
pub async fn purge(database: &Database, namespace: Option<&str>, before: Time, limit: usize) -> Result<u64> {
    let (only, limit) = (namespace.map(Text), codec::limit(limit));
    let params: [Param<'_>; 3] = [&before.0, &only, &limit];
    let answer = match namespace {
        Some(namespace) => database.within(namespace).run(&sql::LETTERS_PURGE, &params).await?,
        None => database.run(&sql::LETTERS_PURGE, &params).await?,
    };
    Ok(answer.affected)
}
