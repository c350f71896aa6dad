//! From settings to a running engine.

use std::path::Path;
use std::sync::{Arc, Mutex};

use quintet_core::id::IdSource;
use quintet_engine::clock::{Clock, SystemClock, TimeOrderedIds};
use quintet_engine::{Engine, EngineParts, Registry, tasks};
use quintet_store::{MemoryStore, Store, StoreError};
use quintet_store_sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;

use super::App;
use super::retention::{self, Retention};
use crate::config::{Config, ConfigError, StoreUrl};
use crate::face;
use crate::http::{Edge, KeyError};

/// What an [`App`] takes from its surroundings. The default is the real thing; tests bring their own.
pub struct OpenOptions {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and jitter.
    pub ids: Box<dyn IdSource>,
    /// Whether steps may call loopback addresses although `egress.allow_loopback` says nothing; `None` permits it when
    /// the configured listener is bound to loopback.
    pub loopback: Option<bool>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            ids: Box::new(TimeOrderedIds::new(SystemClock)),
            loopback: None,
        }
    }
}

/// It could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings of the executors contradict themselves.
    #[error(transparent)]
    Executors(#[from] quintet_executors::BuildError),
    /// A key of `auth.api_keys` cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data folder cannot be made.
    #[error("cannot make the data folder {path}: {source}")]
    DataDir {
        /// The folder.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Everybody who reaches the address could do everything.
    #[error(
        "{address} can be reached from other machines, and no credentials are configured: set `auth.api_keys` \
         (`quintet keys create` makes one), or listen on 127.0.0.1, or insist with --insecure-no-auth"
    )]
    Unprotected {
        /// The address that was asked for.
        address: String,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address that was asked for.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Tracing cannot be set up.
    #[error("cannot set up logging and traces: {0}")]
    Telemetry(String),
}

pub(super) fn open(config: Config, options: OpenOptions) -> Result<Arc<App>, StartError> {
    let OpenOptions { clock, ids, loopback } = options;
    let loopback = match loopback {
        Some(loopback) => loopback,
        None => config.server.address()?.ip().is_loopback(),
    };
    let edge = Edge::new(&config, &clock)?;
    let executors = config.executors(loopback)?;
    let client = executors.client()?;
    let registry = Registry::new(quintet_executors::builtin(&executors, &client)?);
    let hooks = face::workflows::hooks(&config, &client, &clock)?;
    let url = config.store_url()?;
    let (store, sqlite) = open_store(&url, &config.data_dir)?;
    let engine = Arc::new(Engine::start(EngineParts {
        store: Arc::clone(&store),
        registry,
        clock: Arc::clone(&clock),
        ids,
        hooks,
        config: config.engine.engine_config(),
    }));
    let stopping = CancellationToken::new();
    let retention = Retention::new(store, clock, config.retention.finished_runs_days);
    let tasks = vec![tasks::spawn("retention", retention::run(retention, stopping.clone()))];
    Ok(Arc::new(App {
        engine,
        config: Arc::new(config),
        stopping,
        store_kind: url.kind(),
        edge,
        sqlite,
        tasks: Mutex::new(tasks),
    }))
}

type Opened = (Arc<dyn Store>, Option<Arc<SqliteStore>>);

fn open_store(url: &StoreUrl, data_dir: &Path) -> Result<Opened, StartError> {
    let StoreUrl::Sqlite(path) = url else {
        return Ok((Arc::new(MemoryStore::default()), None));
    };
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
    let sqlite = Arc::new(SqliteStore::open(path, quintet_store_sqlite::Options::default())?);
    Ok((Arc::clone(&sqlite) as Arc<dyn Store>, Some(sqlite)))
}

/// A new folder is for its owner only: inputs and outputs of steps are nobody else's business.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
