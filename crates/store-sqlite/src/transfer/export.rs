//! Reading pages. The statement keeps the limit of records, and reading stops at the limit of bytes.

use quintet_core::id::RunId;
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::transfer::{
    Cursor, HistoryRecord, MessageRecord, MessageState, Page, PageLimit, QueueRecord, Records, VersionRecord,
    WorkflowRecord,
};
use quintet_store::{DeadLetter, IdempotencyWrite, PlanWrite, Record};
use rusqlite::{Params, Row, params};

use crate::codec::{self, signed};
use crate::error::Result;
use crate::read::Reader;
use crate::sql;

/// The records behind `after`.
pub fn page(reader: &Reader, after: &Cursor, limit: PageLimit) -> Result<Page> {
    let rows = codec::limit(limit.records.max(1));
    let (records, more) = match after {
        Cursor::Plans(digest) => {
            let after: &[u8] = digest.as_ref().map_or(&[], |digest| &digest.0);
            take(reader, sql::TRANSFER_PLANS, params![after, rows], limit, plan)?.of(Records::Plans)
        }
        Cursor::Workflows(key) => {
            let (namespace, id) = key.as_ref().map_or(("", ""), |(namespace, id)| (&**namespace, &**id));
            let params = params![namespace, id, key.is_some(), rows];
            take(reader, sql::TRANSFER_WORKFLOWS, params, limit, workflow)?.of(Records::Workflows)
        }
        Cursor::Versions(key) => {
            let first = ("".into(), "".into(), 0);
            let (namespace, id, version) = key.as_ref().unwrap_or(&first);
            let params = params![namespace, id, version, rows];
            take(reader, sql::TRANSFER_VERSIONS, params, limit, version_of)?.of(Records::Versions)
        }
        Cursor::Runs(run) => {
            let after = run.map(RunId::to_bytes);
            let after: &[u8] = after.as_ref().map_or(&[], |id| id);
            let read = |row: &Row<'_>| Ok((codec::run(row)?, 0));
            take(reader, sql::TRANSFER_RUNS, params![after, rows], limit, read)?.of(Records::Runs)
        }
        Cursor::History(key) => {
            let (run, seq) = key.map_or(([0; 16], 0), |(run, seq)| (run.to_bytes(), signed(seq)));
            let params = params![run, seq, rows];
            take(reader, sql::TRANSFER_HISTORY, params, limit, entry)?.of(Records::History)
        }
        Cursor::Queue(key) => {
            let (run, node) = key.map_or(([0; 16], -1), |(run, node)| (run.to_bytes(), i64::from(node)));
            take(reader, sql::TRANSFER_QUEUE, params![run, node, rows], limit, waiting)?.of(Records::Queue)
        }
        Cursor::Keys(key) => {
            let first = ("".into(), "".into(), "".into());
            let (namespace, scope, name) = key.as_ref().unwrap_or(&first);
            let params = params![namespace, scope, name, key.is_some(), rows];
            take(reader, sql::TRANSFER_KEYS, params, limit, remembered)?.of(Records::Keys)
        }
        Cursor::Messages(id) => {
            let params = params![id.unwrap_or(i64::MIN), rows];
            take(reader, sql::TRANSFER_MESSAGES, params, limit, message)?.of(Records::Messages)
        }
        Cursor::Steps(key) => {
            let (run, node) = key.map_or(([0; 16], -1), |(run, node)| (run.to_bytes(), i64::from(node)));
            let read = |row: &Row<'_>| Ok((codec::step(row)?, 0));
            take(reader, sql::TRANSFER_STEPS, params![run, node, rows], limit, read)?.of(Records::Steps)
        }
        Cursor::Letters(key) => {
            let (run, node, attempt) = key.map_or(([0; 16], -1, -1), |(run, node, attempt)| {
                (run.to_bytes(), i64::from(node), i64::from(attempt))
            });
            let params = params![run, node, attempt, rows];
            take(reader, sql::TRANSFER_LETTERS, params, limit, letter)?.of(Records::Letters)
        }
        Cursor::Documents(key) => {
            let first = ("".into(), "".into(), "".into());
            let (namespace, kind, id) = key.as_ref().unwrap_or(&first);
            let params = params![namespace, kind, id, key.is_some(), rows];
            take(reader, sql::TRANSFER_RECORDS, params, limit, document)?.of(Records::Documents)
        }
        Cursor::End => (Records::Documents(Vec::new()), false),
    };
    Ok(Page::new(after, records, more))
}

/// Rows up to the limit, and whether there may be more.
struct Taken<T>(Vec<T>, bool);

impl<T> Taken<T> {
    fn of(self, records: impl FnOnce(Vec<T>) -> Records) -> (Records, bool) {
        (records(self.0), self.1)
    }
}

/// Reads until the limit of bytes is reached; the statement keeps that of the records. `read` also tells how large the
/// texts are.
fn take<T>(
    reader: &Reader,
    sql: &str,
    params: impl Params,
    limit: PageLimit,
    read: impl Fn(&Row<'_>) -> Result<(T, usize)>,
) -> Result<Taken<T>> {
    let mut statement = reader.connection().prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (record, size) = read(row)?;
        records.push(record);
        bytes += size;
        if bytes >= limit.bytes || records.len() >= limit.records.max(1) {
            return Ok(Taken(records, true));
        }
    }
    Ok(Taken(records, false))
}

fn plan(row: &Row<'_>) -> Result<(PlanWrite, usize)> {
    let spec = codec::text(row, 1)?;
    let (digest, size) = (Digest(row.get(0)?), spec.len());
    Ok((PlanWrite { digest, spec }, size))
}

fn workflow(row: &Row<'_>) -> Result<(WorkflowRecord, usize)> {
    let record = WorkflowRecord {
        namespace: codec::text(row, 0)?,
        id: codec::text(row, 1)?,
        name: row.get(2)?,
        version: row.get(3)?,
        created_at: codec::time(row, 4)?,
    };
    let size = record.name.len();
    Ok((record, size))
}

fn version_of(row: &Row<'_>) -> Result<(VersionRecord, usize)> {
    let record = VersionRecord {
        namespace: codec::text(row, 0)?,
        id: codec::text(row, 1)?,
        version: row.get(2)?,
        document: row.get(3)?,
        digest: Digest(row.get(4)?),
        created_at: codec::time(row, 5)?,
    };
    let size = record.document.len();
    Ok((record, size))
}

fn entry(row: &Row<'_>) -> Result<(HistoryRecord, usize)> {
    let (run, commit) = (codec::run_id(row, 4)?, codec::commit(row)?);
    let size = commit.events.len();
    Ok((HistoryRecord { run, commit }, size))
}

fn waiting(row: &Row<'_>) -> Result<(QueueRecord, usize)> {
    let record = QueueRecord {
        run: codec::run_id(row, 0)?,
        node: row.get(1)?,
        queue: codec::text(row, 2)?,
        rank: row.get(3)?,
        namespace: codec::text(row, 4)?,
    };
    Ok((record, 0))
}

fn remembered(row: &Row<'_>) -> Result<(IdempotencyWrite, usize)> {
    let record = IdempotencyWrite {
        record: codec::record(row)?,
        namespace: codec::text(row, 2)?,
        scope: codec::text(row, 3)?,
        key: row.get(4)?,
        expires_at: codec::time(row, 5)?,
        replaces: None,
    };
    let size = record.record.answer.len();
    Ok((record, size))
}

fn message(row: &Row<'_>) -> Result<(MessageRecord, usize)> {
    let message = codec::message(row)?;
    let size = message.body.len();
    let record = MessageRecord {
        id: message.id,
        target: message.target,
        key: message.key,
        message_id: message.message_id,
        body: message.body,
        attempts: message.attempts,
        created_at: message.created_at,
        due_at: Time(row.get(7)?),
        state: if row.get(8)? {
            MessageState::GivenUp
        } else {
            MessageState::Waiting
        },
        error: row.get(9)?,
    };
    Ok((record, size))
}

fn letter(row: &Row<'_>) -> Result<(DeadLetter, usize)> {
    let letter = codec::letter(row)?;
    let size = letter.body.len();
    Ok((letter, size))
}

fn document(row: &Row<'_>) -> Result<(Record, usize)> {
    let document = codec::document(row)?;
    let size = document.body.len();
    Ok((document, size))
}
