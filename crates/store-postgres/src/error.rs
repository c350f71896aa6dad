//! From PostgreSQL's five-letter codes to [`StoreError`], whose variant says whether a retry can help.
//!
//! Inside the crate a failure is a [`Fault`], because some failures are met before anybody hears of them: a deadlock is
//! tried again, a missing partition is made, a key that is taken sends a commit the long way. [`judge`] is the one place
//! that reads a code.
//!
//! An answer that got lost is another matter than a refusal. A statement that PostgreSQL refused has changed nothing; one
//! whose answer never came may have been applied, so for a write that is [`StoreError::Unknown`].

use std::time::Duration;

use deadpool_postgres::PoolError;
use quintet_store::StoreError;
use tokio_postgres::error::{DbError, Severity, SqlState};

/// Why something did not work.
#[derive(Debug)]
pub enum Fault {
    /// The server's or the driver's word.
    Postgres(tokio_postgres::Error),
    /// A statement could not be made ready: nothing was sent.
    Unprepared(&'static str, tokio_postgres::Error),
    /// No answer came in time.
    Silence(Duration),
    /// No connection could be had: nothing was sent.
    Pool(PoolError),
    /// Everything else.
    Store(StoreError),
}

pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// What an answer that never came means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Asking again is harmless.
    Harmless,
    /// It may have been applied.
    Unknown,
}

/// What a code of PostgreSQL asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody else was in the way, nothing was applied: the same again may work at once.
    Again,
    /// The history has no partition for the day yet.
    NoPartition,
    /// What was to be new is there already.
    Taken,
    /// The server knows no statement that it was told of, or knows it already: a pooler changes sessions behind us.
    Forgotten,
    /// It may not write: a standby, or a server that was one before it was promoted elsewhere.
    ReadOnly,
    /// It goes down, comes up, or has no room for another connection.
    Away,
    /// The disk is full.
    Full,
    /// Only a person can help: a password, a missing database, a missing right.
    Refused,
    /// What is stored is damaged.
    Corrupt,
    /// A defect.
    Internal,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A stored value that does not fit its type.
pub fn corrupt(what: impl std::fmt::Display) -> Fault {
    Fault::Store(StoreError::Corrupt(what.to_string()))
}

/// A call that comes after the end.
pub fn closed() -> StoreError {
    StoreError::Refused("the store is closed".to_owned())
}

/// The one table of codes. `named` is whether the server named a constraint.
pub fn judge(code: &SqlState, named: bool) -> Verdict {
    // A row without a partition has the code of a broken CHECK, which has a name.
    if *code == SqlState::CHECK_VIOLATION && !named {
        return Verdict::NoPartition;
    }
    match code.code() {
        "40001" | "40P01" | "55P03" => Verdict::Again,
        "23505" => Verdict::Taken,
        "26000" | "42P05" => Verdict::Forgotten,
        "25006" => Verdict::ReadOnly,
        "53100" => Verdict::Full,
        // "0A000": a plan that a change of the schema made useless.
        "0A000" | "57014" | "58000" | "58030" | "25P03" => Verdict::Away,
        "3D000" | "42501" | "3F000" | "0LP01" => Verdict::Refused,
        "XX001" | "XX002" => Verdict::Corrupt,
        code => match &code[..2] {
            "08" | "53" | "57" => Verdict::Away,
            "28" => Verdict::Refused,
            _ => Verdict::Internal,
        },
    }
}

impl Fault {
    /// What the server said, if it was the server.
    pub fn verdict(&self) -> Option<Verdict> {
        self.db().map(|error| judge(error.code(), error.constraint().is_some()))
    }

    fn db(&self) -> Option<&DbError> {
        match self {
            Self::Postgres(error) | Self::Unprepared(_, error) | Self::Pool(PoolError::Backend(error)) => {
                error.as_db_error()
            }
            _ => None,
        }
    }

    /// Whether a write may have been applied in spite of it. A server that ends a session says so with its last breath,
    /// and whether that was before or after the commit is not always to be told.
    fn leaves_doubt(&self) -> bool {
        match self {
            Self::Silence(_) => true,
            Self::Postgres(error) => match error.as_db_error() {
                Some(error) => matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)),
                None => error.is_closed() || is_io(error),
            },
            Self::Unprepared(..) | Self::Pool(_) | Self::Store(_) => false,
        }
    }

    /// Whether the connection can be used again: every step was sent, and the server answered each.
    pub fn spares_the_session(&self) -> bool {
        matches!(self, Self::Postgres(_))
            && self
                .verdict()
                .is_some_and(|verdict| !matches!(verdict, Verdict::Away | Verdict::ReadOnly))
    }

    /// For the caller of the store.
    pub fn into_store(self, lost: Lost) -> StoreError {
        let text = self.to_string();
        if self.leaves_doubt() && lost == Lost::Unknown {
            return StoreError::Unknown(text);
        }
        match self {
            Self::Store(error) => error,
            Self::Pool(PoolError::Closed) => closed(),
            Self::Postgres(ref error) if error.as_db_error().is_none() && !error.is_closed() && !is_io(error) => {
                StoreError::Internal(text)
            }
            other => match other.verdict() {
                Some(verdict) => said(verdict, text),
                None => StoreError::Unavailable(text),
            },
        }
    }
}

fn said(verdict: Verdict, text: String) -> StoreError {
    match verdict {
        Verdict::Again | Verdict::Away => StoreError::Unavailable(text),
        Verdict::ReadOnly => StoreError::Unavailable(format!(
            "the PostgreSQL server does not accept writes ({text}): it is a standby, or was the primary before a \
             fail-over; Quintet tries again, and the URL should lead to the present primary"
        )),
        Verdict::Forgotten => StoreError::Refused(behind_a_pooler(&text)),
        Verdict::Full => StoreError::Full(text),
        Verdict::Refused => StoreError::Refused(format!("PostgreSQL refuses: {text}")),
        Verdict::Corrupt => StoreError::Corrupt(format!("PostgreSQL reports damage: {text}")),
        Verdict::NoPartition | Verdict::Taken | Verdict::Internal => StoreError::Internal(text),
    }
}

/// What to do when sessions are not our own.
pub fn behind_a_pooler(sign: &str) -> String {
    format!(
        "PostgreSQL is behind a transaction-mode pooler ({sign}): set database.pooler = \"transaction\", or connect to \
         the server itself"
    )
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<std::io::Error>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silence(patience) => write!(f, "PostgreSQL did not answer within {} ms", patience.as_millis()),
            Self::Unprepared(path, error) => {
                write!(f, "{path}: ")?;
                write_error(f, error)
            }
            Self::Postgres(error) | Self::Pool(PoolError::Backend(error)) => write_error(f, error),
            Self::Pool(PoolError::Timeout(_)) => {
                write!(f, "no connection to PostgreSQL was free or could be made in time")
            }
            Self::Pool(error) => write!(f, "{error}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

fn write_error(f: &mut std::fmt::Formatter<'_>, error: &tokio_postgres::Error) -> std::fmt::Result {
    match error.as_db_error() {
        Some(said) => write!(f, "{} (SQLSTATE {})", said.message(), said.code().code()),
        None => write_chain(f, error),
    }
}

fn write_chain(f: &mut std::fmt::Formatter<'_>, error: &dyn std::error::Error) -> std::fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !error.to_string().contains(&text) {
            write!(f, ": {text}")?;
        }
        cause = inner.source();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Verdict {
        judge(&SqlState::from_code(code), true)
    }

    #[test]
    fn each_code_has_its_verdict() {
        let table = [
            (Verdict::Again, &["40001", "40P01", "55P03"][..]),
            (Verdict::Taken, &["23505"]),
            (Verdict::Forgotten, &["26000", "42P05"]),
            (Verdict::ReadOnly, &["25006"]),
            (Verdict::Full, &["53100"]),
            (
                Verdict::Away,
                &[
                    "57P01", "57P02", "57P03", "57014", "53300", "53200", "08006", "08P01", "58030", "0A000",
                ],
            ),
            (Verdict::Refused, &["28P01", "28000", "3D000", "42501"]),
            (Verdict::Corrupt, &["XX001", "XX002"]),
            (
                Verdict::Internal,
                &["42601", "42P01", "22021", "23514", "23502", "XX000"],
            ),
        ];
        for (verdict, codes) in table {
            for code in codes {
                assert_eq!(of(code), verdict, "{code}");
            }
        }
    }

    #[test]
    fn a_row_without_a_partition_is_told_from_a_broken_check() {
        assert_eq!(judge(&SqlState::CHECK_VIOLATION, false), Verdict::NoPartition);
        assert_eq!(judge(&SqlState::CHECK_VIOLATION, true), Verdict::Internal);
    }

    #[test]
    fn each_verdict_has_its_variant() {
        let text = || "said".to_owned();
        assert!(matches!(said(Verdict::Again, text()), StoreError::Unavailable(_)));
        assert!(matches!(said(Verdict::Away, text()), StoreError::Unavailable(_)));
        assert!(matches!(said(Verdict::ReadOnly, text()), StoreError::Unavailable(t) if t.contains("standby")));
        assert!(matches!(said(Verdict::Forgotten, text()), StoreError::Refused(t) if t.contains("database.pooler")));
        assert!(matches!(said(Verdict::Full, text()), StoreError::Full(_)));
        assert!(matches!(said(Verdict::Corrupt, text()), StoreError::Corrupt(_)));
    }

    #[test]
    fn silence_leaves_a_write_in_doubt_and_a_read_to_be_asked_again() {
        let silence = || Fault::Silence(Duration::from_secs(1));
        assert!(matches!(silence().into_store(Lost::Unknown), StoreError::Unknown(_)));
        assert!(matches!(
            silence().into_store(Lost::Harmless),
            StoreError::Unavailable(_)
        ));
        let closed = Fault::Pool(PoolError::Closed).into_store(Lost::Unknown);
        assert!(matches!(closed, StoreError::Refused(_)));
    }
}
