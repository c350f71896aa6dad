//! A server that serves two tenants, and everybody who speaks to it.

use std::cell::Cell;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{Server, Target};

/// The tenant that has everything, the services and backends too.
pub const HOME: &str = "bravo";
/// The other one.
pub const AWAY: &str = "acme";
/// Names, roles and namespaces of the keys in the settings.
const KEYS: [(&str, &str, &str); 7] = [
    ("root", "admin", "*"),
    ("viewer", "viewer", HOME),
    ("operator", "operator", HOME),
    ("author", "author", HOME),
    ("worker", "worker", HOME),
    ("admin", "admin", HOME),
    ("stranger", "admin", AWAY),
];
const ISSUER: &str = "https://id.example";
/// Long from now, in seconds since 1970.
const FUTURE: i64 = 10_000_000_000;
/// How long a stream is read at a time.
const WATCH: Duration = Duration::from_secs(1);
/// Pieces of a stream after which enough was seen of it.
const PIECES: usize = 20;

/// How much of a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Begun,
    Watched,
}

/// An answer as it came, head and all.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub text: String,
}

impl Said {
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn is_stream(&self) -> bool {
        let head = self
            .text
            .split_once("\r\n\r\n")
            .map(|(head, _)| head.to_ascii_lowercase());
        head.is_some_and(|head| head.contains("content-type: text/event-stream"))
    }
}

pub struct Site {
    pub server: Server,
    pub target: Target,
    jwt: Ed25519KeyPair,
    /// Of clients as the proxy names them: what is wrong too often from one address is answered 429.
    clients: Cell<u32>,
    _folder: tempfile::TempDir,
}

impl Site {
    pub fn open() -> Self {
        let (folder, target) = (tempfile::tempdir().expect("folder"), Target::saying("{}"));
        let jwt = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("key");
        let file = folder.path().join("settings.yaml");
        // JSON is YAML too.
        std::fs::write(&file, settings(&jwt).to_string()).expect("settings");
        let objects = folder.path().join("objects");
        std::fs::create_dir(&objects).expect("folder of the objects");
        let backends = json!([{
            "id": "local-dev", "provider": "local", "endpoint": "file://", "bucket": "data",
            "credentials": { "basePath": objects }, "isDefault": true,
        }]);
        let environment = [
            ("STORAGE_BACKENDS", backends.to_string()),
            ("PIPEWEAVE_SECRET_KEY", "5c".repeat(32)),
            ("MODAL_URL", target.url("")),
            ("MODAL_TOKEN", "modal-token-of-the-tests".to_owned()),
        ];
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let server = Server::on(folder.path(), &["--config", &file.display().to_string()], &environment);
        Self {
            server,
            target,
            jwt,
            clients: Cell::new(0),
            _folder: folder,
        }
    }

    /// Asks with this key or token.
    pub fn ask(&self, key: Option<&str>, method: &str, path: &str, body: &str) -> Said {
        self.ask_as(
            key,
            &[("content-type", "application/json")],
            (method, path, body),
            Stream::Begun,
        )
    }

    pub fn ask_as(
        &self,
        key: Option<&str>,
        headers: &[(&str, &str)],
        asked: (&str, &str, &str),
        stream: Stream,
    ) -> Said {
        self.clients.set(self.clients.get() + 1);
        let client = Ipv4Addr::from(0x0A00_0000 + self.clients.get()).to_string();
        let bearer = key.map(|key| format!("Bearer {key}"));
        let mut all = vec![("x-forwarded-for", client.as_str()), ("accept", "*/*")];
        all.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        all.extend(headers);
        let (method, path, body) = asked;
        let mut socket = self.server.client().send(method, path, &all, body);
        let (mut bytes, mut piece, mut pieces) = (Vec::new(), [0; 8192], 0);
        loop {
            let said = said(&bytes);
            if said.is_stream() {
                if stream == Stream::Begun || pieces == PIECES {
                    return said;
                }
                pieces += 1;
                socket.set_read_timeout(Some(WATCH)).expect("timeout");
            }
            match socket.read(&mut piece) {
                Ok(0) => return said,
                Ok(length) => bytes.extend_from_slice(&piece[..length]),
                Err(_) if said.is_stream() => return said,
                Err(error) => panic!("{method} {path}: {error}"),
            }
        }
    }

    /// The answer to what must be done.
    pub fn done(&self, name: &str, method: &str, path: &str, body: &Value) -> Value {
        let (key, body) = (key_of(name), body.to_string());
        // Of two addresses the last is the proxy's own word; workers are called where they come from.
        let headers = [("content-type", "application/json"), ("x-forwarded-for", "127.0.0.1")];
        let said = self.ask_as(Some(&key), &headers, (method, path, &body), Stream::Begun);
        assert!(matches!(said.status, 200..=202), "{method} {path}: {}", said.text);
        said.json()
    }

    /// A token of the tenant's admin for this audience.
    pub fn token(&self, audience: &str) -> String {
        let claims = json!({
            "iss": ISSUER, "aud": audience, "sub": "ann", "exp": FUTURE, "namespace": HOME, "roles": ["admin"],
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!(
            "{}.{}",
            part(&json!({ "alg": "EdDSA", "kid": "one", "typ": "JWT" })),
            part(&claims)
        );
        let signature = URL_SAFE_NO_PAD.encode(self.jwt.sign(text.as_bytes()));
        format!("{text}.{signature}")
    }
}

fn said(bytes: &[u8]) -> Said {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    Said {
        status: status.unwrap_or(0),
        text,
    }
}

/// The key of this name.
pub fn key_of(name: &str) -> String {
    format!("{name}-0123456789-0123456789-0123456789")
}

fn settings(jwt: &Ed25519KeyPair) -> Value {
    let keys = KEYS.map(|(name, role, namespace)| {
        let digest = Sha256::digest(key_of(name));
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "name": name, "sha256": hash, "permissions": [role], "namespace": namespace })
    });
    let prefix = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];
    let public = STANDARD.encode([&prefix[..], jwt.public_key().as_ref()].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----\n");
    let tokens = json!({ "issuer": ISSUER, "audience": ["quintet"], "keys": [{ "kid": "one", "key": pem }] });
    json!({
        "server": { "behind_proxy": true },
        "auth": { "api_keys": keys, "jwt": tokens },
        "limits": { "requests_per_second": 0 },
        "tenants": { "types": { "default": { "run": "noop" } } },
        "pipelines": { "namespace": HOME },
        "tasks": { "namespace": HOME },
    })
}
