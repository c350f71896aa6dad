//! Reading pages. Both limits are kept by the statements, so that no more is sent than the page holds.

use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::transfer::{
    Cursor, HistoryRecord, MessageRecord, MessageState, Page, PageLimit, QueueRecord, Records, VersionRecord,
    WorkflowRecord,
};
use quintet_store::{IdempotencyWrite, PlanWrite};
use tokio_postgres::Row;

use crate::codec::{self, Text, Uuid, get, signed};
use crate::error::Result;
use crate::session::{Database, Param};
use crate::sql::{self, Statement};

/// The records behind `after`.
pub async fn page(database: &Database, after: &Cursor, limit: PageLimit) -> Result<Page> {
    let reading = Reading { database, limit };
    let (records, more) = match after {
        Cursor::Plans(digest) => {
            let after: &[u8] = digest.as_ref().map_or(&[], |digest| &digest.0);
            reading
                .long(&sql::TRANSFER_PLANS, &[&after], 2)
                .await?
                .of(plan, Records::Plans)?
        }
        Cursor::Workflows(key) => {
            let (namespace, id) = key.as_ref().map_or(("", ""), |(namespace, id)| (&**namespace, &**id));
            let params: [Param<'_>; 3] = [&Text(namespace), &Text(id), &i64::from(key.is_some())];
            reading
                .short(&sql::TRANSFER_WORKFLOWS, &params)
                .await?
                .of(workflow, Records::Workflows)?
        }
        Cursor::Versions(key) => {
            let first = ("".into(), "".into(), 0);
            let (namespace, id, version) = key.as_ref().unwrap_or(&first);
            let params: [Param<'_>; 3] = [&Text(namespace), &Text(id), &i64::from(*version)];
            reading
                .long(&sql::TRANSFER_VERSIONS, &params, 6)
                .await?
                .of(version_of, Records::Versions)?
        }
        Cursor::Runs(run) => {
            let params: [Param<'_>; 2] = [&Uuid(run.unwrap_or(RunId::from_bits(0))), &i64::from(run.is_some())];
            reading
                .short(&sql::TRANSFER_RUNS, &params)
                .await?
                .of(codec::run, Records::Runs)?
        }
        Cursor::History(key) => {
            let (run, seq) = key.map_or((RunId::from_bits(0), 0), |(run, seq)| (run, signed(seq)));
            reading
                .long(&sql::TRANSFER_HISTORY, &[&Uuid(run), &seq], 5)
                .await?
                .of(entry, Records::History)?
        }
        Cursor::Queue(key) => {
            let (run, node) = key.map_or((RunId::from_bits(0), -1), |(run, node)| (run, i64::from(node)));
            reading
                .short(&sql::TRANSFER_QUEUE, &[&Uuid(run), &node])
                .await?
                .of(waiting, Records::Queue)?
        }
        Cursor::Keys(key) => {
            let first = ("".into(), "".into(), "".into());
            let (namespace, scope, name) = key.as_ref().unwrap_or(&first);
            let params: [Param<'_>; 4] = [&Text(namespace), &Text(scope), &Text(name), &i64::from(key.is_some())];
            reading
                .long(&sql::TRANSFER_KEYS, &params, 6)
                .await?
                .of(remembered, Records::Keys)?
        }
        Cursor::Messages(id) => {
            let params: [Param<'_>; 1] = [&id.unwrap_or(i64::MIN)];
            reading
                .long(&sql::TRANSFER_MESSAGES, &params, 10)
                .await?
                .of(message, Records::Messages)?
        }
        Cursor::Steps(key) => {
            let (run, node) = key.map_or((RunId::from_bits(0), -1), |(run, node)| (run, i64::from(node)));
            reading
                .short(&sql::TRANSFER_STEPS, &[&Uuid(run), &node])
                .await?
                .of(codec::step, Records::Steps)?
        }
        Cursor::Letters(key) => {
            let (run, node, attempt) = key.map_or((RunId::from_bits(0), -1, -1), |(run, node, attempt)| {
                (run, i64::from(node), i64::from(attempt))
            });
            let params: [Param<'_>; 3] = [&Uuid(run), &node, &attempt];
            reading
                .long(&sql::TRANSFER_LETTERS, &params, 10)
                .await?
                .of(codec::letter, Records::Letters)?
        }
        Cursor::Documents(key) => {
            let first = ("".into(), "".into(), "".into());
            let (namespace, kind, id) = key.as_ref().unwrap_or(&first);
            let params: [Param<'_>; 4] = [&Text(namespace), &Text(kind), &Text(id), &i64::from(key.is_some())];
            reading
                .long(&sql::TRANSFER_DOCUMENTS, &params, 8)
                .await?
                .of(codec::document, Records::Documents)?
        }
        Cursor::End => (Records::Documents(Vec::new()), false),
    };
    Ok(Page::new(after, records, more))
}

struct Reading<'a> {
    database: &'a Database,
    limit: PageLimit,
}

/// Rows up to the limit, and whether there may be more.
struct Taken(Vec<Row>, bool);

impl Reading<'_> {
    /// Rows that are never long.
    async fn short(&self, statement: &'static Statement, params: &[Param<'_>]) -> Result<Taken> {
        let rows = codec::limit(self.limit.records.max(1));
        let params: Vec<Param<'_>> = params.iter().copied().chain([&rows as Param<'_>]).collect();
        let answer = self.database.read(statement, &params).await?;
        let more = codec::limit(answer.rows.len()) == rows;
        Ok(Taken(answer.rows, more))
    }

    /// Rows that may be long: the column `found` tells how many the limit of rows let through.
    async fn long(&self, statement: &'static Statement, params: &[Param<'_>], found: usize) -> Result<Taken> {
        let (rows, bytes) = (
            codec::limit(self.limit.records.max(1)),
            codec::limit(self.limit.bytes.max(1)),
        );
        let limits: [Param<'_>; 2] = [&rows, &bytes];
        let params: Vec<Param<'_>> = params.iter().copied().chain(limits).collect();
        let answer = self.database.read(statement, &params).await?;
        let found: i64 = answer.rows.first().map_or(Ok(0), |row| get(row, found))?;
        let more = found == rows || found > codec::limit(answer.rows.len());
        Ok(Taken(answer.rows, more))
    }
}

impl Taken {
    fn of<T>(
        self,
        read: impl Fn(&Row) -> Result<T>,
        records: impl FnOnce(Vec<T>) -> Records,
    ) -> Result<(Records, bool)> {
        Ok((records(codec::all(&self.0, read)?), self.1))
    }
}

fn plan(row: &Row) -> Result<PlanWrite> {
    Ok(PlanWrite {
        digest: codec::digest(row, 0)?,
        spec: codec::text(row, 1)?,
    })
}

fn workflow(row: &Row) -> Result<WorkflowRecord> {
    Ok(WorkflowRecord {
        namespace: codec::text(row, 0)?,
        id: codec::text(row, 1)?,
        name: codec::string(row, 2)?,
        version: codec::small(row, 3)?,
        created_at: codec::time(row, 4)?,
    })
}

fn version_of(row: &Row) -> Result<VersionRecord> {
    Ok(VersionRecord {
        namespace: codec::text(row, 0)?,
        id: codec::text(row, 1)?,
        version: codec::small(row, 2)?,
        document: codec::string(row, 3)?,
        digest: codec::digest(row, 4)?,
        created_at: codec::time(row, 5)?,
    })
}

fn entry(row: &Row) -> Result<HistoryRecord> {
    Ok(HistoryRecord {
        run: codec::run_id(row, 4)?,
        commit: codec::commit(row)?,
    })
}

fn waiting(row: &Row) -> Result<QueueRecord> {
    Ok(QueueRecord {
        run: codec::run_id(row, 0)?,
        node: codec::small(row, 1)?,
        queue: codec::text(row, 2)?,
        rank: get(row, 3)?,
        namespace: codec::text(row, 4)?,
    })
}

fn remembered(row: &Row) -> Result<IdempotencyWrite> {
    Ok(IdempotencyWrite {
        record: codec::record(row, 0)?,
        namespace: codec::text(row, 2)?,
        scope: codec::text(row, 3)?,
        key: codec::string(row, 4)?,
        expires_at: codec::time(row, 5)?,
        replaces: None,
    })
}

fn message(row: &Row) -> Result<MessageRecord> {
    let message = codec::message(row)?;
    let state: i16 = get(row, 8)?;
    Ok(MessageRecord {
        id: message.id,
        target: message.target,
        key: message.key,
        message_id: message.message_id,
        body: message.body,
        attempts: message.attempts,
        created_at: message.created_at,
        due_at: Time(get(row, 7)?),
        state: if state == 0 {
            MessageState::Waiting
        } else {
            MessageState::GivenUp
        },
        error: codec::string_or_none(row, 9)?,
    })
}
