//! Namespaces of the real server, over HTTP: strangers see nothing of each other, and each keeps to what it may use.

#[allow(unused_imports, reason = "no step calls anything here")]
pub(crate) mod common;

#[path = "namespaces/life.rs"]
mod life;
#[path = "namespaces/quotas.rs"]
mod quotas;
#[path = "namespaces/strangers.rs"]
mod strangers;

use std::sync::LazyLock;

use common::{Client, Reply, Server};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// Names, permissions and namespaces of the keys.
const KEYS: [(&str, &str, &str); 4] = [
    ("root", "admin", "*"),
    ("ada", "admin", "acme"),
    ("bob", "admin", "bravo"),
    ("eve", "viewer", "acme"),
];

/// A master key, where stores that can be shared need one.
static MASTER_KEY: LazyLock<NamedTempFile> = LazyLock::new(|| {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "5c".repeat(32)).expect("written");
    file
});

fn key_of(name: &str) -> String {
    format!("{name}-0123456789-0123456789-0123456789")
}

/// A server with a key of each, and further settings.
pub fn guarded(sections: &Value) -> Server {
    let keys = KEYS.map(|(name, permission, namespace)| {
        let hash: String = Sha256::digest(key_of(name))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        json!({ "name": name, "sha256": hash, "permissions": [permission], "namespace": namespace })
    });
    let mut settings = json!({
        "secrets": { "master_key": format!("file:{}", MASTER_KEY.path().display()) },
        "auth": { "api_keys": keys },
        "limits": { "requests_per_second": 0 },
        "tenants": { "types": { "default": { "run": "noop" } } },
    });
    for (name, section) in sections.as_object().into_iter().flatten() {
        settings[name] = section.clone();
    }
    // JSON is YAML too.
    Server::configured(&settings.to_string())
}

/// Somebody who shows the same key with every request, and perhaps names a namespace.
pub struct Speaker {
    client: Client,
    headers: Vec<(&'static str, String)>,
}

impl Speaker {
    pub fn of(server: &Server, name: &str) -> Self {
        Self {
            client: server.client(),
            headers: vec![("authorization", format!("Bearer {}", key_of(name)))],
        }
    }

    /// Nobody in particular, where nobody needs a key.
    pub fn anybody(server: &Server) -> Self {
        Self {
            client: server.client(),
            headers: Vec::new(),
        }
    }

    pub fn within(mut self, namespace: &str) -> Self {
        self.headers.push(("x-quintet-namespace", namespace.to_owned()));
        self
    }

    pub fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        let mut headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        headers.push(("accept", "application/json"));
        self.client.call(method, path, &headers, body)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, &body.to_string())
    }

    /// The answer to what must be done.
    pub fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let reply = self.call(method, path, &body);
        assert!(matches!(reply.status, 200 | 201), "{method} {path}: {}", reply.text());
        reply.json()
    }

    /// A workflow that does one thing at once.
    pub fn quick(&self) -> String {
        let document = json!({ "id": "quick", "name": "quick", "steps": [{ "name": "a", "action": "noop" }] });
        text(&self.done("POST", "/v1/workflows", &document), "id")
    }

    /// A workflow that waits for somebody.
    pub fn patient(&self) -> String {
        let document =
            json!({ "id": "patient", "name": "patient", "steps": [{ "name": "ask", "action": "approval" }] });
        text(&self.done("POST", "/v1/workflows", &document), "id")
    }

    pub fn start(&self, workflow: &str) -> Reply {
        self.post("/v1/runs", &json!({ "workflow_id": workflow }))
    }

    /// Starts it, and gives its id.
    pub fn started(&self, workflow: &str) -> String {
        let reply = self.start(workflow);
        assert_eq!(reply.status, 200, "{}", reply.text());
        text(&reply.json(), "id")
    }

    pub fn status(&self, run: &str) -> String {
        text(&self.get(&format!("/v1/runs/{run}")).json(), "status")
    }
}

pub fn text(value: &Value, field: &str) -> String {
    let found = value[field].as_str();
    found.unwrap_or_else(|| panic!("{field} of {value}")).to_owned()
}

/// Fails unless a limit of this name was met.
pub fn assert_exceeded(reply: &Reply, what: &str) {
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert!(reply.text().contains(what), "{}", reply.text());
    let seconds = reply.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds >= 1), "{:?}", reply.headers);
}
