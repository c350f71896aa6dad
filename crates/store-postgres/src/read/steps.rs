//! Rows of step runs over all runs. A page and its total are answered by one statement, and so are of one moment.

use std::sync::Arc;

use quintet_core::machine::step::ALL;
use quintet_core::time::Time;
use quintet_store::{StepCounts, StepFilter, StepPage};

use crate::codec::{self, Text, Uuid, get, step_number};
use crate::error::Result;
use crate::session::{Answer, Database, Param};
use crate::sql;

/// Where the total stands, behind the columns of a row.
const TOTAL: usize = 12;

pub async fn page(
    database: &Database,
    namespace: &str,
    filter: &StepFilter,
    offset: u64,
    limit: usize,
) -> Result<StepPage> {
    let wanted = ALL
        .into_iter()
        .filter(|status| filter.statuses.is_empty() || filter.statuses.contains(status));
    let (settled, live): (Vec<_>, Vec<_>) = wanted.partition(|status| status.is_settled());
    let live = live
        .into_iter()
        .fold(0i64, |mask, status| mask | 1 << step_number(status));
    let settled: Vec<i16> = settled.into_iter().map(step_number).collect();
    let within = database.within(namespace);
    let (namespace, run) = (Text(namespace), filter.run.map(Uuid));
    let (action, queue) = (filter.action.as_deref().map(Text), filter.queue.as_deref().map(Text));
    let (offset, limit) = bounds(offset, limit);
    let mut params: Vec<Param<'_>> = vec![&namespace, &live, &settled, &action, &queue];
    let answer = if let Some(run) = &run {
        params.extend([run as Param<'_>, &offset, &limit]);
        within.read(&sql::STEPS_LIST_BY_RUN, &params).await?
    } else {
        params.extend([&offset as Param<'_>, &limit]);
        within.read(&sql::STEPS_LIST, &params).await?
    };
    Ok(StepPage {
        total: codec::unsigned(answer.single()?, TOTAL)?,
        rows: codec::all(found(&answer), codec::step)?,
    })
}

/// PostgreSQL adds the two.
pub fn bounds(offset: u64, limit: usize) -> (i64, i64) {
    let most = i64::MAX / 2;
    (
        i64::try_from(offset).unwrap_or(most).min(most),
        codec::limit(limit).min(most),
    )
}

/// Where a page has no rows there is one for the total.
pub fn found(answer: &Answer) -> &[tokio_postgres::Row] {
    match &answer.rows[..] {
        [row] if matches!(get::<Option<Uuid>>(row, 0), Ok(None)) => &[],
        rows => rows,
    }
}

pub async fn counts(database: &Database, namespace: &str, action: &str) -> Result<StepCounts> {
    let params: [Param<'_>; 2] = [&Text(namespace), &Text(action)];
    let answer = database.within(namespace).read(&sql::STEPS_COUNT, &params).await?;
    let mut counts = StepCounts::default();
    let mut oldest: Option<Time> = None;
    for row in &answer.rows {
        counts
            .by_status
            .push((codec::step_status(row, 0)?, codec::unsigned(row, 1)?));
        oldest = oldest.into_iter().chain(codec::time_or_none(row, 2)?).min();
    }
    counts.by_status.sort_unstable();
    counts.oldest_waiting = oldest;
    Ok(counts)
}

pub async fn in_progress(database: &Database, action: &str) -> Result<Vec<(Arc<str>, u32)>> {
    let answer = database.read(&sql::STEPS_IN_PROGRESS, &[&Text(action)]).await?;
    codec::all(&answer.rows, |row| Ok((codec::text(row, 0)?, codec::small(row, 1)?)))
}
