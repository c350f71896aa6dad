//! What steps may reach, and how.

use std::collections::BTreeMap;

use super::ConfigError;
use super::section::section;
use super::value::Millis;

section! {
    /// The `http` action and the service actions.
    pub struct HttpAction = "http_action" {
        /// Requests in flight at a time. Default: 256. Raise it where targets are slow and many.
        pub concurrency: usize = 256,
        /// For an attempt whose step sets no `timeout_ms`. Default: 30s. Also read as `timeout_ms`.
        pub timeout: Millis = Millis(30_000),
    }
}

section! {
    /// Where the service actions go.
    pub struct Actions = "actions" {
        /// URLs by action (`"ai_router.chat" = "http://ai-router:8080/v1/chat/completions"`, used whole) or by service
        /// (`ai_router = "http://ai-router:8080"`, with each action's usual path). Their hosts and ports may be reached
        /// whatever `egress` says. Default: none, so that steps give full URLs.
        pub base_urls: BTreeMap<String, String> = BTreeMap::new(),
    }
}

section! {
    /// What outbound requests of steps may reach. Public addresses may be reached; others only as said here.
    pub struct Egress = "egress" {
        /// Targets that are permitted whatever else is said here: host, `*.domain`, address or block, each with an
        /// optional `:port` (`workers.internal:8080`, `10.2.0.0/16:8443`, `[fd00::/8]:8443`). A cloud metadata address
        /// needs an entry for that single address or name. Default: none.
        pub allow: Vec<String> = Vec::new(),
        /// Blocks of addresses that are refused in addition to the built-in ones; `allow` wins over it. Default: none.
        pub deny: Vec<String> = Vec::new(),
        /// Permits private addresses (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7). Default: false. Set it where
        /// everyone who may write a workflow may also reach everything in the network.
        pub allow_private: bool = false,
        /// Permits loopback addresses. Default: none, which permits them while the server itself is bound to loopback.
        pub allow_loopback: Option<bool> = None,
        /// For looking up the name and connecting. Default: 5s. Also read as `connect_timeout_ms`.
        pub connect_timeout: Millis = Millis(5000),
        /// Longest response body that is read, in bytes. Default: 4194304 (4 MiB).
        pub max_response_bytes: usize = 4 << 20,
    }
}

impl Egress {
    /// As the guard takes it; `loopback` says whether the server itself is bound to loopback.
    pub fn policy(&self, loopback: bool) -> Result<quintet_executors::egress::Policy, ConfigError> {
        let mut policy = quintet_executors::egress::Policy {
            allow_private: self.allow_private,
            allow_loopback: self.allow_loopback.unwrap_or(loopback),
            connect_timeout_ms: self.connect_timeout.0,
            max_response_bytes: self.max_response_bytes,
            ..Default::default()
        };
        for entry in &self.allow {
            let rule = serde_json::from_value(entry.as_str().into());
            policy.allow.push(rule.map_err(|error| wrong("egress.allow", &error))?);
        }
        for entry in &self.deny {
            let block = serde_json::from_value(entry.as_str().into());
            policy.deny.push(block.map_err(|error| wrong("egress.deny", &error))?);
        }
        Ok(policy)
    }
}

fn wrong(key: &str, error: &serde_json::Error) -> ConfigError {
    ConfigError::senseless(key, error.to_string())
}
