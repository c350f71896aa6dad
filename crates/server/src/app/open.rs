//! From settings to a running engine.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::id::IdSource;
use quintet_engine::clock::{Clock, TimeOrderedIds};
use quintet_engine::{Engine, EngineParts, Quota, Registry, tasks};
use quintet_executors::egress::Client;
use quintet_store::StoreError;
use tokio_util::sync::CancellationToken;

use super::App;
use super::retention::{self, Retention};
use super::store::{self, Backend};
use crate::audit::Audit;
use crate::config::{Config, ConfigError, Millis};
use crate::face;
use crate::face::hooks::{AllHooks, Hooks};
use crate::face::pipelines::{OpenError as PipelinesError, Pipelines};
use crate::face::tasks::{OpenError as TasksError, Tasks};
use crate::http::{Edge, TlsError};
use crate::identity::{Identity, IdentityError};
use crate::schedules::{Launch, Schedules};
use crate::secrets::{OpenError as SecretsError, Vault};
use crate::tenancy::Tenancy;

/// What an [`App`] takes from its surroundings. The default is the real thing; tests bring their own.
#[derive(Default)]
pub struct OpenOptions {
    /// The time; `None` is the store's own where many share it, and else the machine's.
    pub clock: Option<Arc<dyn Clock>>,
    /// Ids and jitter; `None` makes ids from the time.
    pub ids: Option<Box<dyn IdSource>>,
    /// Whether steps may call loopback addresses although `egress.allow_loopback` says nothing; `None` permits it when
    /// the configured listener is bound to loopback.
    pub loopback: Option<bool>,
    /// Where the API is served; other nodes are told.
    pub listening: Option<SocketAddr>,
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
    /// Nobody could be recognised: the settings of keys and tokens cannot be used, or those of the store be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The pipelines face cannot be set up.
    #[error(transparent)]
    Pipelines(#[from] PipelinesError),
    /// The stored secrets cannot be opened.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The tasks face cannot be set up.
    #[error(transparent)]
    Tasks(#[from] TasksError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not come in time.
    #[error("the store {store} could not be used within {patience} (`database.start_timeout`)")]
    StoreAway {
        /// Which store; without its password.
        store: String,
        /// How long it was waited for.
        patience: Millis,
        /// Why.
        #[source]
        source: StoreError,
    },
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
        "{address} can be reached from other machines, and no credentials are configured: set `auth.required` to \
         true (the first admin's key is then written to the data folder), or `auth.api_keys` (`quintet keys create` \
         makes one), or `auth.jwt`, or listen on 127.0.0.1, or insist with --insecure-no-auth"
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
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Tracing cannot be set up.
    #[error("cannot set up logging and traces: {0}")]
    Telemetry(String),
}

pub(super) async fn open(config: Config, options: OpenOptions) -> Result<Arc<App>, StartError> {
    let url = config.store_url()?;
    let clock = options.clock.unwrap_or_else(|| store::clock(&url));
    let ids = options.ids;
    let ids = ids.unwrap_or_else(|| Box::new(TimeOrderedIds::new(Arc::clone(&clock))));
    let loopback = match options.loopback {
        Some(loopback) => loopback,
        None => config.server.address()?.ip().is_loopback(),
    };
    let executors = config.executors(loopback)?;
    let client = executors.client()?;
    let node = config.node.node_config(options.listening, config.server.scheme());
    let backend = Backend::open(&url, &config).await?;
    let tenancy = Tenancy::open(
        backend.store(),
        Arc::clone(&clock),
        &config.namespaces,
        &config.default_quotas,
    )
    .await?;
    let identity = Arc::new(Identity::open(&config, backend.store(), &client, &clock).await?);
    let edge = Edge::new(&config, &clock, &identity, &tenancy);
    let pipelines = Arc::new(Pipelines::open(&config, &backend.store(), &client, &clock).await?);
    let opened = face::tasks::open(&config, &backend.store(), &client, &clock).await?;
    let secrets = Arc::new(Vault::open(&config, &url, backend.store(), Arc::clone(&clock)).await?);
    let senders = Some(Arc::clone(&secrets) as Arc<dyn quintet_executors::secrets::Secrets>);
    let mut executors = quintet_executors::builtin(&executors, &client, senders.clone())?;
    executors.push(Arc::new(pipelines.executor()));
    executors.extend(opened.executors);
    executors.push(Arc::new(face::tenants::order::Endpoints::open(
        &config, &client, senders,
    )?));
    let face = opened.tasks;
    let registry = Registry::new(executors);
    let engine = Engine::start(EngineParts {
        store: backend.store(),
        registry,
        clock: Arc::clone(&clock),
        ids,
        hooks: hooks(&face, &config, &client, &clock)?,
        quota: Some(Arc::clone(&tenancy) as Arc<dyn Quota>),
        config: config.engine.engine_config(&url, node.clone()),
    });
    let engine = Arc::new(engine.await?);
    pipelines.begin(&engine);
    face.begin(&engine);
    let stopping = CancellationToken::new();
    let started_at = clock.now();
    let schedules = Arc::new(Schedules::new(backend.store(), Arc::clone(&clock)));
    let audit = Audit::open(&config.audit, backend.store(), &clock, &node.name);
    let retention = Retention::new(backend.store(), clock, config.retention.finished_runs_days);
    let tasks = vec![
        tasks::spawn("identity", Arc::clone(&identity).keep(stopping.clone())),
        tasks::spawn("retention", retention::run(retention, stopping.clone())),
        tasks::spawn(
            "pipelines",
            Arc::clone(&pipelines).keep(Arc::clone(&engine), stopping.clone()),
        ),
        tasks::spawn(
            "namespaces",
            Arc::clone(&tenancy).keep(Arc::clone(&engine), stopping.clone()),
        ),
        tasks::spawn("tasks", Arc::clone(&face).keep(Arc::clone(&engine), stopping.clone())),
        tasks::spawn("durability", store::tell_durability(backend.store(), stopping.clone())),
    ];
    let app = Arc::new(App {
        engine,
        config: Arc::new(config),
        stopping,
        store_kind: url.kind(),
        node,
        pipelines,
        tasks: face,
        schedules,
        secrets,
        tenancy,
        started_at,
        audit,
        identity,
        edge,
        backend,
        background: Mutex::new(tasks),
    });
    begin_schedules(&app);
    Ok(app)
}

/// What faces tell others, through one outbox.
fn hooks(
    face: &Arc<Tasks>,
    config: &Config,
    client: &Client,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Hooks>, ConfigError> {
    let mut all = AllHooks::default();
    face::tasks::hooks(face, config, client, clock, &mut all)?;
    if let Some(hooks) = face::workflows::hooks(config, client, clock)? {
        all.add("", hooks);
    }
    Ok(all.join())
}

/// What starts runs by itself begins when everything that it starts can be started.
fn begin_schedules(app: &Arc<App>) {
    app.schedules
        .serve_workflows(Arc::new(face::workflows::Launcher::new(app)));
    app.schedules.serve_tasks(Arc::clone(&app.tasks) as Arc<dyn Launch>);
    let keeper = Arc::clone(&app.schedules).keep(app.stopping.clone());
    let keeper = tasks::spawn("schedules", keeper);
    app.background
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(keeper);
}
