//! Writing pages. Records come in the order of their keys, into tables that are empty behind them.

use quintet_store::Record;
use quintet_store::transfer::{
    HistoryRecord, MessageRecord, MessageState, QueueRecord, Records, VersionRecord, WorkflowRecord,
};
use rusqlite::params;

use crate::codec::{micros, signed};
use crate::error::Result;
use crate::sql;
use crate::write;
use crate::writer::Tx;

/// Writes a page.
pub fn write(tx: &Tx<'_>, records: &Records) -> Result<()> {
    match records {
        Records::Plans(records) => each(records, |plan| write::units::put_plan(tx, plan)),
        Records::Workflows(records) => each(records, |workflow| {
            let WorkflowRecord {
                namespace,
                id,
                name,
                version,
                created_at,
            } = workflow;
            let params = params![namespace, id, name, version, created_at.0];
            tx.execute(sql::WORKFLOWS_PUT, params).map(drop)
        }),
        Records::Versions(records) => each(records, |version| {
            let VersionRecord {
                namespace,
                id,
                version,
                document,
                digest,
                created_at,
            } = version;
            let params = params![namespace, id, version, document, digest.0, created_at.0];
            tx.execute(sql::WORKFLOWS_PUT_VERSION, params).map(drop)
        }),
        Records::Runs(records) => each(records, |row| write::runs::insert(tx, row)),
        Records::History(records) => each(records, |HistoryRecord { run, commit }| {
            write::runs::put_entry(tx, *run, commit.seq, commit.meta, &commit.events)
        }),
        Records::Queue(records) => each(records, |entry| {
            let QueueRecord {
                run,
                node,
                queue,
                rank,
                namespace,
            } = entry;
            let params = params![run.to_bytes(), node, queue, rank, namespace];
            tx.execute(sql::QUEUE_PUT, params).map(drop)
        }),
        Records::Keys(records) => each(records, |key| write::units::remember(tx, key)),
        Records::Messages(records) => each(records, |message| put_message(tx, message)),
        Records::Steps(records) => each(records, |row| write::steps::put(tx, row)),
        Records::Letters(records) => each(records, |letter| write::steps::put_letter(tx, letter)),
        Records::Documents(records) => each(records, |document| put_document(tx, document)),
    }
}

fn each<T>(records: &[T], write: impl FnMut(&T) -> Result<()>) -> Result<()> {
    records.iter().try_for_each(write)
}

fn put_message(tx: &Tx<'_>, message: &MessageRecord) -> Result<()> {
    let MessageRecord {
        id,
        target,
        key,
        message_id,
        body,
        attempts,
        due_at,
        created_at,
        state,
        error,
    } = message;
    tx.keep_message(*id);
    let given_up = *state == MessageState::GivenUp;
    let (created_at, due_at) = (created_at.0, due_at.0);
    let params = params![
        id, target, key, message_id, body, attempts, created_at, due_at, error, given_up
    ];
    tx.execute(sql::TRANSFER_PUT_MESSAGE, params)?;
    Ok(())
}

fn put_document(tx: &Tx<'_>, document: &Record) -> Result<()> {
    let Record {
        namespace,
        kind,
        id,
        version,
        body,
        expires_at,
        created_at,
        updated_at,
    } = document;
    let (version, expires_at) = (signed(*version), micros(*expires_at));
    let (created_at, updated_at) = (created_at.0, updated_at.0);
    let params = params![namespace, kind, id, version, body, expires_at, created_at, updated_at];
    tx.execute(sql::TRANSFER_PUT_RECORD, params).map(drop)
}
