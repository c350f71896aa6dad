//! The original's known bugs, by their number in the contract's list, each with the test that would see it again.
//! Those that a conformance check covers as it stands (1 to 3, 5, 14, 16) are in `workflows_contract.rs`.

mod common;

use std::process::Command;

use common::{Answer, Server, Target, until};
use serde_json::{Value, json};

fn asked_for_json(server: &Server, method: &str, path: &str, body: &str) -> common::Reply {
    server
        .client()
        .call(method, path, &[("Accept", "application/json")], body)
}

#[test]
fn fix_4_comparing_objects_and_arrays_answers_instead_of_ending_the_server() {
    let server = Server::start();
    let compare = |value: Value| {
        let input = json!({ "key": "k", "equals": value, "on_false": "fail" });
        let context = json!({ "k": { "a": [1, { "b": 2 }] } });
        server.ended(&server.run_steps(
            &json!([{ "name": "s", "action": "condition", "input": input }]),
            &context,
        ))
    };
    assert_eq!(compare(json!({ "a": [1, { "b": 2 }] }))["status"], "SUCCEEDED");
    assert_eq!(compare(json!({ "a": [1, { "b": 3 }] }))["status"], "FAILED");
    assert_eq!(compare(json!([1]))["status"], "FAILED");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn fix_6_a_database_that_cannot_be_used_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "database:\n  dsn: postgres://nobody@127.0.0.1:1/none\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintet"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .arg("--data")
        .arg(folder.path())
        .env("QUINTET_DATABASE__START_TIMEOUT", "100ms");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("quintet ready"));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .to_lowercase()
            .contains("postgres"),
        "{output:?}"
    );
}

#[test]
fn fix_7_workflows_and_runs_can_be_read_listed_and_removed() {
    let server = Server::start();
    let id = server.workflow(&json!({ "name": "w", "steps": [{ "name": "s", "action": "noop" }] }));
    assert_eq!(server.get(&format!("/v1/workflows/{id}")).json()["name"], "w");
    let run = server.run(&id, &json!({}));
    server.ended(&run);
    assert_eq!(server.get("/v1/runs").json()["items"][0]["id"], json!(run));
    assert_eq!(server.delete(&format!("/v1/runs/{run}")).status, 204);
    server.get(&format!("/v1/runs/{run}")).assert_plain(404, "not found");
    assert_eq!(server.delete(&format!("/v1/workflows/{id}")).status, 204);
    server
        .get(&format!("/v1/workflows/{id}"))
        .assert_code(404, "workflow_not_found");
    server
        .delete(&format!("/v1/workflows/{id}"))
        .assert_code(404, "workflow_not_found");
    server
        .delete(&format!("/v1/runs/{run}"))
        .assert_code(404, "run_not_found");
}

#[test]
fn fix_8_outputs_and_the_context_reach_later_inputs() {
    let server = Server::start();
    let target = Target::scripted(|call, _| Answer::ok(if call.path == "/first" { r#"{"n": 41}"# } else { "ok" }));
    let steps = json!([
        { "name": "call first", "action": "http", "input": { "url": target.url("/first") } },
        { "name": "second", "action": "http", "input": {
            "url": target.url("/second/{{ context.user }}"),
            "body": { "n": "{{ steps.call_first.output.n + 1 }}", "text": "was {{ steps.call_first.code }}" } } },
    ]);
    let run = server.ended(&server.run_steps(&steps, &json!({ "user": "ann" })));
    assert_eq!(run["status"], "SUCCEEDED", "{run}");
    assert_eq!(
        target.calls_of("/second/ann")[0].json(),
        json!({ "n": 42, "text": "was 200" })
    );
}

#[test]
fn fix_9_attempts_their_times_and_the_body_of_a_failure_are_kept() {
    let server = Server::start();
    let target = Target::scripted(|_, before| match before {
        0 => Answer::status(500, r#"{"reason":"disk"}"#),
        _ => Answer::ok("fine"),
    });
    let steps = json!([{ "name": "s", "action": "http", "input": { "url": target.url("/") }, "retry": { "max": 1, "backoff_ms": 1 } }]);
    let run = server.ended(&server.run_steps(&steps, &json!({})));
    assert_eq!(
        (&run["steps"][0]["attempts"], &run["steps"][0]["output"]),
        (&json!(2), &json!("fine"))
    );
    let detail = server
        .get(&format!("/v1/runs/{}/steps/s", run["id"].as_str().unwrap()))
        .json();
    let attempts = detail["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[0]["code"], &attempts[0]["error"]),
        (&json!("failed"), &json!(500), &json!("http status 500"))
    );
    assert_eq!(attempts[0]["detail"], json!({ "reason": "disk" }));
    assert!(attempts[0]["ended_at"].is_string() && attempts[0]["retry_at"].is_string());
    assert_eq!(
        (&attempts[1]["outcome"], &attempts[1]["code"]),
        (&json!("succeeded"), &json!(200))
    );
}

#[test]
fn fix_10_the_stream_of_a_run_that_has_ended_ends_too() {
    let server = Server::start();
    let run = server.run_steps(&json!([{ "name": "s", "action": "noop" }]), &json!({}));
    server.ended(&run);
    server.post(&format!("/v1/runs/{run}/logs"), "one\r\ntwo");
    let path = format!("/v1/runs/{run}/logs/stream");
    let mut stream = server.client().stream(&path, &[]);
    let sent: Vec<common::client::Sent> = std::iter::from_fn(|| stream.next()).collect();
    let texts: Vec<String> = sent.iter().map(|sent| sent.data.join("|")).collect();
    assert_eq!(texts, ["run started", "step succeeded: s", "run succeeded", "one|two"]);
    let last = sent.last().unwrap().id.clone();
    let resumed = server.client().stream(&path, &[("Last-Event-ID", last.as_str())]);
    assert_eq!(
        resumed.status, 204,
        "a client that has everything is told not to come again"
    );
    let wrong = server.client().call("GET", &path, &[("Last-Event-ID", "x")], "");
    wrong.assert_plain(400, "Last-Event-ID: must be the id of an event of this stream");
}

#[test]
fn fix_11_errors_are_json_with_a_code_where_the_client_asks_for_it() {
    let server = Server::start();
    asked_for_json(&server, "GET", "/v1/runs/ghost", "").assert_code(404, "run_not_found");
    asked_for_json(&server, "POST", "/v1/runs", r#"{"workflow_id":"ghost"}"#).assert_code(400, "workflow_not_found");
    asked_for_json(&server, "POST", "/v1/runs/ghost/approve", "").assert_code(400, "run_not_found");
    let body = r#"{"name":"x","steps":[{"name":"s","action":"noop","retry":{"max":"many"}},{"name":"t","action":"noop","join":5}]}"#;
    let reply = asked_for_json(&server, "POST", "/v1/workflows", body);
    reply.assert_code(400, "invalid_workflow");
    let error = &reply.json()["error"];
    assert_eq!(error["field"], "steps[0].retry.max");
    assert!(
        error["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|found| found["field"] == "steps[1].join"),
        "{error}"
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("schema validation failed: steps[0].retry.max: must be an integer >= 0")
    );
}

#[test]
fn fix_12_failed_and_canceled_runs_are_told_too() {
    let target = Target::scripted(|call, _| {
        if call.path == "/slow" {
            Answer::held("")
        } else {
            Answer::ok("{}")
        }
    });
    let server = Server::configured(&format!("audit_log:\n  base_url: {}\n", target.url("")));
    let events = |run: &str| -> Vec<String> {
        let of_run = |event: &Value| event["run_id"] == run;
        let calls = target
            .calls_of("/v1/events")
            .into_iter()
            .map(|call| call.json())
            .filter(of_run);
        calls.map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    };
    let failing = json!([{ "name": "s", "action": "condition", "input": { "on_false": "fail" } }]);
    let failed = server.run_steps(&failing, &json!({}));
    let canceled = server.run_steps(
        &json!([{ "name": "s", "action": "http", "input": { "url": target.url("/slow") } }]),
        &json!({}),
    );
    server.post(&format!("/v1/runs/{canceled}/cancel"), r#"{"reason":"enough"}"#);
    until("the failure is told", || {
        (events(&failed) == ["run.started", "step.failed", "run.failed"]).then_some(())
    });
    until("the cancelling is told", || {
        (events(&canceled) == ["run.started", "run.canceled"]).then_some(())
    });
    let told = target.calls_of("/v1/events").into_iter().map(|call| call.json());
    let note = told
        .filter(|event| event["event"] == "run.canceled")
        .map(|event| event["note"].clone())
        .next();
    assert_eq!(note, Some(json!("enough")));
}

#[test]
fn fix_13_editing_a_workflow_does_not_change_a_run_that_waits() {
    let server = Server::start();
    let target = Target::saying("ok");
    let document = |path: &str| {
        json!({ "id": "w", "name": "w", "steps": [
            { "name": "gate", "action": "noop", "requires_approval": true },
            { "name": "call", "action": "http", "input": { "url": target.url(path) } },
        ]})
    };
    server.workflow(&document("/old"));
    let run = server.run("w", &json!({}));
    server.when(&run, &["WAITING_APPROVAL"]);
    server.workflow(&document("/new"));
    server.post(&format!("/v1/runs/{run}/approve"), "");
    let ended = server.ended(&run);
    assert_eq!(
        (&ended["status"], &ended["workflow_version"]),
        (&json!("SUCCEEDED"), &json!(1))
    );
    assert_eq!((target.calls_of("/old").len(), target.calls_of("/new").len()), (1, 0));
}

#[test]
fn fix_15_the_schema_is_part_of_the_program_and_needs_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().display().to_string();
    let server = Server::on(folder.path(), &[], &[("PWD", elsewhere.as_str())]);
    assert_eq!(
        server
            .post(
                "/v1/workflows",
                r#"{"name":"x","steps":[{"name":"s","action":"noop"}]}"#
            )
            .status,
        200
    );
    assert_eq!(
        server
            .post("/v1/workflows", r#"{"name":"x","steps":[{"name":"","action":"noop"}]}"#)
            .status,
        400
    );
}

#[test]
fn fix_17_steps_reach_only_what_the_operator_permits() {
    let target = Target::saying("secret");
    let server = Server::configured("egress:\n  allow_loopback: false\n");
    let steps = json!([{ "name": "s", "action": "http", "input": { "url": target.url("/") } }]);
    let run = server.ended(&server.run_steps(&steps, &json!({})));
    assert_eq!(run["status"], "FAILED", "{run}");
    assert_eq!(target.calls().len(), 0);
}

#[test]
fn fix_18_versions_stored_at_the_same_time_get_numbers_of_their_own() {
    let server = Server::start();
    std::thread::scope(|scope| {
        for nth in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let name = format!("name {nth}");
                server.workflow(&json!({ "id": "w", "name": name, "steps": [{ "name": "s", "action": "noop" }] }));
            });
        }
    });
    let versions = server.get("/v1/workflows/w/versions").json();
    let numbers: Vec<u64> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["version"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<u64>>());
    let current = server.get("/v1/workflows/w").json();
    assert_eq!(current["name"], versions["items"][7]["payload"]["name"]);
}
