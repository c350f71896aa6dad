//! What the product adds to the original's endpoints: graphs, other ways to start, checks, lists and hooks.

mod common;

use common::{Answer, Reply, Server, Target, until};
use serde_json::{Value, json};

fn noop(name: &str) -> Value {
    json!({ "name": name, "action": "noop" })
}

fn gate(name: &str) -> Value {
    json!({ "name": name, "action": "approval" })
}

fn names(run: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    run["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (text(&step["step_id"]), text(&step["status"])))
        .collect()
}

fn keyed(server: &Server, path: &str, key: &str, body: &Value) -> Reply {
    server
        .client()
        .call("POST", path, &[("Idempotency-Key", key)], &body.to_string())
}

#[test]
fn a_graph_runs_its_branches_joins_them_and_skips_what_is_not_taken() {
    let server = Server::start();
    let run = server.run_steps(
        &json!([
            { "id": "a", "name": "a", "action": "transform", "input": { "set": { "big": true } } },
            { "id": "b", "name": "b", "action": "noop", "depends_on": ["a"], "when": "context.big" },
            { "id": "c", "name": "c", "action": "noop", "depends_on": ["a"], "when": "not context.big" },
            { "id": "d", "name": "d", "action": "noop", "depends_on": ["b", "c"] },
            { "id": "e", "name": "e", "action": "condition", "input": { "on_false": "fail" }, "depends_on": ["d"] },
            { "id": "f", "name": "f", "action": "noop", "depends_on": [{ "step": "e", "on": "failure" }] },
        ]),
        &json!({}),
    );
    let run = server.ended(&run);
    assert_eq!(
        run["status"], "SUCCEEDED",
        "a failure that is handled fails nothing: {run}"
    );
    let statuses: Vec<String> = names(&run)
        .into_iter()
        .map(|(id, status)| format!("{id} {status}"))
        .collect();
    assert_eq!(
        statuses,
        [
            "a SUCCEEDED",
            "b SUCCEEDED",
            "c SKIPPED",
            "d SUCCEEDED",
            "e FAILED",
            "f SUCCEEDED"
        ]
    );
}

#[test]
fn for_each_runs_once_for_each_item_and_lists_them() {
    let server = Server::start();
    let target = Target::scripted(|call, _| Answer::ok(&format!("{:?}", call.path)));
    let url = target.url("/{{ item }}/{{ index }}");
    let steps = json!([{ "name": "each", "action": "http", "input": { "url": url },
                         "for_each": { "items": "{{ context.names }}", "concurrency": 2 } }]);
    let run = server.ended(&server.run_steps(&steps, &json!({ "names": ["x", "y", "z"] })));
    assert_eq!(run["steps"][0]["output"], r#"["/x/0","/y/1","/z/2"]"#);
    let id = run["id"].as_str().unwrap();
    let listed = server.get(&format!("/v1/runs/{id}/steps?limit=2")).json();
    let ids = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&listed), ["each", "each[0]"]);
    assert_eq!(
        listed["items"][0]["items"],
        json!({ "total": 3, "done": 3, "running": 0, "failed": 0 })
    );
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = server
        .get(&format!("/v1/runs/{id}/steps?limit=2&cursor={cursor}"))
        .json();
    assert_eq!(
        (ids(&rest), rest.get("next_cursor")),
        (vec!["each[1]".to_owned(), "each[2]".to_owned()], None)
    );
    assert_eq!(
        server.get(&format!("/v1/runs/{id}/steps/each[1]")).json()["result"],
        "/y/1"
    );
    assert_eq!(
        ids(&server.get(&format!("/v1/runs/{id}/steps?status=FAILED,RUNNING")).json()),
        Vec::<String>::new()
    );
    server
        .get(&format!("/v1/runs/{id}/steps?status=done"))
        .assert_code(400, "invalid_parameter");
    server
        .get(&format!("/v1/runs/{id}/steps/ghost"))
        .assert_code(404, "step_not_found");
}

#[test]
fn a_start_can_wait_for_the_result_and_says_when_there_was_none_in_time() {
    let server = Server::start();
    let quick = server.workflow(&json!({ "name": "quick", "steps": [noop("s")] }));
    let reply = server.post("/v1/runs?wait=20s", &json!({ "workflow_id": quick }).to_string());
    assert_eq!(
        (reply.status, &reply.json()["status"], reply.header("quintet-wait")),
        (200, &json!("SUCCEEDED"), None)
    );
    let waiting = server.workflow(&json!({ "name": "waiting", "steps": [gate("g")] }));
    let reply = server.post("/v1/runs?wait=50ms", &json!({ "workflow_id": waiting }).to_string());
    assert_eq!(
        (reply.status, &reply.json()["status"]),
        (200, &json!("WAITING_APPROVAL"))
    );
    assert_eq!(reply.header("quintet-wait"), Some("timeout"));
    for wait in ["61s", "soon", "-1", ""] {
        let reply = server.post(
            &format!("/v1/runs?wait={wait}"),
            &json!({ "workflow_id": quick }).to_string(),
        );
        assert_eq!(reply.status, 400, "{wait}");
        assert!(reply.text().starts_with("wait: "), "{}", reply.text());
    }
}

#[test]
fn a_template_runs_by_its_name_and_its_id() {
    let server = Server::start();
    let target = Target::scripted(|call, _| Answer::ok(&format!(r#"{{"from":"{}"}}"#, call.path)));
    let context = json!({ "services": target.url(""), "body": { "n": 1 } });
    for start in [
        json!({ "template": "detect_classify_route", "context": context }),
        json!({ "template": "tpl_detect_classify_route", "context": context }),
        json!({ "workflow_id": "tpl_detect_classify_route", "context": context }),
    ] {
        let run = server.post("/v1/runs?wait=20s", &start.to_string()).json();
        assert_eq!(
            (&run["status"], &run["workflow_id"]),
            (&json!("SUCCEEDED"), &json!("tpl_detect_classify_route")),
            "{run}"
        );
    }
    assert_eq!(target.calls_of("/detect")[0].json(), json!({ "n": 1 }));
    assert_eq!(target.calls_of("/route")[0].json(), json!({ "from": "/classify" }));
    server
        .post("/v1/runs", r#"{"template":"ghost"}"#)
        .assert_plain(400, "not found");
}

#[test]
fn a_document_can_come_along_and_be_yaml_when_it_is_stored() {
    let server = Server::start();
    let inline = json!({ "workflow": { "steps": [{ "action": "noop" }] } });
    let run = server.post("/v1/runs?wait=20s", &inline.to_string()).json();
    assert_eq!(
        (&run["status"], &run["workflow_id"], run.get("workflow_version")),
        (&json!("SUCCEEDED"), &json!(""), None)
    );
    let broken = json!({ "workflow": { "steps": [{ "id": "a", "action": "noop", "depends_on": ["a"] }] } });
    let reply = server.post("/v1/runs", &broken.to_string());
    assert_eq!(reply.status, 400);
    assert!(
        reply
            .text()
            .contains("steps[0].depends_on[0]: step \"a\" depends on itself"),
        "{}",
        reply.text()
    );
    let both = json!({ "workflow_id": "w", "template": "t" });
    assert_eq!(server.post("/v1/runs", &both.to_string()).status, 400);
    let yaml = "name: from yaml\nsteps:\n  - name: s\n    action: transform\n    input:\n      set: {n: 1}\n";
    let stored = server
        .client()
        .call("POST", "/v1/workflows", &[("Content-Type", "application/yaml")], yaml);
    assert_eq!(
        (stored.status, &stored.json()["steps"][0]["input"]),
        (200, &json!({ "set": { "n": 1 } }))
    );
    let broken = server
        .client()
        .call("POST", "/v1/workflows", &[("Content-Type", "text/yaml")], "name: [");
    assert_eq!(broken.status, 400);
}

#[test]
fn a_repeated_start_with_the_same_key_starts_nothing_twice() {
    let server = Server::start();
    let id = server.workflow(&json!({ "name": "w", "steps": [noop("s")] }));
    let body = json!({ "workflow_id": id, "context": { "a": 1, "b": 2 } });
    let first = keyed(&server, "/v1/runs", "key-1", &body);
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    let run = first.json()["id"].as_str().unwrap().to_owned();
    server.ended(&run);
    let again = keyed(
        &server,
        "/v1/runs",
        "key-1",
        &json!({ "context": { "b": 2, "a": 1 }, "workflow_id": id }),
    );
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (200, Some("true"))
    );
    assert_eq!(
        (&again.json()["id"], &again.json()["status"]),
        (&json!(run), &json!("SUCCEEDED"))
    );
    let other = keyed(&server, "/v1/runs", "key-1", &json!({ "workflow_id": id }));
    assert_eq!(other.status, 422, "{}", other.text());
    assert_eq!(server.get("/v1/runs").json()["items"].as_array().unwrap().len(), 1);
    server.delete(&format!("/v1/workflows/{id}"));
    let late = keyed(&server, "/v1/runs", "key-1", &body);
    assert_eq!(
        (late.status, &late.json()["id"]),
        (200, &json!(run)),
        "what was started stays answered"
    );
    let long = "k".repeat(256);
    assert_eq!(keyed(&server, "/v1/runs", &long, &body).status, 400);
}

#[test]
fn a_batch_can_bring_along_several_documents_and_templates() {
    let server = Server::start();
    let inline = |id: &str| json!({ "workflow": { "name": id, "steps": [noop(id)] } });
    let batch = json!({ "runs": [inline("one"), inline("two"), { "template": "tpl_review_approve_execute" }] });
    let started = server.post("/v1/runs/batch", &batch.to_string()).json();
    let runs = started["items"].as_array().unwrap().clone();
    assert_eq!(runs.len(), 3);
    for run in &runs[..2] {
        server.when(run["id"].as_str().unwrap(), &["SUCCEEDED"]);
    }
}

#[test]
fn a_batch_starts_all_or_nothing() {
    let server = Server::start();
    let id = server.workflow(&json!({ "name": "w", "steps": [noop("s")] }));
    let one = |n: usize| json!({ "workflow_id": id, "context": { "n": n } });
    let batch = json!({ "runs": (0..20).map(one).collect::<Vec<_>>() });
    let started = keyed(&server, "/v1/runs/batch", "batch", &batch).json();
    let runs = started["items"].as_array().unwrap().clone();
    assert_eq!(
        (runs.len(), &runs[7]["status"], &runs[7]["context"]),
        (20, &json!("PENDING"), &json!({ "n": 7 }))
    );
    let replayed = keyed(&server, "/v1/runs/batch", "batch", &batch);
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(replayed.json()["items"][19]["id"], runs[19]["id"]);
    let mixed = json!({ "runs": [one(0), { "workflow_id": "ghost" }] });
    let refused = server.post("/v1/runs/batch", &mixed.to_string());
    refused.assert_code(400, "workflow_not_found");
    assert_eq!(refused.json()["error"]["field"], "runs[1]");
    for body in ["{}", r#"{"runs":[]}"#, r#"{"runs":[5]}"#, r#"{"runs":{}}"#] {
        server.post("/v1/runs/batch", body).assert_code(400, "invalid_field");
    }
    assert_eq!(server.get("/v1/runs").json()["items"].as_array().unwrap().len(), 20);
}

#[test]
fn runs_are_listed_newest_first_by_pages_and_filters() {
    let server = Server::start();
    let good = server.workflow(&json!({ "name": "good", "steps": [noop("s")] }));
    let bad = server.workflow(&json!({ "name": "bad", "steps": [{ "name": "s", "action": "nobody" }] }));
    let mut runs: Vec<String> = (0..5).map(|_| server.run(&good, &json!({}))).collect();
    runs.push(server.run(&bad, &json!({})));
    runs.iter().for_each(|run| drop(server.ended(run)));
    let ids = |query: &str| -> (Vec<String>, Option<String>) {
        let page = server.get(&format!("/v1/runs?{query}")).json();
        let ids = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["id"].as_str().unwrap().to_owned());
        (ids.collect(), page["next_cursor"].as_str().map(str::to_owned))
    };
    runs.reverse();
    let (first, cursor) = ids("limit=4");
    assert_eq!(first, runs[..4]);
    assert_eq!(
        ids(&format!("limit=4&cursor={}", cursor.unwrap())),
        (runs[4..].to_vec(), None)
    );
    assert_eq!(ids("status=FAILED").0, runs[..1]);
    assert_eq!(ids("status=FAILED,SUCCEEDED").0, runs);
    assert_eq!(ids(&format!("workflow_id={good}")).0, runs[1..]);
    assert_eq!(ids("created_before=2020-01-01T00:00:00Z").0, Vec::<String>::new());
    assert_eq!(ids("created_from=2020-01-01T00:00:00Z").0, runs);
    for (query, name) in [
        ("status=failed", "status"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=x", "cursor"),
        ("created_from=now", "created_from"),
        ("limit=1&limit=2", "limit"),
    ] {
        let reply = server.get(&format!("/v1/runs?{query}"));
        reply.assert_code(400, "invalid_parameter");
        assert_eq!(reply.json()["error"]["field"], name, "{query}");
    }
}

#[test]
fn a_context_that_does_not_fit_the_input_schema_is_refused_by_field() {
    let server = Server::start();
    let id = server.workflow(&json!({ "name": "w", "steps": [noop("s")], "input_schema": {
        "type": "object", "required": ["order"], "properties": { "order": { "type": "integer" } } } }));
    let start = |context: Value| {
        let body = json!({ "workflow_id": id, "context": context }).to_string();
        server
            .client()
            .call("POST", "/v1/runs", &[("Accept", "application/json")], &body)
    };
    assert_eq!(start(json!({ "order": 7 })).status, 200);
    for (context, field) in [(json!({}), "context.order"), (json!({ "order": "x" }), "context.order")] {
        let refused = start(context);
        refused.assert_code(422, "invalid_input");
        assert_eq!(refused.json()["error"]["field"], field);
    }
    let changed = json!({ "id": id, "name": "w", "steps": [noop("s")] });
    server.workflow(&changed);
    assert_eq!(start(json!({})).status, 200, "the new version has no schema");
}

#[test]
fn a_document_is_checked_without_being_stored() {
    let server = Server::start();
    let good =
        json!({ "name": "w", "steps": [{ "name": "a b", "action": "noop" }, { "name": "c", "action": "Unknown" }] });
    let checked = server.post("/v1/workflows/validate", &good.to_string()).json();
    assert_eq!(
        (&checked["valid"], &checked["steps"][0]["id"]),
        (&json!(true), &json!("a_b"))
    );
    assert_eq!(checked["unsupported_actions"], json!(["unknown"]));
    let cyclic = json!({ "name": "w", "steps": [
        { "id": "a", "name": "a", "action": "noop", "depends_on": ["b"] },
        { "id": "b", "name": "b", "action": "noop", "depends_on": ["a"] } ] });
    let refused = server.post("/v1/workflows/validate", &cyclic.to_string());
    refused.assert_code(400, "invalid_workflow");
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("cycle: a -> b -> a")
    );
    let typed = json!({ "name": "w", "steps": [{ "name": "a", "action": "http", "input": { "url": "http://x", "headers": { "h": 1 } } }] });
    let refused = server.post("/v1/workflows/validate", &typed.to_string());
    assert_eq!(refused.json()["error"]["field"], "steps[0].input.headers.h");
    assert_eq!(server.get("/v1/workflows").json(), json!({ "items": [] }));
}

#[test]
fn the_operators_schema_takes_the_place_of_the_programs() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("strict.json");
    std::fs::write(&schema, r#"{"type":"object","required":["description"]}"#).unwrap();
    let server = Server::configured(&format!("policy:\n  workflow_schema: {}\n", schema.display()));
    let refused = server.post("/v1/workflows", r#"{"name":"x","steps":[{"action":"noop"}]}"#);
    refused.assert_plain(400, "schema validation failed: description: is required");
    let taken = server.post(
        "/v1/workflows",
        r#"{"name":"x","description":"d","steps":[{"action":"noop"}]}"#,
    );
    assert_eq!(taken.status, 200, "{}", taken.text());
}

#[test]
fn hook_messages_are_signed_and_sent_again_until_they_arrive() {
    let target = Target::scripted(|_, before| {
        if before == 0 {
            Answer::status(500, "")
        } else {
            Answer::ok("")
        }
    });
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let settings = format!("audit_log:\n  base_url: {}\n  secret: {secret}\n", target.url(""));
    let server = Server::configured(&settings);
    let run = server.run_steps(&json!([noop("s")]), &json!({}));
    server.ended(&run);
    let calls = until("four messages arrive", || {
        Some(target.calls()).filter(|calls| calls.len() >= 4)
    });
    assert_eq!(
        calls[0].header("webhook-id"),
        calls[1].header("webhook-id"),
        "the first is sent again, unchanged"
    );
    assert_eq!(calls[0].body, calls[1].body);
    assert!(calls.iter().all(|call| {
        call.header("webhook-signature")
            .is_some_and(|signature| signature.starts_with("v1,"))
    }));
    let ids: std::collections::HashSet<_> = calls.iter().filter_map(|call| call.header("webhook-id")).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn workflows_are_listed_by_pages() {
    let server = Server::start();
    let names: Vec<String> = (0..120).map(|nth| format!("wf {nth:03}")).collect();
    for name in &names {
        server.workflow(&json!({ "id": name, "name": name, "steps": [noop("s")] }));
    }
    let page = |query: &str| -> (Vec<String>, Option<String>) {
        let page = server.get(&format!("/v1/workflows{query}")).json();
        let ids = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned());
        (ids.collect(), page["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(page(""), (names.clone(), None));
    assert_eq!(page("?limit=120"), (names.clone(), None));
    assert_eq!(page("?limit=70"), (names[..70].to_vec(), Some("wf 069".to_owned())));
    assert_eq!(page("?limit=70&cursor=wf%20069"), (names[70..].to_vec(), None));
}

#[test]
fn a_server_that_is_alone_is_the_only_node() {
    let server = Server::with(&[], &[("QUINTET_NODE__NAME", "blue")]);
    let nodes = server.get("/v1/nodes").json();
    let node = &nodes["items"][0];
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1, "{nodes}");
    assert_eq!(
        (&node["name"], &node["state"], &node["self"]),
        (&json!("blue"), &json!("alive"), &json!(true))
    );
    assert_eq!(node["url"], format!("http://{}", server.address()));
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        node["id"].as_str().unwrap().len() == 16 && node["started_at"].is_string(),
        "{node}"
    );
}
