//! Messages that are due.

use std::collections::HashSet;
use std::sync::Arc;

use quintet_core::time::Time;
use quintet_store::{OutboxAsk, OutboxEntry, Targets};
use rusqlite::params;

use super::Reader;
use crate::codec;
use crate::error::Result;
use crate::sql;

/// What is asked for, in a form that can go to a reader.
pub struct Ask {
    except: HashSet<i64>,
    targets: Vec<Arc<str>>,
    are_wanted: bool,
    limit: usize,
}

impl Ask {
    pub fn new(ask: OutboxAsk<'_>) -> Self {
        let (targets, are_wanted) = match ask.targets {
            Targets::Only(targets) => (targets, true),
            Targets::Except(targets) => (targets, false),
        };
        Self {
            except: ask.except.iter().copied().collect(),
            targets: targets.to_vec(),
            are_wanted,
            limit: ask.limit,
        }
    }

    fn wants(&self, id: i64, target: &str) -> bool {
        self.targets.iter().any(|known| **known == *target) == self.are_wanted && !self.except.contains(&id)
    }
}

/// Bodies may be long: those of messages that nobody asked for are not read.
pub fn due(reader: &Reader, now: Time, ask: &Ask) -> Result<Vec<OutboxEntry>> {
    let mut statement = reader.connection().prepare_cached(sql::OUTBOX_DUE)?;
    let mut rows = statement.query(params![now.0])?;
    let mut due = Vec::new();
    while due.len() < ask.limit {
        let Some(row) = rows.next()? else {
            break;
        };
        if ask.wants(row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?) {
            due.push(codec::message(row)?);
        }
    }
    Ok(due)
}

pub fn next(reader: &Reader) -> Result<Option<Time>> {
    reader.first(sql::OUTBOX_NEXT, [], |row| codec::time(row, 0))
}
