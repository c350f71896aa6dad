//! The one connection that writes, and its transactions.
//!
//! A transaction is one closure over a [`Tx`]. When it fails, nothing of it remains. When the flush at its end fails,
//! nobody can know whether it remains: the answer is then [`StoreError::Unknown`], and the writer takes no more work,
//! because the operating system may have thrown the unwritten pages away and would report the next flush as fine.
//! A restart reads what is really on the disk.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;

use quintet_core::machine::RunStatus;
use quintet_store::StoreError;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use crate::connect::{self, Synchronous};
use crate::counters::Meters;
use crate::error::{Fault, Result};
use crate::lock::OwnerLock;
use crate::tally::{Numbers, Tally};
use crate::{migrate, sql};

/// A database up to this size is checked as a whole after an unclean end; it takes about a second.
const CHECKED_BYTES: u64 = 256 << 20;

/// What the writing thread owns.
pub struct Writer {
    connection: Connection,
    path: PathBuf,
    /// Highest id that a message ever had while this process runs: a late answer must not hit a newer message.
    last_message: Cell<i64>,
    meters: Arc<Meters>,
    tally: Arc<Tally>,
    /// Why no more work is taken.
    broken: Option<String>,
    lock: Option<OwnerLock>,
}

/// A transaction under way.
pub struct Tx<'a> {
    connection: &'a Connection,
    last_message: &'a Cell<i64>,
    statements: Cell<u64>,
    numbers: RefCell<Numbers>,
}

impl Writer {
    /// Takes the lock, opens the database, checks it if its last owner did not close it, and migrates it.
    pub fn open(path: PathBuf, synchronous: Synchronous, meters: Arc<Meters>, tally: Arc<Tally>) -> Result<Self> {
        let lock = OwnerLock::take(&path)?;
        let mut connection = connect::writer(&path, synchronous)?;
        if lock.abandoned {
            check(&connection, std::fs::metadata(&path).map_or(0, |file| file.len()))?;
        }
        migrate::migrate(&mut connection)?;
        let last: i64 = connection.query_row(sql::OUTBOX_LAST, [], |row| row.get(0))?;
        let last_message = Cell::new(last);
        Ok(Self {
            connection,
            path,
            last_message,
            meters,
            tally,
            broken: None,
            lock: Some(lock),
        })
    }

    /// Runs `work` in one transaction.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        if let Some(why) = &self.broken {
            return Err(StoreError::Refused(format!("{why}; restart to read what is really on the disk")).into());
        }
        let before = self.connection.total_changes();
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let tx = Tx {
            connection: &self.connection,
            last_message: &self.last_message,
            statements: Cell::new(0),
            numbers: RefCell::default(),
        };
        let outcome = work(&tx);
        let (statements, numbers) = (tx.statements.get(), tx.numbers.into_inner());
        let answer = match outcome {
            Ok(answer) => answer,
            Err(fault) => {
                self.roll_back();
                return Err(fault);
            }
        };
        self.commit()?;
        self.meters.add(self.connection.total_changes() - before, statements);
        self.tally.add(&numbers);
        Ok(answer)
    }

    fn commit(&mut self) -> Result<()> {
        let outcome = self
            .connection
            .prepare_cached("COMMIT")
            .and_then(|mut commit| commit.execute([]));
        let Err(error) = outcome else { return Ok(()) };
        self.roll_back();
        let fault = Fault::from(error);
        if !fault.is_io() {
            return Err(fault);
        }
        let why = format!("the disk failed to flush a commit ({})", StoreError::from(fault));
        tracing::error!(%why, "the store takes no more writes");
        self.broken = Some(why.clone());
        Err(StoreError::Unknown(why).into())
    }

    /// SQLite has rolled back by itself after some errors.
    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// A reading connection whose snapshot holds exactly the changes that are returned with it.
    pub fn snapshot(&self) -> Result<(Connection, Numbers)> {
        let reader = connect::reader(&self.path)?;
        reader.execute_batch("BEGIN")?;
        // The snapshot is taken by the first read; no commit can come between, because this is the thread that writes.
        let _: i64 = reader.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((reader, self.tally.change()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What stays in the log is not lost, only found there by the next start.
        let checkpoint = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        if let Err(error) = checkpoint {
            tracing::warn!(%error, "the write-ahead log could not be emptied at the end");
        }
        if self.broken.is_none()
            && let Some(lock) = self.lock.take()
        {
            lock.release();
        }
    }
}

impl Tx<'_> {
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.statements.set(self.statements.get() + 1);
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// Runs a statement and returns how many rows it changed.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.prepare(sql)?.execute(params)?)
    }

    /// The first row, if there is one.
    pub fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.prepare(sql)?;
        let row = statement.query_row(params, |row| Ok(read(row))).optional()?;
        row.transpose()
    }

    /// A message id that was not given before.
    pub fn next_message(&self) -> i64 {
        self.last_message.set(self.last_message.get() + 1);
        self.last_message.get()
    }

    /// A message came with the id that it has.
    pub fn keep_message(&self, id: i64) {
        self.last_message.set(self.last_message.get().max(id));
    }

    /// A run entered or left a state.
    pub fn count(&self, status: RunStatus, by: i64) {
        self.numbers.borrow_mut()[usize::from(status.number())] += by;
    }
}

/// Whether the pages and indices of the database hang together.
fn check(connection: &Connection, bytes: u64) -> Result<()> {
    if bytes > CHECKED_BYTES {
        tracing::warn!(
            bytes,
            "the last owner did not close the database, which is too large to be checked at start"
        );
        return Ok(());
    }
    let finding: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if finding == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "the database failed its check after an unclean end ({finding}); put the newest copy made by `quintet db \
         backup` in its place"
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use quintet_store::conformance::support::{meta, start, unit};
    use quintet_store::{Commit, UnitResult};

    use super::*;
    use crate::write::units;

    fn open(dir: &tempfile::TempDir) -> Writer {
        Writer::open(
            dir.path().join("quintet.db"),
            Synchronous::Full,
            Arc::default(),
            Arc::default(),
        )
        .unwrap()
    }

    fn commit(writer: &mut Writer, number: u64, events: &str) -> Result<Vec<UnitResult>, StoreError> {
        let mut write = start(number);
        write.events = events.to_owned();
        let commit = Commit {
            meta: meta(10),
            units: vec![unit([write])],
        };
        units::commit(writer, &commit).map_err(StoreError::from)
    }

    #[test]
    fn a_full_disk_refuses_the_commit_and_recovers_when_there_is_space_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open(&dir);
        assert_eq!(commit(&mut writer, 1, "[]").unwrap(), [UnitResult::Applied]);
        let large = "x".repeat(1 << 20);
        writer.connection.pragma_update(None, "max_page_count", 1).unwrap();
        assert!(matches!(commit(&mut writer, 2, &large), Err(StoreError::Full(_))));
        assert!(writer.connection.is_autocommit());
        let commits = writer.meters.read().commits;
        assert_eq!((commits, writer.tally.change().iter().sum::<i64>()), (1, 1));
        writer
            .connection
            .pragma_update(None, "max_page_count", 1_000_000)
            .unwrap();
        assert_eq!(commit(&mut writer, 2, &large).unwrap(), [UnitResult::Applied]);
    }

    #[test]
    fn after_a_failed_flush_nothing_more_is_written_and_the_next_start_checks() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open(&dir);
        writer.broken = Some("the disk failed to flush a commit (simulated)".to_owned());
        let refused = commit(&mut writer, 1, "[]");
        assert!(
            matches!(&refused, Err(StoreError::Refused(why)) if why.contains("restart")),
            "{refused:?}"
        );
        drop(writer);
        let writer = open(&dir);
        assert!(writer.lock.as_ref().is_some_and(|lock| lock.abandoned));
        assert_eq!(writer.meters.read().commits, 0);
    }

    #[test]
    fn a_snapshot_holds_the_changes_that_come_with_it_and_no_later_ones() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open(&dir);
        let _ = commit(&mut writer, 1, "[]").unwrap();
        let (snapshot, change) = writer.snapshot().unwrap();
        let _ = commit(&mut writer, 2, "[]").unwrap();
        let runs: i64 = snapshot
            .query_row("SELECT count(*) FROM runs", [], |row| row.get(0))
            .unwrap();
        assert_eq!((runs, change.iter().sum::<i64>()), (1, 1));
    }
}
