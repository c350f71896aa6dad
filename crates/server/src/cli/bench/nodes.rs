//! The servers that are measured together: one, or several on one database.

use anyhow::Context;

use super::Target;
use super::child::{Server, Usage};
use super::load::{Connection, metric};

/// Running servers.
pub(super) struct Nodes {
    servers: Vec<Server>,
}

impl Nodes {
    /// Starts all of them, one after the other.
    pub async fn start(target: &Target) -> anyhow::Result<Self> {
        let mut servers = Vec::new();
        for node in 0..target.nodes {
            let data = target.data.join(format!("node{node}"));
            servers.push(Server::start(&data, target.url.as_deref()).await?);
        }
        Ok(Self { servers })
    }

    /// Connects to one of them; a client's number decides to which.
    pub async fn connect(&self, client: usize) -> anyhow::Result<Connection> {
        let server = self.servers.get(client % self.servers.len());
        Connection::open(&server.context("no server")?.address).await
    }

    /// Where they listen.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(|server| &*server.address)
    }

    /// Milliseconds from its start to the first one's ready line.
    pub fn ready_ms(&self) -> f64 {
        self.servers.first().map_or(0.0, |server| server.ready_ms)
    }

    /// What all of them have used so far.
    pub fn usage(&self) -> Usage {
        let add = |sum: Usage, server: &Server| {
            let usage = server.usage();
            Usage {
                cpu_s: sum.cpu_s + usage.cpu_s,
                resident: sum.resident + usage.resident,
            }
        };
        self.servers.iter().fold(Usage::default(), add)
    }

    /// What all of them say of themselves.
    pub async fn metrics(&self) -> anyhow::Result<Metrics> {
        let mut texts = Vec::new();
        for client in 0..self.servers.len() {
            let answer = self.connect(client).await?.call("GET", "/metrics", "").await?;
            texts.push(String::from_utf8_lossy(&answer.body).into_owned());
        }
        Ok(Metrics(texts))
    }

    /// Ends all of them with SIGTERM and waits.
    pub async fn stop(self) -> anyhow::Result<()> {
        for server in self.servers {
            server.stop().await?;
        }
        Ok(())
    }
}

/// The metrics of each server.
pub(super) struct Metrics(Vec<String>);

impl Metrics {
    /// The sum over the servers of everything under a name.
    pub fn sum(&self, name: &str) -> f64 {
        self.0.iter().map(|text| metric(text, name)).sum()
    }
}
