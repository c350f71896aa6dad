//! How this process presents itself to the others that share its store.

use std::net::SocketAddr;
use std::sync::Arc;

use quintet_engine::NodeConfig;

use super::ConfigError;
use super::section::section;

/// Nodes renew their leases once a second.
const LEAST_LEASE_MS: u64 = 1_000;
/// Nobody waits longer for a dead node's work.
const LONGEST_LEASE_MS: u64 = 600_000;

section! {
    /// How this process presents itself to the others that share its store.
    pub struct Node = "node" {
        /// What people call it. Default: empty, which is the machine's name and the port. Set it where that says
        /// nothing.
        pub name: String = String::new(),
        /// Where its API can be reached by others. Default: empty, which is the address that it listens on, if that is
        /// one. Set it behind a proxy, or where it listens on all addresses.
        pub url: String = String::new(),
        /// Milliseconds after its last sign of life until others take over what it held; at least 1000. Default: 10000.
        /// Raise it where machines or the database pause for longer; lower it where a dead node's work must be taken
        /// over sooner. All nodes of a store should have the same.
        pub lease_ms: u64 = NodeConfig::default().lease_ms,
    }
}

impl Node {
    /// As the engine takes it; `listening` is where the API is served, by `scheme`.
    pub fn node_config(&self, listening: Option<SocketAddr>, scheme: &str) -> NodeConfig {
        let port = listening
            .map(|address| format!(":{}", address.port()))
            .unwrap_or_default();
        let name = match self.name.as_str() {
            "" => format!("{}{port}", host_name()),
            name => name.to_owned(),
        };
        let reachable = listening.filter(|address| !address.ip().is_unspecified());
        let url = match self.url.as_str() {
            "" => reachable
                .map(|address| format!("{scheme}://{address}"))
                .unwrap_or_default(),
            url => url.trim_end_matches('/').to_owned(),
        };
        NodeConfig {
            name: name.into(),
            url: url.into(),
            version: Arc::from(env!("CARGO_PKG_VERSION")),
            lease_ms: self.lease_ms,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_http = self.url.starts_with("http://") || self.url.starts_with("https://");
        if !self.url.is_empty() && !is_http {
            return Err(ConfigError::senseless(
                "node.url",
                "must begin with http:// or https://",
            ));
        }
        if self.lease_ms < LEAST_LEASE_MS {
            return Err(ConfigError::senseless(
                "node.lease_ms",
                "must be at least 1000: a node gives a sign of life once a second, and would be taken for dead in \
                 between",
            ));
        }
        if self.lease_ms > LONGEST_LEASE_MS {
            return Err(ConfigError::senseless(
                "node.lease_ms",
                "must be at most 600000: so long would the work of a dead node lie idle",
            ));
        }
        Ok(())
    }
}

/// The machine's name, or the container's.
fn host_name() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let told = told.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    match told.trim() {
        "" => "quintet".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_by_its_machine_and_port_unless_it_has_a_name() {
        let address = Some("127.0.0.1:8080".parse().unwrap());
        let told = Node::default().node_config(address, "http");
        assert!(told.name.ends_with(":8080") && told.name.len() > 5, "{}", told.name);
        assert_eq!(&*told.url, "http://127.0.0.1:8080");
        let anywhere = Some("0.0.0.0:8080".parse().unwrap());
        assert_eq!(&*Node::default().node_config(anywhere, "http").url, "");
        let named = Node {
            name: "blue".to_owned(),
            url: "https://blue.example/".to_owned(),
            ..Node::default()
        };
        let told = named.node_config(address, "http");
        assert_eq!((&*told.name, &*told.url), ("blue", "https://blue.example"));
    }
}
