//! `quintet serve`: the server, from its settings to its orderly end.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::document::BadInput;
use crate::app::{App, OpenOptions, StartError, telemetry};
use crate::config::{Config, Sources};
use crate::face::pipelines::OpenError as PipelinesError;
use crate::face::tasks::OpenError as TasksError;
use crate::http::Server;

/// Exit code after a second signal: as if the first had not been caught.
const INTERRUPTED: i32 = 130;

/// Serve the API until SIGTERM or SIGINT
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// File with settings, TOML or YAML [default: quintet.toml, quintet.yaml or config.yaml, if there is one]
    #[arg(long, value_name = "FILE", env = "QUINTET_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Folder for everything that is kept [default: data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The store, `sqlite:PATH`, `postgres://...` or `memory:` [default: quintet.db in the data folder]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Listen on an address that others reach although nobody needs a key
    #[arg(long)]
    pub insecure_no_auth: bool,
}

impl Args {
    /// The settings, with these flags over environment and file.
    pub fn config(&self) -> Result<Config, BadInput> {
        Config::load(&self.sources()).map_err(BadInput::new)
    }

    fn sources(&self) -> Sources {
        let data = self.data.as_ref().map(|folder| folder.display().to_string());
        Sources::of_process(self.config.clone())
            .flag("--listen", "server.listen", self.listen.clone())
            .flag("--data", "data_dir", data)
            .flag("--store", "store.url", self.store.clone())
            .flag(
                "--insecure-no-auth",
                "server.insecure_no_auth",
                self.insecure_no_auth.then_some(true),
            )
    }
}

/// Carries the command out.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = args.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let telemetry = telemetry::init(&config).map_err(refused)?;
        if let Some(file) = args.sources().file_in_use() {
            tracing::info!(file = %file.display(), "settings read");
        }
        let ended = serve(config).await;
        telemetry.shutdown().await;
        ended
    });
    ended.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before anything else, so that a signal during a long recovery is not lost.
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let watching = quintet_engine::tasks::spawn("signals", watch(signals, stop.clone()));
    let reserved = Server::bind(&config).map_err(refused)?;
    let options = OpenOptions {
        listening: Some(reserved.address()),
        ..OpenOptions::default()
    };
    let app = tokio::select! {
        app = App::open(config, options) => app.map_err(refused)?,
        // It may have waited for its store.
        () = stop.cancelled() => return Ok(()),
    };
    let server = match reserved.listen() {
        Ok(server) => server,
        Err(error) => {
            app.shutdown().await;
            return Err(refused(error));
        }
    };
    warn_of_exposure(&app.config, &server);
    announce(&server, app.store_kind).context("the ready line cannot be written")?;
    let (mut failure, engine) = (None, std::sync::Arc::clone(&app.engine));
    let end = async {
        tokio::select! {
            () = stop.cancelled() => {}
            reason = engine.failed() => failure = Some(reason),
        }
    };
    server.run(&app, end).await;
    app.shutdown().await;
    watching.abort();
    if let Some(reason) = failure {
        anyhow::bail!("the store can no longer be written ({reason}); nothing acknowledged is lost, start again");
    }
    tracing::info!("stopped");
    Ok(())
}

/// What is wrong with the settings is bad input; anything else is a failure.
fn refused(error: StartError) -> anyhow::Error {
    match error {
        StartError::Store(_)
        | StartError::Pipelines(PipelinesError::Store(_))
        | StartError::Tasks(TasksError::Store(_))
        | StartError::StoreAway { .. }
        | StartError::Bind { .. }
        | StartError::DataDir { .. }
        | StartError::Telemetry(_) => error.into(),
        StartError::Config(_)
        | StartError::Executors(_)
        | StartError::Keys(_)
        | StartError::Pipelines(_)
        | StartError::Tasks(_)
        | StartError::Unprotected { .. } => BadInput::new(error).into(),
    }
}

fn announce(server: &Server, store: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "quintet ready http={} grpc=off store={store}", server.address())?;
    out.flush()
}

fn warn_of_exposure(config: &Config, server: &Server) {
    let address = server.address();
    if address.ip().is_loopback() {
        return;
    }
    if config.auth.api_keys.is_empty() {
        tracing::warn!(%address, "everybody who reaches this address can do everything: --insecure-no-auth is set");
    }
    if !config.server.behind_proxy {
        tracing::warn!(%address, "plain HTTP on an address that others reach: end TLS in front, and set `server.behind_proxy`");
    }
}

/// The first signal asks for an orderly end, the second gets one at once.
async fn watch((mut terminate, mut interrupt): (Signal, Signal), stop: CancellationToken) {
    next(&mut terminate, &mut interrupt).await;
    tracing::info!("stopping; a second signal stops at once");
    stop.cancel();
    next(&mut terminate, &mut interrupt).await;
    tracing::warn!("stopped at once; what was under way is made again after the next start");
    std::process::exit(INTERRUPTED);
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
