//! Canaries: twenty secrets of distinct shapes go in by every entrance, a server that logs everything works with them,
//! and then they are looked for in everything that it leaves behind.

mod common;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::target::Call;
use common::{Answer, Reply, Server, Target, until};
use quintet::face::{pipelines, tasks, tenants, workflows};
use serde_json::{Value, json};

/// Not secret, and sent beside the secrets: it must be found, or the search is blind.
const OPEN: &str = "open-canary-5b1f4c0e";
/// The key of the admin who does all of this.
const ADMIN: &str = "adm-canary-7e2a9c41d05b8f36";

/// Secrets that are stored, by their names.
fn stored() -> Vec<(&'static str, String)> {
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nKcwggSjAgEAAoIBAQC7canarypem\n-----END PRIVATE KEY-----\n";
    [
        ("IN_PATH", "canary.path-9f1a2b3c"),
        ("IN_URL", "canary url&=?#/ 2b3c4d5e"),
        ("IN_QUERY", "canary+query %zz 3c4d5e6f"),
        ("IN_HEADER", "sk_live_canary4d5e6f708192a3b4"),
        ("IN_CUSTOM", "canary:custom=\"5e6f7081\""),
        ("IN_TEXT", "canary text \u{e9}\u{4e2d}\u{1f511} 6f708192"),
        ("IN_BODY", "canary\\body\"7081a3b4\"\t<&>"),
        ("AS_PEM", pem),
        ("AS_JSON", "{\"type\":\"canary\",\"private\":\"8192a3b4c5d6\"}"),
        ("AS_NUMBER", "9273645018273645"),
        ("IN_REFUSED", "canary-refused-a3b4c5d6e7f8"),
        ("IN_BROKEN", "canary-broken-b4c5d6e7f809"),
        ("IN_LEFT_OUT", "canary-overwritten-c5d6e7f8"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// Secrets of the settings: variable and value.
fn configured() -> Vec<(&'static str, String)> {
    [
        ("CANARY_ADMIN", ADMIN.to_owned()),
        (
            "QUINTET_SECRETS__MASTER_KEY",
            STANDARD.encode(b"canary-master-key-of-32-bytes!!!"),
        ),
        (
            "QUINTET_PIPELINES__SECRET_KEY",
            "canary-pipelines-secret-key-d6e7f8091a2b".to_owned(),
        ),
        (
            "CANARY_HOOK",
            format!("whsec_{}", STANDARD.encode(b"canary-hook-secret-e7f8091a")),
        ),
        ("MODAL_TOKEN", "canary-modal-token-f8091a2b3c4d".to_owned()),
    ]
    .to_vec()
}

/// Secrets that clients send where they belong, or where they do not.
fn presented() -> Vec<(&'static str, String)> {
    [
        ("Authorization", "Bearer canary-bearer-091a2b3c4d5e6f70"),
        (
            "X-Api-Key",
            "qk_canaryCanary_1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2000000",
        ),
        ("Cookie", "session=canary-cookie-2b3c4d5e6f70"),
        ("Proxy-Authorization", "Basic Y2FuYXJ5OnByb3h5LTNjNGQ1ZTZm"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

struct Stage {
    server: Server,
    target: Target,
}

impl Stage {
    fn open(format: &str) -> Self {
        // Repeats everything: path, headers and body, in JSON and as text.
        let target = Target::scripted(|call, _| match call.path.as_str() {
            path if path.starts_with("/refuse") => Answer::status(403, &format!("no: {}", repeated(call))),
            _ => Answer::ok(&repeated(call).to_string()),
        });
        let folder = tempfile::tempdir().expect("folder").keep();
        let settings = folder.join("quintet.toml");
        let text = format!(
            "[auth]\napi_keys = [{{ name = \"admin\", key = \"env:CANARY_ADMIN\", permissions = [\"admin\"] }}]\n\
             [memarch]\nbase_url = \"{}\"\nsecret = \"env:CANARY_HOOK\"\n",
            target.url("")
        );
        std::fs::write(&settings, text).expect("settings");
        let variables = configured();
        let modal = target.url("/modal");
        let mut environment: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        environment.extend([
            ("QUINTET_LOG__LEVEL", "trace"),
            ("QUINTET_LOG__FORMAT", format),
            ("MODAL_URL", &modal),
            ("RUST_BACKTRACE", "full"),
        ]);
        let server = Server::on(&folder, &["--config", &settings.display().to_string()], &environment);
        Self { server, target }
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.server.client().call(method, path, &[("X-Api-Key", ADMIN)], body)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let reply = self.call("POST", path, &body.to_string());
        assert!(reply.status < 300, "{path}: {}", reply.text());
        reply.json()
    }

    /// Runs one workflow to its end and returns the id of the run.
    fn run(&self, document: &Value) -> String {
        let workflow = self.post("/v1/workflows", document)["id"].clone();
        let run = self.post(
            "/v1/runs",
            &json!({ "workflow_id": workflow, "context": { "open": OPEN } }),
        );
        let run = run["id"].as_str().expect("id").to_owned();
        until("the run has ended", || {
            let state = self.call("GET", &format!("/v1/runs/{run}"), "").json();
            matches!(state["status"].as_str(), Some("SUCCEEDED" | "FAILED")).then_some(())
        });
        run
    }
}

fn repeated(call: &Call) -> Value {
    let headers: Vec<String> = call
        .headers
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    json!({ "path": call.path, "headers": headers, "body": call.body, "parsed": serde_json::from_str::<Value>(&call.body).ok() })
}

/// Every stored secret at its place, a refusal, and a call that finds nobody.
fn document(target: &Target) -> Value {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("port")
        .local_addr()
        .expect("address");
    let steps = json!([
        { "name": "echo", "action": "http", "input": {
            "url": format!("{}/{{{{ secrets.IN_PATH }}}}?u={{{{ secrets.IN_URL }}}}", target.url("/echo")),
            "query": { "q": "{{ secrets.IN_QUERY }}", "open": "{{ context.open }}" },
            "headers": { "Authorization": "Bearer {{ secrets.IN_HEADER }}", "X-Custom": "{{ secrets.IN_CUSTOM }}" },
            "body": {
                "text": "before {{ secrets.IN_TEXT }} after", "deep": [["{{ secrets.IN_BODY }}"]], "open": "{{ context.open }}",
                "pem": "{{ secrets.AS_PEM }}", "json": "{{ secrets.AS_JSON }}", "number": "{{ secrets.AS_NUMBER }}",
            },
        } },
        { "name": "keep", "action": "transform", "depends_on": ["echo"], "input": { "set": { "kept": "{{ steps.echo.output }}" } } },
        { "name": "refused", "action": "http", "optional": true, "depends_on": ["keep"], "retry": { "max": 1, "backoff_ms": 1 }, "input": {
            "url": format!("{}/{{{{ secrets.IN_REFUSED }}}}", target.url("/refuse")), "body": "{{ secrets.IN_REFUSED }} {{ context.kept }}",
        } },
        { "name": "nobody", "action": "http", "depends_on": ["keep"], "retry": { "max": 1, "backoff_ms": 1 }, "input": {
            "url": format!("http://{nobody}/{{{{ secrets.IN_BROKEN }}}}?k={{{{ secrets.IN_BROKEN }}}}"),
        } },
    ]);
    json!({ "name": "canaries", "steps": steps })
}

/// Everything that the API shows of it, and that ends by itself.
fn dumps(stage: &Stage, run: &str, workflow: &str) -> Vec<(String, String)> {
    let all = [workflows::ROUTES, pipelines::ROUTES, tasks::ROUTES, tenants::ROUTES].concat();
    let mut dumps = Vec::new();
    for (method, path) in all {
        let is_endless = path == "/api/tasks/stream" || path.contains("/api/") && path.ends_with("/stream");
        if method != "get" || is_endless {
            continue;
        }
        let id = match path {
            _ if path.starts_with("/v1/workflows") => workflow,
            _ => run,
        };
        let path = path
            .replace("{id}", id)
            .replace("{version}", "1")
            .replace("{tenant}", "default");
        let steps: &[&str] = if path.contains("{step}") {
            &["echo", "keep", "refused", "nobody"]
        } else {
            &[""]
        };
        for step in steps {
            let path = path
                .replace("{step}", step)
                .replace("{name}", "IN_HEADER")
                .replace("{workflow}", run);
            dumps.push((path.clone(), stage.call("GET", &path, "").text()));
        }
    }
    for path in [
        "/metrics",
        "/health",
        "/openapi.json",
        "/v1/audit/export",
        "/v1/auth/me",
        "/v1/auth/keys",
    ] {
        dumps.push((path.to_owned(), stage.call("GET", path, "").text()));
    }
    dumps
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// The forms in which a value could be there.
fn forms(value: &str) -> Vec<String> {
    let json = Value::from(value).to_string();
    let once = json.trim_matches('"').to_owned();
    let twice = Value::from(once.as_str()).to_string();
    let debug = format!("{value:?}");
    let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut url = url::Url::parse("http://h/").expect("url");
    url.set_path(value);
    url.set_query(Some(value));
    let mut forms: Vec<String> = vec![
        value.to_owned(),
        once,
        twice.trim_matches('"').to_owned(),
        debug.trim_matches('"').to_owned(),
        form,
        url.path().trim_start_matches('/').to_owned(),
        url.query().unwrap_or_default().to_owned(),
        STANDARD.encode(value).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(value),
    ];
    // The telling part of each: no canary may be there in part.
    let telling = value
        .split(|sign: char| !sign.is_ascii_alphanumeric())
        .filter(|part| part.len() >= 8 && part.bytes().any(|byte| byte.is_ascii_digit()));
    forms.extend(telling.map(str::to_owned));
    forms.sort();
    forms.dedup();
    forms
}

/// Brings all secrets in, and says which values must be found nowhere.
fn plant(stage: &Stage) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for (name, value) in stored() {
        let body = json!({ "value": value }).to_string();
        assert_eq!(stage.call("PUT", &format!("/v1/secrets/{name}"), &body).status, 200);
        values.push(value);
    }
    // What replaces another, and what is refused because it came in the wrong place.
    let newer = r#"{"value":"canary-newer-d6e7f809"}"#;
    assert_eq!(stage.call("PUT", "/v1/secrets/IN_LEFT_OUT", newer).status, 200);
    for body in [
        r#"{"valeu":"canary-misspelt-4d5e6f70"}"#,
        r#"{"value":["canary-misspelt-4d5e6f70"]}"#,
        r#"{"value":"canary-misspelt-4d5e6f70"#,
    ] {
        assert_eq!(stage.call("PUT", "/v1/secrets/WRONG", body).status, 400);
    }
    values.extend(["canary-newer-d6e7f809", "canary-misspelt-4d5e6f70"].map(str::to_owned));
    for (header, value) in presented() {
        for path in ["/v1/runs", "/api/queue/health", "/nowhere"] {
            let reply = stage.server.client().call("GET", path, &[(header, &value)], "");
            assert!(
                matches!(reply.status, 401 | 403 | 429),
                "{header} {path} {}",
                reply.status
            );
        }
        values.push(value.rsplit(['=', ' ']).next().unwrap_or_default().to_owned());
    }
    values.extend(configured().into_iter().map(|(_, value)| value));
    let made = stage.post("/v1/auth/keys", &json!({ "name": "ci", "roles": ["viewer"] }));
    let key = made["key"].as_str().expect("a key, shown once");
    let client = stage.server.client();
    assert_eq!(client.call("GET", "/v1/runs", &[("X-Api-Key", key)], "").status, 200);
    // Its id is no secret: it is how the key is listed.
    values.extend(key.rsplit('_').next().map(str::to_owned));
    assert!(values.len() >= 20, "{}", values.len());
    values
}

/// The secrets have been sent: otherwise there would be nothing to find.
fn assert_sent(target: &Target) {
    let arrived: String = target.calls().iter().map(|call| repeated(call).to_string()).collect();
    for part in [
        "canary.path-9f1a2b3c",
        "sk_live_canary4d5e6f708192a3b4",
        "9273645018273645",
        "canary-refused-a3b4c5d6e7f8",
    ] {
        assert!(arrived.contains(part), "{part} was not sent");
    }
}

/// Everything that is left behind: by its name, and as text.
fn left_behind(stage: &mut Stage, run: &str, workflow: &str) -> Vec<(String, String)> {
    let mut places = dumps(stage, run, workflow);
    let echo = places.iter().find(|(path, _)| path.ends_with("/steps/echo"));
    let echo = &echo.expect("the step").1;
    assert!(echo.contains("***") && echo.contains(OPEN), "{echo}");
    let hooks = stage.target.calls_of("/v1/events").into_iter();
    places.extend(hooks.map(|call| ("a hook".to_owned(), repeated(&call).to_string())));
    // With its write-ahead log while it runs, and without when it has stopped.
    let folder = stage.server.folder().to_owned();
    let mut open = 0;
    for is_running in [true, false] {
        if !is_running {
            stage.server.stop();
        }
        let mut paths = Vec::new();
        files(&folder, &mut paths);
        for path in paths {
            let text = String::from_utf8_lossy(&std::fs::read(&path).expect("file")).into_owned();
            open += usize::from(text.contains(OPEN));
            places.push((path.display().to_string(), text));
        }
    }
    assert!(open >= 2, "what is stored openly is found");
    let log = stage.server.said();
    assert!(log.contains("TRACE") && log.contains(run), "everything is logged");
    places
}

fn canaries_are_found_nowhere(log_format: &str) {
    let mut stage = Stage::open(log_format);
    let values = plant(&stage);
    let run = stage.run(&document(&stage.target));
    assert_eq!(stage.call("POST", "/v1/secrets/rotate-key", "").status, 200);
    let state = stage.call("GET", &format!("/v1/runs/{run}"), "").json();
    let workflow = state["workflow_id"].as_str().expect("id").to_owned();
    assert_sent(&stage.target);
    let places = left_behind(&mut stage, &run, &workflow);
    let mut found = Vec::new();
    for form in values.iter().flat_map(|value| forms(value)) {
        let hits = places.iter().filter(|(_, text)| text.contains(&form));
        found.extend(hits.map(|(place, _)| format!("{form:?} in {place}")));
    }
    let _ = std::fs::remove_dir_all(stage.server.folder());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn canaries_are_found_nowhere_after_a_run_that_logs_everything_as_json() {
    canaries_are_found_nowhere("json");
}

#[test]
fn canaries_are_found_nowhere_after_a_run_that_logs_everything_as_text() {
    canaries_are_found_nowhere("text");
}
