//! Every setting of the server: one struct per section, put together from flags, environment, file and defaults.
//!
//! The doc comment of a setting is its documentation: `quintet docs config` prints the reference page from it, so
//! page and code cannot drift apart. A setting that nobody knows is an error that names it and the closest one that
//! exists, because a misspelt setting that is ignored is a safety net that is not there. Names that users of the
//! replaced orchestrator already set (`server.host`, `database.dsn`, `HOST`, `PORT`, ...) mean what they meant.

mod audit;
mod auth;
mod cors_origin;
mod egress;
mod engine;
mod error;
mod file;
mod hooks;
mod load;
mod logging;
mod media;
mod namespaces;
mod node;
mod originals;
mod pipelines;
mod policy;
mod postgres_url;
pub mod reference;
mod secrets;
mod section;
mod server;
mod store;
mod tasks;
mod tenants;
mod tls;
mod value;

use std::path::{Path, PathBuf};

pub use audit::Audit;
pub use auth::{ApiKey, Auth, Jwt, JwtKey, Required};
pub use cors_origin::CorsOrigin;
pub use egress::{Actions, Egress, HttpAction};
pub use engine::{Engine, Limits, MOST_VALUES, Retention};
pub use error::ConfigError;
pub use hooks::{AuditLog, Memarch};
pub use load::Sources;
pub use logging::{Log, LogFormat, Telemetry};
pub use media::Media;
pub use namespaces::{DefaultQuotas, Namespaces};
pub use node::Node;
pub use pipelines::{Mode, Pipelines, RetrySemantics, StorageBackends};
pub use policy::Policy;
pub use postgres_url::PostgresUrl;
pub use secrets::Secrets;
pub use section::{Key, Kind};
pub use server::Server;
pub use store::{Database, Pooler, RowLevelSecurity, Store, StoreUrl};
pub use tasks::{
    BackendTable, BullmqTable, ChunkRules, DEFAULT_QUEUE, EffectTargets, GraphErrors, Mail, QueueRule, QueueSettings,
    Tasks,
};
pub(crate) use tenants::rule_of;
pub use tenants::{TaskTypes, TenantRules, Tenants, TypeRule};
pub use tls::TlsFiles;
pub use value::{Millis, Secret};

use section::{Section, Settings, section};

section! {
    /// Settings outside any section.
    pub struct General = "" {
        /// Folder for everything that the server keeps: the embedded store and its lock file. Default: `data` in the
        /// working directory. Set it to a place on a disk that is backed up. Flag: `--data`.
        pub data_dir: PathBuf = PathBuf::from("data"),
    }
}

/// All settings.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Config {
    /// Where the server keeps its data.
    pub data_dir: PathBuf,
    /// Where and how it listens.
    pub server: Server,
    /// The store.
    pub store: Store,
    /// The original's name for the store, and how PostgreSQL is spoken to.
    pub database: Database,
    /// How this process presents itself to others that share the store.
    pub node: Node,
    /// Who may do what.
    pub auth: Auth,
    /// Who is served.
    pub namespaces: Namespaces,
    /// What namespaces may use that nobody created.
    #[serde(rename = "namespaces.default_quotas")]
    pub default_quotas: DefaultQuotas,
    /// The keys under which secrets are kept.
    pub secrets: Secrets,
    /// Rules for all workflows.
    pub policy: Policy,
    /// The memarch hook.
    pub memarch: Memarch,
    /// The audit log hook.
    pub audit_log: AuditLog,
    /// The audit trail.
    pub audit: Audit,
    /// The engine's sizes and times.
    pub engine: Engine,
    /// The `http` action.
    pub http_action: HttpAction,
    /// Where the service actions go.
    pub actions: Actions,
    /// What outbound requests may reach.
    pub egress: Egress,
    /// Pipelines: their workers and their storage.
    pub pipelines: Pipelines,
    /// Tasks: their queues, and the backends that do them.
    pub tasks: Tasks,
    /// Tenants' workflows: how their tasks are run.
    pub tenants: Tenants,
    /// Media files, measured and cut.
    pub media: Media,
    /// What may be used at most.
    pub limits: Limits,
    /// What is removed, and when.
    pub retention: Retention,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces go.
    pub telemetry: Telemetry,
}

impl Default for Config {
    fn default() -> Self {
        let defaults = Self::read(&Settings::new());
        defaults.unwrap_or_else(|error| panic!("the defaults contradict themselves: {error}"))
    }
}

/// The sections, in the order of the reference page.
macro_rules! each_section {
    ($visit:ident) => {
        $visit! {
            General, Server, Store, Database, Node, Auth, Namespaces, DefaultQuotas, Secrets, Policy, Memarch, AuditLog, Audit, Engine, HttpAction, Actions,
            Egress, Pipelines, Tasks, Tenants, Media, Limits, Retention, Log, Telemetry
        }
    };
}

/// One section, as the reference page shows it.
#[derive(Debug)]
pub struct SectionInfo {
    /// Its name in the file; empty for settings outside any section.
    pub path: &'static str,
    /// What it is about.
    pub about: String,
    /// Its settings.
    pub keys: Vec<Key>,
}

impl Config {
    /// The settings of these sources.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let config = Self::read(&load::settings(sources)?)?;
        config.check()?;
        Ok(config)
    }

    /// The settings of one text in TOML or YAML, over the defaults.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config = Self::read(&load::from_text(text, Path::new("settings"))?)?;
        config.check()?;
        Ok(config)
    }

    /// All sections with all their settings.
    pub fn sections() -> Vec<SectionInfo> {
        macro_rules! describe {
            ($($section:ident),+) => {
                vec![$(SectionInfo { path: $section::PATH, about: $section::about(), keys: $section::keys() }),+]
            };
        }
        each_section!(describe)
    }

    /// Which store is asked for.
    pub fn store_url(&self) -> Result<StoreUrl, ConfigError> {
        StoreUrl::of(&self.store, &self.database, &self.data_dir)
    }

    /// How many connections one address may hold; 0 is no limit.
    pub(crate) fn connections_per_address(&self) -> usize {
        // All of them come from the proxy.
        if self.server.behind_proxy {
            0
        } else {
            self.limits.connections_per_address
        }
    }

    /// Settings of the built-in executors; `loopback` says whether the server itself is bound to loopback.
    pub fn executors(&self, loopback: bool) -> Result<quintet_executors::Config, ConfigError> {
        Ok(quintet_executors::Config {
            egress: self.egress.policy(loopback)?,
            actions: self.actions.base_urls.clone(),
            http_concurrency: self.http_action.concurrency,
            http_timeout_ms: self.http_action.timeout.0,
        })
    }

    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            data_dir: General::read(settings)?.data_dir,
            server: Server::read(settings)?,
            store: Store::read(settings)?,
            database: Database::read(settings)?,
            node: Node::read(settings)?,
            auth: Auth::read(settings)?,
            namespaces: Namespaces::read(settings)?,
            default_quotas: DefaultQuotas::read(settings)?,
            secrets: Secrets::read(settings)?,
            policy: Policy::read(settings)?,
            memarch: Memarch::read(settings)?,
            audit_log: AuditLog::read(settings)?,
            audit: Audit::read(settings)?,
            engine: Engine::read(settings)?,
            http_action: HttpAction::read(settings)?,
            actions: Actions::read(settings)?,
            egress: Egress::read(settings)?,
            pipelines: Pipelines::read(settings)?,
            tasks: Tasks::read(settings)?,
            tenants: Tenants::read(settings)?,
            media: Media::read(settings)?,
            limits: Limits::read(settings)?,
            retention: Retention::read(settings)?,
            log: Log::read(settings)?,
            telemetry: Telemetry::read(settings)?,
        })
    }

    /// What no section can judge alone, or what would otherwise be noticed only when it is too late.
    fn check(&self) -> Result<(), ConfigError> {
        self.server.check_tls()?;
        self.database.check()?;
        self.node.check()?;
        self.engine.check(&self.store_url()?, self.database.pool_size)?;
        self.egress.policy(true)?;
        self.auth.check()?;
        self.default_quotas.check()?;
        self.pipelines.check()?;
        self.media.check()?;
        self.tasks.check(&self.media.settings())?;
        self.tenants.check()?;
        self.limits.check()?;
        self.memarch.check()?;
        self.audit_log.check()?;
        self.log.check()?;
        self.telemetry.check()
    }
}

#[cfg(test)]
mod tests;
