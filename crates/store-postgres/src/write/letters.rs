//! Retention of dead letters.

use quintet_core::time::Time;

use crate::codec::{self, Text};
use crate::error::Result;
use crate::session::Database;
use crate::sql;

/// Removes letters that failed before a time, open or not, in the order of their keys, and says how many.
pub async fn purge(database: &Database, namespace: Option<&str>, before: Time, limit: usize) -> Result<u64> {
    let (namespace, limit) = (namespace.map(Text), codec::limit(limit));
    let answer = database
        .run(&sql::LETTERS_PURGE, &[&before.0, &namespace, &limit])
        .await?;
    Ok(answer.affected)
}
