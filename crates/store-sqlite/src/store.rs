//! [`SqliteStore`]: the trait, as jobs for the threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::plan::Digest;
use quintet_core::time::Time;
use quintet_store::{
    Claim, Commit, DeadLetter, DueRun, Head, IdempotencyRecord, LetterFilter, LetterPage, NamespaceUsage, OutboxAsk,
    OutboxEntry, QueueAsk, QueueCount, QueueEntry, Record, RecordWrite, RunFilter, RunPage, RunRow, StepCounts,
    StepFilter, StepPage, Store, StoreError, StoreStatus, StoredCommit, StoredRun, Turns, UnitResult, WorkflowRow,
    WorkflowVersionRow, WorkflowWrite,
};

use crate::connect::{self, Synchronous};
use crate::counters::{Counters, Meters};
use crate::error::Result;
use crate::lane::Lane;
use crate::migrate::SCHEMA;
use crate::read::{self, Reader};
use crate::tally::Tally;
use crate::writer::Writer;
use crate::{backup, place, transfer, write};

/// Runs removed by one transaction of retention: commits wait no longer than that takes.
const PRUNED_AT_ONCE: usize = 100;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads that read, at least one.
    pub read_connections: usize,
    /// What an acknowledged commit survives.
    pub synchronous: Synchronous,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_connections: 3,
            synchronous: Synchronous::Full,
        }
    }
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Everything that a store is for; half a store is refused.
    Work,
    /// To be moved.
    Transfer,
}

/// The embedded store. Close it before it is dropped: dropping waits for its threads.
pub struct SqliteStore {
    path: PathBuf,
    options: Options,
    readers: Lane<Reader>,
    pub(crate) writer: Lane<Writer>,
    meters: Arc<Meters>,
    tally: Arc<Tally>,
}

impl SqliteStore {
    /// Opens or creates the database at `path` and takes possession of it. Does I/O on the calling thread.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when another process has it, or its schema is newer than this program;
    /// [`StoreError::Corrupt`] when the file is damaged or no database.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        Self::open_as(path, options, Purpose::Work)
    }

    pub(crate) fn open_as(path: &Path, options: Options, purpose: Purpose) -> Result<Self, StoreError> {
        let path = canonical(path)?;
        place::warn_if_remote(&path);
        let opened = Self::open_canonical(path.clone(), options, purpose);
        opened.map_err(|error| at_path(&path, error.into()))
    }

    /// Opens or creates `quintet.db` in a directory, which is made if need be.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_in(dir: &Path) -> Result<Self, StoreError> {
        let made = std::fs::create_dir_all(dir);
        made.map_err(|error| StoreError::Unavailable(format!("{}: {error}", dir.display())))?;
        Self::open(&dir.join("quintet.db"), Options::default())
    }

    fn open_canonical(path: PathBuf, options: Options, purpose: Purpose) -> Result<Self> {
        let (meters, tally) = (Arc::new(Meters::default()), Arc::new(Tally::default()));
        let writer = Writer::open(path.clone(), options.synchronous, meters.clone(), tally.clone())?;
        let readers: Result<Vec<Reader>> = (0..options.read_connections.max(1))
            .map(|_| connect::reader(&path).map(Reader::new))
            .collect();
        let readers = readers?;
        if let (Purpose::Work, Some(reader)) = (purpose, readers.first()) {
            transfer::origin(reader)?.refuse_unfinished()?;
        }
        let readers = Lane::start("quintet-sqlite-reader", readers)?;
        let writer = Lane::start("quintet-sqlite-writer", vec![writer])?;
        Ok(Self {
            path,
            options,
            readers,
            writer,
            meters,
            tally,
        })
    }

    /// What was written since the store was opened.
    pub fn counters(&self) -> Counters {
        self.meters.read()
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T> + Send + 'static,
    {
        self.readers.call(move |reader| job(reader)).await
    }

    /// Counts the runs the first time, and knows them from then on.
    async fn count_runs(&self) -> Result<(), StoreError> {
        if self.tally.runs().is_some() {
            return Ok(());
        }
        let (snapshot, change) = self.writer.call(|writer| writer.snapshot()).await?;
        let tally = self.tally.clone();
        self.read(move |_| read::status::count_runs(snapshot, &change, &tally))
            .await
    }
}

impl Drop for SqliteStore {
    /// Readers first, so that the writer is the last one and can empty the log.
    fn drop(&mut self) {
        self.readers.stop();
        self.readers.join();
        self.writer.stop();
        self.writer.join();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, commit: Commit) -> Result<Vec<UnitResult>, StoreError> {
        self.writer
            .call(move |writer| write::units::commit(writer, &commit))
            .await
    }

    async fn load(&self, namespace: &str, id: RunId) -> Result<Option<StoredRun>, StoreError> {
        let namespace = namespace.to_owned();
        self.read(move |reader| read::runs::load(reader, &namespace, id)).await
    }

    async fn run(&self, namespace: &str, id: RunId) -> Result<Option<RunRow>, StoreError> {
        let namespace = namespace.to_owned();
        self.read(move |reader| read::runs::get(reader, &namespace, id)).await
    }

    async fn commits(
        &self,
        namespace: &str,
        id: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, StoreError> {
        let namespace = namespace.to_owned();
        self.read(move |reader| read::runs::commits(reader, &namespace, id, after, limit))
            .await
    }

    async fn runs(
        &self,
        namespace: &str,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, StoreError> {
        let (namespace, filter) = (namespace.to_owned(), filter.clone());
        self.read(move |reader| read::runs::page(reader, &namespace, &filter, before, limit))
            .await
    }

    async fn delete_run(&self, namespace: &str, id: RunId) -> Result<bool, StoreError> {
        let namespace = namespace.to_owned();
        self.writer
            .call(move |writer| write::retention::delete_run(writer, &namespace, id))
            .await
    }

    async fn due(&self, claim: Claim, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.read(move |reader| read::runs::due(reader, claim.now, limit)).await
    }

    async fn next_wake(&self) -> Result<Option<Time>, StoreError> {
        self.read(read::runs::next_wake).await
    }

    async fn reschedule(&self, wakes: &[(RunId, u64, Option<Time>)]) -> Result<(), StoreError> {
        let wakes = wakes.to_vec();
        self.writer
            .call(move |writer| write::runs::reschedule(writer, &wakes))
            .await
    }

    async fn claimed(&self, _alive: &[u64], after: Option<RunId>, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.read(move |reader| read::runs::claimed(reader, after, limit)).await
    }

    async fn queued(
        &self,
        asks: &[QueueAsk],
        turns: &Turns,
        _claim: Claim,
        limit: usize,
    ) -> Result<Vec<QueueEntry>, StoreError> {
        let turns = turns.clone();
        let asks = asks.to_vec();
        self.read(move |reader| read::queue::queued(reader, &asks, &turns, limit))
            .await
    }

    async fn steps(
        &self,
        namespace: &str,
        filter: &StepFilter,
        offset: u64,
        limit: usize,
    ) -> Result<StepPage, StoreError> {
        let (namespace, filter) = (namespace.to_owned(), filter.clone());
        self.read(move |reader| read::steps::page(reader, &namespace, &filter, offset, limit))
            .await
    }

    async fn live_runs(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
        self.read(read::usage::live_runs).await
    }

    async fn namespace_usage(&self, namespace: &str) -> Result<NamespaceUsage, StoreError> {
        let namespace = namespace.to_owned();
        self.read(move |reader| read::usage::of_namespace(reader, &namespace))
            .await
    }

    async fn queue_counts(&self, namespace: &str) -> Result<Vec<QueueCount>, StoreError> {
        let namespace = namespace.to_owned();
        self.read(move |reader| read::queue::counts(reader, &namespace)).await
    }

    async fn step_counts(&self, namespace: &str, action: &str) -> Result<StepCounts, StoreError> {
        let (namespace, action) = (namespace.to_owned(), action.to_owned());
        self.read(move |reader| read::steps::counts(reader, &namespace, &action))
            .await
    }

    async fn in_progress(&self, action: &str) -> Result<Vec<(Arc<str>, u32)>, StoreError> {
        let action = action.to_owned();
        self.read(move |reader| read::steps::in_progress(reader, &action)).await
    }

    async fn letters(
        &self,
        namespace: &str,
        filter: &LetterFilter,
        offset: u64,
        limit: usize,
    ) -> Result<LetterPage, StoreError> {
        let (namespace, filter) = (namespace.to_owned(), filter.clone());
        self.read(move |reader| read::steps::letters(reader, &namespace, &filter, offset, limit))
            .await
    }

    async fn letter(
        &self,
        namespace: &str,
        run: RunId,
        node: u32,
        attempt: Option<u32>,
    ) -> Result<Option<DeadLetter>, StoreError> {
        let namespace = namespace.to_owned();
        self.read(move |reader| read::steps::letter(reader, &namespace, run, node, attempt))
            .await
    }

    /// In small transactions, so that commits go on meanwhile.
    async fn purge_letters(&self, namespace: Option<&str>, before: Time, limit: usize) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let (namespace, left) = (namespace.map(str::to_owned), limit - removed);
            let purge = move |writer: &mut Writer| write::steps::purge(writer, namespace.as_deref(), before, left);
            let (some, more) = self.writer.call(purge).await?;
            removed += some;
            if !more {
                return Ok(removed as u64);
            }
        }
    }

    async fn put_records(&self, writes: Vec<RecordWrite>) -> Result<bool, StoreError> {
        self.writer
            .call(move |writer| write::records::put(writer, &writes))
            .await
    }

    async fn record(&self, namespace: &str, kind: &str, id: &str) -> Result<Option<Record>, StoreError> {
        let (namespace, kind, id) = (namespace.to_owned(), kind.to_owned(), id.to_owned());
        self.read(move |reader| read::records::get(reader, &namespace, &kind, &id))
            .await
    }

    async fn records(
        &self,
        namespace: &str,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (namespace, kind, after) = (namespace.to_owned(), kind.to_owned(), after.map(str::to_owned));
        self.read(move |reader| read::records::list(reader, &namespace, &kind, after.as_deref(), limit))
            .await
    }

    async fn expired_records(&self, kind: &str, now: Time, limit: usize) -> Result<Vec<Record>, StoreError> {
        let kind = kind.to_owned();
        self.read(move |reader| read::records::expired(reader, &kind, now, limit))
            .await
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<Head>, StoreError> {
        let runs = runs.to_vec();
        self.read(move |reader| read::runs::heads(reader, &runs)).await
    }

    async fn plan(&self, digest: Digest) -> Result<Option<String>, StoreError> {
        self.read(move |reader| read::workflows::plan(reader, digest)).await
    }

    async fn idempotency(
        &self,
        namespace: &str,
        scope: &str,
        key: &str,
        now: Time,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        let (namespace, scope, key) = (namespace.to_owned(), scope.to_owned(), key.to_owned());
        self.read(move |reader| read::workflows::remembered(reader, &namespace, &scope, &key, now))
            .await
    }

    async fn put_workflow(&self, write: WorkflowWrite) -> Result<Option<WorkflowRow>, StoreError> {
        self.writer
            .call(move |writer| write::workflows::put(writer, write))
            .await
    }

    async fn workflow(&self, namespace: &str, id: &str) -> Result<Option<WorkflowRow>, StoreError> {
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        self.read(move |reader| read::workflows::get(reader, &namespace, &id))
            .await
    }

    async fn workflows(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<WorkflowRow>, StoreError> {
        let (namespace, after) = (namespace.to_owned(), after.map(str::to_owned));
        self.read(move |reader| read::workflows::list(reader, &namespace, after.as_deref(), limit))
            .await
    }

    async fn workflow_versions(&self, namespace: &str, id: &str) -> Result<Vec<WorkflowVersionRow>, StoreError> {
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        self.read(move |reader| read::workflows::versions(reader, &namespace, &id))
            .await
    }

    async fn delete_workflow(&self, namespace: &str, id: &str) -> Result<bool, StoreError> {
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        self.writer
            .call(move |writer| write::workflows::delete(writer, &namespace, &id))
            .await
    }

    async fn outbox_due(&self, claim: Claim, ask: OutboxAsk<'_>) -> Result<Vec<OutboxEntry>, StoreError> {
        let ask = read::outbox::Ask::new(ask);
        self.read(move |reader| read::outbox::due(reader, claim.now, &ask))
            .await
    }

    async fn outbox_next(&self) -> Result<Option<Time>, StoreError> {
        self.read(read::outbox::next).await
    }

    async fn outbox_delivered(&self, ids: &[i64]) -> Result<(), StoreError> {
        let ids = ids.to_vec();
        self.writer
            .call(move |writer| write::outbox::delivered(writer, &ids))
            .await
    }

    async fn outbox_failed(&self, id: i64, error: &str, retry_at: Option<Time>) -> Result<(), StoreError> {
        let error = error.to_owned();
        self.writer
            .call(move |writer| write::outbox::failed(writer, id, &error, retry_at))
            .await
    }

    /// The search is done by a reader and the removal in small transactions, so that commits go on meanwhile.
    async fn prune(&self, before: Time, now: Time, limit: usize) -> Result<u64, StoreError> {
        while self
            .writer
            .call(move |writer| write::retention::prune_records(writer, now))
            .await?
        {}
        let ended = self
            .read(move |reader| read::runs::ended(reader, before, limit))
            .await?;
        let mut removed = 0;
        for some in ended.chunks(PRUNED_AT_ONCE) {
            let some = some.to_vec();
            removed += self
                .writer
                .call(move |writer| write::retention::prune_runs(writer, &some, before))
                .await?;
        }
        Ok(removed)
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        self.count_runs().await?;
        let (queued, outbox, outbox_dead) = self.read(read::status::waiting).await?;
        Ok(StoreStatus {
            kind: "sqlite".to_owned(),
            schema: SCHEMA,
            durability: self.options.synchronous.sentence().to_owned(),
            warnings: Vec::new(),
            runs: self.tally.runs().unwrap_or_default(),
            queued,
            outbox,
            outbox_dead,
            bytes: read::status::bytes(&self.path),
        })
    }

    async fn backup(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_owned();
        self.read(move |reader| backup::backup(reader, &path)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await?;
        self.writer.close().await
    }
}

/// One name per file, whatever links lead to it: the lock file lies beside it.
fn canonical(path: &Path) -> Result<PathBuf, StoreError> {
    let unavailable = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    if path.exists() {
        return path.canonicalize().map_err(unavailable);
    }
    let name = path
        .file_name()
        .ok_or_else(|| StoreError::Refused(format!("{} names no file", path.display())))?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    Ok(parent.canonicalize().map_err(unavailable)?.join(name))
}

/// Errors at opening name the file: there may be several on the machine.
fn at_path(path: &Path, error: StoreError) -> StoreError {
    let named = |text: String| format!("{}: {text}", path.display());
    match error {
        StoreError::Unavailable(text) => StoreError::Unavailable(named(text)),
        StoreError::Full(text) => StoreError::Full(named(text)),
        StoreError::Corrupt(text) => StoreError::Corrupt(named(text)),
        StoreError::Refused(text) if !text.starts_with(&*path.to_string_lossy()) => StoreError::Refused(named(text)),
        other => other,
    }
}
