//! From SQLite's result codes to [`StoreError`], whose variant says whether a retry can help.
//!
//! Inside the crate a failure is a [`Fault`], so that `?` works on both kinds; it becomes a `StoreError` where a job
//! leaves its thread.

use quintet_store::StoreError;
use rusqlite::ErrorCode;

/// Why a job did not work.
#[derive(Debug)]
pub enum Fault {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sqlite(error) => from_sqlite(&error),
            Fault::Store(error) => error,
        }
    }
}

impl Fault {
    /// Whether the disk reported an error. After one at a flush, what was written is neither certainly there nor
    /// certainly not, and trying again on the same handle would wrongly succeed.
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure))
    }
}

/// A stored value that does not fit its type.
pub fn corrupt(what: impl std::fmt::Display) -> Fault {
    Fault::Store(StoreError::Corrupt(what.to_string()))
}

fn from_sqlite(error: &rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    let text = error.to_string();
    match error {
        E::SqliteFailure(cause, _) => from_code(cause.code, text),
        E::FromSqlConversionFailure(..) | E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..) => {
            StoreError::Corrupt(format!("a row cannot be read: {text}"))
        }
        _ => StoreError::Internal(text),
    }
}

fn from_code(code: ErrorCode, text: String) -> StoreError {
    match code {
        ErrorCode::DiskFull | ErrorCode::ReadOnly => StoreError::Full(text),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(format!(
            "the database is damaged ({text}); stop Quintet, move the file and its -wal aside, and put the newest copy \
             made by `quintet db backup` in its place"
        )),
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted => StoreError::Unavailable(text),
        _ => StoreError::Internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32) -> StoreError {
        Fault::from(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)).into()
    }

    #[test]
    fn each_kind_of_failure_has_its_own_variant() {
        use rusqlite::ffi;
        assert!(matches!(of(ffi::SQLITE_FULL), StoreError::Full(_)));
        assert!(matches!(of(ffi::SQLITE_READONLY), StoreError::Full(_)));
        assert!(matches!(of(ffi::SQLITE_IOERR_READ), StoreError::Unavailable(_)));
        assert!(matches!(of(ffi::SQLITE_BUSY_SNAPSHOT), StoreError::Unavailable(_)));
        assert!(matches!(of(ffi::SQLITE_CORRUPT_INDEX), StoreError::Corrupt(_)));
        assert!(matches!(of(ffi::SQLITE_CONSTRAINT_CHECK), StoreError::Internal(_)));
        let StoreError::Corrupt(sentence) = of(ffi::SQLITE_NOTADB) else {
            panic!("not a database is damage")
        };
        assert!(sentence.contains("quintet db backup"), "{sentence}");
    }

    #[test]
    fn only_an_error_of_the_disk_is_one() {
        let io = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None);
        assert!(Fault::from(io).is_io());
        assert!(!corrupt("a row").is_io());
    }
}
