//! Keys: every class of request with every kind of key.

mod serving;

use serving::{Server, file, folder, run};

/// One key per permission, and one of another namespace.
fn keys(folder: &tempfile::TempDir) -> Vec<(&'static str, String)> {
    let mut settings = String::new();
    let mut keys = Vec::new();
    for (name, permission, namespace) in [
        ("viewer", "viewer", "default"),
        ("operator", "operator", "default"),
        ("author", "author", "default"),
        ("admin", "admin", "default"),
        ("stranger", "admin", "elsewhere"),
    ] {
        let words = [
            "keys",
            "create",
            "--name",
            name,
            "--permissions",
            permission,
            "--namespace",
            namespace,
        ];
        let output = run(folder.path(), &words);
        assert!(output.status.success(), "{}", serving::stderr(&output));
        let printed = String::from_utf8(output.stdout).expect("text");
        let (key, entry) = printed.split_once('\n').expect("a key and its entry");
        keys.push((name, key.to_owned()));
        settings.push_str(entry);
    }
    file(folder, "quintet.toml", &settings);
    keys
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[test]
fn every_class_of_request_is_open_to_exactly_the_keys_that_may() {
    let folder = folder();
    let keys = keys(&folder);
    let server = Server::start(folder.path());
    // What a permitted request is answered; the others are 403.
    let matrix: [(&str, &str, &str, &[&str], u16); 14] = [
        (
            "GET",
            "/v1/workflows",
            "",
            &["viewer", "operator", "author", "admin"],
            200,
        ),
        ("GET", "/metrics", "", &["viewer", "operator", "author", "admin"], 200),
        (
            "GET",
            "/openapi.json",
            "",
            &["viewer", "operator", "author", "admin"],
            200,
        ),
        ("GET", "/docs", "", &["viewer", "operator", "author", "admin"], 200),
        ("POST", "/v1/workflows", "{}", &["author", "admin"], 400),
        ("POST", "/v1/templates", "{}", &["author", "admin"], 400),
        ("POST", "/v1/runs", "{}", &["operator", "admin"], 400),
        ("POST", "/v1/runs/run_x/cancel", "", &["operator", "admin"], 400),
        ("DELETE", "/v1/runs/run_x", "", &["admin"], 404),
        ("GET", "/api/dlq", "", &["viewer", "operator", "author", "admin"], 200),
        ("POST", "/api/pipelines/p/trigger", "{}", &["operator", "admin"], 404),
        (
            "POST",
            "/api/pipelines/p/dry-run",
            "{}",
            &["viewer", "operator", "author", "admin"],
            404,
        ),
        ("POST", "/api/dlq/purge", "{}", &["admin"], 200),
        (
            "GET",
            "/api/storage/no/such",
            "",
            &["viewer", "operator", "author", "admin"],
            404,
        ),
    ];
    for (method, path, body, may, status) in matrix {
        for (name, key) in keys.iter().filter(|(name, _)| *name != "stranger") {
            let answer = server.send(method, path, &[("authorization", &bearer(key))], body);
            let expected = if may.contains(name) { status } else { 403 };
            assert_eq!(answer.status, expected, "{method} {path} as {name}: {answer:?}");
        }
        let anonymous = server.send(method, path, &[], body);
        assert!(
            matches!(anonymous.status, 401 | 429),
            "{method} {path} without a key: {anonymous:?}"
        );
    }
    for path in ["/health", "/healthz", "/health/live", "/health/ready", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path} needs no key");
    }
    server.stop();
}

#[test]
fn a_key_of_another_namespace_finds_no_pipelines_and_workers_need_one_that_may_operate() {
    let folder = folder();
    let keys = keys(&folder);
    let server = Server::start(folder.path());
    let key = |wanted: &str| {
        let found = keys.iter().find(|(name, _)| *name == wanted);
        bearer(&found.expect("a key").1)
    };
    for (method, path) in [
        ("GET", "/api/services"),
        ("POST", "/api/register"),
        ("POST", "/api/heartbeat"),
    ] {
        let answer = server.send(method, path, &[("authorization", &key("stranger"))], "{}");
        assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
    }
    for (name, status) in [("viewer", 401), ("author", 401), ("operator", 400), ("admin", 400)] {
        let answer = server.send("POST", "/api/heartbeat", &[("authorization", &key(name))], "{}");
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    assert_eq!(server.post("/api/register", "{}").status, 401);
    server.stop();
}

#[test]
fn refusals_say_what_to_do_and_name_the_missing_permission() {
    let folder = folder();
    let keys = keys(&folder);
    let server = Server::start(folder.path());
    let anonymous = server.get("/v1/runs");
    assert_eq!(
        (anonymous.status, anonymous.json()["error"]["code"].as_str()),
        (401, Some("unauthorized"))
    );
    assert!(
        anonymous
            .header("www-authenticate")
            .is_some_and(|challenge| challenge.starts_with("Bearer"))
    );
    let viewer = server.send("POST", "/v1/runs", &[("x-api-key", &keys[0].1)], "{}");
    assert_eq!(viewer.json()["error"]["code"], "forbidden");
    assert!(viewer.body.contains("`operator`"), "{viewer:?}");
    let page = server.get("/docs");
    assert!(
        page.status == 401 && page.body.contains("API key"),
        "the page asks for a key"
    );
    let log = server.stop();
    assert!(
        keys.iter().all(|(_, key)| !log.contains(key.as_str())),
        "no key is logged"
    );
}

#[test]
fn guessing_is_slowed_down_without_locking_out_who_has_a_key() {
    let folder = folder();
    let keys = keys(&folder);
    let server = Server::start(folder.path());
    let guess = || server.send("GET", "/v1/runs", &[("authorization", "Bearer qk_guess")], "");
    for _ in 0..10 {
        assert_eq!(guess().status, 401);
    }
    let throttled = guess();
    assert_eq!(
        (throttled.status, throttled.json()["error"]["code"].as_str()),
        (429, Some("rate_limited"))
    );
    assert!(
        throttled
            .header("retry-after")
            .and_then(|wait| wait.parse().ok())
            .is_some_and(|wait: u32| wait > 0)
    );
    let right = server.send("GET", "/v1/runs", &[("authorization", &bearer(&keys[0].1))], "");
    assert_eq!(right.status, 200);
    server.stop();
}

#[test]
fn a_key_sees_its_own_namespace_only() {
    let folder = folder();
    let keys = keys(&folder);
    let server = Server::start(folder.path());
    let key = |wanted: &str| bearer(&keys.iter().find(|(name, _)| *name == wanted).expect("key").1);
    let workflow = r#"{"name":"secret plan","steps":[{"name":"a","action":"noop"}]}"#;
    let created = server.send("POST", "/v1/workflows", &[("authorization", &key("admin"))], workflow);
    assert_eq!(created.status, 200, "{created:?}");
    let id = created.json()["id"].as_str().expect("id").to_owned();
    let path = format!("/v1/workflows/{id}");
    assert_eq!(
        server
            .send("GET", &path, &[("authorization", &key("viewer"))], "")
            .status,
        200
    );
    let strangers = server.send("GET", &path, &[("authorization", &key("stranger"))], "");
    assert_eq!(strangers.status, 404, "not 403: that would tell that it exists");
    let listed = server.send("GET", "/v1/workflows", &[("authorization", &key("stranger"))], "");
    assert!(!listed.body.contains("secret plan"), "{listed:?}");
    let start = format!(r#"{{"workflow_id":"{id}"}}"#);
    assert_eq!(
        server
            .send("POST", "/v1/runs", &[("authorization", &key("stranger"))], &start)
            .status,
        400
    );
    server.stop();
}

#[test]
fn with_keys_other_machines_may_be_served() {
    let folder = folder();
    let keys = keys(&folder);
    let server = Server::with(folder.path(), &["--listen", "0.0.0.0:0"], &[]);
    let host = ("host", "quintet.example");
    assert_eq!(server.send("GET", "/v1/runs", &[host], "").status, 401);
    assert_eq!(
        server
            .send("GET", "/v1/runs", &[host, ("x-api-key", &keys[0].1)], "")
            .status,
        200
    );
    server.stop();
}
