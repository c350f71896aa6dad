//! Keys and tokens against the real binary: made, shown once, used, replaced, revoked; and what strangers hear.

#[allow(unused_imports, reason = "no step calls anything here")]
pub(crate) mod common;
mod tokens;

use std::path::Path;

use common::{Client, Reply, Server, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server that lets nobody in without a key, and its first admin's token.
pub struct Guarded {
    pub server: Server,
    pub admin: String,
    folder: TempDir,
}

impl Guarded {
    pub fn start() -> Self {
        Self::with(&[])
    }

    fn with(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let environment = [&[("QUINTET_AUTH__REQUIRED", "true")], environment].concat();
        let server = Server::on(folder.path(), &[], &environment);
        let admin = token_of(folder.path()).expect("the first admin's token");
        Self { server, admin, folder }
    }

    pub fn as_admin(&self) -> Speaker {
        self.speaker(&self.admin)
    }

    pub fn speaker(&self, key: &str) -> Speaker {
        speaker(&self.server, key)
    }
}

fn token_of(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("admin-token")).ok()?;
    Some(text.trim().to_owned())
}

/// Somebody who shows the same key with every request.
pub struct Speaker {
    client: Client,
    authorization: String,
}

pub fn speaker(server: &Server, key: &str) -> Speaker {
    Speaker {
        client: server.client(),
        authorization: format!("Bearer {key}"),
    }
}

impl Speaker {
    pub fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.client
            .call(method, path, &[("authorization", &self.authorization)], body)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "")
    }

    pub fn make(&self, new: &Value) -> Value {
        let reply = self.call("POST", "/v1/auth/keys", &new.to_string());
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

/// Whether any file below the folder has these bytes.
fn lies_in(folder: &Path, secret: &str) -> bool {
    let entries = std::fs::read_dir(folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path());
    entries.into_iter().any(|path| match path.is_dir() {
        true => lies_in(&path, secret),
        false => {
            let bytes = std::fs::read(&path).expect("file");
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        }
    })
}

#[test]
fn the_first_admin_is_made_at_the_first_start_and_not_at_the_second() {
    let guarded = Guarded::start();
    guarded.server.get("/v1/runs").assert_code(401, "unauthorized");
    let me = guarded.as_admin().get("/v1/auth/me").json();
    assert_eq!((text(&me, "home"), text(&me, "credential")), ("*", "key"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::fs::metadata(guarded.folder.path().join("admin-token")).expect("file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
    let Guarded {
        mut server,
        admin,
        folder,
    } = guarded;
    let _database = server.database();
    server.kill();
    drop(server);
    let log = std::fs::read_to_string(folder.path().join("stderr.log")).expect("log");
    assert!(log.contains("admin-token") && !log.contains(&admin), "{log}");
    let again = Server::on(folder.path(), &[], &[("QUINTET_AUTH__REQUIRED", "true")]);
    assert_eq!(token_of(folder.path()), Some(admin.clone()));
    assert_eq!(speaker(&again, &admin).get("/v1/runs").status, 200);
}

#[test]
fn a_key_is_shown_once_and_lies_nowhere() {
    let guarded = Guarded::start();
    let admin = guarded.as_admin();
    let made = admin.make(&json!({ "name": "ci", "namespace": "default", "roles": ["operator"] }));
    let (key, id) = (text(&made, "key").to_owned(), text(&made, "id").to_owned());
    let secret = &key[3 + 12 + 1..];
    assert_eq!(guarded.speaker(&key).get("/v1/runs").status, 200);
    let one = format!("/v1/auth/keys/{id}");
    for path in [
        "/v1/auth/keys",
        &one,
        "/v1/auth/me",
        "/metrics",
        "/health/ready",
        "/v1/audit",
    ] {
        let shown = admin.get(path).text();
        assert!(!shown.contains(secret), "{path}: {shown}");
    }
    let me = guarded.speaker(&key).get("/v1/auth/me");
    assert!(
        !me.text().contains(secret) && me.json()["key_id"] == id.as_str(),
        "{}",
        me.text()
    );
    let rotated = admin.call("POST", &format!("{one}/rotate"), r#"{"grace":"1h"}"#);
    assert!(
        rotated.status == 200 && !rotated.text().contains(secret),
        "{}",
        rotated.text()
    );
    let revoked = admin.call("DELETE", &one, "");
    assert!(revoked.status == 200 && !revoked.text().contains(secret));
    assert!(!lies_in(guarded.folder.path(), secret), "it lies in a file");
    assert!(
        lies_in(guarded.folder.path(), &guarded.admin),
        "the search finds what is there"
    );
}

#[test]
fn a_revoked_key_is_refused_at_once_and_an_expired_one_when_its_time_is_up() {
    let guarded = Guarded::start();
    let admin = guarded.as_admin();
    let made = admin.make(&json!({ "name": "ci", "namespace": "default", "roles": ["viewer"] }));
    let ci = guarded.speaker(text(&made, "key"));
    assert_eq!(ci.get("/v1/runs").status, 200);
    let path = format!("/v1/auth/keys/{}", text(&made, "id"));
    assert_eq!(admin.call("DELETE", &path, "").status, 200);
    let refused = ci.get("/v1/runs");
    refused.assert_code(401, "unauthorized");
    assert!(refused.text().contains("revoked"), "{}", refused.text());
    assert_eq!(text(&admin.get(&path).json(), "state"), "revoked");

    let short = admin.make(&json!({ "name": "s", "namespace": "default", "roles": ["viewer"], "expires_in": "1s" }));
    let short_lived = guarded.speaker(text(&short, "key"));
    let refused = until("the key has expired", || {
        Some(short_lived.get("/v1/runs")).filter(|reply| reply.status != 200)
    });
    refused.assert_code(401, "unauthorized");
    assert!(refused.text().contains("expired"), "{}", refused.text());
    let used = admin.get(&format!("/v1/auth/keys/{}", text(&short, "id"))).json();
    assert_eq!(text(&used, "state"), "expired");
}

#[test]
fn a_key_may_do_what_it_was_granted_and_hears_what_is_missing() {
    let guarded = Guarded::start();
    let admin = guarded.as_admin();
    let made = admin.make(&json!({ "name": "lister", "namespace": "default", "permissions": ["tasks:list", "dlq:*"] }));
    let lister = guarded.speaker(text(&made, "key"));
    assert_eq!(lister.get("/v1/runs").status, 200);
    assert_eq!(lister.get("/api/dlq").status, 200);
    let refused = lister.get("/v1/runs/run_x");
    refused.assert_code(403, "forbidden");
    assert!(
        refused.text().contains("`tasks:read`") && refused.text().contains("`viewer`"),
        "{}",
        refused.text()
    );
    assert_eq!(lister.call("POST", "/v1/runs", "{}").status, 403);
    assert_eq!(lister.get("/v1/auth/keys").status, 403);

    let worker = admin.make(&json!({ "name": "w", "namespace": "default", "roles": ["worker"] }));
    let worker = guarded.speaker(text(&worker, "key"));
    assert_eq!(worker.call("POST", "/api/heartbeat", "{}").status, 400, "it is let in");
    for path in [
        "/v1/runs",
        "/v1/workflows",
        "/api/queue/items",
        "/api/storage/x",
        "/metrics",
        "/v1/audit",
    ] {
        assert_eq!(worker.get(path).status, 403, "{path}");
    }
}

#[test]
fn keys_of_another_namespace_are_not_there() {
    let guarded = Guarded::start();
    let admin = guarded.as_admin();
    let red = admin.make(&json!({ "name": "red", "namespace": "red", "roles": ["admin"] }));
    let blue = admin.make(&json!({ "name": "blue", "namespace": "blue", "roles": ["admin"] }));
    let as_red = guarded.speaker(text(&red, "key"));
    let blue_id = text(&blue, "id");
    for (method, path) in [
        ("GET", format!("/v1/auth/keys/{blue_id}")),
        ("DELETE", format!("/v1/auth/keys/{blue_id}")),
        ("POST", format!("/v1/auth/keys/{blue_id}/rotate")),
    ] {
        as_red.call(method, &path, "").assert_code(404, "key_not_found");
    }
    let listed = as_red.get("/v1/auth/keys").text();
    assert!(listed.contains("red") && !listed.contains("blue"), "{listed}");
    let foreign = json!({ "name": "x", "namespace": "blue", "roles": ["viewer"] });
    as_red
        .call("POST", "/v1/auth/keys", &foreign.to_string())
        .assert_code(403, "forbidden");
    assert_eq!(
        guarded.speaker(text(&blue, "key")).get("/v1/runs").status,
        200,
        "it is as good as before"
    );

    let workflow = r#"{"name":"secret plan","steps":[{"name":"a","action":"noop"}]}"#;
    let created = as_red.call("POST", "/v1/workflows", workflow);
    assert_eq!(created.status, 200, "{}", created.text());
    let path = format!("/v1/workflows/{}", text(&created.json(), "id"));
    assert_eq!(as_red.get(&path).status, 200);
    assert_eq!(guarded.speaker(text(&blue, "key")).get(&path).status, 404);
}

#[test]
fn fields_that_give_more_than_they_say_are_refused() {
    let guarded = Guarded::start();
    let admin = guarded.as_admin();
    for (body, words) in [
        (json!({ "roles": ["viewer"] }), "name"),
        (json!({ "name": "x" }), "roles"),
        (json!({ "name": "x", "roles": ["boss"] }), "boss"),
        (
            json!({ "name": "x", "roles": ["tasks:read"] }),
            "belongs into permissions",
        ),
        (json!({ "name": "x", "permissions": ["admin"] }), "belongs into roles"),
        (
            json!({ "name": "x", "roles": ["viewer"], "namespace": "quintet" }),
            "namespace",
        ),
        (
            json!({ "name": "x", "roles": ["viewer"], "namespace": "a/b" }),
            "namespace",
        ),
        (json!({ "name": "x", "roles": ["viewer"], "sha256": "0" }), "sha256"),
        (
            json!({ "name": "x", "roles": ["viewer"], "created_by": "me" }),
            "created_by",
        ),
        (json!({ "name": "x", "roles": ["viewer"], "queues": [] }), "queues"),
        (
            json!({ "name": "x", "roles": ["viewer"], "expires_in": "soon" }),
            "expires_in",
        ),
        (
            json!({ "name": "x", "roles": ["viewer"], "expires_at": "2020-01-01T00:00:00Z" }),
            "expires_at",
        ),
    ] {
        let refused = admin.call("POST", "/v1/auth/keys", &body.to_string());
        refused.assert_code(400, "invalid_field");
        assert!(refused.text().contains(words), "{body}: {}", refused.text());
    }
    admin.call("POST", "/v1/auth/keys", "{").assert_code(400, "bad_json");
}

#[test]
fn an_open_server_closes_with_its_first_key_which_must_be_an_admins() {
    let server = Server::start();
    assert_eq!(text(&server.get("/v1/auth/me").json(), "credential"), "none");
    let small = json!({ "name": "x", "namespace": "default", "roles": ["viewer"] });
    server
        .post("/v1/auth/keys", &small.to_string())
        .assert_code(403, "forbidden");
    assert_eq!(server.get("/v1/runs").status, 200, "nobody is locked out");
    let boss = json!({ "name": "x", "namespace": "*", "roles": ["admin"] });
    let made = server.post("/v1/auth/keys", &boss.to_string());
    assert_eq!(made.status, 200, "{}", made.text());
    server.get("/v1/runs").assert_code(401, "unauthorized");
    assert_eq!(speaker(&server, text(&made.json(), "key")).get("/v1/runs").status, 200);
}

#[test]
fn the_commands_make_list_and_revoke_keys() {
    let guarded = Guarded::start();
    let url = format!("http://{}", guarded.server.address());
    let quintet = |key: &str, words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_quintet"));
        command.args(words).args(["--server", &url]).env("QUINTET_API_KEY", key);
        let output = command.output().expect("the binary runs");
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    let admin = guarded.admin.as_str();
    let key = quintet(
        admin,
        &["auth", "keys", "create", "ci", "--role", "viewer", "--namespace", "red"],
    );
    assert!(quintet(&key, &["auth", "whoami"]).contains("red"));
    let listed: Value = serde_json::from_str(&quintet(admin, &["auth", "keys", "list", "--json"])).expect("json");
    let ci = listed
        .as_array()
        .expect("list")
        .iter()
        .find(|one| one["name"] == "ci")
        .expect("ci")
        .clone();
    assert_eq!(ci.get("key"), None);
    let newer = quintet(admin, &["auth", "keys", "rotate", text(&ci, "id")]);
    assert_ne!(newer, key);
    guarded.speaker(&key).get("/v1/runs").assert_code(401, "unauthorized");
    let id = &newer[3..15];
    assert!(quintet(admin, &["auth", "keys", "revoke", id]).contains("revoked"));
    guarded.speaker(&newer).get("/v1/runs").assert_code(401, "unauthorized");
}
