//! What the store did since it was opened: the cost model, countable.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commits that changed something; on a server with its default settings each is one flush of its log.
    pub commits: u64,
    /// Of them, those that went the long way.
    pub long_commits: u64,
    /// Rows of runs and their histories, queue entries, messages and the like that commits wrote; what belongs to the
    /// storage of a table, such as an index, is not counted.
    pub rows_written: u64,
    /// Statements sent, without `BEGIN` and `COMMIT`.
    pub statements: u64,
    /// Times that the store waited for the server: statements sent together count once.
    pub round_trips: u64,
}

/// The live figures.
#[derive(Debug, Default)]
pub struct Meters {
    commits: AtomicU64,
    long_commits: AtomicU64,
    rows_written: AtomicU64,
    statements: AtomicU64,
    round_trips: AtomicU64,
}

/// Which way a commit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Fast,
    Long,
}

impl Meters {
    pub fn flight(&self, statements: usize) {
        self.statements.fetch_add(statements as u64, Ordering::Relaxed);
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    pub fn commit(&self, way: Way, rows: u64) {
        if rows > 0 {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.long_commits
                .fetch_add(u64::from(way == Way::Long), Ordering::Relaxed);
            self.rows_written.fetch_add(rows, Ordering::Relaxed);
        }
    }

    pub fn read(&self) -> Counters {
        let figure = |meter: &AtomicU64| meter.load(Ordering::Relaxed);
        Counters {
            commits: figure(&self.commits),
            long_commits: figure(&self.long_commits),
            rows_written: figure(&self.rows_written),
            statements: figure(&self.statements),
            round_trips: figure(&self.round_trips),
        }
    }
}
