//! Writing pages: a column of values for each column of the table, so that a page is one statement.

use quintet_store::transfer::{
    self, Cursor, HistoryRecord, MessageRecord, MessageState, QueueRecord, Records, VersionRecord, WorkflowRecord,
};
use quintet_store::{IdempotencyWrite, PlanWrite, RunRow};

use crate::codec::{Text, Uuid, signed};
use crate::error::{Fault, Result};
use crate::partition::{self, Day, Days};
use crate::session::{BEGIN, COMMIT, Database, Param, ROLLBACK, Session, Step};
use crate::sql::{self, Statement};
use crate::write::records::Documents;
use crate::write::{columns, steps};

/// Partitions made by one transaction: each holds locks until its end, and a server has room for some thousand.
const DAYS_AT_ONCE: usize = 50;

/// Writes a page and where to go on, in one transaction.
pub async fn page(database: &Database, days: &Days, from: &Cursor, records: &Records, next: &Cursor) -> Result<()> {
    if let Records::History(records) = records {
        let missing = days.missing(records.iter().map(|record| Day::of(record.run)));
        let missing: Vec<Day> = missing.into_iter().collect();
        for some in missing.chunks(DAYS_AT_ONCE) {
            partition::make(database, days, some.iter().copied().collect()).await?;
        }
    }
    let (from, next) = (from.to_bytes(), next.to_bytes());
    let mut session = database.session().await?;
    let advance = Step::Run(&sql::TRANSFER_ADVANCE, vec![&from, &next]);
    if session.flight(&[BEGIN, advance]).await?[1].affected == 0 {
        session.flight(&[ROLLBACK]).await?;
        return Err(Fault::Store(transfer::elsewhere()));
    }
    let writing = Writing { session };
    match records {
        _ if records.is_empty() => writing.end(Vec::new()).await,
        Records::Plans(records) => writing.plans(records).await,
        Records::Workflows(records) => writing.workflows(records).await,
        Records::Versions(records) => writing.versions(records).await,
        Records::Runs(records) => writing.runs(records).await,
        Records::History(records) => writing.history(records).await,
        Records::Queue(records) => writing.queue(records).await,
        Records::Keys(records) => writing.keys(records).await,
        Records::Messages(records) => writing.messages(records).await,
        Records::Steps(records) => {
            let rows = steps::Rows::of(records);
            writing.put(&sql::STEPS_PUT, rows.params().to_vec()).await
        }
        Records::Letters(records) => {
            let rows = steps::Papers::of(records);
            writing.put(&sql::LETTERS_PUT, rows.params().to_vec()).await
        }
        Records::Documents(records) => {
            let rows = Documents::of(records);
            writing.put(&sql::RECORDS_INSERT, rows.params().to_vec()).await
        }
    }
}

struct Writing<'a> {
    session: Session<'a>,
}

fn column<'a, R, T>(records: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    records.iter().map(value).collect()
}

impl Writing<'_> {
    async fn put(self, statement: &'static Statement, params: Vec<Param<'_>>) -> Result<()> {
        self.end(vec![Step::Run(statement, params)]).await
    }

    async fn end(mut self, mut steps: Vec<Step<'_>>) -> Result<()> {
        steps.push(COMMIT);
        self.session.flight(&steps).await.map(drop)
    }

    async fn plans(self, records: &[PlanWrite]) -> Result<()> {
        let digest = column(records, |plan| &plan.digest.0[..]);
        let spec = column(records, |plan| Text(&plan.spec));
        self.put(&sql::PLANS_PUT, vec![&digest, &spec]).await
    }

    async fn workflows(self, records: &[WorkflowRecord]) -> Result<()> {
        let namespace = column(records, |workflow| Text(&workflow.namespace));
        let id = column(records, |workflow| Text(&workflow.id));
        let name = column(records, |workflow| Text(&workflow.name));
        let version = column(records, |workflow| i64::from(workflow.version));
        let created_at = column(records, |workflow| workflow.created_at.0);
        self.put(
            &sql::TRANSFER_PUT_WORKFLOWS,
            vec![&namespace, &id, &name, &version, &created_at],
        )
        .await
    }

    async fn versions(self, records: &[VersionRecord]) -> Result<()> {
        let namespace = column(records, |version| Text(&version.namespace));
        let id = column(records, |version| Text(&version.id));
        let number = column(records, |version| i64::from(version.version));
        let document = column(records, |version| Text(&version.document));
        let digest = column(records, |version| &version.digest.0[..]);
        let created_at = column(records, |version| version.created_at.0);
        let params: Vec<Param<'_>> = vec![&namespace, &id, &number, &document, &digest, &created_at];
        self.put(&sql::TRANSFER_PUT_VERSIONS, params).await
    }

    async fn runs(self, records: &[RunRow]) -> Result<()> {
        let mut rows = columns::Runs::default();
        records.iter().for_each(|row| rows.push(row));
        let several = 0i64;
        let params: Vec<Param<'_>> = std::iter::once(&several as Param<'_>).chain(rows.params()).collect();
        self.put(&sql::RUNS_INSERT, params).await
    }

    async fn history(self, records: &[HistoryRecord]) -> Result<()> {
        let run = column(records, |record| Uuid(record.run));
        let seq = column(records, |record| signed(record.commit.seq));
        let at = column(records, |record| record.commit.meta.at.0);
        let owner = column(records, |record| record.commit.meta.owner.cast_signed());
        let events = column(records, |record| Text(&record.commit.events));
        self.put(&sql::TRANSFER_PUT_HISTORY, vec![&run, &seq, &at, &owner, &events])
            .await
    }

    async fn queue(self, records: &[QueueRecord]) -> Result<()> {
        let run = column(records, |entry| Uuid(entry.run));
        let node = column(records, |entry| i64::from(entry.node));
        let queue = column(records, |entry| Text(&entry.queue));
        let rank = column(records, |entry| entry.rank);
        let namespace = column(records, |entry| Text(&entry.namespace));
        self.put(&sql::QUEUE_PUT, vec![&run, &node, &queue, &rank, &namespace])
            .await
    }

    async fn keys(self, records: &[IdempotencyWrite]) -> Result<()> {
        let mut rows = columns::Keys::default();
        records.iter().for_each(|key| rows.push(Some(key), None));
        self.put(&sql::IDEMPOTENCY_INSERT, rows.params().into()).await
    }

    async fn messages(self, records: &[MessageRecord]) -> Result<()> {
        let id = column(records, |message| message.id);
        let target = column(records, |message| Text(&message.target));
        let key = column(records, |message| Text(&message.key));
        let message_id = column(records, |message| Text(&message.message_id));
        let body = column(records, |message| Text(&message.body));
        let attempts = column(records, |message| i64::from(message.attempts));
        let created_at = column(records, |message| message.created_at.0);
        let due_at = column(records, |message| message.due_at.0);
        let state = column(records, |message| match message.state {
            MessageState::Waiting => 0i16,
            MessageState::GivenUp => 2,
        });
        let error = column(records, |message| message.error.as_deref().map(Text));
        let last = id.last().copied().unwrap_or(0);
        let columns: Vec<Param<'_>> = vec![
            &id,
            &target,
            &key,
            &message_id,
            &body,
            &attempts,
            &created_at,
            &due_at,
            &state,
            &error,
        ];
        self.end(vec![
            Step::Run(&sql::TRANSFER_PUT_MESSAGES, columns),
            Step::Run(&sql::TRANSFER_RAISE_IDS, vec![&last]),
        ])
        .await
    }
}
