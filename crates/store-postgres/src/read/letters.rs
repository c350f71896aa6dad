//! Dead letters.

use quintet_core::id::RunId;
use quintet_store::{DeadLetter, LetterFilter, LetterPage};

use super::steps::{bounds, found};
use crate::codec::{self, Text, Uuid};
use crate::error::Result;
use crate::session::{Database, Param};
use crate::sql;

/// Where the total stands, behind the columns of a letter.
const TOTAL: usize = 10;

pub async fn page(
    database: &Database,
    namespace: &str,
    filter: &LetterFilter,
    offset: u64,
    limit: usize,
) -> Result<LetterPage> {
    let (workflow, queue) = (filter.workflow.as_deref().map(Text), filter.queue.as_deref().map(Text));
    let (offset, limit) = bounds(offset, limit);
    let params: [Param<'_>; 5] = [&Text(namespace), &workflow, &queue, &offset, &limit];
    let statement = if filter.with_retried {
        &sql::LETTERS_LIST_ALL
    } else {
        &sql::LETTERS_LIST
    };
    let answer = database.within(namespace).read(statement, &params).await?;
    Ok(LetterPage {
        total: codec::unsigned(answer.single()?, TOTAL)?,
        letters: codec::all(found(&answer), codec::letter)?,
    })
}

/// Of one attempt, or the latest.
pub async fn get(
    database: &Database,
    namespace: &str,
    run: RunId,
    node: u32,
    attempt: Option<u32>,
) -> Result<Option<DeadLetter>> {
    let (node, attempt) = (i64::from(node), attempt.map(i64::from));
    let params: [Param<'_>; 4] = [&Uuid(run), &node, &Text(namespace), &attempt];
    let answer = database.within(namespace).read(&sql::LETTERS_GET, &params).await?;
    answer.rows.first().map(codec::letter).transpose()
}
