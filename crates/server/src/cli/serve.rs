//! `quintet serve`: the server, from its settings to its orderly end.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::document::BadInput;
use crate::app::{App, OpenOptions, StartError, telemetry};
use crate::config::{Config, Sources};
use crate::face::pipelines::OpenError as PipelinesError;
use crate::face::tasks::OpenError as TasksError;
use crate::http::Server;
use crate::identity::IdentityError;
use crate::secrets::OpenError as SecretsError;

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
    /// PEM file with the server's certificate; serves https instead of http
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
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
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        Sources::of_process(self.config.clone())
            .flag("--listen", "server.listen", self.listen.clone())
            .flag("--data", "data_dir", text(&self.data))
            .flag("--tls-cert", "server.tls_cert", text(&self.tls_cert))
            .flag("--tls-key", "server.tls_key", text(&self.tls_key))
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
    let reads_again = config.server.tls().is_some();
    let hangup = reads_again.then(|| signal(SignalKind::hangup())).transpose()?;
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
    warn_of_exposure(&app, &server);
    if let Some((tls, hangup)) = server.tls().zip(hangup) {
        quintet_engine::tasks::spawn("tls", Arc::clone(tls).keep(hangup, app.stopping.clone()));
    }
    announce(&server, app.store_kind).context("the ready line cannot be written")?;
    let (mut failure, engine) = (None, Arc::clone(&app.engine));
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
        | StartError::Identity(
            IdentityError::Store(_) | IdentityError::FirstToken { .. } | IdentityError::NoRandomness(_),
        )
        | StartError::Secrets(SecretsError::Store(_))
        | StartError::Pipelines(PipelinesError::Store(_))
        | StartError::Tasks(TasksError::Store(_))
        | StartError::StoreAway { .. }
        | StartError::Bind { .. }
        | StartError::DataDir { .. }
        | StartError::Telemetry(_) => error.into(),
        StartError::Config(_)
        | StartError::Executors(_)
        | StartError::Identity(_)
        | StartError::Secrets(_)
        | StartError::Pipelines(_)
        | StartError::Tasks(_)
        | StartError::Tls(_)
        | StartError::Unprotected { .. } => BadInput::new(error).into(),
    }
}

fn announce(server: &Server, store: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let scheme = if server.tls().is_some() { "https://" } else { "" };
    writeln!(
        out,
        "quintet ready http={scheme}{} grpc=off store={store}",
        server.address()
    )?;
    out.flush()
}

fn warn_of_exposure(app: &App, server: &Server) {
    let config = &app.config;
    let address = server.address();
    if address.ip().is_loopback() {
        return;
    }
    if app.identity.is_open() {
        tracing::warn!(%address, "everybody who reaches this address can do everything: --insecure-no-auth is set");
    }
    if !config.server.behind_proxy && server.tls().is_none() {
        tracing::warn!(
            %address,
            "plain HTTP on an address that others reach: set `server.tls_cert` and `server.tls_key`, or end TLS in front \
             and set `server.behind_proxy`"
        );
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
