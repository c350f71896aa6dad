//! Reading rows of step runs and dead letters.
//!
//! A list takes the way that its filter makes short: the rows of one run lie together, what is under way or ended badly
//! has an index, and everything else is read as a whole, which nobody does often. A page is known together with the number
//! of rows that fit, so it costs as much as counting them anyway.

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::machine::StepStatus;
use quintet_store::{DeadLetter, LetterFilter, LetterPage, StepCounts, StepFilter, StepPage};
use rusqlite::params;

use super::Reader;
use crate::codec;
use crate::error::Result;
use crate::sql;

pub fn page(reader: &Reader, namespace: &str, filter: &StepFilter, offset: u64, limit: usize) -> Result<StepPage> {
    let (list, count) = way(filter);
    let (action, queue) = (filter.action.as_deref(), filter.queue.as_deref());
    let run = filter.run.map(RunId::to_bytes);
    let (mask, limit) = (mask(&filter.statuses), codec::limit(limit));
    reader.snapshot(|reader| {
        let params = params![namespace, action, queue, run, mask];
        let total = reader.first(count, params, |row| Ok(row.get::<_, i64>(0)?))?;
        let params = params![namespace, action, queue, run, mask, limit, codec::signed(offset)];
        Ok(StepPage {
            rows: reader.all(list, params, codec::step)?,
            total: total.unwrap_or(0).cast_unsigned(),
        })
    })
}

/// The statements for the rows and for their number.
fn way(filter: &StepFilter) -> (&'static str, &'static str) {
    let complete = filter.statuses.is_empty() || filter.statuses.contains(&StepStatus::Complete);
    if filter.run.is_some() {
        (sql::STEPS_LIST_BY_RUN, sql::STEPS_COUNT_BY_RUN)
    } else if filter.action.is_some() && !complete {
        (sql::STEPS_LIST_OPEN, sql::STEPS_COUNT_OPEN)
    } else {
        (sql::STEPS_LIST, sql::STEPS_COUNT)
    }
}

fn mask(statuses: &[StepStatus]) -> i64 {
    if statuses.is_empty() {
        return -1;
    }
    statuses
        .iter()
        .fold(0, |mask, status| mask | 1 << codec::step_number(*status))
}

pub fn counts(reader: &Reader, namespace: &str, action: &str) -> Result<StepCounts> {
    let (open, complete) = reader.snapshot(|reader| {
        let open = reader.all(sql::STEPS_TALLY_OPEN, params![namespace, action], |row| {
            let status = codec::step_status(row.get(0)?)?;
            Ok((status, row.get::<_, i64>(1)?.cast_unsigned(), codec::time(row, 2)?))
        })?;
        let complete = reader.first(sql::STEPS_TALLY_COMPLETE, params![namespace, action], |row| {
            Ok(row.get::<_, i64>(0)?.cast_unsigned())
        })?;
        Ok((open, complete.unwrap_or(0)))
    })?;
    let waits = |status| matches!(status, StepStatus::Enqueued | StepStatus::WaitingForRetry);
    let oldest_waiting = open.iter().filter(|row| waits(row.0)).map(|row| row.2).min();
    let mut by_status: Vec<(StepStatus, u64)> = open.iter().map(|row| (row.0, row.1)).collect();
    if complete > 0 {
        by_status.push((StepStatus::Complete, complete));
    }
    by_status.sort_unstable();
    Ok(StepCounts {
        by_status,
        oldest_waiting,
    })
}

pub fn in_progress(reader: &Reader, action: &str) -> Result<Vec<(Arc<str>, u32)>> {
    reader.all(sql::STEPS_IN_PROGRESS, params![action], |row| {
        Ok((codec::text(row, 0)?, row.get(1)?))
    })
}

pub fn letters(
    reader: &Reader,
    namespace: &str,
    filter: &LetterFilter,
    offset: u64,
    limit: usize,
) -> Result<LetterPage> {
    let (list, count) = if filter.with_retried {
        (sql::LETTERS_LIST, sql::LETTERS_COUNT)
    } else {
        (sql::LETTERS_LIST_OPEN, sql::LETTERS_COUNT_OPEN)
    };
    let (workflow, queue) = (filter.workflow.as_deref(), filter.queue.as_deref());
    reader.snapshot(|reader| {
        let total = reader.first(count, params![namespace, workflow, queue], |row| {
            Ok(row.get::<_, i64>(0)?)
        })?;
        let (limit, offset) = (codec::limit(limit), codec::signed(offset));
        let params = params![namespace, workflow, queue, limit, offset];
        Ok(LetterPage {
            letters: reader.all(list, params, codec::letter)?,
            total: total.unwrap_or(0).cast_unsigned(),
        })
    })
}

pub fn letter(
    reader: &Reader,
    namespace: &str,
    run: RunId,
    node: u32,
    attempt: Option<u32>,
) -> Result<Option<DeadLetter>> {
    let params = params![run.to_bytes(), node, attempt, namespace];
    reader.first(sql::LETTERS_GET, params, codec::letter)
}
