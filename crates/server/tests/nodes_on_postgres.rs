//! Several servers on one database: any of them does for anything, and none is missed when it goes.

mod common;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use common::{Answer, Server, Target, until};
use serde_json::{Value, json};

/// No test here could be carried by leases that end.
const LONG: (&str, &str) = ("QUINTET_NODE__LEASE_MS", "120000");

fn pair(environment: &[(&str, &str)]) -> (Server, Server) {
    let one = Server::with(&[], environment);
    let other = one.beside(&[], environment);
    (one, other)
}

fn call(name: &str, url: &str) -> Value {
    json!({ "name": name, "action": "http", "input": { "url": url }, "timeout_ms": 60_000 })
}

fn put(server: &Server, document: &Value) -> u64 {
    let stored = server.post("/v1/workflows", &document.to_string());
    assert_eq!(stored.status, 200, "{}", stored.text());
    stored.json()["version"].as_u64().expect("version")
}

/// Starts a run of the workflow `w` and waits for its end.
fn start(server: &Server, context: &Value) -> common::Reply {
    let body = json!({ "workflow_id": "w", "context": context });
    server.post("/v1/runs?wait=30s", &body.to_string())
}

#[test]
fn a_version_stored_on_one_node_is_what_the_other_starts_from_then_on() {
    let (one, other) = pair(&[LONG]);
    let document = |schema: Value| json!({ "id": "w", "name": "w", "steps": [{ "name": "s", "action": "noop" }], "input_schema": schema });
    put(&one, &document(json!({ "type": "object", "required": ["old"] })));
    let started = start(&other, &json!({ "old": 1 })).json();
    assert_eq!(
        (&started["status"], &started["workflow_version"]),
        (&json!("SUCCEEDED"), &json!(1))
    );
    // What the other node keeps of version 1 would refuse this.
    put(&one, &document(json!({ "type": "object", "required": ["new"] })));
    let started = start(&other, &json!({ "new": 1 })).json();
    assert_eq!(started["workflow_version"], 2, "{started}");
    put(&one, &document(json!({ "type": "object", "required": ["newer"] })));
    // What it keeps of version 2 would let this pass.
    let refused = start(&other, &json!({ "new": 1 }));
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(one.delete("/v1/workflows/w").status, 204);
    start(&other, &json!({ "newer": 1 })).assert_plain(400, "not found");
}

#[test]
fn no_start_runs_a_version_older_than_one_acknowledged_before_it() {
    let (one, other) = pair(&[LONG]);
    let document = json!({ "id": "w", "name": "w", "steps": [{ "name": "s", "action": "noop" }] });
    let acknowledged = std::sync::atomic::AtomicU64::new(put(&one, &document));
    let (mut started, mut newest) = (0, 0);
    std::thread::scope(|scope| {
        let storing = scope.spawn(|| {
            for _ in 0..60 {
                acknowledged.store(put(&one, &document), std::sync::atomic::Ordering::SeqCst);
            }
        });
        while started < 30 || !storing.is_finished() {
            let least = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
            let reply = start(&other, &json!({}));
            if reply.status == 409 {
                assert!(reply.text().contains("has just been changed"), "{}", reply.text());
                continue;
            }
            let version = reply.json()["workflow_version"].as_u64().expect("version");
            assert!(version >= least, "version {version} after {least} was acknowledged");
            started += 1;
            newest = version;
        }
    });
    assert!(newest > 1, "no version was stored in between");
}

#[test]
fn a_person_answers_on_any_node() {
    let (one, other) = pair(&[LONG]);
    let steps = json!([{ "name": "ask", "action": "approval" }, { "name": "go", "action": "noop" }]);
    let run = one.run_steps(&steps, &json!({}));
    other.when(&run, &["WAITING_APPROVAL"]);
    assert_eq!(other.get("/v1/approvals").json()["items"][0]["run_id"], json!(run));
    let approved = other.post(&format!("/v1/runs/{run}/approve"), r#"{"by":"ann"}"#);
    assert_eq!(approved.status, 200, "{}", approved.text());
    assert_eq!(one.ended(&run)["status"], "SUCCEEDED");
    let late = one.post(&format!("/v1/runs/{run}/reject"), "");
    late.assert_code(409, "run_finished");
}

#[test]
fn a_run_of_one_node_is_waited_for_and_followed_on_the_other() {
    let (one, other) = pair(&[LONG]);
    let target = Target::scripted(|_, _| Answer::held("done"));
    put(
        &one,
        &json!({ "id": "w", "name": "w", "steps": [call("slow", &target.url("/"))] }),
    );
    let body = json!({ "workflow_id": "w" }).to_string();
    let key = [("Idempotency-Key", "k")];
    let started = one.client().call("POST", "/v1/runs", &key, &body).json();
    let run = started["id"].as_str().expect("id").to_owned();
    until("the target is called", || (!target.calls().is_empty()).then_some(()));
    let mut events = other.client().stream(&format!("/v1/runs/{run}/events"), &[]);
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|name| name != "attempt.started" && name != "step.started")
    {
        seen.push(events.next().expect("the run goes on").name);
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| other.client().call("POST", "/v1/runs?wait=30s", &key, &body));
        target.release();
        let waited = waiting.join().expect("an answer");
        assert_eq!(waited.header("idempotency-replayed"), Some("true"));
        assert_eq!(waited.header("quintet-wait"), None, "{}", waited.text());
        assert_eq!(
            (&waited.json()["id"], &waited.json()["status"]),
            (&json!(run), &json!("SUCCEEDED"))
        );
    });
    let last = events.rest().pop().expect("the end of the run");
    assert!(last.contains("SUCCEEDED"), "{last}");
    assert_eq!(target.calls().len(), 1);
}

/// Waits for one request and gives its connection.
fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().expect("a caller");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("timeout");
    let mut seen = Vec::new();
    let mut bytes = [0; 1024];
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut bytes).expect("a request");
        assert!(read > 0, "the caller has gone");
        seen.extend_from_slice(&bytes[..read]);
    }
    stream
}

#[test]
fn a_cancel_on_one_node_hangs_up_on_what_the_other_is_calling() {
    let (one, other) = pair(&[LONG]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}/", listener.local_addr().expect("address"));
    let run = one.run_steps(&json!([call("slow", &url)]), &json!({}));
    let mut stream = accept(&listener);
    let canceled = other.post(&format!("/v1/runs/{run}/cancel"), "");
    assert_eq!((canceled.status, &canceled.json()["status"]), (200, &json!("CANCELED")));
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    assert!(
        ended.is_ok_and(|read| read <= 64),
        "the call goes on although nobody wants its answer"
    );
    assert_eq!(one.ended(&run)["status"], "CANCELED");
}

#[test]
fn every_node_knows_all_of_them() {
    let one = Server::with(&[], &[LONG, ("QUINTET_NODE__NAME", "one")]);
    let other = one.beside(
        &[],
        &[
            LONG,
            ("QUINTET_NODE__NAME", "other"),
            ("QUINTET_NODE__URL", "http://other.example"),
        ],
    );
    for (asked, own) in [(&one, "one"), (&other, "other")] {
        let nodes = until("both are there", || {
            let nodes = asked.get("/v1/nodes").json()["items"]
                .as_array()
                .expect("items")
                .clone();
            (nodes.len() == 2).then_some(nodes)
        });
        for node in &nodes {
            assert_eq!(node["state"], "alive", "{node}");
            assert_eq!(node["self"] == true, node["name"] == own, "{node}");
            assert!(
                node["lease_expires_at"].as_str() > node["last_beat_at"].as_str(),
                "{node}"
            );
        }
        let urls: Vec<&Value> = nodes.iter().map(|node| &node["url"]).collect();
        assert!(urls.contains(&&json!("http://other.example")), "{urls:?}");
        until("both are counted", || {
            (asked.figure("quintet_nodes") == 2.0).then_some(())
        });
    }
    let listed = Command::new(env!("CARGO_BIN_EXE_quintet"))
        .args(["nodes", "--server", one.address()])
        .output()
        .expect("it runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.contains("alive (this one)") && listed.contains("http://other.example"),
        "{listed}"
    );
}

#[test]
fn a_node_that_is_asked_to_stop_hands_over_at_once() {
    let environment = [LONG, ("QUINTET_ENGINE__DRAIN_MS", "300")];
    let (mut one, other) = pair(&environment);
    let target = Target::scripted(|_, before| {
        if before == 0 {
            Answer::held("lost")
        } else {
            Answer::ok("again")
        }
    });
    let called = one.run_steps(&json!([call("slow", &target.url("/"))]), &json!({}));
    let timer = one.run_steps(
        &json!([{ "name": "nap", "action": "wait", "input": { "ms": 1500 } }]),
        &json!({}),
    );
    until("the target is called", || (!target.calls().is_empty()).then_some(()));
    let (code, said) = one.stop();
    assert_eq!(code, Some(0), "{said}");
    // The lease would have run for two minutes more.
    let run = other.ended(&called);
    assert_eq!(
        (&run["status"], &run["steps"][0]["output"]),
        (&json!("SUCCEEDED"), &json!("again"))
    );
    assert_eq!(other.ended(&timer)["status"], "SUCCEEDED");
    let nodes = other.get("/v1/nodes").json();
    assert_eq!(nodes["items"].as_array().expect("items").len(), 1, "{nodes}");
}

#[test]
fn what_a_killed_node_held_is_taken_over_when_its_lease_has_run_out() {
    let (mut one, other) = pair(&[]);
    let target = Target::scripted(|_, before| {
        if before == 0 {
            Answer::held("lost")
        } else {
            Answer::ok("again")
        }
    });
    let run = one.run_steps(&json!([call("slow", &target.url("/"))]), &json!({}));
    until("the target is called", || (!target.calls().is_empty()).then_some(()));
    one.kill();
    let run = other.ended(&run);
    assert_eq!(
        (&run["status"], &run["steps"][0]["output"]),
        (&json!("SUCCEEDED"), &json!("again"))
    );
    assert_eq!(other.figure("quintet_take_overs_total"), 1.0);
    until("the dead node is forgotten", || {
        let nodes = other.get("/v1/nodes").json();
        (nodes["items"].as_array()?.len() == 1).then_some(())
    });
}
