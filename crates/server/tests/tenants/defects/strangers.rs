//! Who may see and do what: faults 4, 13, 14 and 15.

use serde_json::{Value, json};

use super::common::Reply;
use super::tenants::{Answer, House, assert_refused, refusal, request, text, workflow, workflows};

const BLUE: &str = "blue-0123456789abcdef0123456789";
const READER: &str = "read-0123456789abcdef0123456789";
const GREEN: &str = "green-0123456789abcdef0123456789";

/// A server on which `blue` and `green` have keys.
fn guarded() -> House {
    let folder = tempfile::tempdir().expect("folder");
    let key = |name: &str, secret: &str, namespace: &str, permission: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, secret).expect("written");
        json!({ "name": name, "key": format!("file:{}", file.display()), "namespace": namespace, "permissions": [permission] })
    };
    let keys = [
        key("blue", BLUE, "blue", "operator"),
        key("reader", READER, "blue", "viewer"),
        key("green", GREEN, "green", "admin"),
    ];
    House::with(json!({ "auth": { "api_keys": keys } }))
}

fn with_key(house: &House, key: &str, method: &str, path: &str, body: &str) -> Reply {
    let headers = [("x-api-key", key)];
    house.server().client().call(method, path, &headers, body)
}

#[test]
fn fault_4_tenants_see_and_touch_only_their_own() {
    let house = guarded();
    house.worker.teach("a", Answer::held("late"));
    let body = request(&[("a", &[])]).to_string();
    let accepted = with_key(&house, BLUE, "POST", &workflows("blue"), &body);
    assert_eq!(accepted.status, 201, "{}", accepted.text());
    let id = text(&accepted.json(), "workflow_id");
    house.worker.wait_for("a", 1);
    let own = workflow("blue", &id);
    for (method, path, body) in [
        ("GET", workflows("blue"), ""),
        ("GET", own.clone(), ""),
        ("GET", format!("{own}/metrics"), ""),
        ("POST", workflows("blue"), &*body),
        ("POST", format!("{own}/pause"), "{}"),
        ("POST", format!("{own}/resume"), "{}"),
        ("POST", format!("{own}/cancel"), "{}"),
        ("POST", format!("{own}/retry"), r#"{"task_id":"a"}"#),
    ] {
        let reply = with_key(&house, GREEN, method, &path, body);
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (404, "Tenant not found\n"),
            "{method} {path}"
        );
    }
    let other = with_key(&house, GREEN, "GET", &workflow("green", &id), "");
    assert_refused(&other, 404, "workflow not found");
    let list = with_key(&house, GREEN, "GET", &workflows("green"), "").json();
    assert_eq!((&list["workflows"], &list["total"]), (&json!([]), &json!(0)));
    let shown = with_key(&house, BLUE, "GET", &own, "").json();
    assert_eq!(shown["execution"]["status"], "running", "nobody touched it");
    assert_eq!(house.worker.calls().len(), 1);
}

#[test]
fn fault_13_nothing_tells_whether_another_tenants_id_is_there() {
    let house = guarded();
    let accepted = with_key(
        &house,
        BLUE,
        "POST",
        &workflows("blue"),
        &request(&[("a", &[])]).to_string(),
    );
    let there = text(&accepted.json(), "workflow_id");
    let absent = format!("wf_intent-1_{}", "0".repeat(26));
    let said = |path: &str| {
        let reply = with_key(&house, GREEN, "GET", path, "");
        let mut body = reply.text();
        if let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(&body) {
            fields.remove("timestamp");
            body = Value::Object(fields).to_string();
        }
        (reply.status, body)
    };
    for tenant in ["blue", "green", "nobody"] {
        assert_eq!(
            said(&workflow(tenant, &there)),
            said(&workflow(tenant, &absent)),
            "{tenant}"
        );
    }
    assert_eq!(
        said(&workflows("blue")),
        said(&workflows("nobody")),
        "nor whether the tenant is"
    );
}

#[test]
fn fault_14_who_has_no_key_or_not_the_right_one_is_refused_in_this_faces_words() {
    let house = guarded();
    let body = request(&[("a", &[])]).to_string();
    let nobody = house.post(&workflows("blue"), &body);
    refusal(&nobody, 401);
    assert!(nobody.header("www-authenticate").is_some());
    let reader = with_key(&house, READER, "POST", &workflows("blue"), &body);
    refusal(&reader, 403);
    assert_eq!(with_key(&house, READER, "GET", &workflows("blue"), "").status, 200);
    let checked = with_key(&house, READER, "POST", "/api/v1/dag/validate", &body);
    assert_eq!(
        checked.status,
        200,
        "looking at a graph changes nothing: {}",
        checked.text()
    );
    assert!(house.worker.calls().is_empty());
}

#[test]
fn fault_14_a_request_with_a_key_takes_effect_once() {
    let house = House::start();
    let body = request(&[("a", &[])]).to_string();
    let send = |tenant: &str, key: &str, body: &str| {
        let headers = [("idempotency-key", key)];
        house.server().client().call("POST", &workflows(tenant), &headers, body)
    };
    let first = send("t1", "k", &body).json();
    let id = text(&first, "workflow_id");
    let done = house.reach(&id, "completed");
    let again = send("t1", "k", &body);
    assert_eq!(again.status, 201);
    let again = again.json();
    assert_eq!(
        (&again["workflow_id"], &again["status"]),
        (&json!(id), &json!("completed"))
    );
    assert_eq!(again["execution"], done, "it is shown as it is now");
    assert_ne!(text(&send("t1", "other", &body).json(), "workflow_id"), id);
    assert_ne!(
        text(&send("t2", "k", &body).json(), "workflow_id"),
        id,
        "keys are the tenant's own"
    );
    refusal(&send("t1", "k", &request(&[("b", &[])]).to_string()), 409);
    refusal(&send("t1", "", &body), 400);
    refusal(&send("t1", &"k".repeat(256), &body), 400);
    assert_eq!(house.list("t1", "")["total"], 2);
}

#[test]
fn fault_14_what_happens_to_a_workflow_can_be_followed() {
    let house = House::start();
    let id = house.execute_for("default", &request(&[("a", &[])]));
    let run = format!("/v1/runs/run_{}", id.rsplit_once('_').expect("an id").1);
    let mut stream = house
        .server()
        .client()
        .stream(&format!("{run}/events"), &[("accept", "text/event-stream")]);
    assert_eq!(stream.status, 200);
    let names: Vec<String> = std::iter::from_fn(|| stream.next()).map(|sent| sent.name).collect();
    for name in ["run.created", "step.started", "step.succeeded"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
}

#[test]
fn fault_15_figures_are_for_prometheus_unless_json_is_asked_for() {
    let house = House::start();
    let id = house.execute(&request(&[("a", &[])]));
    house.reach(&id, "completed");
    let reply = house.get("/metrics");
    assert!(
        reply
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
    );
    let text = reply.text();
    let line =
        "quintet_http_requests_total{method=\"POST\",route=\"/api/v1/tenants/{tenant}/workflows\",status=\"2xx\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(
        !text.contains("t1\"") && !text.contains(&id),
        "no tenant and no id is a label"
    );
}

#[test]
fn names_that_no_tenant_can_have_are_not_there() {
    let house = House::start();
    for tenant in ["quintet", "a%20b", "a%2Fb", "%C3%BC", &"x".repeat(64)] {
        let reply = house.post(&workflows(tenant), &request(&[("a", &[])]).to_string());
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (404, "Tenant not found\n"),
            "{tenant}"
        );
    }
    let id = house.execute_for("Team_7.eu-west", &request(&[("a", &[])]));
    assert_eq!(house.get(&workflow("Team_7.eu-west", &id)).status, 200);
}
