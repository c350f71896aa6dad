//! The shared store as source and target of a move.
//!
//! It lies still when no node's lease runs, which is asked at the beginning and again at the end. As a target it takes a
//! page in one transaction of two round trips: the place that was reached goes on under its own lock, and what belongs to
//! it follows. Owners of attempts are unknown here, so a run with any under way is one that several may hold: whichever
//! node starts first looks after it.

mod export;
mod import;

use std::time::Duration;

use async_trait::async_trait;
use quintet_core::time::Time;
use quintet_store::transfer::{self, Counts, Cursor, Kind, Origin, Page, PageLimit, Portable, Records, StoreId};
use quintet_store::{NodeRow, StoreError};

use crate::codec::{self, get};
use crate::error::{Lost, Result, corrupt};
use crate::options::Options;
use crate::read::status::COUNTING;
use crate::session::{COMMIT, Database, ForCaller, Step};
use crate::store::{PostgresStore, Purpose};
use crate::{sql, write};

/// Counting every row of a large store takes its time.
const PATIENCE: Duration = Duration::from_secs(300);

const ANALYZE: &str = "ANALYZE quintet.plans, quintet.workflows, quintet.workflow_versions, quintet.runs, quintet.history, \
                       quintet.queue, quintet.idempotency, quintet.outbox, quintet.outbox_streams, quintet.steps, \
                       quintet.dead_letters, quintet.records";

impl PostgresStore {
    /// Opens a store to be moved: also one that a move into it was not over with.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn open_for_transfer(url: &str, options: Options) -> Result<Self, StoreError> {
        let answer_timeout = options.answer_timeout.max(PATIENCE);
        let options = Options {
            answer_timeout,
            ..options
        };
        Self::open_as(url, options, Purpose::Transfer).await
    }
}

#[async_trait]
impl Portable for PostgresStore {
    async fn origin(&self) -> Result<Origin, StoreError> {
        origin(&self.database).await.or_lost(Lost::Harmless)
    }

    async fn check_idle(&self) -> Result<(), StoreError> {
        let (nodes, now) = alive(&self.database).await.or_lost(Lost::Harmless)?;
        if nodes.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = nodes.iter().map(|node| describe(node, now)).collect();
        Err(StoreError::Refused(format!(
            "the database is in use by {}: a store lies still while it is moved, so stop them and try again; one that \
             was killed counts until its lease has run out",
            names.join(", ")
        )))
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        counts(&self.database).await.or_lost(Lost::Harmless)
    }

    async fn export(&self, after: &Cursor, limit: PageLimit) -> Result<Page, StoreError> {
        export::page(&self.database, after, limit).await.or_lost(Lost::Harmless)
    }

    async fn begin_import(&self, source: StoreId, reached: &Cursor) -> Result<(), StoreError> {
        let reached = reached.to_bytes();
        let begun = self
            .database
            .run(&sql::TRANSFER_BEGIN, &[&&source.0[..], &reached])
            .await;
        match begun.or_lost(Lost::Unknown)?.affected {
            0 => Err(transfer::not_empty()),
            _ => Ok(()),
        }
    }

    async fn import(&self, from: &Cursor, records: Records, next: &Cursor) -> Result<(), StoreError> {
        import::page(&self.database, &self.days, from, &records, next)
            .await
            .or_lost(Lost::Unknown)
    }

    async fn finish_import(&self) -> Result<(), StoreError> {
        // Statistics come with work, and this store has a lot in it before the first.
        self.database
            .flight(&[Step::Plain(ANALYZE)])
            .await
            .or_lost(Lost::Harmless)?;
        self.database
            .run(&sql::TRANSFER_FINISH, &[])
            .await
            .or_lost(Lost::Unknown)
            .map(drop)
    }
}

/// Where the store comes from.
pub async fn origin(database: &Database) -> Result<Origin> {
    let answer = database.read(&sql::TRANSFER_ORIGIN, &[]).await?;
    let row = answer.single()?;
    let name = |at| -> Result<Option<StoreId>> {
        let bytes: Option<&[u8]> = get(row, at)?;
        let name = bytes.map(|bytes| {
            bytes
                .try_into()
                .map(StoreId)
                .map_err(|_| corrupt("a name of another length"))
        });
        name.transpose()
    };
    let reached: Option<&[u8]> = get(row, 2)?;
    Ok(Origin {
        id: name(0)?.ok_or_else(|| corrupt("the store has lost its name"))?,
        source: name(1)?,
        reached: reached.map(Cursor::from_bytes).transpose()?,
    })
}

/// Nodes whose leases run, and the time.
async fn alive(database: &Database) -> Result<(Vec<NodeRow>, Time)> {
    let nodes = write::nodes::list(database).await?;
    let server = database.read(&sql::STATUS_SERVER, &[]).await?;
    let now = codec::time(server.single()?, 5)?;
    Ok((nodes.into_iter().filter(|node| node.expires_at > now).collect(), now))
}

fn describe(node: &NodeRow, now: Time) -> String {
    let place = if node.url.is_empty() {
        String::new()
    } else {
        format!(" at {}", node.url)
    };
    let seconds = node.expires_at.ms_since(now).div_ceil(1000);
    format!("node {}{place} (its lease runs for {seconds} s)", node.name)
}

async fn counts(database: &Database) -> Result<Counts> {
    let steps = [COUNTING, Step::Run(&sql::TRANSFER_COUNTS, Vec::new()), COMMIT];
    let answers = database.flight(&steps).await?;
    let row = answers[1].single()?;
    let mut counts = [0; Kind::ALL.len()];
    for (at, count) in counts.iter_mut().enumerate() {
        *count = codec::unsigned(row, at)?;
    }
    Ok(Counts::new(counts))
}
