//! The audit trail over the real binary: what is noted, when, and what is found when somebody changes it later.

#[allow(unused_imports, reason = "no step calls anything here")]
pub(crate) mod common;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{Client, Server, until};
use quintet::app::{App, OpenOptions};
use quintet::config::Config;
use quintet_store::RecordWrite;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const KEYS: [(&str, &str, &str); 3] = [
    ("root", "admin", "*"),
    ("acme-admin", "admin", "acme"),
    ("looker", "viewer", "default"),
];

fn key_of(name: &str) -> String {
    format!("{name}-0123456789-0123456789-0123456789")
}

fn bearer(name: &str) -> String {
    format!("Bearer {}", key_of(name))
}

/// Settings with a key of each kind.
fn keys() -> String {
    let mut settings = String::from("auth:\n  api_keys:\n");
    for (name, permission, namespace) in KEYS {
        let hash: String = Sha256::digest(key_of(name))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        settings.push_str(&format!(
            "    - {{ name: {name}, sha256: {hash}, permissions: [{permission}], namespace: '{namespace}' }}\n"
        ));
    }
    settings
}

fn document(id: &str) -> String {
    json!({ "id": id, "name": id, "steps": [{ "name": "s", "action": "noop" }] }).to_string()
}

fn entries(server: &Server, query: &str) -> Vec<Value> {
    let listed = server.get(&format!("/v1/audit?{query}"));
    assert_eq!(listed.status, 200, "{}", listed.text());
    listed.json()["items"].as_array().expect("items").clone()
}

/// The verdict of `quintet audit verify`, with what it said.
pub(crate) fn verify(server: &Server, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_quintet"))
        .args(["audit", "verify", "--server", &format!("http://{}", server.address())])
        .args(words)
        .output()
        .expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_change_is_in_the_trail_when_it_is_answered() {
    let server = Server::start();
    let created = server.client().call(
        "POST",
        "/v1/workflows",
        &[("x-request-id", "the-first")],
        &document("w"),
    );
    assert_eq!(created.status, 200, "{}", created.text());
    let listed = entries(&server, "");
    let [entry] = listed.as_slice() else {
        panic!("one entry: {listed:?}");
    };
    for (name, value) in [
        ("seq", json!(1)),
        ("actor", json!("anonymous")),
        ("namespace", json!("default")),
        ("action", json!("createWorkflow")),
        ("route", json!("POST /v1/workflows")),
        ("created", json!("w")),
        ("outcome", json!("done")),
        ("status", json!(200)),
        ("client", json!("127.0.0.1")),
        ("request_id", json!("the-first")),
        ("previous", json!("0".repeat(64))),
    ] {
        assert_eq!(entry[name], value, "{name}: {entry}");
    }
    let run = server.run_steps(
        &json!([{ "name": "wait", "action": "noop", "requires_approval": true }]),
        &json!({}),
    );
    assert_eq!(server.post(&format!("/v1/runs/{run}/cancel"), "").status, 200);
    let listed = entries(&server, &format!("object={run}"));
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        (&listed[0]["action"], &listed[0]["object"]["id"]),
        (&json!("cancelRun"), &json!(run))
    );
    let (code, text) = verify(&server, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("3 entries"), "{text}");
}

#[test]
fn what_reads_or_starts_or_was_refused_for_what_it_says_leaves_no_entry() {
    let server = Server::start();
    let workflow = server.workflow(&json!({ "name": "w", "steps": [{ "name": "s", "action": "noop" }] }));
    let run = server.run(&workflow, &json!({}));
    server.ended(&run);
    server.post(&format!("/v1/runs/{run}/logs"), "a line");
    server.get("/v1/runs");
    server.post("/v1/workflows/validate", &document("x"));
    assert_eq!(server.post("/v1/workflows", "{}").status, 400);
    assert_eq!(server.post("/v1/runs/run_x/cancel", "").status, 400);
    assert_eq!(server.delete("/v1/workflows/nobody").status, 404);
    let listed = entries(&server, "");
    assert_eq!(listed.len(), 1, "only the workflow: {listed:?}");
}

#[test]
fn starts_and_log_lines_are_noted_where_the_settings_ask_for_them() {
    let server = Server::with(&[], &[("QUINTET_AUDIT__DATA_PLANE", "true")]);
    let workflow = server.workflow(&json!({ "name": "w", "steps": [{ "name": "s", "action": "noop" }] }));
    let run = server.run(&workflow, &json!({}));
    server.post(&format!("/v1/runs/{run}/logs"), "a line");
    let started = entries(&server, "action=startRun");
    assert_eq!((started.len(), &started[0]["created"]), (1, &json!(run)));
    assert_eq!(entries(&server, &format!("object={run}")).len(), 2);
}

#[test]
fn a_change_of_a_client_that_hangs_up_before_the_answer_is_noted() {
    let server = Server::with(&[], &[("QUINTET_AUDIT__DATA_PLANE", "true")]);
    let steps = json!([{ "name": "wait", "action": "noop", "requires_approval": true }]);
    let workflow = server.workflow(&json!({ "name": "w", "steps": steps }));
    let body = json!({ "workflow_id": workflow }).to_string();
    let socket = server.client().send("POST", "/v1/runs?wait=60s", &[], &body);
    until("the run is there", || {
        let runs = server.get("/v1/runs").json();
        (runs["items"].as_array()?.len() == 1).then_some(())
    });
    assert!(entries(&server, "action=startRun").is_empty());
    drop(socket);
    let entry = until("it is noted", || entries(&server, "outcome=abandoned").pop());
    assert_eq!((&entry["action"], &entry["status"]), (&json!("startRun"), &Value::Null));
}

#[test]
fn a_trail_that_is_switched_off_is_empty() {
    let server = Server::with(&[], &[("QUINTET_AUDIT__ENABLED", "false")]);
    server.workflow(&json!({ "name": "w", "steps": [{ "name": "s", "action": "noop" }] }));
    assert!(entries(&server, "").is_empty());
}

#[test]
fn who_is_not_permitted_is_noted_once_a_minute_and_nobody_sees_another_namespaces_entries() {
    let server = Server::configured(&keys());
    let call = |name: &str, method: &str, path: &str, body: &str| {
        let key = bearer(name);
        server.client().call(method, path, &[("authorization", &key)], body)
    };
    for _ in 0..5 {
        assert_eq!(call("looker", "POST", "/v1/workflows", &document("x")).status, 403);
        assert_eq!(call("nobody", "GET", "/v1/runs", "").status, 401);
    }
    assert_eq!(
        call("acme-admin", "POST", "/v1/workflows", &document("of-acme")).status,
        200
    );
    assert_eq!(
        call("root", "POST", "/v1/workflows", &document("of-default")).status,
        200
    );
    let listed = |name: &str, query: &str| {
        let page = call(name, "GET", &format!("/v1/audit?{query}"), "");
        assert_eq!(page.status, 200, "{}", page.text());
        page.json()["items"].as_array().expect("items").clone()
    };
    // Nobody waits for the entries of refused requests.
    until("both are noted", || {
        (listed("root", "outcome=refused").len() == 2).then_some(())
    });
    let refused = listed("root", "outcome=refused&actor=looker");
    assert_eq!((refused.len(), &refused[0]["status"]), (1, &json!(403)), "{refused:?}");
    assert!(
        refused[0]["credential"]
            .as_str()
            .is_some_and(|credential| credential.contains("looker"))
    );
    assert_eq!(listed("root", "outcome=refused&actor=unknown")[0]["status"], 401);
    let own = listed("acme-admin", "");
    assert_eq!((own.len(), &own[0]["created"]), (1, &json!("of-acme")), "{own:?}");
    assert!(listed("acme-admin", "namespace=default").is_empty());
    let exported = call("acme-admin", "GET", "/v1/audit/export", "").text();
    assert!(
        exported.contains("of-acme") && !exported.contains("of-default"),
        "{exported}"
    );
    assert_eq!(call("acme-admin", "GET", "/v1/audit/head", "").status, 403);
    assert_eq!(
        call("looker", "GET", "/v1/audit", "").status,
        403,
        "viewers do not see who did what"
    );
    let all = call("root", "GET", "/v1/audit/export", "").text();
    assert!(!all.contains(&key_of("looker")), "no key is in the trail");
}

#[test]
fn an_export_has_one_entry_a_line_and_is_checked_without_the_server() {
    let folder = tempfile::tempdir().expect("folder");
    let server = Server::start();
    for nth in 0..7 {
        assert_eq!(server.post("/v1/workflows", &document(&format!("w{nth}"))).status, 200);
    }
    let exported = server.get("/v1/audit/export");
    assert_eq!(exported.header("content-type"), Some("application/x-ndjson"));
    let text = exported.text();
    let made: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["created"].clone())
        .collect();
    assert_eq!(made, ["w0", "w1", "w2", "w3", "w4", "w5", "w6"]);
    let part = server.get("/v1/audit/export?after=2&limit=3").text();
    assert_eq!(
        part.lines().collect::<Vec<_>>(),
        text.lines().skip(2).take(3).collect::<Vec<_>>()
    );
    let file = folder.path().join("trail.ndjson");
    let path = file.display().to_string();
    std::fs::write(&file, &text).expect("written");
    assert_eq!(verify(&server, &["--file", &path]).0, Some(0));
    std::fs::write(&file, part).expect("written");
    assert_eq!(verify(&server, &["--file", &path]).0, Some(0), "a part is a chain, too");
    std::fs::write(&file, text.replace("\"w3\"", "\"w9\"")).expect("written");
    let (code, said) = verify(&server, &["--file", &path]);
    assert!(code == Some(1) && said.contains("entry 4 was changed"), "{said}");
    let head = server.get("/v1/audit/head").json();
    let anchor = format!("{}:{}", head["seq"], head["hash"].as_str().expect("hash"));
    assert_eq!(verify(&server, &["--anchor", &anchor]).0, Some(0));
    let wrong = format!("7:{}", "a".repeat(64));
    let (code, said) = verify(&server, &["--anchor", &wrong]);
    assert!(code == Some(1) && said.contains("written anew"), "{said}");
}

/// What somebody does who can write the store.
fn tamper(folder: &std::path::Path, server: &Server, id: &str, change: impl FnOnce(String) -> Option<String>) {
    let url = match server.database() {
        Some(database) => database.url().to_owned(),
        None => format!("sqlite:{}", folder.join("quintet.db").display()),
    };
    let config = Config::parse(&format!("data_dir: '{}'\nstore:\n  url: '{url}'\n", folder.display()));
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let app = App::open(config.expect("settings"), OpenOptions::default())
            .await
            .expect("opened");
        let store = Arc::clone(app.engine.store());
        let record = store
            .record("quintet", "audit.entry", id)
            .await
            .expect("read")
            .expect("an entry");
        let write = RecordWrite {
            namespace: record.namespace,
            kind: record.kind,
            id: record.id,
            expected: None,
            body: change(record.body),
            expires_at: None,
            at: record.updated_at,
        };
        assert!(store.put_records(vec![write]).await.expect("written"));
        app.shutdown().await;
    });
}

#[test]
fn what_is_changed_in_the_store_later_is_found() {
    let folder = tempfile::tempdir().expect("folder");
    let mut server = Server::on(folder.path(), &[], &[]);
    for nth in 0..5 {
        assert_eq!(server.post("/v1/workflows", &document(&format!("w{nth}"))).status, 200);
    }
    assert_eq!(verify(&server, &[]).0, Some(0));
    server.kill();
    let third = "00000000000000000003";
    let mut kept = String::new();
    tamper(folder.path(), &server, third, |body| {
        kept.clone_from(&body);
        Some(body.replace("\"w2\"", "\"w9\""))
    });
    let mut server = Server::on(folder.path(), &[], &[]);
    let (code, said) = verify(&server, &[]);
    assert!(code == Some(1) && said.contains("entry 3 was changed"), "{said}");
    server.kill();
    tamper(folder.path(), &server, third, |_| Some(kept));
    let mut server = Server::on(folder.path(), &[], &[]);
    assert_eq!(verify(&server, &[]).0, Some(0), "as it was");
    server.kill();
    tamper(folder.path(), &server, third, |_| None);
    let server = Server::on(folder.path(), &[], &[]);
    assert_eq!(
        server.post("/v1/workflows", &document("later")).status,
        200,
        "the chain goes on"
    );
    let (code, said) = verify(&server, &[]);
    assert!(
        code == Some(1) && said.contains("after entry 2 comes entry 4"),
        "{said}"
    );
}

#[test]
fn a_crash_loses_no_change_that_was_answered() {
    let folder = tempfile::tempdir().expect("folder");
    let mut server = Server::on(folder.path(), &[], &[]);
    let (answered, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..8)
        .map(|nth| {
            let (address, answered, stop) = (server.address().to_owned(), Arc::clone(&answered), Arc::clone(&stop));
            std::thread::spawn(move || {
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("w-{nth}-{turn}");
                    // The server dies under it.
                    match Client::new(&address).try_call("POST", "/v1/workflows", &document(&id)) {
                        Some(200) => answered.lock().expect("lock").push(id),
                        _ => return,
                    }
                }
            })
        })
        .collect();
    until("some are answered", || {
        (answered.lock().expect("lock").len() > 100).then_some(())
    });
    server.kill();
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("client"));
    let server = Server::on(folder.path(), &[], &[]);
    let text = server.get("/v1/audit/export").text();
    let noted: std::collections::HashSet<String> = text
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<Value>(line).ok()?["created"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    let answered = answered.lock().expect("lock");
    let missing: Vec<&String> = answered.iter().filter(|id| !noted.contains(*id)).collect();
    assert!(missing.is_empty(), "of {}: {missing:?}", answered.len());
    let (code, said) = verify(&server, &[]);
    assert_eq!(code, Some(0), "{said}");
}
