//! What the store did since it was opened: the cost model, countable.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Write transactions that changed something. With `synchronous=FULL` each is one flush of the log, and
    /// checkpoints add two now and then.
    pub commits: u64,
    /// Rows of tables inserted, updated or deleted; entries of indices are not counted.
    pub rows_written: u64,
    /// Statements run by the writer, without `BEGIN` and `COMMIT`.
    pub statements: u64,
}

/// The live figures; only the writer adds.
#[derive(Debug, Default)]
pub struct Meters {
    commits: AtomicU64,
    rows_written: AtomicU64,
    statements: AtomicU64,
}

impl Meters {
    pub fn add(&self, rows: u64, statements: u64) {
        self.commits.fetch_add(u64::from(rows > 0), Ordering::Relaxed);
        self.rows_written.fetch_add(rows, Ordering::Relaxed);
        self.statements.fetch_add(statements, Ordering::Relaxed);
    }

    pub fn read(&self) -> Counters {
        Counters {
            commits: self.commits.load(Ordering::Relaxed),
            rows_written: self.rows_written.load(Ordering::Relaxed),
            statements: self.statements.load(Ordering::Relaxed),
        }
    }
}
