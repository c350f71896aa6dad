//! [`PostgresStore`]: the trait, as statements.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{
    Beat, Claim, Commit, DeadLetter, DueRun, Head, IdempotencyRecord, LetterFilter, LetterPage, NamespaceUsage,
    NodeBeat, NodeRow, OutboxAsk, OutboxEntry, QueueAsk, QueueCount, QueueEntry, Record, RecordWrite, RunFilter,
    RunPage, RunRow, StepCounts, StepFilter, StepPage, Store, StoreError, StoreStatus, StoredCommit, StoredRun, Turns,
    UnitResult, WorkflowRow, WorkflowVersionRow, WorkflowWrite,
};

use crate::counters::{Counters, Meters};
use crate::error::{Fault, Lost, closed};
use crate::hints::Hints;
use crate::options::{Options, Pooler};
use crate::partition::{self, Days};
use crate::session::{Database, ForCaller};
use crate::wall::Wall;
use crate::{codec, connect, open, read, sql, transfer, write};

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Everything that a store is for; half a store is refused.
    Work,
    /// To be moved.
    Transfer,
}

/// The shared store.
pub struct PostgresStore {
    pub(crate) database: Database,
    pub(crate) days: Days,
    hints: Hints,
}

impl PostgresStore {
    /// Connects to the database at `url`, which must exist, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the server is not fit or lets nobody in, its schema is newer than this program, or a
    /// pooler lies between that [`Options::pooler`] does not tell of; [`StoreError::Unavailable`] when it cannot be
    /// reached, or is a standby.
    pub async fn open(url: &str, options: Options) -> Result<Self, StoreError> {
        Self::open_as(url, options, Purpose::Work).await
    }

    pub(crate) async fn open_as(url: &str, options: Options, purpose: Purpose) -> Result<Self, StoreError> {
        let config = connect::config(url, &options)?;
        let tls = connect::tls(options.ca_file.as_deref())?;
        let pool = open::pool(config.clone(), tls.clone(), &options)?;
        let (wall, leave) = open::prepare(&pool, &options).await.or_lost(Lost::Harmless)?;
        let hints = match options.pooler {
            Pooler::None => Hints::start(config, tls),
            Pooler::Transaction => Hints::default(),
        };
        let meters = Arc::new(Meters::default());
        let store = Self {
            database: Database {
                pool,
                options,
                meters,
                wall,
                leave,
                #[cfg(test)]
                conditions: sql::Conditions::Kept,
            },
            days: Days::default(),
            hints,
        };
        if purpose == Purpose::Work {
            transfer::origin(&store.database)
                .await
                .or_lost(Lost::Harmless)?
                .refuse_unfinished()?;
        }
        store.prepare_days().await.or_lost(Lost::Harmless)?;
        Ok(store)
    }

    /// The schema version of the database at `url`, `None` when Quintet never wrote to it. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Refused`] or [`StoreError::Unavailable`] when it cannot be asked.
    pub async fn schema_version(url: &str, options: &Options) -> Result<Option<u32>, StoreError> {
        let config = connect::config(url, options)?;
        let pool = open::pool(config, connect::tls(options.ca_file.as_deref())?, options)?;
        open::version(&pool, options).await.or_lost(Lost::Harmless)
    }

    /// The history has a place for what starts today and during the next days.
    async fn prepare_days(&self) -> Result<(), Fault> {
        partition::learn(&self.database, &self.days).await?;
        let server = self.database.read(&sql::STATUS_SERVER, &[]).await?;
        let now = codec::time(server.single()?, 5)?;
        let missing = self.days.missing(partition::ahead(now));
        partition::make(&self.database, &self.days, missing).await
    }

    /// What was done since the store was opened.
    pub fn counters(&self) -> Counters {
        self.database.meters.read()
    }

    /// Whether row-level security is used: what is read or written for one namespace goes by a role that sees nothing else.
    pub fn row_level_security(&self) -> bool {
        self.database.wall == Wall::Up
    }

    /// The pool ends with the store, so it knows.
    fn refuse_closed(&self) -> Result<(), StoreError> {
        if self.database.pool.is_closed() {
            Err(closed())
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, commit: Commit) -> Result<Vec<UnitResult>, StoreError> {
        self.refuse_closed()?;
        write::commit::commit(&self.database, &self.days, commit).await
    }

    async fn load(&self, namespace: &str, id: RunId) -> Result<Option<StoredRun>, StoreError> {
        read::runs::load(&self.database, namespace, id)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn run(&self, namespace: &str, id: RunId) -> Result<Option<RunRow>, StoreError> {
        read::runs::get(&self.database, namespace, id)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn commits(
        &self,
        namespace: &str,
        id: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, StoreError> {
        read::runs::commits(&self.database, namespace, id, after, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn runs(
        &self,
        namespace: &str,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, StoreError> {
        self.refuse_closed()?;
        read::runs::page(&self.database, namespace, filter, before, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn delete_run(&self, namespace: &str, id: RunId) -> Result<bool, StoreError> {
        write::retention::delete_run(&self.database, namespace, id)
            .await
            .or_lost(Lost::Unknown)
    }

    async fn due(&self, claim: Claim, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        write::claims::due(&self.database, claim, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn next_wake(&self) -> Result<Option<Time>, StoreError> {
        read::runs::next_wake(&self.database).await.or_lost(Lost::Harmless)
    }

    async fn reschedule(&self, wakes: &[(RunId, u64, Option<Time>)]) -> Result<(), StoreError> {
        write::claims::reschedule(&self.database, wakes)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn claimed(&self, alive: &[u64], after: Option<RunId>, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.refuse_closed()?;
        read::runs::claimed(&self.database, alive, after, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn queued(
        &self,
        asks: &[QueueAsk],
        turns: &Turns,
        claim: Claim,
        limit: usize,
    ) -> Result<Vec<QueueEntry>, StoreError> {
        write::claims::queued(&self.database, asks, turns, claim, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn steps(
        &self,
        namespace: &str,
        filter: &StepFilter,
        offset: u64,
        limit: usize,
    ) -> Result<StepPage, StoreError> {
        read::steps::page(&self.database, namespace, filter, offset, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn live_runs(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
        read::usage::live_runs(&self.database).await.or_lost(Lost::Harmless)
    }

    async fn namespace_usage(&self, namespace: &str) -> Result<NamespaceUsage, StoreError> {
        read::usage::of_namespace(&self.database, namespace)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn queue_counts(&self, namespace: &str) -> Result<Vec<QueueCount>, StoreError> {
        read::status::queues(&self.database, namespace)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn step_counts(&self, namespace: &str, action: &str) -> Result<StepCounts, StoreError> {
        read::steps::counts(&self.database, namespace, action)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn in_progress(&self, action: &str) -> Result<Vec<(Arc<str>, u32)>, StoreError> {
        read::steps::in_progress(&self.database, action)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn letters(
        &self,
        namespace: &str,
        filter: &LetterFilter,
        offset: u64,
        limit: usize,
    ) -> Result<LetterPage, StoreError> {
        read::letters::page(&self.database, namespace, filter, offset, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn letter(
        &self,
        namespace: &str,
        run: RunId,
        node: u32,
        attempt: Option<u32>,
    ) -> Result<Option<DeadLetter>, StoreError> {
        read::letters::get(&self.database, namespace, run, node, attempt)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn purge_letters(&self, namespace: Option<&str>, before: Time, limit: usize) -> Result<u64, StoreError> {
        write::letters::purge(&self.database, namespace, before, limit)
            .await
            .or_lost(Lost::Unknown)
    }

    async fn put_records(&self, writes: Vec<RecordWrite>) -> Result<bool, StoreError> {
        write::records::put(&self.database, &writes)
            .await
            .or_lost(Lost::Unknown)
    }

    async fn record(&self, namespace: &str, kind: &str, id: &str) -> Result<Option<Record>, StoreError> {
        read::records::get(&self.database, namespace, kind, id)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn records(
        &self,
        namespace: &str,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        read::records::list(&self.database, namespace, kind, after, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn expired_records(&self, kind: &str, now: Time, limit: usize) -> Result<Vec<Record>, StoreError> {
        read::records::expired(&self.database, kind, now, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn plan(&self, digest: Digest) -> Result<Option<String>, StoreError> {
        read::workflows::plan(&self.database, digest)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn idempotency(
        &self,
        namespace: &str,
        scope: &str,
        key: &str,
        now: Time,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        read::workflows::remembered(&self.database, namespace, scope, key, now)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn put_workflow(&self, write: WorkflowWrite) -> Result<Option<WorkflowRow>, StoreError> {
        write::workflows::put(&self.database, write)
            .await
            .or_lost(Lost::Unknown)
    }

    async fn workflow(&self, namespace: &str, id: &str) -> Result<Option<WorkflowRow>, StoreError> {
        read::workflows::get(&self.database, namespace, id)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn workflows(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<WorkflowRow>, StoreError> {
        read::workflows::list(&self.database, namespace, after, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn workflow_versions(&self, namespace: &str, id: &str) -> Result<Vec<WorkflowVersionRow>, StoreError> {
        read::workflows::versions(&self.database, namespace, id)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn delete_workflow(&self, namespace: &str, id: &str) -> Result<bool, StoreError> {
        write::workflows::delete(&self.database, namespace, id)
            .await
            .or_lost(Lost::Unknown)
    }

    async fn outbox_due(&self, claim: Claim, ask: OutboxAsk<'_>) -> Result<Vec<OutboxEntry>, StoreError> {
        write::claims::messages(&self.database, claim, ask)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn outbox_next(&self) -> Result<Option<Time>, StoreError> {
        read::outbox::next(&self.database).await.or_lost(Lost::Harmless)
    }

    async fn outbox_delivered(&self, ids: &[i64]) -> Result<(), StoreError> {
        write::outbox::delivered(&self.database, ids)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn outbox_failed(&self, id: i64, error: &str, retry_at: Option<Time>) -> Result<(), StoreError> {
        write::outbox::failed(&self.database, id, error, retry_at)
            .await
            .or_lost(Lost::Unknown)
    }

    /// In small transactions, so that commits go on meanwhile.
    async fn prune(&self, before: Time, now: Time, limit: usize) -> Result<u64, StoreError> {
        write::retention::prune(&self.database, &self.days, before, now, limit)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        read::status::status(&self.database).await.or_lost(Lost::Harmless)
    }

    async fn backup(&self, _path: &Path) -> Result<(), StoreError> {
        self.refuse_closed()?;
        Err(StoreError::Refused(
            "a PostgreSQL database is backed up with its own tools: use pg_dump for a copy of this database (as the \
             owner of its tables with --enable-row-security), or \
             pg_basebackup with WAL archiving for one that can be brought to any moment"
                .to_owned(),
        ))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.hints.stop();
        self.database.pool.close();
        Ok(())
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn beat(&self, beat: &NodeBeat) -> Result<Beat, StoreError> {
        write::nodes::beat(&self.database, beat).await.or_lost(Lost::Harmless)
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        write::nodes::list(&self.database).await.or_lost(Lost::Harmless)
    }

    async fn take_over(&self, dead: u64, by: u64, lease_ms: u64) -> Result<bool, StoreError> {
        write::nodes::take_over(&self.database, dead, by, lease_ms)
            .await
            .or_lost(Lost::Unknown)
    }

    async fn forget_node(&self, owner: u64) -> Result<(), StoreError> {
        write::nodes::forget(&self.database, owner)
            .await
            .or_lost(Lost::Harmless)
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<Head>, StoreError> {
        read::runs::heads(&self.database, runs).await.or_lost(Lost::Harmless)
    }

    fn hint(&self) {
        self.hints.send();
    }

    async fn hinted(&self) {
        self.hints.heard().await;
    }
}
