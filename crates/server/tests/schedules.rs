//! Schedules of the real server, over HTTP.

#[allow(unused_imports, reason = "no step calls anything here")]
pub(crate) mod common;

use common::{Server, until};
use quintet_core::time::Time;
use serde_json::{Value, json};

/// A workflow of one step; its id.
pub fn workflow(server: &Server) -> String {
    server.workflow(&json!({ "id": "w", "name": "w", "steps": [{ "name": "a", "action": "noop" }] }))
}

pub fn create(server: &Server, body: &Value) -> Value {
    let created = server.post("/v1/schedules", &body.to_string());
    assert_eq!(created.status, 200, "{}", created.text());
    created.json()
}

pub fn schedule(server: &Server, id: &str) -> Value {
    let found = server.get(&format!("/v1/schedules/{id}"));
    assert_eq!(found.status, 200, "{}", found.text());
    found.json()
}

fn patch(server: &Server, id: &str, body: &Value) -> common::Reply {
    let path = format!("/v1/schedules/{id}");
    server.client().call("PATCH", &path, &[], &body.to_string())
}

fn time(value: &Value) -> Time {
    value
        .as_str()
        .and_then(Time::parse_rfc3339)
        .unwrap_or_else(|| panic!("no time: {value}"))
}

/// The times that started the runs of a paused schedule of seconds are all there are from its first to its last one.
pub fn assert_each_second_fired_once(server: &Server, id: &str) {
    // A firing that was under way when it was paused may still be noted.
    let state = until("every start is noted", || {
        let state = schedule(server, id);
        let runs = server.get("/v1/runs?limit=1000").json()["items"].as_array()?.len() as u64;
        (state["counts"]["fired"].as_u64() == Some(runs)).then_some(state)
    });
    let runs = server.get("/v1/runs?limit=1000").json();
    let mut times: Vec<Time> = Vec::new();
    for run in runs["items"].as_array().expect("items") {
        let run = server.ended(run["id"].as_str().expect("id"));
        assert_eq!((&run["status"], &run["schedule_id"]), (&json!("SUCCEEDED"), &json!(id)));
        times.push(time(&run["scheduled_at"]));
    }
    times.sort();
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1].ms_since(pair[0])).collect();
    assert!(gaps.iter().all(|gap| *gap == 1000), "{gaps:?} {state}");
    assert_eq!(times.last(), Some(&time(&state["last"]["nominal_at"])));
    assert_eq!(state["counts"]["missed"], 0, "{state}");
}

#[test]
fn a_schedule_fires_every_second_until_it_is_paused_also_over_a_crash() {
    let folder = tempfile::tempdir().expect("folder");
    let mut server = Server::on(folder.path(), &[], &[]);
    // Keeps the database where the store is one.
    let _database = server.database();
    let workflow = workflow(&server);
    let created = create(
        &server,
        &json!({ "id": "s", "cron": "* * * * * *", "missed": "all", "target": { "workflow_id": workflow, "context": { "a": 1 } } }),
    );
    assert_eq!(
        (&created["timezone"], &created["paused"]),
        (&json!("UTC"), &json!(false))
    );
    let fired = |server: &Server| schedule(server, "s")["counts"]["fired"].as_u64().expect("count");
    until("some seconds have fired", || (fired(&server) >= 2).then_some(()));
    server.kill();
    let server = Server::on(folder.path(), &[], &[]);
    let before = fired(&server);
    until("more seconds have fired", || {
        (fired(&server) >= before + 3).then_some(())
    });
    let paused = server.post("/v1/schedules/s/pause", "").json();
    assert_eq!((&paused["paused"], &paused["next_at"]), (&json!(true), &Value::Null));
    assert_each_second_fired_once(&server, "s");
    let run = server.get("/v1/runs").json()["items"][0]["id"].clone();
    let run = server.ended(run.as_str().expect("id"));
    assert_eq!(run["context"], json!({ "a": 1 }));
    assert!(server.figure("quintet_schedules_fired_total") >= 3.0);
    let said = server.said();
    assert!(said.contains("schedule fired"), "{said}");
}

#[test]
fn a_schedule_is_created_changed_listed_and_removed() {
    let server = Server::start();
    let workflow = workflow(&server);
    let body = json!({
        "id": "nightly", "name": "Every night", "cron": " 30  2 * * * ", "timezone": "europe/berlin", "note": "n",
        "missed": "skip", "overlap": "skip", "target": { "kind": "workflow", "workflow_id": workflow, "priority": 3 },
    });
    let created = create(&server, &body);
    assert_eq!(
        (&created["cron"], &created["timezone"]),
        (&json!("30 2 * * *"), &json!("Europe/Berlin"))
    );
    assert_eq!(
        created["target"],
        json!({ "kind": "workflow", "workflow_id": "w", "context": {}, "priority": 3 })
    );
    assert_eq!(schedule(&server, "nightly"), created);
    server
        .post("/v1/schedules", &body.to_string())
        .assert_code(409, "schedule_exists");

    let changed = patch(
        &server,
        "nightly",
        &json!({ "cron": "0 4 * * *", "note": null, "missed": "all" }),
    )
    .json();
    assert_eq!(
        (&changed["cron"], &changed["missed"], &changed["note"]),
        (&json!("0 4 * * *"), &json!("all"), &Value::Null)
    );
    assert_ne!(changed["next_at"], created["next_at"]);
    assert_eq!(changed["name"], "Every night");

    let made = create(
        &server,
        &json!({ "cron": "@hourly", "paused": true, "target": { "workflow_id": workflow } }),
    );
    assert!(made["id"].as_str().is_some_and(|id| id.starts_with("sch_")), "{made}");
    assert_eq!(made["next_at"], Value::Null);
    let resumed = server
        .post(&format!("/v1/schedules/{}/resume", made["id"].as_str().unwrap()), "")
        .json();
    assert!(resumed["next_at"].is_string(), "{resumed}");

    let first = server.get("/v1/schedules?limit=1").json();
    assert_eq!(
        (&first["items"][0]["id"], &first["next_cursor"]),
        (&json!("nightly"), &json!("nightly"))
    );
    let second = server.get("/v1/schedules?limit=1&cursor=nightly").json();
    assert_eq!(
        (&second["items"][0]["id"], &second["next_cursor"]),
        (&made["id"], &Value::Null)
    );

    assert_eq!(server.delete("/v1/schedules/nightly").status, 204);
    for (method, path) in [
        ("GET", ""),
        ("DELETE", ""),
        ("PATCH", ""),
        ("POST", "/pause"),
        ("POST", "/trigger"),
    ] {
        let path = format!("/v1/schedules/nightly{path}");
        let body = if method == "PATCH" { "{}" } else { "" };
        server
            .client()
            .call(method, &path, &[], body)
            .assert_code(404, "schedule_not_found");
    }
}

#[test]
fn what_means_nothing_is_refused_by_its_name() {
    let server = Server::start();
    let workflow = workflow(&server);
    server.workflow(&json!({
        "id": "strict", "name": "strict", "steps": [{ "name": "a", "action": "noop" }],
        "input_schema": { "type": "object", "required": ["day"] },
    }));
    let good = json!({ "cron": "0 * * * *", "target": { "workflow_id": workflow } });
    for (field, value, status, code, message) in [
        (
            "cron",
            json!("60 * * * *"),
            400,
            "invalid_field",
            "cron: minute: 60 is not from 0 to 59",
        ),
        (
            "cron",
            json!("0 0 31 2 *"),
            400,
            "invalid_field",
            "cron: no date matches",
        ),
        (
            "timezone",
            json!("Mars/Base"),
            400,
            "invalid_field",
            "timezone: the time zone \"Mars/Base\" is not known",
        ),
        (
            "missed",
            json!("maybe"),
            400,
            "invalid_field",
            "missed: must be skip, latest or all",
        ),
        ("tz", json!("UTC"), 400, "invalid_field", "tz: is not known"),
        ("id", json!("a b"), 400, "invalid_field", "id: must have 1 to 128"),
        (
            "target",
            json!({ "workflow_id": "gone" }),
            404,
            "workflow_not_found",
            "workflow not found",
        ),
        (
            "target",
            json!({ "workflow_id": "strict" }),
            422,
            "invalid_input",
            "the context does not fit the input_schema",
        ),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let refused = server.post("/v1/schedules", &body.to_string());
        refused.assert_code(status, code);
        let said = refused.json()["error"]["message"].as_str().expect("message").to_owned();
        assert!(said.starts_with(message), "{said}");
    }
    server.post("/v1/schedules", "{").assert_code(400, "bad_json");
    assert_eq!(server.get("/v1/schedules").json()["items"], json!([]));
    create(
        &server,
        &json!({ "id": "s", "cron": "0 * * * *", "target": { "workflow_id": workflow } }),
    );
    for body in [
        json!({ "id": "other" }),
        json!({ "paused": true }),
        json!({ "cron": "x" }),
    ] {
        patch(&server, "s", &body).assert_code(400, "invalid_field");
    }
    patch(&server, "s", &json!({ "target": { "workflow_id": "gone" } })).assert_code(404, "workflow_not_found");
}

#[test]
fn a_trigger_starts_a_run_at_once_and_with_the_same_key_once() {
    let server = Server::start();
    let workflow = workflow(&server);
    let before = create(
        &server,
        &json!({ "id": "s", "cron": "0 0 1 1 *", "paused": true, "target": { "workflow_id": workflow } }),
    );
    let trigger = |key: &str| {
        let headers = [("Idempotency-Key", key)];
        server.client().call("POST", "/v1/schedules/s/trigger", &headers, "")
    };
    let (one, again, other) = (trigger("k"), trigger("k"), trigger("l"));
    assert_eq!((one.status, again.status), (200, 200), "{}", one.text());
    assert_eq!(one.json(), again.json());
    assert_eq!(
        (one.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, Some("true"))
    );
    assert_ne!(one.json()["run_id"], other.json()["run_id"]);
    let run = server.ended(one.json()["run_id"].as_str().expect("run"));
    assert_eq!((&run["schedule_id"], &run["scheduled_at"]), (&json!("s"), &Value::Null));
    let after = schedule(&server, "s");
    assert_eq!(
        (&after["counts"]["triggered"], &after["counts"]["fired"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(
        (&after["last_run_id"], &after["paused"]),
        (&other.json()["run_id"], &before["paused"])
    );
}

#[test]
fn what_comes_next_is_told_with_the_clock_of_the_zone() {
    let server = Server::start();
    let workflow = workflow(&server);
    create(
        &server,
        &json!({ "id": "s", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "target": { "workflow_id": workflow } }),
    );
    let upcoming = server
        .get("/v1/schedules/s/upcoming?count=3&after=2026-03-27T12:00:00Z")
        .json();
    assert_eq!(
        upcoming["items"],
        json!([
            { "at": "2026-03-28T01:30:00Z", "local": "2026-03-28T02:30:00+01:00[Europe/Berlin]" },
            { "at": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00[Europe/Berlin]" },
            { "at": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00[Europe/Berlin]" },
        ])
    );
    assert_eq!(
        server.get("/v1/schedules/s/upcoming").json()["items"]
            .as_array()
            .map(Vec::len),
        Some(10)
    );
    server
        .get("/v1/schedules/s/upcoming?count=1001")
        .assert_code(400, "invalid_parameter");
}

#[test]
fn a_time_is_left_out_while_the_run_before_waits_and_a_deleted_workflow_is_told_as_the_error() {
    let server = Server::start();
    let slow =
        server.workflow(&json!({ "id": "slow", "name": "slow", "steps": [{ "name": "ask", "action": "approval" }] }));
    create(
        &server,
        &json!({ "id": "s", "cron": "* * * * * *", "overlap": "skip", "target": { "workflow_id": slow } }),
    );
    let state = until("a time is left out", || {
        let state = schedule(&server, "s");
        (state["counts"]["overlapped"].as_u64()? >= 2).then_some(state)
    });
    assert_eq!(state["counts"]["fired"], 1, "{state}");
    assert_eq!(
        (&state["last"]["outcome"], &state["last"]["run_id"]),
        (&json!("overlapped"), &state["last_run_id"])
    );
    let run = state["last_run_id"].as_str().expect("run");
    assert_eq!(server.post(&format!("/v1/runs/{run}/approve"), "").status, 200);
    until("it fires again", || {
        (schedule(&server, "s")["counts"]["fired"] == 2).then_some(())
    });
    let run = schedule(&server, "s")["last_run_id"].as_str().expect("run").to_owned();
    assert_eq!(server.delete("/v1/workflows/slow").status, 204);
    assert_eq!(server.post(&format!("/v1/runs/{run}/approve"), "").status, 200);
    let state = until("it fails", || {
        let state = schedule(&server, "s");
        (state["counts"]["failed"].as_u64()? >= 2).then_some(state)
    });
    assert_eq!(
        (&state["last"]["outcome"], &state["last"]["error"]),
        (&json!("failed"), &json!("workflow not found"))
    );
}
