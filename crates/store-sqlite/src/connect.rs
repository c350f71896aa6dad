//! Opening connections, and making sure that SQLite really took the settings.
//!
//! A PRAGMA that is not understood is ignored in silence, so each one that durability rests on is read back.

use std::path::Path;
use std::time::Duration;

use quintet_store::StoreError;
use rusqlite::{Connection, OpenFlags};

use crate::error::Result;

/// Older versions can corrupt a database when a WAL is reset while another connection commits.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long to wait for a foreign tool that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages in the WAL before they are copied into the database: large, because copying costs a second flush.
const CHECKPOINT_PAGES: i64 = 4000;

/// Statements kept ready; more than the crate has.
const STATEMENTS: usize = 96;

/// What an acknowledged commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The write-ahead log is flushed at each commit: an acknowledged commit survives the end of the process, a crash
    /// of the machine, and a power cut, as far as the disk keeps its word about flushing.
    #[default]
    Full,
    /// Flushed at checkpoints only: an acknowledged commit survives the end of the process, but a power cut can take
    /// the newest ones with it. The database stays consistent.
    Normal,
}

impl Synchronous {
    /// In words, for operators.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Full => {
                "Write-ahead log, synchronous=FULL: each acknowledged commit is flushed to disk and survives a crash \
                 of the process, a crash of the machine, and a power cut."
            }
            Self::Normal => {
                "Write-ahead log, synchronous=NORMAL: each acknowledged commit survives a crash of the process; a \
                 crash of the machine or a power cut can lose the newest ones."
            }
        }
    }

    const fn number(self) -> i64 {
        match self {
            Self::Normal => 1,
            Self::Full => 2,
        }
    }
}

/// The connection that writes.
pub fn writer(path: &Path, synchronous: Synchronous) -> Result<Connection> {
    assert_version(rusqlite::version_number())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    common(&connection)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let sentence = format!(
            "{} cannot use a write-ahead log (journal mode {mode}): choose a local disk",
            path.display()
        );
        return Err(StoreError::Refused(sentence).into());
    }
    set(&connection, "synchronous", synchronous.number())?;
    set(&connection, "foreign_keys", 0)?;
    set(&connection, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    set(&connection, "cache_size", -65_536)?;
    Ok(connection)
}

/// A connection that reads from snapshots. The writer must be open: it makes the shared memory of the WAL.
pub fn reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    common(&connection)?;
    set(&connection, "query_only", 1)?;
    set(&connection, "cache_size", -16_384)?;
    // Only readers map the file: they look at cold pages, and a damaged mapping cannot reach the writer.
    connection.pragma_update(None, "mmap_size", 128 << 20)?;
    Ok(connection)
}

fn common(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    set(connection, "temp_store", 2)
}

fn set(connection: &Connection, name: &str, value: i64) -> Result<()> {
    connection.pragma_update(None, name, value)?;
    let read: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
    if read == value {
        return Ok(());
    }
    Err(StoreError::Internal(format!("SQLite took {read} for {name} instead of {value}")).into())
}

fn assert_version(version: i32) -> Result<(), StoreError> {
    if version >= OLDEST_SQLITE {
        return Ok(());
    }
    let text = rusqlite::version();
    Err(StoreError::Refused(format!(
        "this program is linked with SQLite {text}, which can damage a WAL database"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_that_can_damage_the_log_is_refused() {
        assert!(matches!(assert_version(3_051_002), Err(StoreError::Refused(_))));
        assert!(assert_version(OLDEST_SQLITE).is_ok());
    }

    #[test]
    fn a_setting_that_sqlite_does_not_take_is_noticed() {
        let connection = Connection::open_in_memory().unwrap();
        assert!(set(&connection, "synchronous", 2).is_ok());
        assert!(set(&connection, "synchronous", 17).is_err());
    }
}
