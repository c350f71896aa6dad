//! Statements in flight.
//!
//! A [`Flight`] is a list of steps that are sent together and answered together: one round trip, however many there are.
//! A [`Session`] is a connection for the time of one task. If the task ends in the middle of something (an error, a
//! silence, a caller that went away), the connection is not given back: nobody knows what is still to come on it.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::counters::Meters;
use crate::error::{Fault, Lost, Result, Verdict};
use crate::options::{Options, Pooler};
use crate::sql::{Keep, Statement};
use crate::wall::Wall;

/// How often the same is tried when somebody else is in the way.
const TRIES: usize = 8;

/// One value of a statement.
pub type Param<'a> = &'a (dyn ToSql + Sync);

/// Something to be sent.
#[derive(Clone)]
pub enum Step<'a> {
    /// Text without values: the bounds of a transaction, or a definition.
    Plain(&'a str),
    Run(&'static Statement, Vec<Param<'a>>),
}

/// Begins a transaction whose statements each see what was committed before them.
pub const BEGIN: Step<'static> = Step::Plain("BEGIN ISOLATION LEVEL READ COMMITTED");
pub const COMMIT: Step<'static> = Step::Plain("COMMIT");
pub const ROLLBACK: Step<'static> = Step::Plain("ROLLBACK");

/// What came of a step.
#[derive(Debug, Default)]
pub struct Answer {
    pub rows: Vec<Row>,
    pub affected: u64,
}

/// Connections and how to use them.
pub struct Database {
    pub pool: Pool,
    pub options: Options,
    pub meters: Arc<Meters>,
    pub wall: Wall,
    /// As [`crate::wall::leaving`].
    pub leave: String,
    #[cfg(test)]
    pub conditions: crate::sql::Conditions,
}

impl Database {
    /// A connection.
    pub async fn session(&self) -> Result<Session<'_>> {
        let object = self.pool.get().await.map_err(Fault::Pool)?;
        Ok(Session {
            database: self,
            object: Some(object),
            state: State::Idle,
            patience: self.options.answer_timeout,
        })
    }

    /// Sends the steps on some connection. Where the server says that somebody was in the way, they are sent again.
    pub async fn flight(&self, steps: &[Step<'_>]) -> Result<Vec<Answer>> {
        let mut tries = 1;
        loop {
            match self.session().await?.flight(steps).await {
                Err(fault) if fault.verdict() == Some(Verdict::Again) && tries < TRIES => tries += 1,
                // A standby that was the primary: every connection leads to it.
                Err(fault) if fault.verdict() == Some(Verdict::ReadOnly) => {
                    self.forget_connections();
                    return Err(fault);
                }
                result => return result,
            }
        }
    }

    /// One statement.
    pub async fn run(&self, statement: &'static Statement, params: &[Param<'_>]) -> Result<Answer> {
        let mut answers = self.flight(&[Step::Run(statement, params.to_vec())]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// One statement that may be asked again.
    pub async fn read(&self, statement: &'static Statement, params: &[Param<'_>]) -> Result<Answer> {
        let first = self.run(statement, params).await;
        match first {
            // A connection that died while it lay idle is not the server's state of things.
            Err(Fault::Postgres(error)) if error.is_closed() => self.run(statement, params).await,
            other => other,
        }
    }

    /// New connections from now on.
    pub fn forget_connections(&self) {
        drop(self.pool.retain(|_, _| false));
    }
}

/// A connection in use.
pub struct Session<'a> {
    database: &'a Database,
    object: Option<Object>,
    state: State,
    patience: Duration,
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is under way.
    Idle,
    /// A transaction is open.
    Open,
    /// Nobody knows what is still to come on it.
    Unclear,
}

impl Session<'_> {
    /// For what may take longer than a usual answer.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends the steps and waits for their answers; the first failure is the answer to all. A transaction that they begin
    /// and do not end stays open for the next flight.
    pub async fn flight(&mut self, steps: &[Step<'_>]) -> Result<Vec<Answer>> {
        let patience = self.patience;
        let object = self
            .object
            .as_ref()
            .expect("a session has its connection until it is dropped");
        let before = std::mem::replace(&mut self.state, State::Unclear);
        let sent = tokio::time::timeout(patience, send(self.database, object, steps)).await;
        let answers = sent.map_err(|_| Fault::Silence(patience))?;
        let failed = answers.as_ref().err();
        if failed.is_none_or(|fault| fault.spares_the_session()) {
            self.state = after(before, steps, failed.is_some());
        }
        answers
    }
}

/// A transaction in which something failed can only be ended.
fn after(before: State, steps: &[Step<'_>], failed: bool) -> State {
    let is = |step: &Step<'_>, text: &str| matches!(step, Step::Plain(plain) if plain.starts_with(text));
    if steps
        .last()
        .is_some_and(|step| is(step, "COMMIT") || is(step, "ROLLBACK"))
    {
        State::Idle
    } else if before == State::Open || steps.first().is_some_and(|step| is(step, "BEGIN")) {
        if failed { State::Unclear } else { State::Open }
    } else {
        State::Idle
    }
}

async fn send(database: &Database, object: &Object, steps: &[Step<'_>]) -> Result<Vec<Answer>> {
    let keeps = database.options.pooler == Pooler::None;
    let mut futures: Vec<BoxFuture<'_, Result<Answer>>> = Vec::with_capacity(steps.len());
    let mut statements = 0;
    for step in steps {
        futures.push(match step {
            Step::Plain(text) => plain(object, text).boxed(),
            Step::Run(statement, params) if keeps && statement.keep == Keep::Plan => {
                statements += 1;
                let prepared = object
                    .prepare_typed_cached(text(database, statement), statement.types)
                    .await;
                let prepared = prepared.map_err(|error| Fault::Unprepared(statement.path, error))?;
                async move { collect(object.query_raw(&prepared, params.iter().copied()).await?).await }.boxed()
            }
            Step::Run(statement, params) => {
                statements += 1;
                let typed = params.iter().copied().zip(statement.types.iter().cloned());
                let text = text(database, statement);
                async move { collect(object.query_typed_raw(text, typed).await?).await }.boxed()
            }
        });
    }
    database.meters.flight(statements);
    // They are polled in order and each is sent when it is polled first, so that is the order on the wire.
    join_all(futures).await.into_iter().collect()
}

#[cfg(not(test))]
fn text(_: &Database, statement: &'static Statement) -> &'static str {
    statement.text
}

/// Tests of the wall send statements that have lost their conditions.
#[cfg(test)]
fn text(database: &Database, statement: &'static Statement) -> &'static str {
    statement.with(database.conditions)
}

async fn plain(object: &Object, text: &str) -> Result<Answer> {
    object.batch_execute(text).await?;
    Ok(Answer::default())
}

async fn collect(stream: tokio_postgres::RowStream) -> Result<Answer> {
    let mut stream = std::pin::pin!(stream);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        rows.push(row);
    }
    let affected = stream.rows_affected().unwrap_or(0);
    Ok(Answer { rows, affected })
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(object) = self.object.take().filter(|_| self.state != State::Idle) {
            drop(Object::take(object));
        }
    }
}

impl Answer {
    /// The only column of the only row.
    pub fn single(&self) -> Result<&Row> {
        self.rows
            .first()
            .ok_or_else(|| crate::error::corrupt("PostgreSQL answered no row where there is always one"))
    }
}

/// For the caller of the store.
pub trait ForCaller<T> {
    fn or_lost(self, lost: Lost) -> Result<T, quintet_store::StoreError>;
}

impl<T> ForCaller<T> for Result<T> {
    fn or_lost(self, lost: Lost) -> Result<T, quintet_store::StoreError> {
        self.map_err(|fault| fault.into_store(lost))
    }
}
