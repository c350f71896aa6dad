//! How a store is opened.

use std::path::PathBuf;
use std::time::Duration;

/// What lies between the program and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Nothing, or a pooler that gives each connection a session of its own.
    #[default]
    None,
    /// A pooler that gives each transaction any session, such as PgBouncer with `pool_mode = transaction`: nothing is
    /// prepared, no session is set up, and nodes learn of each other's work by looking alone.
    Transaction,
}

/// Whether row-level security keeps namespaces apart, beneath the conditions of the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowSecurity {
    /// Where the user may make the role that it takes, or may use the one that is there.
    #[default]
    Auto,
    /// Yes, or the store is not opened.
    On,
    /// No.
    Off,
}

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Connections at most, at least one. One more listens for hints, unless there is a pooler.
    pub pool_size: usize,
    /// What lies between.
    pub pooler: Pooler,
    /// The second wall between namespaces.
    pub row_security: RowSecurity,
    /// Certificates to trust beside those of the system, as a PEM file.
    pub ca_file: Option<PathBuf>,
    /// How long to wait for a new connection.
    pub connect_timeout: Duration,
    /// How long to wait for a free connection.
    pub checkout_timeout: Duration,
    /// How long to wait for an answer; then the connection is given up. What came of a write is then unknown.
    pub answer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool_size: 10,
            pooler: Pooler::None,
            row_security: RowSecurity::Auto,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            checkout_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
        }
    }
}
