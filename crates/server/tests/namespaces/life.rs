//! Namespaces from their creation to their end.

use serde_json::{Value, json};

use super::common::{Server, until};
use super::{Speaker, guarded, text};

#[test]
fn a_namespace_is_created_listed_changed_measured_and_removed() {
    let server = guarded(&json!({}));
    let (root, ada) = (Speaker::of(&server, "root"), Speaker::of(&server, "ada"));
    let body = json!({ "name": "acme", "labels": { "plan": "team" }, "quotas": { "max_live_runs": 5, "burst": null } });
    let created = root.done("POST", "/v1/namespaces", &body);
    assert_eq!(
        (&created["state"], &created["quotas"]),
        (&json!("active"), &json!({ "max_live_runs": 5 }))
    );
    root.post("/v1/namespaces", &body).assert_code(409, "namespace_exists");
    let changes = json!({ "quotas": { "max_live_runs": null, "runs_per_second": 2.5 } });
    let changed = root.done("PATCH", "/v1/namespaces/acme", &changes);
    assert_eq!(changed["quotas"], json!({ "runs_per_second": 2.5 }));
    assert_eq!(changed["labels"], json!({ "plan": "team" }));
    let names = |reply: Value| -> Vec<String> {
        let items = reply["items"].as_array().expect("items").clone();
        items.iter().map(|item| text(item, "name")).collect()
    };
    assert_eq!(names(root.get("/v1/namespaces").json()), ["acme", "default"]);
    let page = root.get("/v1/namespaces?limit=1").json();
    assert_eq!(page["next_cursor"], "acme");
    assert_eq!(names(root.get("/v1/namespaces?cursor=acme").json()), ["default"]);

    let run = ada.started(&ada.quick());
    until("it has ended", || (ada.status(&run) == "SUCCEEDED").then_some(()));
    let usage = until("it is counted", || {
        let usage = ada.get("/v1/namespaces/acme/usage").json();
        (usage["finished_runs"] == 1).then_some(usage)
    });
    assert_eq!((&usage["live_runs"], &usage["workflows"]), (&json!(0), &json!(1)));
    assert!(usage["stored_bytes"].as_u64() > Some(100), "{usage}");

    let secret = json!({ "value": "long enough" }).to_string();
    assert!(matches!(ada.call("PUT", "/v1/secrets/word", &secret).status, 200..=204));
    root.call("DELETE", "/v1/namespaces/acme", "")
        .assert_code(409, "namespace_not_empty");
    assert_eq!(ada.call("DELETE", "/v1/secrets/word", "").status, 204);
    assert_eq!(ada.call("DELETE", &format!("/v1/runs/{run}"), "").status, 204);
    assert_eq!(ada.call("DELETE", "/v1/workflows/quick", "").status, 204);
    assert_eq!(root.call("DELETE", "/v1/namespaces/acme", "").status, 204);
    root.get("/v1/namespaces/acme").assert_code(404, "namespace_not_found");
    root.call("DELETE", "/v1/namespaces/default", "")
        .assert_code(409, "namespace_not_empty");
}

#[test]
fn senseless_namespaces_are_refused_by_the_name_of_the_field() {
    let server = Server::start();
    let anybody = Speaker::anybody(&server);
    for (body, words) in [
        (json!({ "name": "quintet" }), "name: must have 1 to 63"),
        (json!({ "name": "a/b" }), "name: must have 1 to 63"),
        (
            json!({ "name": "a", "quotas": { "max_live_runs": 0 } }),
            "quotas.max_live_runs: must be at least 1",
        ),
        (
            json!({ "name": "a", "quotas": { "burst": 5 } }),
            "quotas.burst: means nothing",
        ),
        (
            json!({ "name": "a", "quotas": { "runs_per_second": -1 } }),
            "quotas.runs_per_second: must be more",
        ),
        (json!({ "name": "a", "quotas": { "max_runs": 5 } }), "max_runs"),
        (json!({ "name": "a", "labels": { "": "x" } }), "labels: "),
        (json!({ "name": "a", "state": "suspended" }), "state"),
        (json!({}), "name"),
    ] {
        let refused = anybody.post("/v1/namespaces", &body);
        refused.assert_code(400, "invalid_field");
        assert!(refused.text().contains(words), "{body}: {}", refused.text());
    }
    anybody.call("POST", "/v1/namespaces", "{").assert_code(400, "bad_json");
    for (method, path) in [
        ("PATCH", "/v1/namespaces/none"),
        ("POST", "/v1/namespaces/none/suspend"),
        ("DELETE", "/v1/namespaces/none"),
    ] {
        anybody.call(method, path, "{}").assert_code(404, "namespace_not_found");
    }
}

#[test]
fn who_belongs_to_one_namespace_sees_that_one_and_changes_none() {
    let server = guarded(&json!({}));
    let (root, ada, eve) = (
        Speaker::of(&server, "root"),
        Speaker::of(&server, "ada"),
        Speaker::of(&server, "eve"),
    );
    for name in ["acme", "bravo"] {
        root.done("POST", "/v1/namespaces", &json!({ "name": name }));
    }
    assert_eq!(ada.get("/v1/namespaces/acme").status, 200);
    assert_eq!(ada.get("/v1/namespaces/acme/usage").status, 200);
    let listed = ada.get("/v1/namespaces").json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    for path in [
        "/v1/namespaces/bravo",
        "/v1/namespaces/bravo/usage",
        "/v1/namespaces/default",
    ] {
        ada.get(path).assert_code(404, "namespace_not_found");
    }
    for (method, path, body) in [
        ("POST", "/v1/namespaces", r#"{"name":"mine"}"#),
        (
            "PATCH",
            "/v1/namespaces/acme",
            r#"{"quotas":{"max_live_runs":1000000}}"#,
        ),
        ("POST", "/v1/namespaces/acme/resume", ""),
        ("POST", "/v1/namespaces/bravo/suspend", ""),
        ("DELETE", "/v1/namespaces/acme", ""),
    ] {
        for speaker in [&ada, &eve] {
            speaker.call(method, path, body).assert_code(403, "forbidden");
        }
    }
}

#[test]
fn a_suspended_namespace_is_read_starts_nothing_and_goes_on_when_it_is_resumed() {
    let server = guarded(&json!({}));
    let (root, ada, bob) = (
        Speaker::of(&server, "root"),
        Speaker::of(&server, "ada"),
        Speaker::of(&server, "bob"),
    );
    root.done("POST", "/v1/namespaces", &json!({ "name": "acme" }));
    let (quick, patient) = (ada.quick(), ada.patient());
    let plan = json!({ "id": "each", "cron": "* * * * * *", "target": { "workflow_id": quick } });
    let run = ada.started(&patient);
    root.done("POST", "/v1/namespaces/acme/suspend", &Value::Null);
    for (method, path, body) in [
        ("POST", "/v1/runs".to_owned(), json!({ "workflow_id": quick })),
        ("POST", "/v1/schedules".to_owned(), plan.clone()),
        ("POST", format!("/v1/runs/{run}/approve"), json!({})),
        ("DELETE", format!("/v1/workflows/{quick}"), json!({})),
        ("POST", "/api/tasks".to_owned(), json!({ "type": "x" })),
    ] {
        let refused = ada.call(method, &path, &body.to_string());
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text());
        assert!(
            refused.text().contains("Tenant is not active"),
            "{method} {path}: {}",
            refused.text()
        );
    }
    let tenants = root.post("/api/v1/tenants/acme/workflows", &json!({}));
    assert_eq!(
        (tenants.status, tenants.text().contains("Tenant is not active")),
        (403, true),
        "{}",
        tenants.text()
    );
    // Others go on, and it can still be read.
    for path in ["/v1/runs", "/v1/workflows/quick", "/v1/namespaces/acme"] {
        assert_eq!(ada.get(path).status, 200, "{path}");
    }
    let document = json!({ "name": "w", "steps": [{ "name": "a", "action": "noop" }] });
    ada.done("POST", "/v1/workflows/validate", &document);
    bob.quick();
    assert_eq!(bob.start("quick").status, 200);
    assert_eq!(ada.get(&format!("/v1/runs/{run}")).json()["status"], "WAITING_APPROVAL");
    root.done("POST", "/v1/namespaces/acme/resume", &Value::Null);
    ada.done("POST", &format!("/v1/runs/{run}/approve"), &Value::Null);
    until("it has ended", || (ada.status(&run) == "SUCCEEDED").then_some(()));
}

#[test]
fn a_schedule_of_a_suspended_namespace_starts_nothing_until_it_is_resumed() {
    let server = guarded(&json!({}));
    let (root, ada) = (Speaker::of(&server, "root"), Speaker::of(&server, "ada"));
    root.done("POST", "/v1/namespaces", &json!({ "name": "acme" }));
    let quick = ada.quick();
    let plan = json!({ "id": "each", "cron": "* * * * * *", "target": { "workflow_id": quick } });
    ada.done("POST", "/v1/schedules", &plan);
    let state = || ada.get("/v1/schedules/each").json();
    let fired = || state()["counts"]["fired"].as_u64();
    until("it fires", || (fired() >= Some(1)).then_some(()));
    root.done("POST", "/v1/namespaces/acme/suspend", &Value::Null);
    let waiting = until("it is told why it waits", || {
        let state = state();
        state["retry"]["error"].is_string().then_some(state)
    });
    assert!(
        waiting["retry"]["error"]
            .as_str()
            .is_some_and(|words| words.contains("suspended")),
        "{waiting}"
    );
    let before = ada.get("/v1/runs?limit=1000").json()["items"].as_array().map(Vec::len);
    assert_eq!(
        ada.get("/v1/runs?limit=1000").json()["items"].as_array().map(Vec::len),
        before
    );
    root.done("POST", "/v1/namespaces/acme/resume", &Value::Null);
    let then = fired();
    until("it fires again", || (fired() > then).then_some(()));
}

#[test]
fn where_not_everybody_is_served_a_name_that_was_never_created_is_not_found() {
    let server = guarded(&json!({ "namespaces": { "open": false } }));
    let (root, ada) = (Speaker::of(&server, "root"), Speaker::of(&server, "ada"));
    ada.get("/v1/runs").assert_code(404, "namespace_not_found");
    let tenants = root.get("/api/v1/tenants/acme/workflows");
    assert_eq!(
        (tenants.status, tenants.text().contains("Tenant not found")),
        (404, true),
        "{}",
        tenants.text()
    );
    assert_eq!(root.get("/v1/runs").status, 200, "default is always there");
    root.done("POST", "/v1/namespaces", &json!({ "name": "acme" }));
    assert_eq!(ada.get("/v1/runs").json()["items"], json!([]));
    ada.started(&ada.quick());
}
