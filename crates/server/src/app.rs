//! A running Quintet, put together from its settings: store, executors, engine, and what keeps them in order.
//!
//! Everything that serves or commands works with one [`App`]. It owns its background tasks, and [`App::shutdown`] is
//! the one written order in which they end: nothing new, what is under way, the store.

mod open;
mod retention;
mod store;
pub mod telemetry;

use std::sync::Arc;

use quintet_core::time::Time;
use quintet_engine::{Engine, NodeConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::config::Config;
use crate::face::pipelines::Pipelines;
use crate::face::tasks::Tasks;
use crate::http::Edge;
use crate::identity::Identity;
use crate::schedules::Schedules;
use crate::secrets::Vault;
use crate::tenancy::Tenancy;

pub use open::{OpenOptions, StartError};
pub(crate) use store::{Backend, Written, postgres_options};

/// A running Quintet.
pub struct App {
    /// Runs the work.
    pub engine: Arc<Engine>,
    /// How it was set up.
    pub config: Arc<Config>,
    /// Cancelled when the server begins to stop: whatever would wait for ever ends then.
    pub stopping: CancellationToken,
    /// `sqlite`, `postgres`, `memory`.
    pub store_kind: &'static str,
    /// How it presents itself to others that share the store.
    pub node: NodeConfig,
    /// What the pipelines face keeps.
    pub pipelines: Arc<Pipelines>,
    /// What the tasks face keeps.
    pub tasks: Arc<Tasks>,
    /// What is started again and again.
    pub schedules: Arc<Schedules>,
    /// Who is served, and how much each may use.
    pub tenancy: Arc<Tenancy>,
    /// What steps may send and nobody may read.
    pub(crate) secrets: Arc<Vault>,
    /// When it started.
    pub started_at: Time,
    /// Who did what.
    pub(crate) audit: Arc<Audit>,
    /// Who is known.
    pub identity: Arc<Identity>,
    pub(crate) edge: Edge,
    pub(crate) backend: Backend,
    background: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl App {
    /// Opens the store and starts the engine. Must be called on a Tokio runtime; does I/O on the calling thread.
    pub async fn open(config: Config, options: OpenOptions) -> Result<Arc<App>, StartError> {
        open::open(config, options).await
    }

    /// Everything that is served over HTTP.
    pub fn router(app: &Arc<App>) -> axum::Router {
        crate::http::router(app)
    }

    /// Ends live streams and background tasks, lets steps under way end for as long as `engine.drain_ms` says, and
    /// closes the store.
    pub async fn shutdown(&self) {
        self.stopping.cancel();
        self.audit.close().await;
        self.engine.shutdown().await;
        let tasks: Vec<_> = self
            .background
            .lock()
            .map(|mut tasks| tasks.drain(..).collect())
            .unwrap_or_default();
        for task in tasks {
            // A panic in it has been logged where it happened.
            let _ = task.await;
        }
    }
}
