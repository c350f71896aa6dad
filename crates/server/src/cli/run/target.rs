//! Where a run runs: on a server elsewhere, or on one inside this process.

use std::sync::Arc;
use std::time::Duration;

use quintet_client::Client;
use quintet_engine::tasks;
use quintet_store::StoreError;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, OpenOptions, StartError};
use crate::cli::connect::{self, TlsArgs};
use crate::cli::document::BadInput;
use crate::cli::store::StoreArgs;
use crate::config::{Millis, StoreUrl};
use crate::http::Server;

/// How long steps under way get to end when this process is interrupted: what does not end is made again later.
const DRAIN: Duration = Duration::from_secs(2);

/// A server, and a client of it.
pub struct Target {
    /// The client.
    pub client: Client,
    embedded: Option<Embedded>,
}

struct Embedded {
    app: Arc<App>,
    server: JoinHandle<()>,
    stop: CancellationToken,
    store: String,
}

impl Target {
    /// A server elsewhere.
    pub fn remote(server: &str, api_key: Option<&str>, tls: &TlsArgs) -> anyhow::Result<Self> {
        Ok(Self {
            client: connect::client(server, api_key, tls)?,
            embedded: None,
        })
    }

    /// A server in this process.
    pub async fn embedded(args: &StoreArgs) -> anyhow::Result<Self> {
        let mut config = args.config()?;
        // A free port on loopback, whatever the settings say of the server's own.
        config.server.listen = Some("127.0.0.1:0".to_owned());
        // Somebody waits for this one.
        config.database.start_timeout = Millis(0);
        let reserved = Server::bind(&config)?;
        let address = reserved.address();
        let options = OpenOptions {
            listening: Some(address),
            ..OpenOptions::default()
        };
        let url = config.store_url().map_err(BadInput::new)?;
        let app = App::open(config, options).await.map_err(|error| explain(error, &url))?;
        let key = app.identity.own_key()?;
        let server = match reserved.listen() {
            Ok(server) => server,
            Err(error) => {
                app.shutdown().await;
                return Err(error.into());
            }
        };
        let stop = CancellationToken::new();
        let (served, stopped) = (Arc::clone(&app), stop.clone());
        let server = tasks::spawn("api", async move { server.run(&served, stopped.cancelled()).await });
        let client = connect::client(&format!("http://{address}"), key.as_deref(), &TlsArgs::default())?;
        Ok(Self {
            client,
            embedded: Some(Embedded {
                app,
                server,
                stop,
                store: url.to_string(),
            }),
        })
    }

    /// What becomes of a run when this process goes away.
    pub fn afterwards(&self) -> String {
        match &self.embedded {
            None => "It goes on at the server; watch it with `quintet runs show`.".to_owned(),
            Some(embedded) => format!(
                "It goes on when something opens {}, such as `quintet serve`; `quintet runs` then shows it.",
                embedded.store
            ),
        }
    }

    /// Ends the server in this process, if there is one.
    pub async fn close(self) {
        let Some(Embedded { app, server, stop, .. }) = self.embedded else {
            return;
        };
        drop(self.client);
        stop.cancel();
        let end = async {
            // A panic in it has been logged where it happened.
            let _ = server.await;
            app.shutdown().await;
        };
        if tokio::time::timeout(DRAIN, end).await.is_err() {
            eprintln!("steps under way did not end in time; they will be made again");
        }
    }
}

fn explain(error: StartError, store: &StoreUrl) -> anyhow::Error {
    match error {
        StartError::Store(StoreError::Refused(message)) if matches!(store, StoreUrl::Sqlite(_)) => anyhow::anyhow!(
            "{message}\nhint: if a server runs on it, run there with --server http://127.0.0.1:8080; \
             or use another folder with --data"
        ),
        StartError::Config(error) => BadInput::new(error).into(),
        other => other.into(),
    }
}
