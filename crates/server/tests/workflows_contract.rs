//! The conformance checks of the original orchestrator's contract, against the real program.

mod common;

use common::{Answer, Server, Target, until};
use serde_json::{Value, json};

/// The workflow of the original's README, with the target's URL.
fn demo(url: &str) -> Value {
    json!({
        "name": "demo",
        "description": "Simple demo workflow",
        "steps": [{
            "name": "call ai-router",
            "action": "http",
            "input": {
                "method": "POST",
                "url": url,
                "headers": { "Content-Type": "application/json" },
                "body": {
                    "model": "llama2",
                    "project_id": "default",
                    "messages": [{ "role": "user", "content": "hello" }],
                },
            },
        }],
    })
}

fn call(name: &str, url: &str) -> Value {
    json!({ "name": name, "action": "http", "input": { "url": url } })
}

#[test]
fn health_answers_ok() {
    let reply = Server::start().get("/healthz");
    assert_eq!((reply.status, reply.json()), (200, json!({ "status": "ok" })));
}

#[test]
fn a_created_workflow_has_ids_and_a_time_and_its_input_unchanged() {
    let server = Server::start();
    let document = demo("http://ai-router:8080/v1/chat/completions");
    let reply = server.post("/v1/workflows", &document.to_string());
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json"))
    );
    assert!(
        reply.text().starts_with("{\n  \"id\": \"wf_") && reply.text().ends_with("}\n"),
        "{}",
        reply.text()
    );
    let stored = reply.json();
    assert!(!stored["steps"][0]["id"].as_str().unwrap().is_empty());
    assert_eq!(stored["steps"][0]["input"], document["steps"][0]["input"]);
    assert_eq!(
        (&stored["description"], &stored["steps"][0]["retry"]),
        (&document["description"], &json!({}))
    );
    let created_at = stored["created_at"].as_str().unwrap();
    assert!(
        created_at.parse::<jiff::Timestamp>().is_ok() && created_at.ends_with('Z'),
        "{created_at}"
    );
    let listed = server.get("/v1/workflows").json();
    assert!(listed["items"].as_array().unwrap().contains(&stored));
}

#[test]
fn bad_documents_are_refused_in_the_originals_words() {
    let server = Server::start();
    server.post("/v1/workflows", "{bad").assert_plain(400, "bad json");
    server.post("/v1/workflows", "[]").assert_plain(400, "bad json");
    for body in [
        r#"{"name":"x","steps":[]}"#,
        r#"{"name":"  ","steps":[{"name":"a","action":"b"}]}"#,
        "{}",
        "null",
    ] {
        server
            .post("/v1/workflows", body)
            .assert_plain(400, "name and steps required");
    }
    let text = "schema validation failed: steps[0].action: is required";
    server
        .post("/v1/workflows", r#"{"name":"x","steps":[{"name":"s"}]}"#)
        .assert_plain(400, text);
    // Trailing data, unknown fields and the content type do not matter.
    let body = r#"{"name":"x","steps":[{"name":"s","action":"noop","colour":1}],"more":2} trailing"#;
    let reply = server
        .client()
        .call("POST", "/v1/workflows", &[("Content-Type", "text/plain")], body);
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn a_run_is_accepted_as_pending_and_bad_starts_are_refused() {
    let server = Server::start();
    let target = Target::saying("ok");
    let id = server.workflow(&demo(&target.url("/chat")));
    let body = json!({ "workflow_id": id, "context": { "project_id": "default" } }).to_string();
    let reply = server.post("/v1/runs", &body);
    let run = reply.json();
    assert_eq!(reply.status, 200);
    assert!(run["id"].as_str().unwrap().starts_with("run_"));
    assert_eq!(
        (&run["workflow_id"], &run["status"], &run["current_step"]),
        (&json!(id), &json!("PENDING"), &json!(0))
    );
    assert_eq!(
        (&run["context"], run.get("steps")),
        (&json!({ "project_id": "default" }), None)
    );
    server.post("/v1/runs", "{}").assert_plain(400, "workflow_id required");
    server.post("/v1/runs", "{bad").assert_plain(400, "bad json");
    server
        .post("/v1/runs", r#"{"workflow_id":"ghost"}"#)
        .assert_plain(400, "not found");
    server.get("/v1/runs/ghost").assert_plain(404, "not found");
    let reply = server.client().call("PUT", "/v1/runs", &[], "");
    assert_eq!((reply.status, reply.text().as_str()), (405, ""));
}

#[test]
fn an_http_step_really_reaches_its_target() {
    let server = Server::start();
    let target = Target::saying("{\"answer\": 42}\n");
    let id = server.workflow(&demo(&target.url("/v1/chat/completions")));
    let run = server.ended(&server.run(&id, &json!({ "project_id": "default" })));
    assert_eq!((&run["status"], &run["current_step"]), (&json!("SUCCEEDED"), &json!(1)));
    let step = &run["steps"][0];
    assert_eq!(
        (&step["name"], &step["action"], &step["status"]),
        (&json!("call ai-router"), &json!("http"), &json!("SUCCEEDED"))
    );
    assert_eq!(
        (&step["output"], &step["http_code"]),
        (&json!("{\"answer\": 42}\n"), &json!(200))
    );
    let calls = target.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].method.as_str(), calls[0].path.as_str()),
        ("POST", "/v1/chat/completions")
    );
    assert_eq!(calls[0].header("content-type"), Some("application/json"));
    assert_eq!(calls[0].json(), demo("")["steps"][0]["input"]["body"]);
}

#[test]
fn every_http_alias_does_the_same() {
    let server = Server::start();
    let target = Target::saying("done");
    for action in [
        "ai_router.chat",
        "web.search",
        "web.extract",
        "memarch.store_fact",
        "memarch.search",
        "scm.call",
        "HTTP",
    ] {
        let path = format!("/{action}");
        let input = json!({ "method": "PUT", "url": target.url(&path), "body": { "a": action } });
        let run = server.run_steps(&json!([{ "name": "s", "action": action, "input": input }]), &json!({}));
        let run = server.ended(&run);
        assert_eq!(
            (&run["status"], &run["steps"][0]["output"]),
            (&json!("SUCCEEDED"), &json!("done")),
            "{action}"
        );
        let calls = target.calls_of(&path);
        assert_eq!(
            (calls.len(), calls[0].method.as_str(), calls[0].json()),
            (1, "PUT", json!({ "a": action }))
        );
    }
}

#[test]
fn a_failing_target_is_called_once_and_twice_more_with_pauses() {
    let server = Server::start();
    let target = Target::scripted(|_, _| Answer::status(503, "overloaded"));
    let steps = json!([{ "name": "s", "action": "http", "input": { "url": target.url("/x") },
                         "retry": { "max": 2, "backoff_ms": 100 } }]);
    let run = server.ended(&server.run_steps(&steps, &json!({})));
    let step = &run["steps"][0];
    assert_eq!(
        (&run["status"], &run["current_step"], &run["error"]),
        (&json!("FAILED"), &json!(0), &json!("http status 503"))
    );
    assert_eq!(
        (&step["error"], &step["http_code"], &step["attempts"]),
        (&json!("http status 503"), &json!(503), &json!(3))
    );
    assert_eq!(
        step["error_detail"], "overloaded",
        "the original threw the body of a failure away"
    );
    assert_eq!(target.calls().len(), 3);
    let detail = server
        .get(&format!("/v1/runs/{}/steps/s", run["id"].as_str().unwrap()))
        .json();
    let times: Vec<jiff::Timestamp> = detail["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["started_at"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(times.len(), 3);
    assert!(
        times
            .windows(2)
            .all(|pair| pair[1].duration_since(pair[0]).as_millis() >= 100),
        "{times:?}"
    );
}

#[test]
fn a_url_of_another_scheme_fails_the_step() {
    let server = Server::start();
    let run = server.ended(&server.run_steps(&json!([call("s", "ftp://x")]), &json!({})));
    assert_eq!(
        (&run["status"], &run["steps"][0]["error"]),
        (&json!("FAILED"), &json!("url must be http or https"))
    );
    let run = server.ended(&server.run_steps(&json!([{ "name": "s", "action": "Explode" }]), &json!({})));
    assert_eq!(run["steps"][0]["error"], "unsupported action: Explode");
}

#[test]
fn transform_and_condition_steer_the_run() {
    let server = Server::start();
    let run = |equals: i32, on_false: &str| {
        let condition = json!({ "key": "k", "equals": equals, "on_false": on_false });
        let steps = json!([
            { "name": "set", "action": "transform", "input": { "set": { "k": 1 } } },
            { "name": "check", "action": "condition", "input": condition },
            { "name": "last", "action": "transform", "input": {} },
        ]);
        server.ended(&server.run_steps(&steps, &json!({})))
    };
    let outputs = |run: &Value| -> Vec<String> {
        run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["output"].as_str().unwrap_or("-").to_owned())
            .collect()
    };
    let met = run(1, "stop");
    assert_eq!(
        (&met["status"], &met["current_step"], &met["context"]),
        (&json!("SUCCEEDED"), &json!(3), &json!({ "k": 1 }))
    );
    assert_eq!(outputs(&met), ["ok", "condition true", "ok"]);
    let stopped = run(2, "stop");
    assert_eq!(
        (&stopped["status"], &stopped["current_step"]),
        (&json!("SUCCEEDED"), &json!(2))
    );
    assert_eq!(outputs(&stopped), ["ok", "condition false; stopping"]);
    let failed = run(2, "fail");
    assert_eq!(
        (&failed["status"], &failed["steps"][1]["error"]),
        (&json!("FAILED"), &json!("condition failed"))
    );
    assert_eq!(failed["current_step"], 1);
    assert_eq!(outputs(&run(2, "")), ["ok", "condition false; continue", "ok"]);
}

#[test]
fn two_gated_steps_take_two_approvals() {
    let server = Server::start();
    let target = Target::saying("ok");
    let gated = |name: &str| {
        let input = json!({ "url": target.url(&format!("/{name}")) });
        json!({ "name": name, "action": "http", "input": input, "requires_approval": true })
    };
    let run = server.run_steps(&json!([gated("one"), gated("two")]), &json!({}));
    for (nth, name) in ["one", "two"].iter().enumerate() {
        let waiting = server.when(&run, &["WAITING_APPROVAL"]);
        assert_eq!(waiting["current_step"], nth);
        let steps = waiting["steps"].as_array().unwrap();
        assert_eq!(steps.len(), nth + 1, "one entry for each step");
        assert_eq!(
            (&steps[nth]["name"], &steps[nth]["status"]),
            (&json!(name), &json!("WAITING_APPROVAL"))
        );
        assert_eq!(
            target.calls().len(),
            nth,
            "a gated step calls nobody before it is approved"
        );
        let approved = server.post(&format!("/v1/runs/{run}/approve"), "this body is ignored");
        assert_eq!((approved.status, &approved.json()["status"]), (200, &json!("RUNNING")));
    }
    let run = server.ended(&run);
    assert_eq!(
        (&run["status"], run["steps"].as_array().unwrap().len()),
        (&json!("SUCCEEDED"), 2)
    );
    let again = server.post(&format!("/v1/runs/{}/approve", run["id"].as_str().unwrap()), "");
    assert_eq!(
        (again.status, again.json()),
        (200, run),
        "with nothing to approve the run comes back unchanged"
    );
    server.post("/v1/runs/ghost/approve", "").assert_plain(400, "not found");
}

#[test]
fn a_canceled_run_stays_canceled_and_goes_no_further() {
    let server = Server::start();
    let target = Target::scripted(|call, _| {
        if call.path == "/slow" {
            Answer::held("late")
        } else {
            Answer::ok("")
        }
    });
    let steps = json!([call("slow", &target.url("/slow")), call("next", &target.url("/next"))]);
    let run = server.run_steps(&steps, &json!({}));
    until("the slow target is called", || {
        (!target.calls().is_empty()).then_some(())
    });
    let canceled = server.post(&format!("/v1/runs/{run}/cancel"), "");
    assert_eq!((canceled.status, &canceled.json()["status"]), (200, &json!("CANCELED")));
    target.release();
    // Runs that begin after the late answer have been through the whole engine: it would have had its effect.
    let marker = server.run_steps(&json!([call("marker", &target.url("/marker"))]), &json!({}));
    assert_eq!(server.ended(&marker)["status"], "SUCCEEDED");
    assert_eq!(server.get(&format!("/v1/runs/{run}")).json(), canceled.json());
    assert_eq!(target.calls_of("/next").len(), 0);
    assert!(server.log(&run).contains(&"run canceled".to_owned()));
    server.post("/v1/runs/ghost/cancel", "").assert_plain(400, "not found");
    let done = server.post(&format!("/v1/runs/{marker}/cancel"), "");
    assert_eq!(
        (done.status, &done.json()["status"]),
        (200, &json!("SUCCEEDED")),
        "a finished run is not canceled"
    );
}

#[test]
fn versions_count_up_and_a_rollback_makes_an_old_one_the_newest() {
    let server = Server::start();
    let document = |name: &str| json!({ "id": "mine", "name": name, "steps": [{ "name": "s", "action": "noop" }] });
    server.workflow(&document("first"));
    server.workflow(&document("second"));
    let versions = |server: &Server| -> Vec<(u64, String)> {
        let list = server.get("/v1/workflows/mine/versions").json();
        let entry = |version: &Value| {
            assert!(version["id"].as_str().unwrap().starts_with("wfver_") && version["workflow_id"] == "mine");
            (
                version["version"].as_u64().unwrap(),
                version["payload"]["name"].as_str().unwrap().to_owned(),
            )
        };
        list["items"].as_array().unwrap().iter().map(entry).collect()
    };
    assert_eq!(versions(&server), [(1, "first".into()), (2, "second".into())]);
    let before = server.get("/v1/workflows/mine/versions/1").json()["payload"]["created_at"].clone();
    let back = server.post("/v1/workflows/mine/rollback", r#"{"version":1}"#);
    assert_eq!(
        (back.status, &back.json()["name"], &back.json()["created_at"]),
        (200, &json!("first"), &before)
    );
    assert_eq!(
        versions(&server),
        [(1, "first".into()), (2, "second".into()), (3, "first".into())]
    );
    for body in [r#"{"version":9}"#, r#"{"version":0}"#, "{}"] {
        server
            .post("/v1/workflows/mine/rollback", body)
            .assert_plain(404, "version not found");
    }
    server
        .post("/v1/workflows/ghost/rollback", r#"{"version":1}"#)
        .assert_plain(404, "version not found");
    server
        .post("/v1/workflows/mine/rollback", "{bad")
        .assert_plain(400, "bad json");
    assert_eq!(
        server.get("/v1/workflows/ghost/versions").json(),
        json!({ "items": null })
    );
}

#[test]
fn logs_hold_the_originals_lines_and_what_was_appended() {
    let server = Server::start();
    let run = server.run_steps(&json!([{ "name": "the step", "action": "noop" }]), &json!({}));
    server.ended(&run);
    let appended = server.post(&format!("/v1/runs/{run}/logs"), "hello");
    assert_eq!((appended.status, appended.json()), (200, json!({ "ok": true })));
    assert_eq!(
        server.log(&run),
        ["run started", "step succeeded: the step", "run succeeded", "hello"]
    );
    server
        .post(&format!("/v1/runs/{run}/logs"), "")
        .assert_plain(400, "message required");
    server
        .post("/v1/runs/ghost/logs", "hello")
        .assert_plain(404, "not found");
    assert_eq!(server.get("/v1/runs/ghost/logs").json(), json!({ "items": [] }));
    let failing = json!([{ "name": "bad", "action": "condition", "input": { "on_false": "fail" } }]);
    let run = server.run_steps(&failing, &json!({}));
    server.ended(&run);
    assert_eq!(
        server.log(&run),
        ["run started", "step failed: bad err=condition failed", "run failed"]
    );
}

#[test]
fn the_log_stream_replays_then_follows_and_ends_with_the_run() {
    let server = Server::start();
    let target = Target::scripted(|_, _| Answer::held("ok"));
    let run = server.run_steps(&json!([call("slow", &target.url("/"))]), &json!({}));
    until("the target is called", || (!target.calls().is_empty()).then_some(()));
    let mut stream = server.client().stream(&format!("/v1/runs/{run}/logs/stream"), &[]);
    assert_eq!(
        (stream.status, stream.header("content-type")),
        (200, Some("text/event-stream"))
    );
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    assert_eq!(stream.next().unwrap().data, ["run started"]);
    server.post(&format!("/v1/runs/{run}/logs"), "two\nlines");
    let appended = stream.next().unwrap();
    assert_eq!(
        (appended.data, appended.name.as_str()),
        (vec!["two".to_owned(), "lines".to_owned()], "")
    );
    target.release();
    assert_eq!(stream.rest(), ["step succeeded: slow", "run succeeded"]);
    let path = format!("/v1/runs/{run}/logs/stream");
    let mut resumed = server
        .client()
        .stream(&path, &[("Last-Event-ID", appended.id.as_str())]);
    assert_eq!(resumed.rest(), ["step succeeded: slow", "run succeeded"]);
    server.get("/v1/runs/ghost/logs/stream").assert_plain(404, "not found");
}

#[test]
fn templates_are_listed_and_a_posted_one_is_an_ordinary_workflow() {
    let server = Server::start();
    let list = server.get("/v1/templates").json();
    let ids: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "tpl_intake_enrich_decide_act",
            "tpl_detect_classify_route",
            "tpl_review_approve_execute"
        ]
    );
    // Not checked against the schema: a step has no name.
    let posted = server.post("/v1/templates", r#"{"name":"mine","steps":[{"action":"noop"}]}"#);
    assert_eq!(posted.status, 200, "{}", posted.text());
    let id = posted.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.ended(&server.run(&id, &json!({})))["status"], "SUCCEEDED");
    assert_eq!(server.get("/v1/templates").json(), list);
    server
        .post("/v1/templates", "{}")
        .assert_plain(400, "name and steps required");
}

#[test]
fn hooks_get_every_event_in_order_with_the_originals_bodies() {
    let target = Target::saying("{}");
    let (memarch, audit) = (target.url("/memarch"), target.url("/audit"));
    let server = Server::configured(&format!(
        "memarch:\n  base_url: {memarch}\naudit_log:\n  base_url: {audit}\n"
    ));
    let id = server.workflow(
        &json!({ "id": "wf_h", "name": "h", "steps": [{ "id": "s1", "name": "one", "action": "transform" }] }),
    );
    let run = server.run(&id, &json!({}));
    server.ended(&run);
    let of = |path: &str| {
        target
            .calls_of(path)
            .iter()
            .map(common::target::Call::json)
            .collect::<Vec<Value>>()
    };
    until("six messages arrive", || (target.calls().len() >= 6).then_some(()));
    let audit = of("/audit/v1/events");
    let names: Vec<&str> = audit.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["run.started", "step.succeeded", "run.succeeded"]);
    let mut expected = [
        json!({ "event": "run.started", "run_id": run, "workflow_id": "wf_h", "status": "RUNNING", "current_step": 0, "note": "" }),
        json!({ "event": "step.succeeded", "run_id": run, "workflow_id": "wf_h", "step_id": "s1", "step_name": "one",
                "step_action": "transform", "step_status": "SUCCEEDED", "http_code": 200, "error": "" }),
        json!({ "event": "run.succeeded", "run_id": run, "workflow_id": "wf_h", "status": "SUCCEEDED", "current_step": 1, "note": "" }),
    ];
    for (event, expected) in audit.iter().zip(&mut expected) {
        let ts = event["ts"].as_str().unwrap();
        assert!(
            ts.len() == "2026-01-01T00:00:00Z".len() && ts.parse::<jiff::Timestamp>().is_ok(),
            "{ts}"
        );
        expected["ts"] = event["ts"].clone();
        assert_eq!(event, expected);
    }
    let wrapped: Vec<Value> = audit
        .iter()
        .map(|event| json!({ "project_id": "wf_h", "type": "orchestrator", "payload": event }))
        .collect();
    assert_eq!(of("/memarch/v1/events"), wrapped);
}

#[test]
fn everything_is_still_there_after_a_restart_and_an_interrupted_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::scripted(|_, before| {
        if before == 0 {
            Answer::held("lost")
        } else {
            Answer::ok("again")
        }
    });
    let mut server = Server::on(folder.path(), &[], &[]);
    let id = server.workflow(&json!({ "name": "w", "steps": [call("slow", &target.url("/slow"))] }));
    let run = server.run(&id, &json!({ "k": 1 }));
    server.post(&format!("/v1/runs/{run}/logs"), "before the crash");
    until("the target is called", || (!target.calls().is_empty()).then_some(()));
    server.kill();
    let server = Server::on(folder.path(), &[], &[]);
    assert_eq!(
        server.get(&format!("/v1/workflows/{id}/versions")).json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let run = server.ended(&run);
    assert_eq!(
        (&run["status"], &run["steps"][0]["output"], &run["context"]),
        (&json!("SUCCEEDED"), &json!("again"), &json!({ "k": 1 }))
    );
    assert!(
        server
            .log(run["id"].as_str().unwrap())
            .contains(&"before the crash".to_owned())
    );
}

#[test]
fn the_settings_file_is_taken_with_one_dash_and_with_two() {
    for flag in ["-config", "--config"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, "policy:\n  require_approval: true\n").unwrap();
        let server = Server::on(folder.path(), &[flag, &file.display().to_string()], &[]);
        let run = server.run_steps(&json!([{ "name": "s", "action": "noop" }]), &json!({}));
        server.when(&run, &["WAITING_APPROVAL"]);
    }
}
