//! Which server a command speaks to, and what to say when it does not answer.

use std::future::Future;
use std::process::ExitCode;

use quintet_client::{Client, Error};

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
}

impl ServerArgs {
    /// A client of it.
    pub fn client(&self) -> anyhow::Result<Client> {
        let token = || {
            std::env::var("PIPEWEAVE_API_TOKEN")
                .ok()
                .filter(|token| !token.is_empty())
        };
        client(&self.server, self.api_key.clone().or_else(token).as_deref())
    }
}

/// Where the original's users have their server, or where ours is when nothing is set.
fn usual_server() -> String {
    let named = std::env::var("PIPEWEAVE_ORCHESTRATOR_URL").ok();
    let named = named.filter(|url| !url.is_empty());
    named.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned())
}

/// A client of a server; an address without a scheme is taken for plain HTTP.
pub fn client(server: &str, api_key: Option<&str>) -> anyhow::Result<Client> {
    let server = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let client = Client::new(&server).map_err(|error| BadInput::at("--server", error))?;
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
        Error::Unreachable { url, .. } => {
            format!("is a server running at {url}? start one with `quintet serve`, or name another with --server")
        }
        Error::Protocol { .. } => "is it really a Quintet that answers there?".to_owned(),
        Error::Api(api) if error.is_not_found() => format!("{} what the server has", listings(&api.message)),
        Error::Api(api) => match api.status.as_u16() {
            401 => "give a key with --api-key or QUINTET_API_KEY; `quintet keys` makes one".to_owned(),
            403 => "this key may not do that; `quintet keys` makes others".to_owned(),
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
        "schedule" => "`quintet schedules list` shows",
        "Pipeline" => "`quintet pipelines list` shows",
        "Service" => "`quintet services list` shows",
        "DLQ item" => "`quintet dlq list` shows",
        "Task" => "`quintet tasks list` shows",
        "Queue" => "`quintet queues list` shows",
        _ => "`quintet runs list` and `quintet workflows list` show",
    }
}
