//! A database that is away: before the start, during it, and in the middle of everything.

mod common;

use std::process::Command;

use common::{Answer, Server, Target, until};
use quintet_testkit::pooler::Pooler;
use quintet_testkit::postgres::{Cluster, Options, shared};
use quintet_testkit::proxy::{Direction, Mode, Proxy};
use serde_json::json;

fn cluster() -> (Cluster, String) {
    let cluster = Cluster::start(&Options::default()).expect("PostgreSQL");
    // It goes with its cluster.
    let database = std::mem::ManuallyDrop::new(cluster.fresh_database().expect("database"));
    let url = database.url();
    (cluster, url)
}

#[test]
fn while_the_store_is_away_every_answer_is_503_and_afterwards_everything_goes_on() {
    let (mut cluster, url) = cluster();
    let server = Server::with(&[], &[("DATABASE_URL", &url)]);
    let target = Target::scripted(|_, _| Answer::held("done"));
    let call = json!({ "name": "slow", "action": "http", "input": { "url": target.url("/") } });
    let called = server.run_steps(&json!([call]), &json!({}));
    let run = server.run_steps(&json!([{ "name": "ask", "action": "approval" }]), &json!({}));
    server.when(&run, &["WAITING_APPROVAL"]);
    until("the target is called", || (!target.calls().is_empty()).then_some(()));
    let mut events = server.client().stream(&format!("/v1/runs/{run}/events"), &[]);
    assert_eq!(events.next().expect("an event").name, "run.created");
    let mut waiting = server.client().send(
        "POST",
        "/v1/runs?wait=2s",
        &[],
        &json!({ "workflow": { "name": "w", "steps": [{ "name": "ask", "action": "approval" }] } }).to_string(),
    );
    until("the third run is there", || {
        (server.get("/v1/runs").json()["items"].as_array()?.len() == 3).then_some(())
    });

    cluster.stop().expect("stopped");
    for path in [
        "/v1/runs",
        "/v1/workflows",
        "/v1/workflows/w",
        "/v1/workflows/w/versions",
        "/v1/approvals",
        "/v1/nodes",
    ] {
        assert_away(&server, "GET", path, "");
    }
    for path in [
        "",
        "/steps",
        "/steps/ask",
        "/steps/ask/why",
        "/why",
        "/history",
        "/logs",
        "/events",
        "/logs/stream",
    ] {
        assert_away(&server, "GET", &format!("/v1/runs/{run}{path}"), "");
    }
    for (method, path, body) in [
        ("POST", "/v1/runs", r#"{"workflow_id":"w"}"#),
        (
            "POST",
            "/v1/runs",
            r#"{"workflow":{"name":"w","steps":[{"name":"s","action":"noop"}]}}"#,
        ),
        ("POST", "/v1/runs/batch", r#"{"runs":[{"workflow_id":"w"}]}"#),
        (
            "POST",
            "/v1/workflows",
            r#"{"name":"w","steps":[{"name":"s","action":"noop"}]}"#,
        ),
        ("POST", "/v1/workflows/w/rollback", r#"{"version":1}"#),
        ("DELETE", "/v1/workflows/w", ""),
    ] {
        assert_away(&server, method, path, body);
    }
    assert_away(&server, "DELETE", &format!("/v1/runs/{run}"), "");
    for (verb, body) in [("approve", ""), ("cancel", ""), ("pause", ""), ("logs", "a line")] {
        assert_away(&server, "POST", &format!("/v1/runs/{run}/{verb}"), body);
    }
    for (path, status) in [
        ("/readyz", 503),
        ("/health", 503),
        ("/health/live", 200),
        ("/healthz", 200),
        ("/metrics", 200),
    ] {
        assert_eq!(server.get(path).status, status, "{path}");
    }
    let health = server.get("/health").json();
    assert_eq!(health["checks"]["store"]["message"], "cannot be reached", "{health}");
    // What it acknowledged stays acknowledged: the client must not start it again.
    let waited = common::client::read(&mut waiting);
    assert_eq!(
        (waited.status, waited.header("quintet-wait")),
        (200, Some("timeout")),
        "{}",
        waited.text()
    );
    // The answer comes while the store is away.
    target.release();

    cluster.start_again().expect("started");
    until("it is ready again", || {
        (server.get("/readyz").status == 200).then_some(())
    });
    let ended = server.ended(&called);
    assert_eq!(
        (&ended["status"], &ended["steps"][0]["output"]),
        (&json!("SUCCEEDED"), &json!("done"))
    );
    assert_eq!(
        target.calls().len(),
        1,
        "the answer that came while the store was away was kept"
    );
    assert_eq!(server.post(&format!("/v1/runs/{run}/approve"), "").status, 200);
    assert_eq!(server.ended(&run)["status"], "SUCCEEDED");
    let last = events.rest().pop().expect("the stream went on");
    assert!(last.contains("SUCCEEDED"), "{last}");
    assert_eq!(
        server.get("/v1/runs").json()["items"].as_array().expect("items").len(),
        3
    );
}

fn assert_away(server: &Server, method: &str, path: &str, body: &str) {
    let json = [("Accept", "application/json")];
    let reply = server.client().call(method, path, &json, body);
    let text = reply.text();
    assert_eq!(reply.status, 503, "{method} {path}: {text}");
    assert_eq!(reply.header("retry-after"), Some("1"), "{method} {path}");
    assert_eq!(
        reply.json()["error"]["code"],
        "store_unavailable",
        "{method} {path}: {text}"
    );
    assert!(
        !text.contains("127.0.0.1") && !text.contains("refused"),
        "details are for the log: {text}"
    );
}

#[test]
fn a_start_waits_for_its_database() {
    let (mut cluster, url) = cluster();
    cluster.stop().expect("stopped");
    let folder = tempfile::tempdir().expect("folder");
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| Server::on(folder.path(), &[], &[("DATABASE_URL", &url)]));
        let log = folder.path().join("stderr.log");
        until("it says that it waits", || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            said.contains("the store cannot be used yet").then_some(())
        });
        cluster.start_again().expect("started");
        let mut server = starting.join().expect("a server");
        assert_eq!(server.get("/readyz").status, 200);
        until("it says what it survives, and what not", || {
            let said = server.said();
            let warns = said.contains("\"WARN\"") && said.contains("Set fsync=on");
            (said.contains("durability: PostgreSQL") && warns).then_some(())
        });
        let (code, said) = server.stop();
        assert_eq!(code, Some(0), "{said}");
    });
}

fn quintet(url: &str, start_timeout: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintet"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--store", url])
        .env("QUINTET_DATABASE__START_TIMEOUT", start_timeout);
    command
}

#[test]
fn a_start_without_its_database_ends_with_a_sentence_and_without_the_password() {
    let folder = tempfile::tempdir().expect("folder");
    let output = quintet("postgres://ann:hunter2@127.0.0.1:1/q", "200ms")
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the store postgres://ann@127.0.0.1:1/q could not be used within 200ms"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_only_a_person_can_change_is_not_waited_for() {
    let (cluster, url) = cluster();
    let nowhere = cluster.url("nowhere");
    let folder = tempfile::tempdir().expect("folder");
    let output = quintet(&nowhere, "10m")
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{url}: {said}");
    assert!(said.contains("nowhere") && said.contains("does not exist"), "{said}");
}

#[test]
fn a_start_that_waits_for_its_database_can_be_called_off() {
    let folder = tempfile::tempdir().expect("folder");
    let log = folder.path().join("log");
    let mut child = quintet("postgres://ann@127.0.0.1:1/q", "10m")
        .current_dir(folder.path())
        .stderr(std::fs::File::create(&log).expect("log"))
        .spawn()
        .expect("it runs");
    until("it says that it waits", || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        said.contains("the store cannot be used yet").then_some(())
    });
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_store_that_is_silent_is_neither_waited_for_without_end_nor_guessed_about() {
    let postgres = shared().expect("PostgreSQL");
    let database = postgres.fresh_database().expect("database");
    let proxy = Proxy::start(postgres.address()).expect("proxy");
    let url = database.url_through(proxy.address());
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("QUINTET_DATABASE__STATEMENT_TIMEOUT", "500ms"),
    ];
    let server = Server::with(&[], &environment);
    let body = r#"{"workflow":{"name":"w","steps":[{"name":"s","action":"noop"}]}}"#;
    let headers = [("Idempotency-Key", "k"), ("Accept", "application/json")];
    let start = || server.client().call("POST", "/v1/runs?wait=20s", &headers, body);
    // Statements arrive, and their answers get lost.
    proxy.set(Mode::Drop(Direction::Down));
    let health = server.get("/readyz");
    assert_eq!(
        (health.status, health.header("retry-after")),
        (503, Some("1")),
        "{}",
        health.text()
    );
    assert_away(&server, "GET", "/v1/runs", "");
    let reply = server.client().call("POST", "/v1/runs", &[headers[1]], body);
    let code = reply.json()["error"]["code"].clone();
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(code == "outcome_unknown" || code == "store_unavailable", "{code}");
    let reply = start();
    assert_eq!(reply.status, 503, "{}", reply.text());
    proxy.heal();
    until("it is ready again", || {
        (server.get("/readyz").status == 200).then_some(())
    });
    let (first, second) = (start().json(), start().json());
    assert_eq!((&first["status"], &second["id"]), (&json!("SUCCEEDED"), &first["id"]));
}

#[test]
fn behind_a_pooler_it_works_when_it_is_told_and_is_refused_with_what_to_set_when_not() {
    let postgres = shared().expect("PostgreSQL");
    let database = postgres.fresh_database().expect("database");
    let pooler = Pooler::start(postgres.address(), 8).expect("pooler");
    let url = database.url_through(pooler.address());
    let folder = tempfile::tempdir().expect("folder");
    let output = quintet(&url, "0s")
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("database.pooler = \"transaction\""), "{said}");
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("QUINTET_DATABASE__POOLER", "transaction"),
    ];
    let server = Server::with(&[], &environment);
    let run = server.run_steps(&json!([{ "name": "s", "action": "noop" }]), &json!({}));
    assert_eq!(server.ended(&run)["status"], "SUCCEEDED");
    assert!(pooler.transactions() > 0);
}
