//! Opening the store that the settings name, and what only one kind of store can tell.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quintet_engine::clock::{Clock, StoreClock, SystemClock};
use quintet_engine::tasks;
use quintet_store::{MemoryStore, Store, StoreError};
use quintet_store_postgres::PostgresStore;
use quintet_store_sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::config::{Config, Database, Millis, Pooler, PostgresUrl, RowLevelSecurity, StoreUrl};

/// Between two tries to reach a database that is not there yet.
const RETRY: Duration = Duration::from_millis(500);

/// A store by its kind.
pub(crate) enum Backend {
    /// The embedded store.
    Sqlite(Arc<SqliteStore>),
    /// The shared one.
    Postgres(Arc<PostgresStore>),
    /// Nothing is kept.
    Memory(Arc<MemoryStore>),
}

/// What was written since the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub commits: u64,
    pub rows_written: u64,
    pub statements: u64,
    /// Where the store is elsewhere.
    pub round_trips: Option<u64>,
}

impl Backend {
    /// Opens it, or waits for it for a while where it is elsewhere.
    pub async fn open(url: &StoreUrl, config: &Config) -> Result<Self, StartError> {
        Ok(match url {
            StoreUrl::Sqlite(path) => Self::Sqlite(Arc::new(embedded(path, &config.data_dir)?)),
            StoreUrl::Postgres(url) => Self::Postgres(Arc::new(shared(url, &config.database).await?)),
            StoreUrl::Memory => Self::Memory(Arc::default()),
        })
    }

    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(sqlite) => Arc::clone(sqlite) as Arc<dyn Store>,
            Self::Postgres(postgres) => Arc::clone(postgres) as Arc<dyn Store>,
            Self::Memory(memory) => Arc::clone(memory) as Arc<dyn Store>,
        }
    }

    pub fn written(&self) -> Option<Written> {
        match self {
            Self::Sqlite(sqlite) => {
                let counted = sqlite.counters();
                Some(Written {
                    commits: counted.commits,
                    rows_written: counted.rows_written,
                    statements: counted.statements,
                    round_trips: None,
                })
            }
            Self::Postgres(postgres) => {
                let counted = postgres.counters();
                Some(Written {
                    commits: counted.commits,
                    rows_written: counted.rows_written,
                    statements: counted.statements,
                    round_trips: Some(counted.round_trips),
                })
            }
            Self::Memory(_) => None,
        }
    }
}

/// The clock by which the runs of this store go: many nodes agree on the store's own.
pub(super) fn clock(url: &StoreUrl) -> Arc<dyn Clock> {
    match url {
        StoreUrl::Postgres(_) => Arc::new(StoreClock::default()),
        StoreUrl::Sqlite(_) | StoreUrl::Memory => Arc::new(SystemClock),
    }
}

fn embedded(path: &Path, data_dir: &Path) -> Result<SqliteStore, StartError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    for folder in [data_dir, folder] {
        make_private(folder).map_err(|source| StartError::DataDir {
            path: folder.display().to_string(),
            source,
        })?;
    }
    Ok(SqliteStore::open(path, quintet_store_sqlite::Options::default())?)
}

/// A new folder is for its owner only: inputs and outputs of steps are nobody else's business.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Server and database are often started together, so what may come yet is waited for. What only a person can change
/// (a wrong password, a newer schema) is not.
async fn shared(url: &PostgresUrl, database: &Database) -> Result<PostgresStore, StartError> {
    let options = postgres_options(database);
    let patience = database.start_timeout;
    let limit = tasks::pause(Some(patience.duration()));
    tokio::pin!(limit);
    let mut is_first = true;
    loop {
        let error = match PostgresStore::open(url.reveal(), options.clone()).await {
            Ok(store) => return Ok(store),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error.into()),
        };
        if patience == Millis(0) {
            return Err(away(url, patience, error));
        }
        if std::mem::take(&mut is_first) {
            tracing::warn!(store = %url, error = %error, "the store cannot be used yet; trying again for {patience}");
        }
        tokio::select! {
            biased;
            () = &mut limit => return Err(away(url, patience, error)),
            () = tasks::pause(Some(RETRY)) => {}
        }
    }
}

fn away(url: &PostgresUrl, patience: Millis, source: StoreError) -> StartError {
    StartError::StoreAway {
        store: url.to_string(),
        patience,
        source,
    }
}

/// The settings as the store takes them.
pub(crate) fn postgres_options(database: &Database) -> quintet_store_postgres::Options {
    quintet_store_postgres::Options {
        pool_size: database.pool_size,
        pooler: match database.pooler {
            Pooler::None => quintet_store_postgres::Pooler::None,
            Pooler::Transaction => quintet_store_postgres::Pooler::Transaction,
        },
        row_security: match database.row_level_security {
            RowLevelSecurity::Auto => quintet_store_postgres::RowSecurity::Auto,
            RowLevelSecurity::On => quintet_store_postgres::RowSecurity::On,
            RowLevelSecurity::Off => quintet_store_postgres::RowSecurity::Off,
        },
        ca_file: database.ca_file.clone(),
        connect_timeout: database.connect_timeout.duration(),
        checkout_timeout: database.checkout_timeout.duration(),
        answer_timeout: database.statement_timeout.duration(),
    }
}

/// Says what an acknowledged step survives, and where it could be lost. A task of its own, because counting what is
/// in a large store takes a while and nobody should wait for it.
pub(super) async fn tell_durability(store: Arc<dyn Store>, stopping: CancellationToken) {
    let status = tokio::select! {
        status = store.status() => status,
        () = stopping.cancelled() => return,
    };
    match status {
        Ok(status) => {
            tracing::info!(store = %status.kind, schema = status.schema, "durability: {}", status.durability);
            for warning in &status.warnings {
                tracing::warn!(store = %status.kind, "durability: {warning}");
            }
        }
        Err(error) => tracing::warn!(error = %error, "the store does not say what it survives"),
    }
}
