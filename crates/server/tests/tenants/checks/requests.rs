//! Checks 1 to 4, 13 and 14: what is answered to requests, good and bad.

use serde_json::{Value, json};

use super::tenants::{Answer, House, assert_refused, configured, refusal, request, text, time, workflow, workflows};

#[test]
fn check_1_health_and_figures_name_the_service() {
    let house = House::start();
    let health = house.get("/health");
    assert_eq!(health.status, 200);
    let health = health.json();
    assert_eq!(
        (&health["service"], &health["status"]),
        (&json!("orchestrator-service"), &json!("healthy"))
    );
    assert!(health["version"].is_string(), "{health}");
    time(&health, "timestamp");
    let accept = [("accept", "application/json")];
    let figures = house.server().client().call("GET", "/metrics", &accept, "").json();
    assert_eq!(
        (&figures["service"], &figures["status"]),
        (&json!("orchestrator-service"), &json!("running"))
    );
}

#[test]
fn check_2_a_workflow_is_accepted_with_its_defaults_and_the_tenant_of_the_path() {
    let house = House::start();
    let mut body = request(&[("a", &[]), ("b", &["a"])]);
    body["metadata"] = json!({ "tenant_id": "somebody else", "team": "blue" });
    body["context"] = json!({ "tech_stack": ["go"], "constraints": { "license": "mit" } });
    let reply = house.post(&workflows("t1"), &body.to_string());
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.text().ends_with("}\n"), "{}", reply.text());
    let accepted = reply.json();
    let id = text(&accepted, "workflow_id");
    assert!(id.starts_with("wf_intent-1_"), "{id}");
    assert_eq!(
        (&accepted["status"], &accepted["message"]),
        (&json!("pending"), &json!("Workflow execution started"))
    );
    let execution = &accepted["execution"];
    assert_eq!(
        (&execution["id"], &execution["intent_id"]),
        (&json!(id), &json!("intent-1"))
    );
    let configuration = json!({
        "max_concurrency": 4, "timeout": 1_800_000_000_000_u64, "failure_policy": "abort",
        "retry_policy": { "max_retries": 0, "initial_delay": 0, "max_delay": 0, "backoff_factor": 0 },
        "notification_policy": "", "enable_hitl": false, "validation_level": "",
    });
    assert_eq!(execution["configuration"], configuration);
    assert_eq!(execution["metadata"], json!({ "tenant_id": "t1", "team": "blue" }));
    let context = json!({
        "project_type": "", "tech_stack": ["go"], "requirements": null, "constraints": { "license": "mit" },
        "environment": "", "region": "",
    });
    assert_eq!(execution["context"], context);
    let task = json!({
        "id": "a", "type": "codegen", "description": "", "dependencies": null, "priority": "", "agent_type": "",
        "parameters": null, "timeout": 0, "retries": 0, "metadata": null, "status": "",
        "created_at": "0001-01-01T00:00:00Z",
    });
    let first = json!({
        "task": task, "status": "pending", "agent_id": "", "duration": 0, "attempts": 1, "logs": [], "metadata": {},
    });
    assert_eq!(execution["tasks"][0], first);
    assert_eq!(
        execution["dependencies"],
        json!([{ "from": "a", "to": "b", "type": "" }])
    );
    assert_eq!((&execution["results"], &execution["errors"]), (&json!({}), &json!([])));
}

#[test]
fn check_3_a_body_that_is_wrong_is_refused_in_the_words_of_the_original() {
    let house = House::start();
    let refused = |body: &str, error: &str| assert_refused(&house.post(&workflows("t1"), body), 400, error);
    refused("{}", "intent_id is required");
    refused(r#"{"intent_id":"i"}"#, "at least one task is required");
    refused(r#"{"intent_id":"i","tasks":[]}"#, "at least one task is required");
    refused("", "invalid request body: EOF");
    let begins = |body: &str| {
        let error = refusal(&house.post(&workflows("t1"), body), 400)["error"].clone();
        let error = error.as_str().expect("text").to_owned();
        assert!(error.starts_with("invalid request body: "), "{body}: {error}");
        error
    };
    let timeout = begins(r#"{"intent_id":"i","tasks":[{"id":"a","timeout":"30s"}]}"#);
    assert!(timeout.contains("time.Duration"), "{timeout}");
    begins("{bad");
    begins(r#"{"intent_id":7}"#);
    assert_refused(&house.post(&workflows(""), "{}"), 400, "missing tenant ID");
    assert_eq!(house.list("t1", "")["total"], 0, "nothing was stored");
}

#[test]
fn check_4_a_graph_that_is_wrong_is_refused_with_everything_that_is_wrong_with_it() {
    let house = House::start();
    let mut body = request(&[("a", &[]), ("a", &["gone"])]);
    body["dependencies"]
        .as_array_mut()
        .expect("a list")
        .push(json!({ "from": "a", "to": "a" }));
    let reply = house.post(&workflows("t1"), &body.to_string());
    let expected = "workflow execution failed: invalid DAG: [Duplicate task ID: a Dependency references non-existent \
        task: gone Self-dependency detected: a]";
    assert_refused(&reply, 400, expected);
    let reply = house.post(&workflows("t1"), &request(&[("a", &["b"]), ("b", &["a"])]).to_string());
    let error = refusal(&reply, 400)["error"].clone();
    assert!(
        error
            .as_str()
            .is_some_and(|error| error.contains("Cycle detected: [a b a]")),
        "{error}"
    );
    assert_eq!(house.list("t1", "")["total"], 0, "nothing was stored");
    assert!(house.worker.calls().is_empty());
}

#[test]
fn check_13_a_control_needs_no_body_and_a_wrong_one_is_refused() {
    let house = House::start();
    house.worker.teach("a", Answer::held("late"));
    let id = house.execute(&request(&[("a", &[])]));
    house.worker.wait_for("a", 1);
    for body in ["[]", "{bad", r#"{"reason":7}"#] {
        let error = refusal(&house.control(&id, "pause", body), 400)["error"].clone();
        assert!(
            error
                .as_str()
                .is_some_and(|error| error.starts_with("invalid request body: ")),
            "{error}"
        );
    }
    for (verb, body) in [
        ("pause", ""),
        ("resume", " \n"),
        ("pause", "null"),
        ("resume", "{}"),
        ("cancel", ""),
    ] {
        let reply = house.control(&id, verb, body);
        assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{verb} {body:?}");
    }
    assert_refused(&house.control(&id, "retry", ""), 400, "task_id is required");
}

#[test]
fn check_14_a_graph_can_be_checked_without_being_run() {
    let house = House::start();
    let check = |body: &Value| {
        let reply = house.post("/api/v1/dag/validate", &body.to_string());
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    let chain = check(&request(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]));
    assert_eq!(
        (&chain["valid"], &chain["execution_order"]),
        (&json!(true), &json!(["a", "b", "c"]))
    );
    assert!(
        chain.get("errors").is_none() && chain.get("warnings").is_none(),
        "{chain}"
    );
    let cycle = check(&request(&[("a", &["c"]), ("b", &["a"]), ("c", &["b"])]));
    assert_eq!(
        cycle,
        json!({ "valid": false, "errors": ["Cycle detected: [a b c a]"] })
    );
    let itself = check(&request(&[("a", &["a"])]));
    assert_eq!(itself["errors"], json!(["Self-dependency detected: a"]));
    let many: Vec<Value> = (0..51).map(|n| json!({ "id": format!("t{n}") })).collect();
    let many = check(&json!({ "tasks": many }));
    assert_eq!(
        (&many["valid"], &many["warnings"]),
        (&json!(true), &json!(["Large number of tasks may impact performance"]))
    );
    let long = check(&json!({ "tasks": [{ "id": "a", "timeout": 2_700_000_000_000_u64 }] }));
    assert_eq!(long["warnings"], json!(["Task a has very long timeout: 45m0s"]));
    let refused = |body: &str, error: &str| assert_refused(&house.post("/api/v1/dag/validate", body), 400, error);
    refused("{}", "at least one task is required");
    refused("", "invalid request body: EOF");
}

#[test]
fn the_order_of_a_graph_is_the_same_every_time_and_takes_what_is_urgent_first() {
    let house = House::start();
    let mut body = request(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &["a"])]);
    body["tasks"][1]["priority"] = "low".into();
    body["tasks"][2]["priority"] = "high".into();
    for _ in 0..3 {
        let checked = house.post("/api/v1/dag/validate", &body.to_string()).json();
        assert_eq!(checked["execution_order"], json!(["c", "a", "d", "b"]));
        assert_eq!(checked["levels"], json!([["c", "a", "b"], ["d"]]));
    }
}

#[test]
fn what_is_not_there_is_said_as_the_originals_router_said_it() {
    let house = House::start();
    let one = workflow("t1", "wf_x_00000000000000000000000000");
    for path in [
        "/api/v1/tenants",
        "/api/v1/tenants/t1",
        &format!("{}/", workflows("t1")),
        &format!("{one}/"),
        &format!("{one}/nothing"),
        "/api/v1/dag",
    ] {
        let reply = house.get(path);
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (404, "404 page not found\n"),
            "{path}"
        );
        assert_eq!(
            reply.header("content-type"),
            Some("text/plain; charset=utf-8"),
            "{path}"
        );
    }
    for (method, path) in [
        ("DELETE", one.as_str()),
        ("PUT", &workflows("t1")),
        ("GET", &format!("{one}/pause")),
        ("GET", "/api/v1/dag/validate"),
    ] {
        let reply = house.server().client().call(method, path, &[], "");
        assert_eq!((reply.status, reply.text().as_str()), (405, ""), "{method} {path}");
    }
}

#[test]
fn fields_that_nobody_knows_are_passed_over_and_settings_that_cannot_be_meant_are_not() {
    let house = House::start();
    let mut body = request(&[("rest", &[])]);
    body["tasks"][0]["type"] = "rest".into();
    body["surprise"] = json!({ "x": 1 });
    body["tasks"][0]["surprise"] = true.into();
    let id = house.execute(&body);
    house.reach(&id, "completed");
    for configuration in [
        json!({ "failure_policy": "shrug" }),
        json!({ "max_concurrency": -1 }),
        json!({ "timeout": -5 }),
        json!({ "validation_level": "paranoid" }),
    ] {
        let (field, _) = configuration
            .as_object()
            .and_then(|map| map.iter().next())
            .expect("a field");
        let reply = house.post(
            &workflows("t1"),
            &configured(&[("a", &[])], configuration.clone()).to_string(),
        );
        let error = refusal(&reply, 400)["error"].clone();
        assert!(
            error.as_str().is_some_and(|error| error.contains(field.as_str())),
            "{field}: {error}"
        );
    }
}
