//! Steps that wait for an executor: a walk along the index for each queue, merged.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_store::{QueueAsk, QueueCount, QueueEntry};
use rusqlite::params;

use super::Reader;
use crate::codec;
use crate::error::Result;
use crate::sql;

pub fn queued(reader: &Reader, asks: &[QueueAsk], limit: usize) -> Result<Vec<QueueEntry>> {
    let mut wanted: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    for ask in asks {
        let most = wanted.entry(&ask.queue).or_default();
        *most = ask.limit.min(limit).max(*most);
    }
    reader.snapshot(|reader| {
        let mut ranked = Vec::new();
        for (queue, most) in wanted {
            ranked.extend(reader.all(sql::QUEUE_LIST, params![queue, codec::limit(most)], |row| {
                let run = codec::run_id(row, 1)?;
                let entry = QueueEntry {
                    namespace: codec::text(row, 3)?,
                    run,
                    node: row.get(2)?,
                    queue: queue.clone(),
                };
                Ok((row.get::<_, i64>(0)?, entry))
            })?);
        }
        ranked.sort_by_key(|(rank, entry)| (*rank, entry.run, entry.node));
        Ok(ranked.into_iter().take(limit).map(|(_, entry)| entry).collect())
    })
}

pub fn counts(reader: &Reader, namespace: &str) -> Result<Vec<QueueCount>> {
    reader.all(sql::QUEUE_COUNTS, params![namespace], |row| {
        Ok(QueueCount {
            queue: codec::text(row, 0)?,
            waiting: row.get::<_, i64>(1)?.cast_unsigned(),
            oldest: codec::run_id(row, 2)?,
        })
    })
}
