//! What a namespace may use, and what is answered beyond it.

use serde_json::{Value, json};

use super::common::{Server, until};
use super::{Speaker, assert_exceeded, guarded};

fn limited(server: &Server, name: &str, quotas: Value) {
    let root = Speaker::of(server, "root");
    root.done("POST", "/v1/namespaces", &json!({ "name": name, "quotas": quotas }));
}

#[test]
fn no_more_runs_than_permitted_are_unfinished_and_one_that_ends_makes_room() {
    let server = guarded(&json!({}));
    limited(&server, "acme", json!({ "max_live_runs": 2 }));
    let (ada, bob) = (Speaker::of(&server, "ada"), Speaker::of(&server, "bob"));
    let patient = ada.patient();
    let runs = [ada.started(&patient), ada.started(&patient)];
    let refused = ada.start(&patient);
    assert_exceeded(&refused, "max_live_runs");
    refused.assert_code(429, "quota_exceeded");
    assert!(refused.json()["error"]["retryable"].as_bool() == Some(true));
    assert_eq!(bob.start(&bob.patient()).status, 200, "others have limits of their own");
    ada.done("POST", &format!("/v1/runs/{}/approve", runs[0]), &Value::Null);
    until("one has ended", || (ada.status(&runs[0]) == "SUCCEEDED").then_some(()));
    until("there is room", || (ada.start(&patient).status == 200).then_some(()));
    assert_exceeded(&ada.start(&patient), "max_live_runs");
    let figure = "quintet_namespaces_quota_refusals_total{what=\"max_live_runs\"}";
    let key = Speaker::of(&server, "root").headers;
    let key: Vec<(&str, &str)> = key.iter().map(|(name, value)| (*name, &**value)).collect();
    let told = server.client().call("GET", "/metrics", &key, "").text();
    let told = told
        .lines()
        .find_map(|line| line.strip_prefix(figure)?.trim().parse::<f64>().ok());
    assert!(told >= Some(2.0), "{told:?}");
}

#[test]
fn many_short_runs_pass_a_small_limit_one_after_the_other() {
    let server = guarded(&json!({}));
    limited(&server, "acme", json!({ "max_live_runs": 1 }));
    let ada = Speaker::of(&server, "ada");
    let quick = ada.quick();
    for _ in 0..30 {
        let reply = ada.post("/v1/runs?wait=20s", &json!({ "workflow_id": quick }));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[test]
fn the_limit_holds_after_a_crash_and_with_many_starts_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let mut server = Server::on(folder.path(), &[], &[]);
    let _database = server.database();
    let anybody = Speaker::anybody(&server).within("acme");
    let quotas = json!({ "name": "acme", "quotas": { "max_live_runs": 5 } });
    anybody.done("POST", "/v1/namespaces", &quotas);
    let patient = anybody.patient();
    for _ in 0..3 {
        anybody.started(&patient);
    }
    server.kill();
    let server = Server::on(folder.path(), &[], &[]);
    let started = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| Speaker::anybody(&server).within("acme").start("patient").status))
            .collect();
        let starts = starts.into_iter().map(|start| start.join().expect("answered"));
        starts.filter(|status| *status == 200).count()
    });
    assert_eq!(started, 2, "three were there");
    let batch = json!({ "runs": [{ "workflow_id": "patient" }, { "workflow_id": "patient" }] });
    assert_exceeded(
        &Speaker::anybody(&server).within("acme").post("/v1/runs/batch", &batch),
        "max_live_runs",
    );
}

#[test]
fn starts_beyond_the_rate_are_told_when_to_come_again() {
    let server = guarded(&json!({}));
    limited(&server, "acme", json!({ "runs_per_second": 0.2, "burst": 3 }));
    let ada = Speaker::of(&server, "ada");
    let quick = ada.quick();
    let three = json!({ "runs": [{ "workflow_id": quick }, { "workflow_id": quick }, { "workflow_id": quick }] });
    ada.done("POST", "/v1/runs/batch", &three);
    assert_exceeded(&ada.start(&quick), "runs_per_second");
}

#[test]
fn every_way_to_start_something_keeps_to_the_limits() {
    let server = guarded(&json!({ "namespaces": { "default_quotas": { "max_live_runs": 1 } } }));
    let root = Speaker::of(&server, "root");
    let (quick, patient) = (root.quick(), root.patient());
    let plan = json!({ "id": "plan", "cron": "0 0 1 1 *", "target": { "workflow_id": quick } });
    root.done("POST", "/v1/schedules", &plan);
    root.started(&patient);
    for (path, body) in [
        ("/v1/runs", json!({ "workflow_id": quick })),
        (
            "/v1/runs",
            json!({ "workflow": { "name": "w", "steps": [{ "name": "a", "action": "noop" }] } }),
        ),
        ("/v1/runs/batch", json!({ "runs": [{ "workflow_id": quick }] })),
        ("/v1/schedules/plan/trigger", json!({})),
        ("/api/tasks", json!({ "type": "t", "payload": {} })),
        (
            "/api/v1/tenants/default/workflows",
            json!({ "intent_id": "i", "tasks": [{ "id": "a", "type": "t" }] }),
        ),
    ] {
        assert_exceeded(&root.post(path, &body), "max_live_runs");
    }
    let other = root.post(
        "/api/v1/tenants/other/workflows",
        &json!({ "intent_id": "i", "tasks": [{ "id": "a", "type": "t" }] }),
    );
    assert_eq!(other.status, 201, "each has its own: {}", other.text());
}

#[test]
fn no_more_workflows_than_permitted_and_new_versions_of_those_there_are() {
    let server = guarded(&json!({}));
    limited(&server, "acme", json!({ "max_workflows": 1 }));
    let ada = Speaker::of(&server, "ada");
    ada.quick();
    ada.quick();
    let other = json!({ "id": "other", "name": "o", "steps": [{ "name": "a", "action": "noop" }] });
    assert_exceeded(&ada.post("/v1/workflows", &other), "max_workflows");
    assert_exceeded(&ada.post("/v1/templates", &other), "max_workflows");
    assert_eq!(ada.call("DELETE", "/v1/workflows/quick", "").status, 204);
    ada.done("POST", "/v1/workflows", &other);
}

#[test]
fn nothing_starts_where_too_much_is_stored() {
    let server = guarded(&json!({}));
    limited(&server, "acme", json!({ "max_stored_bytes": 2000 }));
    let ada = Speaker::of(&server, "ada");
    let quick = ada.quick();
    let large = json!({ "workflow_id": quick, "context": { "text": "x".repeat(4000) } });
    assert_eq!(ada.post("/v1/runs", &large).status, 200);
    let refused = until("it is measured", || {
        let reply = ada.start(&quick);
        (reply.status != 200).then_some(reply)
    });
    assert_exceeded(&refused, "max_stored_bytes");
}
