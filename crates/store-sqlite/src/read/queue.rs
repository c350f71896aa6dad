//! Steps that wait for an executor: a walk along the index for each queue and namespace, dealt out.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_store::{Deal, QueueAsk, QueueCount, QueueEntry, Ranked, Turns};
use rusqlite::params;

use super::Reader;
use crate::codec;
use crate::error::Result;
use crate::sql;

pub fn queued(reader: &Reader, asks: &[QueueAsk], turns: &Turns, limit: usize) -> Result<Vec<QueueEntry>> {
    let mut wanted: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    for ask in asks {
        let most = wanted.entry(&ask.queue).or_default();
        *most = ask.limit.min(limit).max(*most);
    }
    let deal = Deal::new(turns);
    reader.snapshot(|reader| {
        let mut given = Vec::new();
        for (queue, most) in wanted {
            let waiting = reader.all(sql::QUEUE_NAMESPACES, params![queue], |row| codec::text(row, 0))?;
            let (namespaces, share) = deal.shares(waiting, most);
            for namespace in namespaces {
                given.extend(first_of(reader, queue, &namespace, share)?);
            }
        }
        Ok(deal.out(given, limit))
    })
}

fn first_of(reader: &Reader, queue: &Arc<str>, namespace: &Arc<str>, share: usize) -> Result<Vec<Ranked>> {
    let params = params![queue, namespace, codec::limit(share)];
    reader.all(sql::QUEUE_LIST, params, |row| {
        Ok(Ranked {
            rank: row.get(0)?,
            entry: QueueEntry {
                namespace: Arc::clone(namespace),
                run: codec::run_id(row, 1)?,
                node: row.get(2)?,
                queue: Arc::clone(queue),
            },
        })
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
