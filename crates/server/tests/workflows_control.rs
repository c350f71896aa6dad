//! What people do to runs and see of them: approvals, holds, repairs, reasons, history.

mod common;

use common::{Answer, Server, Target, until};
use serde_json::{Value, json};

fn noop(name: &str) -> Value {
    json!({ "name": name, "action": "noop" })
}

fn gate(name: &str) -> Value {
    json!({ "name": name, "action": "approval" })
}

#[test]
fn approvals_are_listed_and_answered_with_who_and_why() {
    let server = Server::start();
    let run = server.run_steps(&json!([gate("first"), gate("second")]), &json!({}));
    server.when(&run, &["WAITING_APPROVAL"]);
    let listed = server.get("/v1/approvals").json();
    assert_eq!(
        (&listed["items"][0]["run_id"], &listed["items"][0]["step_id"]),
        (&json!(run), &json!("first"))
    );
    let wrong = server.post(&format!("/v1/runs/{run}/approve"), r#"{"step":"second"}"#);
    assert_eq!(wrong.status, 409, "{}", wrong.text());
    let typed = server.client().call(
        "POST",
        &format!("/v1/runs/{run}/approve"),
        &[("Content-Type", "application/json")],
        "[",
    );
    typed.assert_plain(400, "bad json");
    assert_eq!(
        server.post(&format!("/v1/runs/{run}/approve"), r#"{"step":5}"#).status,
        400
    );
    let approved = server
        .post(
            &format!("/v1/runs/{run}/approve"),
            r#"{"step":"first","by":"ann","comment":"fine"}"#,
        )
        .json();
    let decision = &approved["steps"][0]["approval"];
    assert_eq!(
        (&decision["approved"], &decision["by"], &decision["comment"]),
        (&json!(true), &json!("ann"), &json!("fine"))
    );
    let rejected = server.post(&format!("/v1/runs/{run}/reject"), r#"{"by":"bob","comment":"no"}"#);
    assert_eq!((rejected.status, &rejected.json()["status"]), (200, &json!("FAILED")));
    assert_eq!(rejected.json()["error"], "approval rejected by bob: no");
    assert_eq!(server.get("/v1/approvals").json(), json!({ "items": [] }));
    server
        .post(&format!("/v1/runs/{run}/reject"), "")
        .assert_code(409, "run_finished");
    server
        .post("/v1/runs/ghost/reject", "")
        .assert_code(404, "run_not_found");
    assert!(
        server
            .log(&run)
            .contains(&"step failed: second err=approval rejected by bob: no".to_owned())
    );
}

#[test]
fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let server = Server::start();
    let target = Target::scripted(|call, _| {
        if call.path == "/one" {
            Answer::held("")
        } else {
            Answer::ok("")
        }
    });
    let call =
        |name: &str| json!({ "name": name, "action": "http", "input": { "url": target.url(&format!("/{name}")) } });
    let run = server.run_steps(&json!([call("one"), call("two")]), &json!({}));
    until("the first step is called", || {
        (!target.calls().is_empty()).then_some(())
    });
    let paused = server
        .post(&format!("/v1/runs/{run}/pause"), r#"{"by":"ann","reason":"lunch"}"#)
        .json();
    assert_eq!(
        (&paused["status"], &paused["paused"]["by"]),
        (&json!("PAUSED"), &json!("ann"))
    );
    server
        .post(&format!("/v1/runs/{run}/pause"), "")
        .assert_code(409, "run_conflict");
    target.release();
    until("the first step has ended", || {
        server
            .log(&run)
            .contains(&"step succeeded: one".to_owned())
            .then_some(())
    });
    let why = server.get(&format!("/v1/runs/{run}/steps/two/why")).json();
    assert_eq!(
        (&why["reasons"][0]["reason"], &why["reasons"][0]["by"]),
        (&json!("paused"), &json!("ann"))
    );
    assert_eq!(target.calls_of("/two").len(), 0);
    assert_eq!(
        server.post(&format!("/v1/runs/{run}/resume"), "").json()["status"],
        "RUNNING"
    );
    assert_eq!(server.ended(&run)["status"], "SUCCEEDED");
    server
        .post(&format!("/v1/runs/{run}/resume"), "")
        .assert_code(409, "run_conflict");
}

#[test]
fn failed_steps_are_retried_rerun_and_resolved() {
    let server = Server::start();
    let target = Target::scripted(|_, before| {
        if before == 0 {
            Answer::status(500, "")
        } else {
            Answer::ok("good")
        }
    });
    let steps = json!([noop("before"), { "name": "call", "action": "http", "input": { "url": target.url("/") } }, noop("after")]);
    let run = server.run_steps(&steps, &json!({}));
    assert_eq!(
        (
            &server.ended(&run)["status"],
            &server.get(&format!("/v1/runs/{run}")).json()["failed_step"]
        ),
        (&json!("FAILED"), &json!("call"))
    );
    server
        .post(&format!("/v1/runs/{run}/retry"), r#"{"step":"before"}"#)
        .assert_code(409, "step_conflict");
    server
        .post(&format!("/v1/runs/{run}/retry"), r#"{"step":"ghost"}"#)
        .assert_code(404, "step_not_found");
    assert_eq!(
        server.post(&format!("/v1/runs/{run}/retry"), r#"{"by":"ann"}"#).status,
        200
    );
    let mended = server.ended(&run);
    assert_eq!(
        (&mended["status"], &mended["steps"][1]["attempts"]),
        (&json!("SUCCEEDED"), &json!(2))
    );
    server
        .post(&format!("/v1/runs/{run}/retry"), "")
        .assert_code(409, "nothing_failed");
    server
        .post(&format!("/v1/runs/{run}/rerun"), "{}")
        .assert_code(400, "invalid_field");
    assert_eq!(
        server
            .post(&format!("/v1/runs/{run}/rerun"), r#"{"step":"call"}"#)
            .status,
        200
    );
    assert_eq!(server.ended(&run)["status"], "SUCCEEDED");
    assert_eq!(target.calls().len(), 3);
    let blocked =
        json!({ "name": "b", "on_failure": "block", "steps": [{ "name": "s", "action": "nobody" }, noop("t")] });
    let run = server.run(&server.workflow(&blocked), &json!({}));
    server.when(&run, &["BLOCKED", "FAILED"]);
    let path = format!("/v1/runs/{run}/steps/s/resolve");
    assert_eq!(
        server
            .post(&path, r#"{"by":"ann","reason":"by hand","output":{"n":1}}"#)
            .status,
        200
    );
    let ended = server.ended(&run);
    assert_eq!(
        (&ended["status"], &ended["steps"][0]["output"]),
        (&json!("SUCCEEDED"), &json!(r#"{"n":1}"#))
    );
}

#[test]
fn every_step_that_does_not_run_says_why() {
    let server = Server::start();
    let run = server.run_steps(
        &json!([gate("g"), noop("n"), { "name": "w", "action": "wait", "input": { "seconds": 1 } }]),
        &json!({}),
    );
    server.when(&run, &["WAITING_APPROVAL"]);
    let why = server.get(&format!("/v1/runs/{run}/why?limit=2")).json();
    let reasons: Vec<(&Value, &Value)> = why["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["step"], &entry["reasons"][0]["reason"]))
        .collect();
    assert_eq!(
        reasons,
        [(&json!("g"), &json!("approval")), (&json!("n"), &json!("dependency"))]
    );
    assert_eq!(
        why["items"][1]["reasons"][0]["text"],
        "step g has not ended, it is PENDING"
    );
    let rest = server
        .get(&format!(
            "/v1/runs/{run}/why?cursor={}",
            why["next_cursor"].as_str().unwrap()
        ))
        .json();
    assert_eq!(rest["items"][0]["step"], "w");
    server.get("/v1/runs/ghost/why").assert_code(404, "run_not_found");
}

#[test]
fn the_history_is_paged_and_streamed_with_public_names() {
    let server = Server::start();
    let run = server.run_steps(&json!([noop("s"), gate("g")]), &json!({}));
    server.when(&run, &["WAITING_APPROVAL"]);
    let mut stream = server.client().stream(&format!("/v1/runs/{run}/events"), &[]);
    let first = stream.next().unwrap();
    assert_eq!((first.name.as_str(), first.id.as_str()), ("run.created", "1.0"));
    server.post(&format!("/v1/runs/{run}/approve"), r#"{"by":"ann"}"#);
    server.ended(&run);
    let mut streamed = vec![first.name];
    streamed.extend(std::iter::from_fn(|| stream.next()).map(|sent| sent.name));
    let mut listed = Vec::new();
    let mut after = 0;
    loop {
        let page = server
            .get(&format!("/v1/runs/{run}/history?limit=1&after={after}"))
            .json();
        listed.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_after"].as_u64() else { break };
        after = next;
    }
    let named: Vec<&str> = listed.iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(named, streamed);
    for expected in [
        "step.started",
        "step.succeeded",
        "approval.requested",
        "approval.granted",
        "run.moved",
    ] {
        assert!(named.contains(&expected), "{expected}: {named:?}");
    }
    let granted = listed
        .iter()
        .find(|entry| entry["event"] == "approval.granted")
        .unwrap();
    assert_eq!((&granted["step"], &granted["by"]), (&json!("g"), &json!("ann")));
    assert!(granted["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    server
        .get(&format!("/v1/runs/{run}/history?after=-1"))
        .assert_code(400, "invalid_parameter");
}

#[test]
fn every_step_is_gated_where_the_operator_says_so() {
    let server = Server::configured("policy:\n  require_approval: true\n");
    let run = server.run_steps(&json!([noop("one"), noop("two")]), &json!({}));
    for _ in 0..2 {
        server.when(&run, &["WAITING_APPROVAL"]);
        server.post(&format!("/v1/runs/{run}/approve"), "");
    }
    assert_eq!(server.ended(&run)["status"], "SUCCEEDED");
}

#[test]
fn an_unfinished_run_is_not_removed_and_a_log_line_that_is_too_long_is_not_written() {
    let server = Server::start();
    let run = server.run_steps(&json!([gate("g")]), &json!({}));
    server.when(&run, &["WAITING_APPROVAL"]);
    server
        .delete(&format!("/v1/runs/{run}"))
        .assert_code(409, "run_not_finished");
    assert_eq!(
        server.post(&format!("/v1/runs/{run}/logs"), &"x".repeat(70_000)).status,
        413
    );
}

#[test]
fn a_blocked_run_is_declared_settled_by_hand_and_says_who_and_why() {
    let server = Server::start();
    let steps = json!([{ "id": "a", "name": "a", "action": "condition",
        "input": { "key": "missing", "equals": 1, "on_false": "fail" } }]);
    let document = json!({ "name": "w", "on_failure": "block", "steps": steps });
    let id = server.workflow(&document);
    let run = server
        .post("/v1/runs", &json!({ "workflow_id": id }).to_string())
        .json();
    let run = run["id"].as_str().unwrap();
    server.when(run, &["BLOCKED"]);
    let resolve = format!("/v1/runs/{run}/resolve");
    let resolved = server.post(&resolve, r#"{"by":"ann","reason":"done by phone"}"#).json();
    assert_eq!(
        (&resolved["status"], &resolved["resolved"]["by"]),
        (&json!("RESOLVED"), &json!("ann"))
    );
    server.post(&resolve, "{}").assert_code(409, "run_finished");
    let lines = server.get(&format!("/v1/runs/{run}/logs")).json();
    assert!(
        lines["items"]
            .to_string()
            .contains("run resolved by ann: done by phone"),
        "{lines}"
    );
}
