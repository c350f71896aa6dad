//! Between rows and types. What does not fit its type is damage, and is reported as that.
//!
//! PostgreSQL has no NUL in its text, and Quintet's strings may have one. So U+0000 and U+0001 are each written as U+0001
//! and a second character: that keeps the order of strings, and every text without the two is stored as it is.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus, step};
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{
    DeadLetter, DueRun, Head, IdempotencyRecord, NodeRow, OutboxEntry, QueueEntry, Record, RunRow, StepRow,
    StoredCommit, WorkflowRow, WorkflowVersionRow,
};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::error::{Fault, Result, corrupt};

type Failure = Box<dyn std::error::Error + Sync + Send>;

/// A run's id as PostgreSQL's `uuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid(pub RunId);

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        out.put_slice(&self.0.to_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self(RunId::from_bytes(raw.try_into()?)))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }
}

/// A string as PostgreSQL's `text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(pub &'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        out.put_slice(escape(self.0).as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TEXT
    }

    to_sql_checked!();
}

/// What was read back.
struct Read(String);

impl<'a> FromSql<'a> for Read {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        unescape(std::str::from_utf8(raw)?)
            .map(Self)
            .ok_or_else(|| "an unfinished escape".into())
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TEXT
    }
}

fn is_special(byte: u8) -> bool {
    byte <= 1
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(is_special) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().flat_map(|letter| match letter {
        '\u{0}' => ['\u{1}', '\u{1}'].into_iter().take(2),
        '\u{1}' => ['\u{1}', '\u{2}'].into_iter().take(2),
        other => [other, other].into_iter().take(1),
    });
    Cow::Owned(escaped.collect())
}

fn unescape(text: &str) -> Option<String> {
    if !text.bytes().any(is_special) {
        return Some(text.to_owned());
    }
    let mut letters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\u{1}' => match letters.next()? {
                '\u{1}' => '\u{0}',
                '\u{2}' => '\u{1}',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

/// `usize::MAX` means no limit to callers; PostgreSQL counts in `i64`.
pub fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub fn micros(time: Option<Time>) -> Option<i64> {
    time.map(|time| time.0)
}

/// A version that passed [`quintet_store::Commit::check`] fits.
pub fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// One column.
pub fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T> {
    row.try_get(at)
        .map_err(|error| corrupt(format!("a row cannot be read: {error}")))
}

pub fn text(row: &Row, at: usize) -> Result<Arc<str>> {
    Ok(string(row, at)?.into())
}

pub fn string(row: &Row, at: usize) -> Result<String> {
    Ok(get::<Read>(row, at)?.0)
}

pub fn string_or_none(row: &Row, at: usize) -> Result<Option<String>> {
    Ok(get::<Option<Read>>(row, at)?.map(|read| read.0))
}

pub fn texts(row: &Row, at: usize) -> Result<Vec<Arc<str>>> {
    Ok(get::<Vec<Read>>(row, at)?
        .into_iter()
        .map(|read| read.0.into())
        .collect())
}

pub fn run_id(row: &Row, at: usize) -> Result<RunId> {
    Ok(get::<Uuid>(row, at)?.0)
}

pub fn time(row: &Row, at: usize) -> Result<Time> {
    Ok(Time(get(row, at)?))
}

pub fn time_or_none(row: &Row, at: usize) -> Result<Option<Time>> {
    Ok(get::<Option<i64>>(row, at)?.map(Time))
}

pub fn unsigned(row: &Row, at: usize) -> Result<u64> {
    Ok(get::<i64>(row, at)?.cast_unsigned())
}

pub fn small(row: &Row, at: usize) -> Result<u32> {
    let number: i64 = get(row, at)?;
    u32::try_from(number).map_err(|_| corrupt(format!("{number} is out of range")))
}

fn bytes(row: &Row, at: usize) -> Result<[u8; 32]> {
    let bytes: &[u8] = get(row, at)?;
    bytes.try_into().map_err(|_| corrupt("a digest of another length"))
}

pub fn digest(row: &Row, at: usize) -> Result<Digest> {
    Ok(Digest(bytes(row, at)?))
}

pub fn status(row: &Row, at: usize) -> Result<RunStatus> {
    let number: i16 = get(row, at)?;
    let known = u8::try_from(number).ok().and_then(RunStatus::from_number);
    known.ok_or_else(|| corrupt(format!("{number} is not a state of a run")))
}

/// The stored number of a step's state: its place among all.
pub fn step_number(status: StepStatus) -> i16 {
    status as i16
}

pub fn step_status(row: &Row, at: usize) -> Result<StepStatus> {
    let number: i16 = get(row, at)?;
    let known = usize::try_from(number).ok().and_then(|place| step::ALL.get(place));
    known
        .copied()
        .ok_or_else(|| corrupt(format!("{number} is not a state of a step")))
}

/// Columns as the statements under `sql/steps` list them.
pub fn step(row: &Row) -> Result<StepRow> {
    Ok(StepRow {
        run: run_id(row, 0)?,
        node: small(row, 1)?,
        namespace: text(row, 2)?,
        workflow: text(row, 3)?,
        step: text(row, 4)?,
        action: text(row, 5)?,
        queue: text(row, 6)?,
        status: step_status(row, 7)?,
        attempt: small(row, 8)?,
        priority: get(row, 9)?,
        created_at: time(row, 10)?,
        updated_at: time(row, 11)?,
    })
}

/// Columns as the statements under `sql/letters` list them.
pub fn letter(row: &Row) -> Result<DeadLetter> {
    Ok(DeadLetter {
        run: run_id(row, 0)?,
        node: small(row, 1)?,
        attempt: small(row, 2)?,
        namespace: text(row, 3)?,
        workflow: text(row, 4)?,
        step: text(row, 5)?,
        queue: text(row, 6)?,
        body: string(row, 7)?,
        failed_at: time(row, 8)?,
        retried_at: time_or_none(row, 9)?,
    })
}

/// Columns as the statements under `sql/records` list them.
pub fn document(row: &Row) -> Result<Record> {
    Ok(Record {
        namespace: text(row, 0)?,
        kind: text(row, 1)?,
        id: text(row, 2)?,
        version: unsigned(row, 3)?,
        body: string(row, 4)?,
        expires_at: time_or_none(row, 5)?,
        created_at: time(row, 6)?,
        updated_at: time(row, 7)?,
    })
}

/// Columns as the statements under `sql/runs` list them.
pub fn run(row: &Row) -> Result<RunRow> {
    Ok(RunRow {
        id: run_id(row, 0)?,
        namespace: text(row, 1)?,
        workflow: text(row, 2)?,
        workflow_version: small(row, 3)?,
        plan: digest(row, 4)?,
        status: status(row, 5)?,
        version: unsigned(row, 6)?,
        priority: get(row, 7)?,
        claims: small(row, 8)?,
        wake_at: time_or_none(row, 9)?,
        created_at: time(row, 10)?,
        updated_at: time(row, 11)?,
        finished_at: time_or_none(row, 12)?,
    })
}

pub fn due_run(row: &Row) -> Result<DueRun> {
    Ok(DueRun {
        namespace: text(row, 0)?,
        id: run_id(row, 1)?,
    })
}

pub fn head(row: &Row) -> Result<Head> {
    Ok(Head {
        id: run_id(row, 0)?,
        version: unsigned(row, 1)?,
        status: status(row, 2)?,
    })
}

pub fn entry(row: &Row) -> Result<QueueEntry> {
    Ok(QueueEntry {
        namespace: text(row, 0)?,
        run: run_id(row, 1)?,
        node: small(row, 2)?,
        queue: text(row, 3)?,
    })
}

pub fn commit(row: &Row) -> Result<StoredCommit> {
    Ok(StoredCommit {
        seq: unsigned(row, 0)?,
        meta: Meta {
            at: time(row, 1)?,
            owner: unsigned(row, 2)?,
        },
        events: string(row, 3)?,
    })
}

/// Request and answer from the column `at` on.
pub fn record(row: &Row, at: usize) -> Result<IdempotencyRecord> {
    Ok(IdempotencyRecord {
        request: bytes(row, at)?,
        answer: string(row, at + 1)?,
    })
}

pub fn message(row: &Row) -> Result<OutboxEntry> {
    Ok(OutboxEntry {
        id: get(row, 0)?,
        target: text(row, 1)?,
        key: text(row, 2)?,
        message_id: string(row, 3)?,
        body: string(row, 4)?,
        attempts: small(row, 5)?,
        created_at: time(row, 6)?,
    })
}

pub fn workflow(row: &Row) -> Result<WorkflowRow> {
    Ok(WorkflowRow {
        id: text(row, 0)?,
        name: string(row, 1)?,
        version: small(row, 2)?,
        document: string(row, 3)?,
        digest: digest(row, 4)?,
        created_at: time(row, 5)?,
        updated_at: time(row, 6)?,
    })
}

pub fn workflow_version(row: &Row) -> Result<WorkflowVersionRow> {
    Ok(WorkflowVersionRow {
        version: small(row, 0)?,
        document: string(row, 1)?,
        digest: digest(row, 2)?,
        created_at: time(row, 3)?,
    })
}

/// Columns as `sql/nodes/list.sql` has them.
pub fn node(row: &Row) -> Result<NodeRow> {
    Ok(NodeRow {
        owner: unsigned(row, 0)?,
        name: text(row, 1)?,
        url: text(row, 2)?,
        version: text(row, 3)?,
        started_at: time(row, 4)?,
        beat_at: time(row, 5)?,
        expires_at: time(row, 6)?,
        draining: get(row, 7)?,
        in_flight: small(row, 8)?,
        taken_by: get::<Option<i64>>(row, 9)?.map(i64::cast_unsigned),
    })
}

/// Every row, read in the same way.
pub fn all<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>, Fault> {
    rows.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_steps_state_is_its_place_among_all() {
        for (place, status) in (0..).zip(step::ALL) {
            assert_eq!(step_number(status), place);
        }
    }

    /// As the statements and the tables have them.
    #[test]
    fn statements_know_the_states_by_their_numbers() {
        assert_eq!(step_number(StepStatus::Enqueued), 1);
        assert_eq!(step_number(StepStatus::InProgress), 2);
        assert_eq!(step_number(StepStatus::WaitingForRetry), 5);
        assert_eq!(step_number(StepStatus::Cancelled), 8);
        assert!(
            step::ALL
                .iter()
                .all(|status| status.is_settled() == (step_number(*status) >= 6))
        );
    }

    #[test]
    fn any_text_comes_back_and_keeps_its_place_in_the_order() {
        let mut texts = [
            "",
            "a",
            "\u{0}",
            "\u{1}",
            "\u{2}",
            "a\u{0}",
            "a\u{1}b",
            "a\u{0}\u{1}",
            "\u{1}\u{1}",
            "ä\u{0}",
        ];
        texts.sort_unstable();
        for text in texts {
            assert_eq!(unescape(&escape(text)).as_deref(), Some(text));
            assert!(!escape(text).contains('\u{0}'), "{text:?}");
        }
        assert!(texts.map(|text| escape(text).into_owned()).is_sorted());
        assert_eq!(unescape("broken \u{1}"), None);
        assert_eq!(unescape("broken \u{1}x"), None);
    }
}
