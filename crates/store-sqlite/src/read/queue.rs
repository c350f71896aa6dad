//! Steps that wait for an executor: a walk along the index for each action, merged.

use std::collections::BTreeSet;
use std::sync::Arc;

use quintet_store::QueueEntry;
use rusqlite::params;

use super::Reader;
use crate::codec;
use crate::error::Result;
use crate::sql;

pub fn queued(reader: &Reader, actions: &[String], limit: usize) -> Result<Vec<QueueEntry>> {
    let actions: BTreeSet<&String> = actions.iter().collect();
    reader.snapshot(|reader| {
        let mut ranked = Vec::new();
        for action in actions {
            let action: Arc<str> = action.as_str().into();
            ranked.extend(
                reader.all(sql::QUEUE_LIST, params![action, codec::limit(limit)], |row| {
                    let run = codec::run_id(row, 1)?;
                    let entry = QueueEntry {
                        namespace: codec::text(row, 3)?,
                        run,
                        node: row.get(2)?,
                        action: action.clone(),
                    };
                    Ok((row.get::<_, i64>(0)?, entry))
                })?,
            );
        }
        ranked.sort_by_key(|(rank, entry)| (*rank, entry.run, entry.node));
        Ok(ranked.into_iter().take(limit).map(|(_, entry)| entry).collect())
    })
}
