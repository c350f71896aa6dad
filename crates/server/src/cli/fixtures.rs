//! `quintet fixtures`, and the `fixtures` section of a document: small HTTP services that stand in for the real ones.
//!
//! An example that calls `https://shop.example` shows nothing on a machine without it. So a document may describe the
//! services that it calls, and `quintet run` starts them on free loopback ports for as long as the run lasts; their
//! addresses reach the run as `context.fixtures.<name>`. They are real servers, so what is shown (a retry after a 503,
//! steps that overlap, a timeout) is what happens, not a drawing of it. The server itself does not know the section.
//!
//! ```yaml
//! fixtures:
//!   shop:
//!     routes:
//!       - match: GET /stock/{sku}
//!         respond:
//!           - {status: 503, times: 1, headers: {retry-after: "1"}}
//!           - {delay_ms: 150, body: {sku: "{{ request.path.sku }}", left: 3}}
//! ```

mod answer;
mod route;
mod service;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::document::{self, BadInput};
use route::Route;
use service::Service;

/// Serve the fixtures of a document until Ctrl-C
///
/// Prints the address of each, one per line. `--json` prints them as the input that a run of the document needs, for
/// `quintet runs start --input`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The document, YAML or JSON
    file: PathBuf,
    /// Print `{"fixtures": {NAME: URL}}`
    #[arg(long)]
    json: bool,
}

/// One service, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceSpec {
    routes: Vec<route::RouteSpec>,
}

/// Running services; they end when this is dropped.
#[derive(Debug, Default)]
pub struct Fixtures {
    addresses: BTreeMap<String, SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl Fixtures {
    /// Starts the services of a `fixtures` section.
    pub async fn start(section: &Value) -> anyhow::Result<Self> {
        let mut fixtures = Self::default();
        for (name, routes) in read(section)? {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            fixtures.addresses.insert(name, listener.local_addr()?);
            let service = Arc::new(Service::new(routes));
            fixtures.tasks.push(quintet_engine::tasks::spawn(
                "fixture",
                service::serve(listener, service),
            ));
        }
        Ok(fixtures)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The base URL of each, by name.
    pub fn urls(&self) -> Map<String, Value> {
        self.addresses
            .iter()
            .map(|(name, address)| (name.clone(), format!("http://{address}").into()))
            .collect()
    }
}

impl Drop for Fixtures {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Checks the section without starting anything.
pub fn check(section: &Value) -> Result<(), BadInput> {
    read(section).map(drop)
}

fn read(section: &Value) -> Result<Vec<(String, Vec<Route>)>, BadInput> {
    let services = section
        .as_object()
        .ok_or_else(|| BadInput::at("fixtures", "must be an object of services"))?;
    let mut all = Vec::new();
    for (name, spec) in services {
        let field = format!("fixtures.{name}");
        let spec: ServiceSpec = serde_json::from_value(spec.clone()).map_err(|error| BadInput::at(&field, error))?;
        let routes = spec.routes.into_iter().enumerate();
        let routes = routes.map(|(nth, route)| Route::compile(route, &format!("{field}.routes[{nth}]")));
        all.push((name.clone(), routes.collect::<Result<Vec<_>, _>>()?));
    }
    Ok(all)
}

/// Serves them until Ctrl-C.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let document = document::read(&args.file)?;
    let Some(section) = &document.fixtures else {
        return Err(BadInput::at("fixtures", "the document has no such section").into());
    };
    let fixtures = Fixtures::start(section).await?;
    if args.json {
        super::output::print_line(&serde_json::json!({ "fixtures": fixtures.urls() }).to_string())?;
    } else {
        for (name, address) in &fixtures.addresses {
            super::output::print_line(&format!("{name} http://{address}"))?;
        }
    }
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}
