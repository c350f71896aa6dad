//! Which server a command speaks to, and what to say when it does not answer.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use quintet_client::{Client, Error, Tls};

use super::document::BadInput;

/// The server of a command.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    /// The server
    #[arg(
        long,
        alias = "url",
        env = "QUINTET_SERVER",
        value_name = "URL",
        default_value_t = usual_server(),
        global = true
    )]
    pub server: String,
    /// The key to show it
    #[arg(
        long,
        alias = "token",
        env = "QUINTET_API_KEY",
        value_name = "KEY",
        hide_env_values = true,
        global = true
    )]
    pub api_key: Option<String>,
    /// The namespace that the command is about, for a key of all namespaces
    #[arg(
        long = "in",
        id = "in_namespace",
        env = "QUINTET_NAMESPACE",
        value_name = "NAMESPACE",
        global = true
    )]
    pub within: Option<String>,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// How an https server is believed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TlsArgs {
    /// PEM file with the authorities that an https server's certificate may come from, instead of the machine's own
    #[arg(long, env = "QUINTET_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
    /// PEM file with the certificate to show a server that asks for one
    #[arg(
        long,
        env = "QUINTET_CLIENT_CERT",
        value_name = "FILE",
        requires = "client_key",
        global = true
    )]
    pub client_cert: Option<PathBuf>,
    /// PEM file with the key of that certificate
    #[arg(
        long,
        env = "QUINTET_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert",
        global = true
    )]
    pub client_key: Option<PathBuf>,
}

impl TlsArgs {
    fn files(&self) -> Tls {
        Tls {
            ca: self.ca.clone(),
            cert: self.client_cert.clone(),
            key: self.client_key.clone(),
        }
    }
}

impl ServerArgs {
    /// A client of it.
    pub fn client(&self) -> anyhow::Result<Client> {
        let token = || {
            std::env::var("PIPEWEAVE_API_TOKEN")
                .ok()
                .filter(|token| !token.is_empty())
        };
        let client = client(&self.server, self.api_key.clone().or_else(token).as_deref(), &self.tls)?;
        Ok(match &self.within {
            Some(namespace) => client.within(namespace),
            None => client,
        })
    }
}

/// Where the original's users have their server, or where ours is when nothing is set.
fn usual_server() -> String {
    let named = std::env::var("PIPEWEAVE_ORCHESTRATOR_URL").ok();
    let named = named.filter(|url| !url.is_empty());
    named.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned())
}

/// A client of a server; an address without a scheme is taken for plain HTTP.
pub fn client(server: &str, api_key: Option<&str>, tls: &TlsArgs) -> anyhow::Result<Client> {
    let server = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let client = Client::with_tls(&server, &tls.files()).map_err(|error| BadInput::at("--server", error))?;
    Ok(match api_key {
        Some(key) => client.with_api_key(key),
        None => client,
    })
}

/// Runs a command on a runtime of its own.
pub fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let done = runtime.block_on(command);
    runtime.shutdown_background();
    done
}

/// What to do about an error of the API; empty where nothing more can be said.
pub fn hint(error: &Error) -> String {
    match error {
        Error::Unreachable { reason, .. } if reason.contains("UnknownIssuer") => {
            "the certificate comes from an authority that is not known here: name its file with --ca or QUINTET_CA"
                .to_owned()
        }
        Error::Unreachable { reason, .. } if reason.contains("peer certificate") => {
            "use a name that the certificate is for".to_owned()
        }
        Error::Unreachable { url, .. } => {
            format!("is a server running at {url}? start one with `quintet serve`, or name another with --server")
        }
        Error::Protocol { .. } => "is it really a Quintet that answers there?".to_owned(),
        Error::Api(api) if error.is_not_found() => format!("{} what the server has", listings(&api.message)),
        Error::Api(api) => match api.status.as_u16() {
            401 => "give a key with --api-key or QUINTET_API_KEY; `quintet auth keys create` makes one, and the first lies in admin-token in the server's data folder".to_owned(),
            403 => "this key may not do that; `quintet auth whoami` shows what it may, `quintet auth keys create` makes others".to_owned(),
            429 | 503 => "try again in a moment".to_owned(),
            _ => String::new(),
        },
        Error::BadUrl { .. } => String::new(),
    }
}

/// The commands that list things of the kind that was not found, as the message calls it.
fn listings(message: &str) -> &'static str {
    let noun = message.split_once(" not found").map_or("", |(noun, _)| noun);
    match noun {
        "key" => "`quintet auth keys list` shows",
        "schedule" => "`quintet schedules list` shows",
        "Pipeline" => "`quintet pipelines list` shows",
        "Service" => "`quintet services list` shows",
        "DLQ item" => "`quintet dlq list` shows",
        "Task" => "`quintet tasks list` shows",
        "Queue" => "`quintet queues list` shows",
        _ => "`quintet runs list` and `quintet workflows list` show",
    }
}
